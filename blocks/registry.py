"""Blocks that can stand in for one another, by name or as ``module:Class``.

A new name is a line here. Anything else on Python's search path is named in full, without a line:
``--detector energy:EnergyDetector``. What is asked of a class is

- an encoder: built as ``(scenario)``; its symbol depends on the message alone;
- a precoder: built as ``(scenario, rho=)``; with an attribute `beam` (K,) the report has theory;
- a detector: built as ``(scenario)``, and as ``(scenario, estimator=)`` when the user names one;
- a demodulator: built as ``(scenario)``;

and the ports of the block that it stands in for. A constructor that names one of these parameters is given
what the user chose, and nothing when the user left it out: `artifact` (`isac_models.artifact.Artifact`),
`known_array` (True), and always `rho` (share of sensing) and `phi` (radians). Where a detector has the
attributes `estimator` (its name), `threshold` (`isac_models.detection.Threshold`) and `matched_filter`, they
are reported, as is any block's `artifact`; none is needed. Modules load when they are asked for.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from blocks.runtime.block import Block
from isac_models.errors import UserError

ENCODERS = {"qam": "blocks.qam_encoder:QamEncoder", "neural": "blocks.neural_encoder:NeuralEncoder"}
PRECODERS = {
    "baseline": "blocks.precoder:Precoder",
    "learned": "blocks.learned_precoder:LearnedPrecoder",
    "neural": "blocks.neural_precoder:NeuralPrecoder",
}
DETECTORS = {
    "matched-filter": "blocks.detector:Detector",
    "learned": "blocks.learned_detector:LearnedDetector",
    "neural": "blocks.neural_detector:NeuralDetector",
}
DEMODULATORS = {
    "ml": "blocks.demodulator:Demodulator",
    "neural": "blocks.neural_demodulator:NeuralDemodulator",
}
KINDS = {"encoder": ENCODERS, "precoder": PRECODERS, "detector": DETECTORS, "demodulator": DEMODULATORS}
CLOSE = 0.6
"""How alike two names are before one is suggested for the other."""


def check(kind: str, name: str) -> str:
    """Where the block of that `kind` called `name` is, ``module:Class``.

    Raises UserError for an unknown name; it suggests one that is close.
    """
    known = KINDS[kind]
    if name in known:
        return known[name]
    if ":" in name:
        return name
    near = difflib.get_close_matches(name, known, n=1, cutoff=CLOSE)
    hint = f"did you mean {near[0]}?" if near and len(known) > 1 else f"there is {', '.join(known)}"
    raise UserError(f"unknown {kind} {name!r}: {hint}; your own is named module:Class")


def load(kind: str, name: str) -> type[Block]:
    """The class of the `kind` (one of KINDS) called `name`.

    Raises UserError for an unknown name, and for one whose module or class does not load.
    """
    where = check(kind, name)
    entry = f"{kind} {name!r}" if where == name else f"{kind} {name!r} ({where})"
    module, _, attribute = where.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        hint = "; is its folder on PYTHONPATH?" if error.name and module.startswith(error.name) else ""
        raise UserError(f"{entry}: {error}{hint}") from error
    except AttributeError as error:
        raise UserError(f"{entry}: {error}") from error
    except Exception as error:  # a user's module can fail in any way
        raise UserError(f"{entry}: its module does not load ({type(error).__name__}: {error})") from error
    if not (isinstance(found, type) and issubclass(found, Block)):
        raise UserError(f"{entry}: {attribute or 'it'} is not a class of blocks (blocks.runtime.Block)")
    return found


def takes(kind: str, name: str, parameter: str) -> bool:
    """Whether the class of the `kind` called `name` names that parameter in its constructor.

    Raises UserError as `load` does.
    """
    try:
        return parameter in inspect.signature(load(kind, name)).parameters
    except ValueError:  # compiled without a signature
        return False


def build(
    kind: str, name: str, scenario: Any, offers: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """The block of the `kind` called `name`, with the options, and with those of the `offers` that it names.

    What is None is left to the block. Raises UserError as `load` does, and for a class that does not take
    what it is given.
    """
    made = load(kind, name)
    offered = {key: value for key, value in (offers or {}).items() if takes(kind, name, key)}
    given = {key: value for key, value in {**offered, **options}.items() if value is not None}
    try:
        return made(scenario, **given)
    except TypeError as error:
        call = ", ".join(["scenario", *(f"{key}=" for key in given)])
        raise UserError(f"{kind} {name!r} cannot be built as {made.__name__}({call}): {error}") from error
