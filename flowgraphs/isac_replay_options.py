"""Command line of isac_replay.py."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from isac_link_options import ESTIMATOR, LARGEST_FRAME, add_output_options, checked
from isac_models.errors import UserError
from isac_models.options import Parser, count, number
from isac_models.scenario import Scenario

DESCRIPTION = """\
Run the radar echoes of a recording through a detector. The scenario is the recorded one; what the
detector assumes of it can be changed."""


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options, checked. Exits with status 2 on bad ones."""
    parser = Parser(prog="isac_replay.py", description=DESCRIPTION, epilog="exit status: as isac_link.py")
    parser.add_argument(
        "recording", metavar="RECORDING", help="a file that isac_link.py --record has written"
    )
    parser.add_argument("--salvage", action="store_true", help="play the whole frames of a cut-off recording")
    parser.add_argument(
        "--detector",
        default="matched-filter",
        metavar="NAME|MODULE:CLASS",
        help="target detector, or a class of your own (default: %(default)s)",
    )
    parser.add_argument("--estimator", metavar="NAME", help=ESTIMATOR)
    parser.add_argument(
        "--false-alarm", type=number, metavar="P", help="false-alarm probability of the detector"
    )
    parser.add_argument("--grid-size", type=count, metavar="N", help="angles of the detector's grid")
    parser.add_argument(
        "--target-sector",
        dest="target_sector_deg",
        type=number,
        nargs=2,
        metavar=("LO", "HI"),
        help="sector that is searched, in degrees",
    )
    parser.add_argument(
        "--frame",
        type=count,
        default=16384,
        metavar="N",
        help="largest frame in snapshots (default: %(default)s)",
    )
    parser.add_argument(
        "--transport",
        choices=("inproc", "ipc", "tcp"),
        default="inproc",
        help="threads or processes (default: %(default)s)",
    )
    add_output_options(parser)
    return checked(parser, argv, _check)


def recorded_scenario(options: argparse.Namespace, about: Mapping[str, Any]) -> Scenario:
    """The scenario of the recording with the options' changes."""
    if not isinstance(about.get("scenario"), dict):
        raise UserError(f"recording {options.recording} does not say its scenario")
    keys = ("false_alarm", "grid_size", "target_sector_deg")
    changes = {key: value for key in keys if (value := getattr(options, key)) is not None}
    return Scenario.from_dict(about["scenario"]).replace(**changes)


def _check(options: argparse.Namespace) -> None:
    if options.frame > LARGEST_FRAME:
        raise UserError(f"--frame {options.frame}: at most {LARGEST_FRAME} snapshots")
