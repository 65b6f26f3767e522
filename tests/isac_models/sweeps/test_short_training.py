"""Quick figures train what is missing, go on where they were stopped, and do without where they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from isac_models import train
from isac_models.artifact import load
from isac_models.scenario import Scenario
from isac_models.sweeps import short_training
from isac_models.sweeps.catalogue import Catalogue
from isac_models.sweeps.short_training import train_short

SMALL = Scenario.preset("ideal").replace(antennas=4, grid_size=16, comm_sector_deg=(20, 60))


def test_a_missing_model_is_trained_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_training, "ITERATIONS", 5)
    said: list[str] = []
    other = SMALL.replace(impairment="element", impairment_seed=4)
    assert train_short([SMALL, other], tmp_path, said.append, said.append)
    made = load(tmp_path / "ideal-16" / "artifact.safetensors")
    assert made.scenario.antennas == 4
    assert made.training["iterations"] == 5
    found = Catalogue([tmp_path], said.append)
    assert list(found.learned(SMALL)) == [short_training.RECIPE]
    assert list(found.learned(other)) == [short_training.RECIPE]
    assert len(said) == 2
    assert "training a learned A for 5 iterations, the paper has 50,000" in said[0]


def test_a_training_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def stopped(arguments: list[str]) -> int:
        calls.append(arguments)
        folder = tmp_path / "ideal-16"
        folder.mkdir(exist_ok=True)
        (folder / "checkpoint.safetensors").write_bytes(b"")
        return train.INTERRUPTED

    monkeypatch.setattr(train, "main", stopped)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_short([SMALL], tmp_path, print, print)
    assert "--out" in calls[0]
    assert calls[1] == ["model-driven", "--resume", str(tmp_path / "ideal-16"), "--quiet"]


def test_a_training_that_fails_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "main", lambda arguments: 2)
    warnings: list[str] = []
    assert not train_short([SMALL], tmp_path, print, warnings.append)
    assert "the figures do without it" in warnings[0]


def test_without_torch_the_figures_do_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_training, "find_spec", lambda name: None)
    warnings: list[str] = []
    assert not train_short([SMALL], tmp_path, print, warnings.append)
    assert "pip install 'isac-blocks[learn]'" in warnings[0]
