"""Transmitter and receivers of the link: their options, what follows from what, and the blocks."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isac_models.errors import UserError
from isac_models.options import not_blank, number

if TYPE_CHECKING:
    from isac_models.artifact import Artifact

ESTIMATOR = """\
how the detector reads the angle: argmax, interpolated, softmax (default: softmax for learned, else argmax)"""
ARTIFACT = """\
trained model for what is learned or neural: a file that isac_models.train has written, or a shipped one by
its name (default: the shipped one that fits best); given alone, it also chooses the blocks that it is for"""
KNOWN_ARRAY = """\
baseline precoder and matched filter know the true array instead of the nominal one: what a perfect
calibration would give"""

NAMED = "NAME|MODULE:CLASS"  # CLASS: a block of your own
ROLES = ("encoder", "precoder", "detector", "demodulator")
DEFAULTS = {"encoder": "qam", "precoder": "baseline", "detector": "matched-filter", "demodulator": "ml"}
FOLLOWS = {
    ("precoder", "learned"): {"detector": "learned"},
    ("precoder", "neural"): {"encoder": "neural", "detector": "neural"},
    ("encoder", "neural"): {"demodulator": "neural"},
}
"""What a choice makes the default of another role. The first role stands before the second in this order."""
PRECODER_OF = {"model-driven": "learned", "neural": "neural"}


@dataclass(frozen=True)
class Design:
    """The blocks that the options ask for."""

    encoder: Any
    precoder: Any
    detector: Any
    demodulator: Any


def add_design_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """What transmitter and receivers are made of; returns the group, for more of it."""
    design = parser.add_argument_group("transmitter and receivers")
    design.add_argument(
        "--precoder",
        type=not_blank,
        metavar=NAMED,
        help="how the beam is made: baseline, learned, neural or your own (default: baseline)",
    )
    design.add_argument(
        "--rho",
        type=number,
        metavar="R",
        help="share of sensing in the beam, 0 … 1; for neural, an ω_r that it was trained for "
        "(default: 0.5; for neural, the ω_r next to that)",
    )
    design.add_argument(
        "--phi",
        type=number,
        default=0.0,
        metavar="RAD",
        help="phase between the two beams in radians (default: 0)",
    )
    design.add_argument(
        "--detector",
        type=not_blank,
        metavar=NAMED,
        help="target detector: matched-filter, learned, neural or your own (default: as the precoder)",
    )
    design.add_argument("--estimator", metavar="NAME", help=ESTIMATOR)
    design.add_argument(
        "--encoder",
        type=not_blank,
        metavar=NAMED,
        help="symbols of messages: qam, neural (default: as the precoder)",
    )
    design.add_argument(
        "--demodulator",
        type=not_blank,
        metavar=NAMED,
        help="symbol decision: ml, neural (default: as the encoder)",
    )
    design.add_argument("--artifact", metavar="FILE|NAME", help=ARTIFACT)
    design.add_argument("--known-array", action="store_true", help=KNOWN_ARRAY)
    return design


def build_design(options: argparse.Namespace) -> Design:
    """The blocks, with the names that were left out filled in in `options`.

    What is used outside its training is reported on standard error, a line each. Raises UserError as
    blocks.registry.build does, and for an option that no block takes.
    """
    from blocks.registry import build
    from isac_models.artifact import warnings_as_lines
    from isac_models.methods import default_rho

    artifact = artifact_of(options)
    choose(options, None if artifact is None else artifact.kind)
    refuse_what_nobody_takes(options, ROLES)
    if options.rho is None:
        method = "neural" if "neural" in (getattr(options, role) for role in ROLES) else "baseline"
        options.rho = default_rho(method, options.scenario, artifact)
    offers = {
        "rho": options.rho,
        "phi": options.phi,
        "artifact": artifact,
        "known_array": options.known_array or None,
    }
    given: dict[str, dict[str, Any]] = {role: {} for role in ROLES}
    given["precoder"] = {"rho": options.rho}
    given["detector"] = {"estimator": options.estimator}
    with warnings_as_lines():
        return Design(
            **{
                role: build(role, getattr(options, role), options.scenario, offers, **given[role])
                for role in ROLES
            }
        )


def artifact_of(options: argparse.Namespace) -> Artifact | None:
    """The trained model that --artifact names, loaded and checked."""
    if options.artifact is None:
        return None
    from isac_models.artifact import load

    return load(options.artifact)


def choose(options: argparse.Namespace, kind: str | None) -> None:
    """Give every role that was left out its name; `kind` is that of the artifact, if one is named."""
    if kind is not None and all(getattr(options, role) is None for role in ROLES):
        options.precoder = PRECODER_OF[kind]
    options.precoder = options.precoder or DEFAULTS["precoder"]
    for (role, name), others in FOLLOWS.items():
        if getattr(options, role) == name:
            for other, follows in others.items():
                setattr(options, other, getattr(options, other) or follows)
    for role, name in DEFAULTS.items():
        setattr(options, role, getattr(options, role) or name)


def refuse_what_nobody_takes(options: argparse.Namespace, roles: tuple[str, ...]) -> None:
    """Raise UserError for an option that was given and that none of the chosen blocks has a use for."""
    from blocks.registry import takes

    for parameter in ("artifact", "known_array", "phi"):
        chosen = [(role, getattr(options, role)) for role in roles]
        if getattr(options, parameter, None) and not any(takes(*each, parameter) for each in chosen):
            names = ", ".join(f"{role} {name}" for role, name in chosen)
            raise UserError(f"--{parameter.replace('_', '-')} has no effect on {names}: leave it out")


def artifacts_of(*blocks: Any) -> list[dict[str, str]]:
    """Name, kind and checksum of every trained model that some blocks use, each once."""
    found = {}
    for block in blocks:
        artifact: Any = getattr(block, "artifact", None)
        if artifact is not None and hasattr(artifact, "identity"):  # one's own block may call anything so
            found[artifact.sha256] = artifact.identity
    return list(found.values())


def points_of(scenario: Any, encoder: Any) -> Any:
    """The symbols of all messages: (M,) complex64."""
    import numpy as np

    return encoder.work(message=np.arange(scenario.order, dtype=np.uint8))["symbol"]
