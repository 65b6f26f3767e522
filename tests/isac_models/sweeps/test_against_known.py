"""Learned against known array and best beam, by artifacts whose outcome is known."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac_models import paired
from isac_models.array import hardware, nominal_array, steering_matrix
from isac_models.artifact import Artifact, save
from isac_models.grid import angle_grid
from isac_models.scenario import Scenario
from isac_models.sweeps.against_known import main

SCENARIO = Scenario.preset("limited")


def write(path: Path, matrix: np.ndarray) -> str:
    array = hardware(SCENARIO).transmit
    tensors = {
        "dictionary_real": np.ascontiguousarray(matrix.real),
        "dictionary_imag": np.ascontiguousarray(matrix.imag),
        "element_positions": array.positions,
        "element_response_real": np.ascontiguousarray(array.response.real),
        "element_response_imag": np.ascontiguousarray(array.response.imag),
    }
    training = {"sector_mean_deg": [-60, 60], "sector_span_deg": [10, 20]}
    save(path, Artifact("model-driven", SCENARIO, tensors, training, 1, 0.0, {}))
    return str(path)


def rows_of(path: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    with path.open(newline="") as file:
        return {(row["hardware"], row["first"], row["second"]): row for row in csv.DictReader(file)}


def test_the_true_matrix_ties_with_the_known_array_and_the_nominal_one_loses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = angle_grid(SCENARIO.grid_size)
    true = write(tmp_path / "true.safetensors", steering_matrix(hardware(SCENARIO).transmit, grid))
    out = tmp_path / "rows.csv"
    assert main([true, "--snapshots", "2e5", "--out", str(out)]) == 0
    rows = rows_of(out)
    tie = rows["spacing seed 1, N = 156", "learned", "known array"]
    assert float(tie["p_md_ratio"]) == float(tie["rmse_ratio"]) == 1
    best = rows["spacing seed 1, N = 156", "best beam", "known array"]
    assert float(best["p_md_ratio_high"]) < 0.95
    assert abs(float(best["p_fa_first"]) - 0.01) < 0.0015
    nominal = write(tmp_path / "nominal.safetensors", steering_matrix(nominal_array(SCENARIO), grid))
    assert main([true, nominal, "--snapshots", "2e5", "--out", str(out)]) == 0
    mean = rows_of(out)["mean of 2", "learned", "known array"]
    assert float(mean["rmse_ratio_low"]) > 1.01
    assert "mean of 2" in capsys.readouterr().out


def test_interrupted_means_nothing_written_and_nothing_final(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    true = write(
        tmp_path / "a.safetensors",
        steering_matrix(hardware(SCENARIO).transmit, angle_grid(SCENARIO.grid_size)),
    )
    whole = paired.evaluate_paired

    def stopped(*arguments: Any, **more: Any) -> Any:
        return replace(whole(*arguments, **more), interrupted=True)

    monkeypatch.setattr(paired, "evaluate_paired", stopped)
    out = tmp_path / "rows.csv"
    assert main([true, true, "--snapshots", "1e4", "--out", str(out)]) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "error: stopped before all was measured; nothing was written\n"
    assert not out.exists()


def test_a_folder_that_is_not_there_is_one_line_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model-driven-n156", "--out", str(tmp_path / "none" / "rows.csv")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1


def test_an_artifact_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    assert capsys.readouterr().err.startswith("error: no artifact 'nothing'")
