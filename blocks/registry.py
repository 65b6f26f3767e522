"""Blocks that can stand in for one another, by name.

A new one is a line here: a precoder is built as ``(scenario, rho=, phi=)``, a detector as
``(scenario, estimator=)``, a demodulator as ``(scenario)``. Modules load when they are asked for.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Any

from isac_models.errors import UserError

PRECODERS = {"baseline": "blocks.precoder:Precoder"}
DETECTORS = {"matched-filter": "blocks.detector:Detector"}
DEMODULATORS = {"ml": "blocks.demodulator:Demodulator"}
KINDS = {"precoder": PRECODERS, "detector": DETECTORS, "demodulator": DEMODULATORS}


def check(kind: str, name: str) -> str:
    """`name`, if a block of that `kind` has it. Raises UserError that suggests the nearest one."""
    known = KINDS[kind]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0)
        hint = f"did you mean {near[0]}?" if near and len(known) > 1 else f"there is {', '.join(known)}"
        raise UserError(f"unknown {kind} {name!r}: {hint}")
    return name


def load(kind: str, name: str) -> Any:
    """The class of the `kind` ("precoder", "detector", "demodulator") called `name`."""
    module, _, attribute = KINDS[kind][check(kind, name)].partition(":")
    return getattr(import_module(module), attribute)
