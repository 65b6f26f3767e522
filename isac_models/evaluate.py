"""Evaluate the link by Monte Carlo: ``python -m isac_models.evaluate --help``."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, get_args

from isac_models.errors import UserError, one_line
from isac_models.options import Parser, add_scenario_options, count, number, reader_left, scenario_from, whole

DESCRIPTION = """\
Measure symbol errors, missed targets, false alarms and the angle error of the ISAC link by Monte Carlo,
without sockets: the same physics and, for the same seed, the same counts as flowgraphs/isac_link.py."""

KNOWN_ARRAY = """\
the transmitter designs its beams, and the radar receiver its matched filter and threshold, with the
true arrays of the simulated hardware instead of the nominal ones: what a perfect calibration would give"""

ARTIFACT = """\
the trained model of the methods learned and neural: a file that isac_models.train has written, or a shipped
one by its name (default: the shipped one that fits best)"""

LABELS = {
    "ser": "Symbol error rate, SER",
    "ber": "Bit error rate, BER",
    "p_md": "Missed detections, P_md",
    "p_fa": "False alarms, P_fa",
    "rmse_rad": "Angle RMSE given detection",
}
EXPECTED = {"ser": ("ser", ""), "p_md": ("p_md_genie", "genie "), "rmse_rad": ("rmse_bound_rad", "bound ")}
INTERRUPTED = 130
FOOTNOTES = {
    "p_md_genie": "genie: a radar that is told the target's angle and only has to detect it.",
    "rmse_bound_rad": "bound: the best mean square angle estimate on the targets found here.",
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; exits with status 2 and one line on bad ones."""
    parser = Parser(prog="python -m isac_models.evaluate", description=DESCRIPTION)
    add_scenario_options(parser)
    what = parser.add_argument_group("what is evaluated")
    what.add_argument(
        "--method",
        metavar="NAME",
        help="baseline, learned or neural (default: the one that --artifact is for, baseline without one)",
    )
    what.add_argument("--artifact", metavar="FILE|NAME", help=ARTIFACT)
    what.add_argument(
        "--rho",
        type=number,
        metavar="R",
        help="share of sensing in the beam, 0 … 1; for neural, an ω_r that it was trained for "
        "(default: 0.5; for neural, the ω_r next to that)",
    )
    what.add_argument(
        "--phi",
        type=number,
        default=0.0,
        metavar="RAD",
        help="phase between the two beams in radians (default: 0)",
    )
    what.add_argument(
        "--estimator",
        metavar="NAME",
        help="how the detector reads the angle: argmax, interpolated, softmax "
        "(default: softmax for learned, else argmax)",
    )
    what.add_argument("--known-array", action="store_true", help=KNOWN_ARRAY)
    run = parser.add_argument_group("run")
    run.add_argument(
        "--snapshots", type=count, default=1_000_000, metavar="N", help="at most this many (default: 1e6)"
    )
    run.add_argument(
        "--rel-ci",
        type=number,
        metavar="R",
        help="stop when the 95 %% intervals of SER, P_md and RMSE are ± less than this share of the value",
    )
    run.add_argument(
        "--seed", type=whole, default=1, metavar="N", help="of every draw (default: %(default)s)"
    )
    run.add_argument(
        "--workers",
        type=count,
        default=1,
        metavar="N",
        help="processes; the counts do not depend on it, and each takes seconds to start, so that more pay "
        "on long runs only (default: %(default)s)",
    )
    run.add_argument("--no-theory", action="store_true", help="leave out the theoretical values")
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status: 0 done, 2 bad input, 130 stopped by Ctrl-C."""
    options = parse(arguments)
    try:
        scenario = scenario_from(options)
        from isac_models.artifact import load, warnings_as_lines
        from isac_models.detection import Estimator
        from isac_models.methods import METHOD_OF, default_rho
        from isac_models.monte_carlo import evaluate

        artifact = None if options.artifact is None else load(options.artifact)
        method = options.method or ("baseline" if artifact is None else METHOD_OF[artifact.kind])
        rho = default_rho(method, scenario, artifact) if options.rho is None else options.rho
        if options.estimator not in (None, *get_args(Estimator)):
            raise UserError(
                f"--estimator {options.estimator}: choose one of {', '.join(get_args(Estimator))}"
            )
        with warnings_as_lines(), _progress(options) as progress:
            evaluation = evaluate(
                scenario,
                method=method,
                rho=rho,
                phi=options.phi,
                estimator=options.estimator,
                known_array=options.known_array,
                artifact=artifact,
                snapshots=options.snapshots,
                rel_ci=options.rel_ci,
                seed=options.seed,
                workers=options.workers,
                theory=not options.no_theory,
                progress=progress,
            )
    except UserError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: stopped before anything was measured", file=sys.stderr)
        return INTERRUPTED
    values = evaluation.to_dict()
    try:
        if options.json:
            print(json.dumps(values, allow_nan=False), flush=True)
        elif not options.quiet:
            _print_table(values)
            sys.stdout.flush()
    except BrokenPipeError:
        return reader_left()
    return INTERRUPTED if evaluation.interrupted else 0


@contextmanager
def _progress(options: argparse.Namespace) -> Iterator[Callable[[Any, float], None] | None]:
    """A live line on a terminal, where nothing else owns standard output."""
    if options.json or options.quiet or not sys.stdout.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = BarColumn(bar_width=20), TextColumn("{task.description}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=options.snapshots)

        def show(tally: Any, seconds: float) -> None:
            done, sensing = tally.snapshots, tally.sensing
            parts = [f"{done:,} snapshots", f"{done / seconds:,.0f}/s"]
            parts += [f"SER {tally.communication.ser.rate:.3g}", f"P_md {sensing.p_md.rate:.3g}"]
            parts += [f"RMSE {math.degrees(sensing.rmse_rad.rmse):.3g}°"]
            bar.update(task, completed=done, description="  ".join(parts))

        yield show


def _print_table(values: dict[str, Any]) -> None:
    """Every rate with its interval and what theory says."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    array = "true array known" if values["known_array"] else "nominal array"
    if values["artifact"]:
        array = f"artifact {values['artifact']['name']}"
    console = Console(highlight=False)
    console.print(
        f"{values['method']}, ρ = {values['rho']:g}, {array}, {values['estimator']}, seed {values['seed']}: "
        f"{values['snapshots']:,} snapshots in {values['seconds']:.2f} s, "
        f"{values['snapshots_per_second']:,.0f} a second{' (stopped early)' * values['interrupted']}",
        style="bold",
        markup=False,
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("measured", "95 % interval", "theory"):
        table.add_column(column, justify="right", no_wrap=True)
    theory = values["theory"] or {}
    for key, label in LABELS.items():
        name, sign = EXPECTED.get(key, ("", ""))
        expected = f"{sign}{_number(key, theory[name])}" if theory.get(name) is not None else ""
        if key == "p_fa":
            expected = f"{values['scenario']['false_alarm']:g} asked"
        interval = f"{_number(key, values[f'{key}_low'])} … {_number(key, values[f'{key}_high'])}"
        table.add_row(label, _number(key, values[key]), interval, expected)
    whole = console.measure(table, options=console.options.update(width=200))
    console.width = max(console.width, whole.maximum)  # a number is never cut
    console.print(table)
    for name, meaning in FOOTNOTES.items():
        if theory.get(name) is not None:
            console.print(meaning, markup=False, soft_wrap=True)
    if values["rel_ci"] is not None:
        outcome = "reached" if values["rel_ci_reached"] else "not reached"
        console.print(f"Relative half width of {values['rel_ci']:g} {outcome}.", markup=False)


def _number(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{math.degrees(value):.4g}°" if key == "rmse_rad" else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
