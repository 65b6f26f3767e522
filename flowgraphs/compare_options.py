"""--compare: what goes with it, and where each method writes the file that it receives."""

from __future__ import annotations

import argparse
import os

from isac_models.errors import UserError

METHODS = ("baseline", "learned", "known_array")
"""The methods that are compared; blocks of a method have its name after theirs."""
COMPARE = """\
run baseline, learned and known array side by side, on the same messages, hardware and noise; --artifact is
for the learned one, and OUT and the plot show all three"""
FIXED = ("precoder", "detector", "encoder", "demodulator", "estimator", "known_array", "record")
"""Options that say what --compare says already, or are of one link."""


def label(method: str) -> str:
    """A method's name as people read it."""
    return method.replace("_", " ")


def add_compare_option(parser: argparse._ArgumentGroup) -> None:
    """The option itself."""
    parser.add_argument("--compare", action="store_true", help=COMPARE)


def check_compare(options: argparse.Namespace) -> None:
    """Set `options.outs`, where each method writes the file; UserError for what makes no sense together."""
    for name in FIXED:
        if getattr(options, name, None):
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"--compare runs {', '.join(map(label, METHODS))}: leave out {option}")
    if options.out == "-":
        raise UserError("--compare writes a file for each method: --out needs a name, not -")
    options.outs = {method: _beside(options.out, method) for method in METHODS}
    for out in options.outs.values():
        for name in ("file", "plot"):
            if out and (path := getattr(options, name)) and os.path.realpath(path) == os.path.realpath(out):
                raise UserError(f"--{name} and --out, with the method in its name, name the same file {path}")


def _beside(out: str | None, method: str) -> str | None:
    """``received-learned.png`` for received.png."""
    if out is None:
        return None
    stem, ending = os.path.splitext(out)
    return f"{stem}-{method.replace('_', '-')}{ending}"
