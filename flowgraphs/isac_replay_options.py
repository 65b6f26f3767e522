"""Command line of isac_replay.py."""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isac_link_options import LARGEST_FRAME, add_output_options, checked
from isac_models.errors import UserError
from isac_models.options import Parser, count, not_blank, number
from isac_models.scenario import Scenario
from isac_models.waveform import CORRECTIONS
from link_design import ESTIMATOR, NAMED, artifact_of, refuse_what_nobody_takes

if TYPE_CHECKING:
    from isac_models.artifact import Artifact

DETECTOR_OF = {"model-driven": "learned", "neural": "neural"}
DESCRIPTION = """\
Run the radar echoes of a recording through a detector, or the samples of a radio through both receivers.
The scenario is the recorded one; what the detector assumes of it can be changed."""


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options, checked. Exits with status 2 on bad ones."""
    parser = Parser(prog="isac_replay.py", description=DESCRIPTION, epilog="exit status: as isac_link.py")
    parser.add_argument(
        "recording",
        metavar="RECORDING",
        help="a file that isac_link.py --record has written, any SigMF recording, NAME.sigmf-meta, or what "
        "isac_hil.py has written with --record or --record-samples",
    )
    parser.add_argument(
        "--scenario",
        metavar="NAME|FILE.toml",
        help="scenario of a recording that does not say its own: one of another origin",
    )
    parser.add_argument("--salvage", action="store_true", help="play the whole frames of a cut-off recording")
    parser.add_argument(
        "--detector",
        type=not_blank,
        metavar=NAMED,
        help="target detector: matched-filter, learned, neural or a class of your own (default: the one that "
        "--artifact is for, matched-filter without one)",
    )
    parser.add_argument("--estimator", metavar="NAME", help=ESTIMATOR)
    parser.add_argument(
        "--artifact",
        metavar="FILE|NAME",
        help="trained model of the detector (default: the shipped one that fits)",
    )
    parser.add_argument("--known-array", action="store_true", help="the matched filter knows the true array")
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
    radio = parser.add_argument_group("samples of a radio")
    radio.add_argument(
        "--without",
        action="append",
        choices=(*CORRECTIONS, "none"),
        help="leave a correction out of the receivers, or none; may be repeated (default: as the run did)",
    )
    radio.add_argument(
        "--demodulator",
        type=not_blank,
        metavar=NAMED,
        help="symbol decision: ml, neural (default: that of the run)",
    )
    parser.add_argument(
        "--frame",
        type=count,
        default=16384,
        metavar="N",
        help="largest frame in snapshots, or in samples of a radio, up to 4 bursts (default: %(default)s)",
    )
    parser.add_argument(
        "--transport",
        choices=("inproc", "ipc", "tcp"),
        default="inproc",
        help="threads or processes (default: %(default)s)",
    )
    add_output_options(parser)
    return checked(parser, argv, _check)


def recorded_scenario(options: argparse.Namespace, player: Any) -> Scenario:
    """The scenario of what a player plays, or the given one, with the options' changes.

    Raises UserError where neither or both say it, and for another number of antennas than of channels.
    """
    from blocks import RadioPlayer  # only now: --help and a mistyped option answer at once

    recorded = player.about.get("scenario")
    if recorded is None and options.scenario is None:
        raise UserError(
            f"recording {options.recording} does not say its scenario: "
            "give one with --scenario NAME|FILE.toml"
        )
    if recorded is not None and options.scenario is not None:
        raise UserError(f"recording {options.recording} says its scenario: leave --scenario out")
    if recorded is not None and not isinstance(recorded, dict):
        raise UserError(f"recording {options.recording}: its scenario is malformed")
    keys = ("false_alarm", "grid_size", "target_sector_deg")
    changes = {key: value for key in keys if (value := getattr(options, key)) is not None}
    told = Scenario.load(options.scenario) if recorded is None else Scenario.from_dict(recorded)
    scenario = told.replace(**changes)
    channels = getattr(player.recording, "channels", scenario.antennas)
    if isinstance(player, RadioPlayer):
        channels -= 1
    elif options.without is not None or options.demodulator is not None:
        option = "--demodulator" if options.without is None else "--without"
        raise UserError(f"{option} is for samples of a radio: {options.recording} holds none")
    if channels != scenario.antennas:
        if channels == scenario.antennas + 1 and isinstance(recorded, dict):
            raise UserError(
                f"recording {options.recording} holds samples of a radio as they came and does not say how "
                "its bursts were made: record anew, with isac_hil.py --record what a detector takes, with "
                "--record-samples what the receivers take"
            )
        raise UserError(
            f"recording {options.recording} has {channels} channels, the scenario {scenario.antennas} "
            f"antennas: give a scenario with antennas = {channels}"
        )
    return scenario


def build_detector(
    options: argparse.Namespace,
    about: Mapping[str, Any],
    scenario: Scenario,
    roles: tuple[str, ...] = ("detector",),
) -> Any:
    """The detector, its name filled in in `options`; networks are those for the ω_r next to the recorded ρ.

    What is used outside its training is reported on standard error. Raises UserError as blocks.registry.build
    does, and for an option that none of the `roles` of the replay takes.
    """
    from blocks.registry import build
    from isac_models.artifact import ArtifactWarning, warnings_as_lines
    from isac_models.methods import nearest_omega

    artifact = artifact_of(options)
    if options.detector is None:
        options.detector = DETECTOR_OF[artifact.kind] if artifact else "matched-filter"
    refuse_what_nobody_takes(options, roles)
    recorded: Any = about.get("rho")
    rho = recorded if isinstance(recorded, float) else None
    if rho is not None and _has_networks(options.detector, artifact):
        rho = nearest_omega(rho, scenario, artifact)
    offers = {
        "rho": rho,
        "artifact": artifact,
        "known_array": options.known_array or None,
    }
    with warnings_as_lines():
        detector = build("detector", options.detector, scenario, offers, estimator=options.estimator)
        if rho is not None and not math.isclose(rho, recorded, rel_tol=1e-6):
            remark = f"recorded with rho {recorded:g}: the nearest networks are taken, those for ω_r {rho:g}"
            warnings.warn(remark, ArtifactWarning, stacklevel=2)
    return detector


def _has_networks(detector: str, artifact: Artifact | None) -> bool:
    """Whether the detector takes the ρ that it is for from a trained model."""
    from blocks.registry import takes

    neural = detector == "neural" if artifact is None else artifact.kind == "neural"
    return neural and all(takes("detector", detector, each) for each in ("rho", "artifact"))


def _check(options: argparse.Namespace) -> None:
    if options.frame > LARGEST_FRAME:
        raise UserError(f"--frame {options.frame}: at most {LARGEST_FRAME} snapshots")
    if options.without is not None and "none" in options.without:
        if len(set(options.without)) > 1:
            raise UserError("--without none: nothing else can be left out beside it")
        options.without = []
    if options.salvage and options.recording.endswith(".sigmf-meta"):
        raise UserError("--salvage: a SigMF recording is whole or not there, leave the option out")
