"""Trained models: save, load, ``python -m isac_models.artifact show FILE|NAME``. Format: docs/artifact.md."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from isac_models.artifact_file import FORMAT, SUFFIX, Artifact, encode, read
from isac_models.artifact_fit import check, same_hardware
from isac_models.artifact_layout import Kind
from isac_models.atomic import write_atomically
from isac_models.errors import UserError, one_line
from isac_models.options import Parser, need_matplotlib, reader_left
from isac_models.scenario import Scenario
from isac_models.units import to_human

__all__ = [
    "Artifact",
    "ArtifactWarning",
    "Kind",
    "check",
    "default_for",
    "fitting",
    "load",
    "save",
    "shipped",
    "warnings_as_lines",
]

FOLDER = Path(__file__).parent / "artifacts"
"""The shipped artifacts."""
DESCRIPTION = "Show what a trained model holds, once its checksums, arrays and values have been checked."


class ArtifactWarning(UserWarning):
    """A trained model is used outside what it was trained on: it works, perhaps not well."""


def save(path: str | Path, artifact: Artifact) -> None:
    """Write an artifact, whole or not at all.

    Raises UserError for arrays or values that `load` would refuse, and when the file cannot be written; a
    file that was there before stays.
    """
    _write(path, encode(artifact))


def _write(path: str | Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None


def load(name_or_path: str | Path) -> Artifact:
    """A shipped artifact by its name, or one from a file; all of it is checked before it is used.

    Raises UserError, one line that begins with the name, for anything that is not a whole artifact.
    """
    path, name = Path(name_or_path), str(name_or_path)
    known = shipped()
    if name in known:
        path = FOLDER / f"{name}{SUFFIX}"
    elif not (path.suffix == SUFFIX or "/" in name or path.exists()):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        there = f"there is {', '.join(known)}" if known else "none is shipped"
        raise UserError(f"no artifact {name!r}{hint}: {there}; or name a {SUFFIX} file")
    try:
        return replace(read(path), name=name)
    except UserError as error:
        raise UserError(f"artifact {name}: {error}") from None


def shipped() -> list[str]:
    """Names of the artifacts that come with the package."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def default_for(kind: Kind, scenario: Scenario) -> Artifact:
    """The shipped artifact of a kind that fits a scenario best: the same hardware first, then fewest remarks.

    Raises UserError when none fits.
    """
    ranked = []
    for name in shipped():
        artifact = load(name)
        try:
            remarks = check(artifact, kind, scenario)
        except UserError:
            continue
        ranked.append((not same_hardware(artifact.scenario, scenario), len(remarks), name, artifact))
    if ranked:
        return min(ranked, key=lambda entry: entry[:3])[3]
    size = f"grid_size {scenario.grid_size}" if kind == "model-driven" else f"order {scenario.order}"
    there = f" (there is {', '.join(shipped())})" if shipped() else ""
    raise UserError(
        f"no shipped {kind} artifact fits {scenario.antennas} antennas and {size}{there}: "
        f"train one with python -m isac_models.train {kind}, and name it with --artifact"
    )


def fitting(artifact: Artifact | str | Path | None, kind: Kind, scenario: Scenario) -> Artifact:
    """The artifact to use: the given one, the one of that name or file, or by default the best shipped one.

    Warns (ArtifactWarning) where the scenario lies outside what it was trained on.
    Raises UserError as `load`, `default_for` and `check` do.
    """
    if artifact is None:
        artifact = default_for(kind, scenario)
    elif not isinstance(artifact, Artifact):
        artifact = load(artifact)
    for remark in check(artifact, kind, scenario):
        warnings.warn(remark, ArtifactWarning, stacklevel=2)
    return artifact


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print each different ArtifactWarning once as ``warning: …`` on standard error, for programs.

    For one thread: Python's warnings are the whole process's.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", ArtifactWarning)
        usual, printed = warnings.showwarning, set()

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if not issubclass(category, ArtifactWarning):
                usual(message, category, *place, **more)
            elif str(message) not in printed:
                printed.add(str(message))
                print(f"warning: {one_line(str(message))}", file=sys.stderr)

        warnings.showwarning = show
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status: 0 shown, 1 nobody reads it, 2 bad input."""
    parser = Parser(prog="python -m isac_models.artifact", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="show")
    show = commands.add_parser("show", help="print a trained model's description", description=DESCRIPTION)
    there = ", ".join(shipped()) or "none so far"
    show.add_argument("artifact", metavar="FILE|NAME", help=f"a {SUFFIX} file, or a shipped one ({there})")
    show.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    show.add_argument("--plot", metavar="FILE.png", help="draw its held-out loss over the iterations too")
    options = parser.parse_args(arguments)
    try:
        if options.plot is not None:
            need_matplotlib("--plot")
        artifact = load(options.artifact)
        if options.plot is not None:
            _plot(options.plot, artifact)
    except UserError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 2
    try:
        _show(options, artifact)
        sys.stdout.flush()
    except BrokenPipeError:
        return reader_left()
    return 0


def _plot(path: str, artifact: Artifact) -> None:
    if not path.lower().endswith(".png"):
        raise UserError(f"--plot {path}: the picture is a PNG, name it FILE.png")
    from isac_models.learning.loss_plot import loss_curve

    _write(path, loss_curve(artifact))


def describe(artifact: Artifact) -> dict[str, Any]:
    """Everything but the values, fit for JSON."""
    return {
        "name": artifact.name,
        "format": FORMAT,
        "kind": artifact.kind,
        "seed": artifact.seed,
        "held_out_loss": artifact.held_out_loss,
        "sha256": artifact.sha256,
        "scenario": artifact.scenario.to_dict(),
        "training": dict(artifact.training),
        "versions": dict(artifact.versions),
        "tensors": {
            name: {"dtype": str(array.dtype), "shape": list(array.shape)}
            for name, array in sorted(artifact.tensors.items())
        },
    }


def _show(options: argparse.Namespace, artifact: Artifact) -> None:
    values = describe(artifact)
    if options.json:
        print(json.dumps(values, allow_nan=False), flush=True)
        return
    values["scenario"] = to_human(values["scenario"])
    values["tensors"] = {
        key: f"{each['dtype']} {' × '.join(map(str, each['shape']))}"
        for key, each in values["tensors"].items()
    }
    groups = [(key, value if isinstance(value, dict) else {"": value}) for key, value in values.items()]
    if not sys.stdout.isatty():  # a line each, for grep and its like
        for key, group in groups:
            for name, each in group.items():
                print(f"{_text(f'{key} {name}'.rstrip()):<36}{_text(each)}")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    for key, group in groups:
        if "" not in group:
            table.add_section()
        for n, (name, each) in enumerate(group.items()):
            table.add_row("" if n else key, Text(_text(name)), Text(_text(each), overflow="fold"))
    Console(highlight=False).print(table)


def _text(value: Any) -> str:
    """One line without control characters, as JSON has none, and not too long."""
    if isinstance(value, list) and len(value) > 8:
        return f"{len(value)} values, {_text(value[0])} … {_text(value[-1])}"
    text = value if isinstance(value, str) and value.isprintable() else json.dumps(value)
    return text if len(text) <= 300 else f"{text[:297]}..."


if __name__ == "__main__":
    sys.exit(main())
