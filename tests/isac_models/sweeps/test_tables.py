"""Every row says where it comes from, and the files hold what was measured."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import pytest

from isac_models.scenario import Scenario
from isac_models.sweeps.studies import RHOS, study
from isac_models.sweeps.tables import as_csv, as_json, pair_rows, rows
from tests.isac_models.sweeps.measured import Cards, alike, learned_card, neural_card, results_of

IMPAIRED = Scenario.preset("impaired").replace(impairment="element", impairment_seed=3)
STUDY = study("fig4", IMPAIRED, Cards(learned_card(500), neural_card(21, RHOS)), 1_200_000)
ROWS = rows(STUDY, results_of(STUDY, alike))


def read(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_a_row_says_everything_about_its_point() -> None:
    row = next(row for row in ROWS if row["name"] == "learned-500" and row["rho"] == 0.4)
    expected = {
        "figure": "fig4",
        "label": "learned A, N=500",
        "method": "learned",
        "estimator": "softmax",
        "known_array": False,
        "impairment": "element",
        "impairment_seed": 3,
        "impaired_side": "both",
        "grid_size": 500,
        "artifact": "learned-500-paper.safetensors",
        "artifact_sha256": "sha-500-paper",
        "snr_radar_db": 0,
        "snr_comm_db": 20,
        "false_alarm": 0.01,
        "draws_seed": 3,
        "snapshots": 1_200_000,
        "p_fa": 0.01,
        "threshold": 10.25,
    }
    assert {key: row[key] for key in expected} == expected
    for rate in ("ser", "ber", "p_md", "p_fa", "rmse_rad"):
        assert row[f"{rate}_low"] < row[rate] < row[f"{rate}_high"]
    assert row["ser_theory"] == row["ser"]
    assert row["p_md_genie"] < row["p_md"]
    assert row["rmse_bound_rad"] < row["rmse_rad"]


def test_a_trained_model_is_called_by_its_folder_where_files_are_all_called_alike() -> None:
    card = replace(learned_card(500), source="out/trained/element-3-500/artifact.safetensors")
    made = study("fig4", IMPAIRED, Cards(card), 1_200_000)
    names = {row["artifact"] for row in rows(made, results_of(made, alike))}
    assert names == {"", "element-3-500.safetensors"}


def test_theory_without_a_formula_is_empty() -> None:
    row = next(row for row in ROWS if row["method"] == "neural")
    assert row["ser_theory"] is None
    assert row["estimator"] == "network"


def test_points_without_a_result_have_no_row() -> None:
    results = results_of(STUDY, alike)
    first = STUDY.points[0][1]
    del results[first.key]
    assert len(rows(STUDY, results)) == len(STUDY.points) - 1


def test_csv_has_a_line_for_every_row_with_its_values() -> None:
    lines = read(as_csv(ROWS))
    assert len(lines) == len(ROWS) == len(STUDY.points)
    for line, row in zip(lines, ROWS, strict=True):
        assert float(line["p_md"]) == pytest.approx(row["p_md"], rel=1e-5)
        assert line["artifact_sha256"] == row["artifact_sha256"]
        assert (line["ser_theory"] == "") == (row["ser_theory"] is None)
        assert "versus" not in line
    assert as_csv([]) == b"\n"


def test_comparisons_have_a_line_each() -> None:
    lines = read(as_csv(pair_rows(ROWS)))
    assert len(lines) == sum(len(row["versus"]) for row in ROWS)
    line = next(line for line in lines if line["name"] == "learned-500" and line["versus"] == "known")
    assert float(line["rmse_common_ratio"]) == 1
    assert float(line["p_md_ratio_low"]) < 1 < float(line["p_md_ratio_high"])
    assert line["found_by_both"] == "600000"
    assert float(line["rmse_common"]) == float(line["rmse_common_versus"])


def test_json_says_what_was_run_and_refuses_nothing_finite() -> None:
    odd = [{**ROWS[0], "p_md": math.nan, "p_md_high": math.inf}]
    data = json.loads(as_json({"figure": "fig4", "missing": {}}, odd))
    assert data["figure"] == "fig4"
    (row,) = data["rows"]
    assert row["p_md"] is None
    assert row["p_md_high"] is None
    assert row["versus"]["known"]["p_md"]["ratio"] == 1
    assert json.loads(as_json({"figure": "x"}, []))["rows"] == []
