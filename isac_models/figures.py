"""Regenerate the paper's figures and test its claims: ``python -m isac_models.figures --help``."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from isac_models.errors import UserError, one_line
from isac_models.options import Parser, count, need_matplotlib, not_blank, whole
from isac_models.scenario import Impairment, Side

if TYPE_CHECKING:
    from isac_models.sweeps.production import Order
    from isac_models.sweeps.studies import Study

DESCRIPTION = """\
Measure the curves of the paper's Figures 3 to 5 and test what it says of them, beside references that it does
not have: the same algorithm with the true array, the best beam, genie and bound, the closed form of the SER.
Every point is kept in OUT/points as it is finished; the same command goes on where it was stopped."""

FIGURES = ("fig3", "fig4", "fig5", "roc", "snr")
QUICK = "quick"
FULL = "full"
SEEDS = {QUICK: (1,), FULL: (1, 2, 3, 4, 5)}
IMPAIRMENTS: dict[str, tuple[Impairment, ...]] = {QUICK: ("spacing",), FULL: ("spacing", "element")}
INTERRUPTED = 130


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; exits with status 2 and one line on bad ones."""
    parser = Parser(prog="python -m isac_models.figures", description=DESCRIPTION)
    parser.add_argument(
        "figures",
        nargs="+",
        choices=(*FIGURES, "all"),
        metavar="FIGURE",
        help=f"{', '.join(FIGURES)}, or all: fig5 is drawn with low and with unrestricted complexity; roc "
        "and snr are sweeps over the false-alarm probability and the SNR on the first seed",
    )
    parser.add_argument(
        "--scale",
        choices=(QUICK, FULL),
        default=QUICK,
        help="quick: 200 000 snapshots a point, one hardware, shipped artifacts, and a short training of a "
        "learned A that is missing, all labelled as such; full: 1 200 000 snapshots, seeds 1 to 5 of two "
        "impairments, nothing is trained (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=not_blank, required=True, metavar="DIR", help="where pictures, tables and points go"
    )
    parser.add_argument(
        "--seeds",
        type=_numbers,
        metavar="N,N,…",
        help="realisations of the impaired hardware (default: 1, or 1,2,3,4,5 at full scale)",
    )
    parser.add_argument(
        "--impairment",
        type=_impairments,
        metavar="KIND,KIND",
        help="spacing, element or gain_phase (default: spacing, or spacing,element at full scale)",
    )
    parser.add_argument(
        "--impaired-side",
        choices=get_args(Side),
        default="both",
        metavar="|".join(get_args(Side)),
        help="which direction is impaired (default: %(default)s)",
    )
    parser.add_argument(
        "--artifacts",
        type=not_blank,
        metavar="DIR",
        help="trained models, searched with all folders below; those that fit are used before shipped ones",
    )
    parser.add_argument(
        "--snapshots", type=count, metavar="N", help="of a point, instead of the scale's number"
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="a dask.distributed scheduler, such as tcp://host:8786 (default: processes of this machine)",
    )
    parser.add_argument(
        "--workers",
        type=whole,
        metavar="N",
        help="processes on this machine (default: one a processor); 0 computes without Dask",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status: 0 done, 1 failed on the way, 2 bad input, 130 stopped."""
    options = parse(arguments)
    from isac_models.sweeps.cluster import SweepError
    from isac_models.sweeps.store import Store

    store: Store | None = None
    try:
        if options.workers is not None and options.workers < 0:
            raise UserError("--workers must be at least 0")
        need_matplotlib("a figure")
        store = Store(Path(options.out) / "points", _warn)
        _produce(options, store)
    except UserError as error:
        return _failed(error, 2)
    except SweepError as error:
        return _failed(error, 1)
    except KeyboardInterrupt:
        again = shlex.join(["python", "-m", "isac_models.figures", *(arguments or sys.argv[1:])])
        kept = 0 if store is None else sum(1 for _ in store.folder.glob("*.json"))
        where = "" if store is None else f" in {store.folder}"
        print(f"stopped: {kept} points are kept{where}; go on with: {again}", file=sys.stderr)
        return INTERRUPTED
    return 0


def _produce(options: argparse.Namespace, store: Any) -> None:
    """Plan, measure, write, and say what was written."""
    from isac_models.sweeps import production
    from isac_models.sweeps.cluster import check_cluster, sweep
    from isac_models.sweeps.measuring import measure

    start = time.monotonic()
    if options.cluster is not None:
        check_cluster(options.cluster)  # before anything is trained
    order = _order(options)
    say: Callable[[str], Any] = str if options.quiet else print
    if order.stamp:
        say(f"{order.stamp}; hardware seeds {', '.join(map(str, order.seeds))} alone")
    studies = _planned(options, order, say)
    missing = list(dict.fromkeys(line for study in studies for line in study.missing))
    for line in missing:
        say(f"not shown: {line}")
    tasks = production.tasks(studies, ship=options.cluster is not None)
    with _progress(options) as progress:
        results = sweep(
            measure, tasks, store, address=options.cluster, workers=options.workers, progress=progress
        )
    for path in production.write(order, studies, results, Path(options.out)):
        say(str(path))
    say(f"{len(tasks)} points in {time.monotonic() - start:.0f} s")


def _order(options: argparse.Namespace) -> Order:
    from isac_models.sweeps.production import SCALES, Order

    named = FIGURES if "all" in options.figures else tuple(dict.fromkeys(options.figures))
    return Order(
        figures=named,
        scale=options.scale,
        seeds=options.seeds or SEEDS[options.scale],
        impairments=options.impairment or IMPAIRMENTS[options.scale],
        snapshots=options.snapshots or SCALES[options.scale],
        impaired_side=options.impaired_side,
    )


def _planned(options: argparse.Namespace, order: Order, say: Callable[[str], Any]) -> list[Study]:
    """The studies with the artifacts that there are; quick ones train what is missing of the learned A."""
    from isac_models.sweeps import production
    from isac_models.sweeps.catalogue import Catalogue

    folders = [options.artifacts] if options.artifacts else []
    trained = Path(options.out) / "trained"
    if order.scale == QUICK and trained.is_dir():
        folders.append(str(trained))
    studies = production.studies(order, Catalogue(folders, _warn))
    if order.scale != QUICK:
        return studies
    from isac_models.sweeps.short_training import train_short

    untrained = {(s.to_toml(), s.grid_size): s for study in studies for s in study.untrained}
    if not untrained or not train_short(list(untrained.values()), trained, say, _warn):
        return studies
    return production.studies(order, Catalogue([*folders, str(trained)], _warn))


@contextmanager
def _progress(options: argparse.Namespace) -> Iterator[Callable[[int, int], None] | None]:
    """A live line on a terminal."""
    if options.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("points"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("points", total=None)
        yield lambda done, every: bar.update(task, completed=done, total=every)


def _numbers(text: str) -> tuple[int, ...]:
    """Seeds from 1,2,3."""
    numbers = tuple(dict.fromkeys(whole(each) for each in text.split(",")))
    if any(number < 0 for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r}: seeds are at least 0")
    return numbers


def _impairments(text: str) -> tuple[Impairment, ...]:
    """Kinds of impairment from spacing,element."""
    kinds: list[Impairment] = [kind for kind in get_args(Impairment) if kind != "none"]
    for each in text.split(","):
        if each not in kinds:
            raise argparse.ArgumentTypeError(f"{each!r}: choose of {', '.join(kinds)}")
    return tuple(dict.fromkeys(text.split(",")))  # type: ignore[arg-type]


def _warn(message: str) -> None:
    print(f"warning: {one_line(message)}", file=sys.stderr)


def _failed(error: Exception, status: int) -> int:
    print(f"error: {one_line(str(error))}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
