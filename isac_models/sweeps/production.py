"""From an order to files: which studies, their points, and then pictures, tables and judgements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from isac_models.atomic import write_atomically
from isac_models.errors import UserError
from isac_models.scenario import Impairment, Scenario, Side
from isac_models.sweeps.catalogue import Catalogue
from isac_models.sweeps.claims import Judgement, Measured, judge
from isac_models.sweeps.paper import CLAIMS, beyond
from isac_models.sweeps.report import as_markdown, as_values
from isac_models.sweeps.store import Result
from isac_models.sweeps.studies import FIGURES, UNLIMITED, Study, study
from isac_models.sweeps.tables import Row, as_csv, as_json, pair_rows, rows

SCALES = {"quick": 200_000, "full": 1_200_000}
"""Snapshots of a point."""
ONCE = ("roc", "snr")
"""Sweeps that are run on the first hardware seed of each impairment alone."""


@dataclass(frozen=True)
class Order:
    """What was asked for."""

    figures: tuple[str, ...]
    scale: str
    seeds: tuple[int, ...]
    impairments: tuple[Impairment, ...]
    snapshots: int
    impaired_side: Side = "both"

    @property
    def stamp(self) -> str:
        """What a picture must say of itself; empty for full scale."""
        if self.scale == "full" and self.snapshots >= SCALES["full"]:
            return ""
        return f"{self.scale}: {self.snapshots:,} snapshots a point, the figures of full scale have 1,200,000"


def studies(order: Order, catalogue: Catalogue) -> list[Study]:
    """Every study of an order, in the order of the figures."""
    base = Scenario.preset("impaired").replace(impaired_side=order.impaired_side)
    found: dict[str, Study] = {}
    for figure in order.figures:
        for impairment in order.impairments:
            for seed in order.seeds[:1] if figure in ONCE else order.seeds:
                scenario = base.replace(impairment=impairment, impairment_seed=seed)
                for name in FIGURES[figure]:
                    made = study(name, scenario, catalogue, order.snapshots)
                    found.setdefault(made.stem, made)
    return list(found.values())


def tasks(of: Sequence[Study], ship: bool) -> dict[str, tuple[Any, ...]]:
    """Arguments of `measuring.measure` for every point, by its key; with the artifacts' files if asked."""
    from isac_models.sweeps.measuring import files_of

    found: dict[str, tuple[Any, ...]] = {}
    for each in of:
        for _, point in each.points:
            found.setdefault(point.key, (point.to_dict(), files_of(point) if ship else {}))
    return found


def write(order: Order, of: Sequence[Study], results: Mapping[str, Result], out: Path) -> list[Path]:
    """Write the files of all studies and the judgements into a folder; returns their paths.

    Raises UserError when one cannot be written.
    """
    from isac_models.sweeps.plots import picture

    written: list[Path] = []

    def keep(name: str, data: bytes) -> None:
        path = out / name
        try:
            write_atomically(path, data)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from None
        written.append(path)

    measured: dict[str, dict[tuple[str, int], list[Row]]] = {}
    labels: dict[str, str] = {}
    for each in of:
        own = rows(each, results)
        setting = (each.scenario.impairment, each.scenario.impairment_seed)
        measured.setdefault(each.name, {})[setting] = own
        labels |= {f"{each.name}/{curve.name}": curve.label for curve in each.curves}
        keep(f"{each.stem}.png", picture(each, own, order.stamp))
    for name, settings in measured.items():
        every = [row for own in settings.values() for row in own]
        about = _about(order, [each for each in of if each.name == name])
        keep(f"{name}.json", as_json(about, every))
        keep(f"{name}.csv", as_csv(every))
        keep(f"{name}-pairs.csv", as_csv(pair_rows(every)))
    about = {"order": asdict(order), "stamp": order.stamp}
    for name, data in claims_files(judgements_on(measured), labels, about).items():
        keep(name, data)
    return written


def claims_files(
    judgements: Sequence[Judgement], labels: Mapping[str, str], about: Mapping[str, Any]
) -> dict[str, bytes]:
    """claims.md and claims.json, by name; nothing where nothing was judged.

    `labels`: of `figure/name`; `about`: what was ordered, with the stamp that the page begins with, if any.
    """
    if not judgements:
        return {}
    title = f"{about['stamp']}\n\n" if about.get("stamp") else ""
    return {
        "claims.md": (title + as_markdown(judgements, labels)).encode(),
        "claims.json": as_json(about, as_values(judgements)),
    }


def judgements_on(measured: Measured) -> list[Judgement]:
    """What the paper says of the figures that were measured, and what this project adds."""
    figures = {name for name in measured if name.startswith("fig")}
    every = (row for own in measured.get("fig4", {}).values() for row in own)
    names = {row["name"] for row in every if row["method"] == "learned" and row["grid_size"] == UNLIMITED}
    claims = [each for each in (*CLAIMS, *beyond(sorted(names))) if each.figures & figures]
    return judge(claims, measured)


def _about(order: Order, of: Sequence[Study]) -> dict[str, Any]:
    """What the rows of a file come from."""
    return {
        "figure": of[0].name,
        "title": of[0].title,
        "stamp": order.stamp,
        "order": asdict(order),
        "settings": [each.setting for each in of],
        "missing": {each.stem: each.missing for each in of if each.missing},
        "version": metadata.version("isac-blocks"),
        "axis": of[0].axis,
    }
