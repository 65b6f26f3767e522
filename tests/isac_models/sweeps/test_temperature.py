"""How sharp the softmax should be, by matrices whose temperature is known."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from isac_models.array import hardware, steering_matrix
from isac_models.artifact import save
from isac_models.grid import angle_grid
from isac_models.scenario import Scenario
from isac_models.sweeps import temperature
from isac_models.sweeps.temperature import main
from tests.isac_models.artifacts import model_driven

SCENARIO = Scenario.preset("limited")


def test_a_matrix_of_twice_the_size_is_the_true_one_at_twice_the_factor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(temperature, "WIDTHS_DEG", (20,))
    monkeypatch.setattr(temperature, "FACTORS", (0.5, 1.0, 2.0))
    true = steering_matrix(hardware(SCENARIO).transmit, angle_grid(SCENARIO.grid_size))
    path, out = tmp_path / "double.safetensors", tmp_path / "rows.csv"
    save(path, model_driven(SCENARIO, 2 * true))
    assert main([str(path), "--snapshots", "1e5", "--out", str(out)]) == 0
    with out.open(newline="") as file:
        rows = {(row["method"], float(row["factor"])): row for row in csv.DictReader(file)}
    for factor in (0.5, 1.0):
        ours, theirs = rows["learned", factor], rows["known array", 2 * factor]
        assert float(ours["rmse_rad"]) == pytest.approx(float(theirs["rmse_rad"]), rel=1e-3)
    # At half the paper's sharpness the rest of the sector pulls every estimate to its middle.
    assert float(rows["known array", 0.5]["rmse_ratio_low"]) > 1.1
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert "learned      best factor    1" in printed[0]


@pytest.mark.parametrize("arguments", ["nothing-like-it", "model-driven-n156 --out none/rows.csv"])
def test_bad_input_is_one_line(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments.split()) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith("error: ")
