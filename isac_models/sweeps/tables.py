"""The numbers of a study as rows, and as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isac_models.atomic import write_atomically
from isac_models.errors import UserError
from isac_models.sweeps.points import Point
from isac_models.sweeps.store import Result, plain
from isac_models.sweeps.studies import Study

Row = dict[str, Any]

RATES = ("ser", "ber", "p_md", "p_fa", "rmse_rad")
THEORY = {"ser": "ser_theory", "p_md_genie": "p_md_genie", "rmse_bound_rad": "rmse_bound_rad"}
DIGITS = 6
"""Significant digits of measured values in the files: intervals are wider by orders of magnitude."""


def rows(study: Study, results: Mapping[str, Result]) -> list[Row]:
    """A row for every point of a study that has a result, by the key of its point."""
    labels = {curve.name: curve.label for curve in study.curves}
    found = []
    for value, point in study.points:
        result = results.get(point.key)
        if result is not None:
            found.append({"label": labels[point.contender.name], **_row(study, value, point, result)})
    return found


def _row(study: Study, value: float, point: Point, result: Result) -> Row:
    scenario, contender = point.scenario, point.contender
    row: Row = {
        "figure": study.name,
        "name": contender.name,
        "method": contender.method,
        "estimator": result["estimator"],
        "known_array": contender.known_array,
        "impairment": scenario.impairment,
        "impairment_seed": scenario.impairment_seed,
        "impaired_side": scenario.impaired_side,
        "grid_size": contender.grid_size,
        "artifact": _called(contender.artifact),
        "artifact_sha256": contender.sha256,
        "value": value,
        "rho": point.rho,
        "snr_radar_db": _decibels(scenario.radar_gain / scenario.noise_power),
        "snr_comm_db": _decibels(scenario.comm_gain / scenario.noise_power),
        "false_alarm": scenario.false_alarm,
        "draws_seed": point.seed,
        "snapshots": result["snapshots"],
    }
    for rate in RATES:
        row |= {key: result["rates"][key] for key in (rate, f"{rate}_low", f"{rate}_high")}
    row |= {name: result["theory"].get(key) for key, name in THEORY.items()}
    row |= {"threshold": result["threshold"], "warnings": "; ".join(result["warnings"])}
    row["versus"] = result["versus"]
    return row


def _called(artifact: str) -> str:
    """A trained model's shipped name or its file's; the trainer calls all files alike: then its folder's."""
    path = Path(artifact)
    same = path.name == "artifact.safetensors" and path.parent.name
    return f"{path.parent.name}{path.suffix}" if same else path.name


def pair_rows(of: Iterable[Row]) -> list[Row]:
    """A row for every comparison: ratios of the first to the second, on the same draws.

    `rmse_common` counts the snapshots in which both find the target.
    """
    keys = ("figure", "impairment", "impairment_seed", "impaired_side", "name", "artifact_sha256", "value")
    found = []
    for row in of:
        for other, pair in row["versus"].items():
            own = {**{key: row[key] for key in keys}, "rho": row["rho"], "versus": other}
            own |= {"snapshots": row["snapshots"], "found_by_both": pair["common"]}
            own |= {"rmse_common": pair["rmse_rad"]["own"], "rmse_common_versus": pair["rmse_rad"]["other"]}
            for metric in ("p_md", "rmse_rad", "ser"):
                name = "rmse_common_ratio" if metric == "rmse_rad" else f"{metric}_ratio"
                values = pair[metric]
                own |= {name: values["ratio"], f"{name}_low": values["low"], f"{name}_high": values["high"]}
            found.append(own)
    return found


def as_csv(of: Sequence[Row]) -> bytes:
    """Rows under one line of names, without what a cell cannot hold; empty where there is no value."""
    names = [key for key, value in (of[0] if of else {}).items() if not isinstance(value, Mapping)]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _rounded(value) for key, value in row.items()} for row in of)
    return text.getvalue().encode()


def check_place(path: Path | None) -> None:
    """Raise UserError for an --out FILE whose folder is missing or cannot be written to; None is none."""
    if path and not os.access(path.absolute().parent, os.W_OK):
        raise UserError(f"--out {path}: there is no such folder, or it cannot be written to")


def save_csv(path: Path, of: Sequence[Row]) -> None:
    """Write rows to a file, whole or not at all.

    Raises UserError when it cannot be written.
    """
    try:
        write_atomically(path, as_csv(of))
    except OSError as error:
        raise UserError(f"--out {path}: {error.strerror or error}") from None


def as_json(about: Mapping[str, Any], of: Sequence[Row]) -> bytes:
    """What was run, and its rows with their comparisons, a line each."""
    lines = [json.dumps(plain(_rounded(row)), ensure_ascii=False, allow_nan=False) for row in of]
    head = json.dumps(plain(about), indent=1, ensure_ascii=False, allow_nan=False).removesuffix("\n}")
    return (head + ',\n "rows": [\n' + ",\n".join(lines) + "\n ]\n}\n").encode()


def _decibels(ratio: float) -> float:
    return round(10 * math.log10(ratio), 9)


def _rounded(value: Any) -> Any:
    """Floats with as many digits as mean something, at any depth."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    return value
