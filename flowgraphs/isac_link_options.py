"""Command line of isac_link.py: options, their checks, and what a run prints."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import interrupts
from compare_options import add_compare_option, check_compare
from isac_models.errors import UserError, one_line, printable
from isac_models.options import (
    Parser,
    add_scenario_options,
    count,
    need_matplotlib,
    reader_left,
    scenario_from,
    whole,
)
from link_design import add_design_options
from link_report import LiveLine

if TYPE_CHECKING:
    from blocks.runtime import Flowgraph

DESCRIPTION = """\
Send messages over a simulated ISAC link: one waveform carries them to a receiver and, by its echo,
detects and locates a target. Every block is a stream block, every pipe a ZeroMQ pipe."""

EXAMPLES = """\
examples:
  isac_link.py --file picture.png --out received.png --plot link.png
  isac_link.py --file picture.png --out received.png --order 16 --snr-comm 8
  isac_link.py --scenario ideal --rho 1 --snapshots 1.2e6 --json
  isac_link.py --compare --plot compare.png
  isac_link.py --precoder learned
  isac_link.py --artifact trained/artifact.safetensors

exit status: 0 done, 1 a block failed, 2 bad input, 130 stopped by Ctrl-C"""

RANDOM_SNAPSHOTS = 1_000_000
PLOT_FORMATS = (".png", ".pdf", ".svg")
READER_LEFT = re.compile(r"block message_sink failed(?: at frame \d+)?: BrokenPipeError\b")
LARGEST_FRAME = 1 << 20
LARGEST_ARRAY = 1 << 28  # bytes of one field of one frame


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options, checked, with the scenario they make as `scenario`. Exits with status 2 on bad ones."""
    parser = Parser(
        prog="isac_link.py",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_scenario_options(parser)
    add_compare_option(add_design_options(parser))
    what = parser.add_argument_group("what is sent")
    what.add_argument(
        "--file", metavar="IN", help="send this file; a picture goes as raw pixels, - is standard input"
    )
    what.add_argument("--as-bytes", action="store_true", help="send a picture file as it is, not as pixels")
    what.add_argument("--out", metavar="OUT", help="write what is received here; - is standard output")
    what.add_argument(
        "--snapshots",
        type=count,
        metavar="N",
        help=f"snapshots in all, also as 1e6; random messages follow the file "
        f"(default: what the file needs, {RANDOM_SNAPSHOTS:,} without one)",
    )
    add_run_options(parser)
    output = add_output_options(parser)
    output.add_argument("--plot", metavar="FILE.png", help="draw the run (png, pdf or svg)")
    output.add_argument(
        "--record",
        metavar="FILE",
        help="record the radar echoes and the truth, for isac_replay.py; NAME.sigmf-meta: as SigMF",
    )
    return checked(parser, argv, _check)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """How the graph runs."""
    run = parser.add_argument_group("run")
    run.add_argument(
        "--frame", type=count, default=16384, metavar="N", help="snapshots in a frame (default: %(default)s)"
    )
    run.add_argument(
        "--seed",
        type=whole,
        default=1,
        metavar="N",
        help="seed of every random draw; the same seed gives the same counts (default: %(default)s)",
    )
    run.add_argument(
        "--transport",
        choices=("inproc", "ipc", "tcp"),
        default="inproc",
        help="threads, processes, or several hosts (default: %(default)s)",
    )
    run.add_argument("--nodes", metavar="FILE.toml", help="with tcp: which block lives on which node")
    run.add_argument("--node", metavar="NAME", help="with tcp: the node that this process is")
    run.add_argument(
        "--replicas",
        action="append",
        default=[],
        metavar="BLOCK=N",
        help="run N copies of a block; the result is the same",
    )


def add_output_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """What is shown; returns the group, for what one program alone can write."""
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")
    output.add_argument("--verbose", action="store_true", help="show the traceback of a block that fails")
    return output


def checked(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, check: Callable[[argparse.Namespace], None]
) -> argparse.Namespace:
    """The parsed options after `check`; what it refuses is one line and exit status 2."""
    options = parser.parse_args(argv)
    try:
        check(options)
    except UserError as error:
        parser.error(str(error))
    return options


def _check(options: argparse.Namespace) -> None:
    options.scenario = scenario_from(options)
    if options.snapshots is None and options.file is None:
        options.snapshots = RANDOM_SNAPSHOTS
    if options.file is None and (options.out is not None or options.as_bytes):
        given = "--as-bytes" if options.out is None else "--out"
        raise UserError(f"{given} needs --file: random messages are no file")
    if options.file is not None and options.file == "":
        raise UserError("--file is empty: name a file, or - for standard input")
    if options.json and sys.stdout.name == os.devnull:
        raise UserError("--json: standard output is closed")
    if options.out == "-" and options.json:
        raise UserError("--out - and --json both want standard output: name a file for one of them")
    check_run(options)
    largest = LARGEST_ARRAY // (8 * options.scenario.antennas)
    if options.frame > largest:
        raise UserError(
            f"--frame {options.frame}: at most {largest} with {options.scenario.antennas} antennas"
        )
    options.sent = (options.snapshots, options.file, options.as_bytes)
    if options.compare:
        check_compare(options)
    if options.nodes:
        _leave_files_to_their_nodes(options)


def _leave_files_to_their_nodes(options: argparse.Namespace) -> None:
    """With several hosts, IN need exist and OUT be writable only where the source and the sink live."""
    from pathlib import Path

    from blocks.runtime.deployment import Deployment

    deployment = Deployment.load(Path(options.nodes))
    here = deployment.nodes[deployment.node(options.node)].blocks
    if "message_source" not in here:
        options.sent = (1, None, False)  # stands for the source that runs elsewhere
    if options.compare:
        options.outs = {m: out if f"message_sink_{m}" in here else None for m, out in options.outs.items()}
    elif "message_sink" not in here:
        options.out = None


def check_run(options: argparse.Namespace) -> None:
    """The options that a run of any graph has."""
    if options.frame > LARGEST_FRAME:
        raise UserError(f"--frame {options.frame}: at most {LARGEST_FRAME} snapshots")
    if not 0 <= options.seed < 1 << 63:
        raise UserError(f"--seed {options.seed}: must be from 0 to {(1 << 63) - 1}")
    if (options.nodes or options.node) and options.transport != "tcp":
        raise UserError("--nodes and --node belong to --transport tcp")
    if bool(options.node) != bool(options.nodes):
        raise UserError("--nodes, the file that says where each block lives, and --node go together")
    if options.plot is not None:
        _check_plot(options.plot)
    options.replicas = dict(_replicas(text) for text in options.replicas)
    written = [
        (name, os.path.realpath(path))
        for name in ("out", "record", "plot")
        for path in _files_of(getattr(options, name, None))
    ]
    for n, (name, path) in enumerate(written):
        if (sent := getattr(options, "file", None)) and os.path.realpath(sent) == path:
            raise UserError(f"--{name} and --file name the same file {path}")
        for other, same in written[:n]:
            if path == same and os.path.isfile(path) | (not os.path.exists(path)):
                raise UserError(f"--{other} and --{name} name the same file {path}")


def _files_of(path: str | None) -> list[str]:
    """What an output writes: a SigMF recording is several files."""
    if path is None or path == "-":
        return []
    from blocks.runtime.sigmf_meta import files_of, is_sigmf

    return files_of(path) if is_sigmf(path) else [path]


def _check_plot(path: str) -> None:
    if os.path.splitext(path)[1].lower() not in PLOT_FORMATS:
        raise UserError(f"--plot {path}: the name must end in {', '.join(PLOT_FORMATS)}")
    need_matplotlib("--plot")
    from blocks.runtime.output import check_writable

    check_writable(path)


def replicate(graph: Flowgraph, replicas: dict[str, int]) -> None:
    """Run the named blocks of the graph in several copies. Raises UserError for a name that is none."""
    for name, copies in replicas.items():
        if name not in graph.blocks:
            near = difflib.get_close_matches(name, graph.blocks, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(graph.blocks)}"
            raise UserError(f"--replicas: the graph has no block {name!r} ({hint})")
        graph.replicate(graph.blocks[name], copies)


def _replicas(text: str) -> tuple[str, int]:
    block, _, number = text.partition("=")
    if not (block and number.isascii() and number.isdigit() and 1 <= int(number) <= 64):
        raise UserError(f"--replicas {text}: write BLOCK=N with N from 1 to 64")
    return block, int(number)


def live_line(options: argparse.Namespace) -> LiveLine:
    """The progress of a run: shown only where standard output is a terminal and nothing else owns it."""
    interrupts.wait()  # everything is built, the run follows
    silent = options.quiet or options.json or getattr(options, "out", None) == "-"
    return LiveLine(sys.stdout.isatty() and not silent, options.snapshots)


def run_program(main: Callable[[], int], verbose: bool | None = None) -> int:
    """Exit status of `main`: each error a user can meet is one line on standard error."""
    show = "--verbose" in sys.argv if verbose is None else verbose
    _stand_in_for_closed_streams()
    try:
        return main()
    except UserError as error:
        return _fail(2, str(error), traceback.format_exc() if show else "")
    except BrokenPipeError:
        return reader_left()
    except OSError as error:  # a full disk while the plot is written
        return _fail(1, str(error), traceback.format_exc() if show else "")
    except KeyboardInterrupt:
        interrupts.finish()
        return _fail(interrupts.STATUS, "stopped", "")
    except Exception as error:
        from blocks.runtime import FlowgraphError

        if not isinstance(error, FlowgraphError):
            raise
        if READER_LEFT.match(str(error)):
            return reader_left()
        return _fail(1, str(error), error.traceback if show else "")
    finally:
        interrupts.finish()


def _stand_in_for_closed_streams() -> None:
    """Python has None where standard output or error is closed; what is printed there goes nowhere."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the whole run
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _fail(status: int, message: str, trace: str) -> int:
    if trace:
        print("\n".join(map(printable, trace.rstrip().split("\n"))), file=sys.stderr)
    print(f"error: {one_line(message)}", file=sys.stderr)
    return status
