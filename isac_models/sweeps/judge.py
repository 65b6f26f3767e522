"""Judge the paper's claims again on figures that have been measured, perhaps in several runs.

    python -m isac_models.sweeps.judge FOLDER … --out DIR

Each folder holds what `python -m isac_models.figures` wrote. A curve of a later folder takes the place of the
same curve on the same hardware in an earlier one. Writes claims.md and claims.json into DIR.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isac_models.atomic import write_atomically
from isac_models.errors import UserError
from isac_models.options import Parser
from isac_models.sweeps.claims import Setting
from isac_models.sweeps.production import claims_files, judgements_on
from isac_models.sweeps.tables import Row, check_place

LARGEST_FILE = 1 << 28
NEEDED = ("label", "name", "method", "impairment", "impairment_seed", "grid_size", "value", "versus")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status: 0 done, 2 bad input."""
    parser = Parser(prog="python -m isac_models.sweeps.judge", description=__doc__.split("\n", 1)[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="what figures has written")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where claims.md goes")
    options = parser.parse_args(arguments)
    try:
        _run(options)
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace) -> None:
    check_place(options.out / "claims.md")
    measured: dict[str, dict[Setting, dict[str, list[Row]]]] = {}
    sources: list[dict[str, Any]] = []
    for folder in options.folders:
        found = [(path, *_load(path)) for path in sorted(folder.glob("fig*.json"))]
        if not found:
            raise UserError(f"{folder}: no figures lie there; python -m isac_models.figures makes them")
        sources += [{"file": path.name, "order": about.get("order")} for path, about, _ in found]
        for path, _, rows in found:
            curves: dict[tuple[Setting, str], list[Row]] = {}
            for row in rows:
                place = (row["impairment"], row["impairment_seed"]), row["name"]
                curves.setdefault(place, []).append(row)
            for (setting, name), curve in curves.items():
                measured.setdefault(path.stem, {}).setdefault(setting, {})[name] = curve
    every = {
        figure: {
            setting: [row for curve in curves.values() for row in curve] for setting, curves in of.items()
        }
        for figure, of in measured.items()
    }
    labels = {
        f"{figure}/{row['name']}": row["label"]
        for figure, of in every.items()
        for own in of.values()
        for row in own
    }
    for name, data in claims_files(judgements_on(every), labels, {"sources": sources}).items():
        try:
            write_atomically(options.out / name, data)
        except OSError as error:
            raise UserError(f"cannot write {options.out / name}: {error.strerror or error}") from None
        print(options.out / name)


def _load(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """What a figure's file says of itself, and its rows."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError
        content = json.loads(path.read_text())
        rows = content["rows"]
        if not all(isinstance(row, dict) and row.keys() >= set(NEEDED) for row in rows):
            raise ValueError
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(f"{path}: not a figure that python -m isac_models.figures has written") from None
    return content, rows


if __name__ == "__main__":
    sys.exit(main())
