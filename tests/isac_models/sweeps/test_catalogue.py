"""The right model for each curve, and word of what could not be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from isac_models import artifact
from isac_models.artifact import save
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from isac_models.sweeps.catalogue import Catalogue
from tests.isac_models.artifacts import TRAINING, model_driven, neural

IMPAIRED = Scenario.preset("impaired")


@pytest.fixture(autouse=True)
def nothing_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(artifact, "FOLDER", tmp_path / "shipped")


def keep(folder: Path, scenario: Scenario, **training: Any) -> Path:
    """A learned A in a folder of its own, as the trainer leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "artifact.safetensors"
    save(
        path,
        model_driven(scenario, training={**TRAINING, **training}, held_out_loss=training.pop("loss", 1e-4)),
    )
    return path


def test_a_learned_a_is_found_by_hardware_and_grid(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    right = keep(folder / "deep" / "one", IMPAIRED)
    keep(folder / "coarse", IMPAIRED.replace(grid_size=156))
    keep(folder / "other", IMPAIRED.replace(impairment_seed=2))
    keep(folder / "side", IMPAIRED.replace(impaired_side="transmit"))
    keep(folder / "snr", IMPAIRED.replace(snr_radar_db=3))
    found = Catalogue([folder], print).learned(IMPAIRED.replace(target_sector_deg=(-20, 20)))
    assert [(recipe, card.source) for recipe, card in found.items()] == [("paper", str(right))]
    assert found["paper"].sha256 == artifact.load(right).sha256
    assert not Catalogue([folder], print).learned(IMPAIRED.replace(grid_size=300))


def test_the_papers_recipe_comes_first_and_long_trainings_before_short_ones(tmp_path: Path) -> None:
    keep(tmp_path / "1", IMPAIRED, recipe="cosine")
    keep(tmp_path / "2", IMPAIRED, iterations=5000, loss=1e-6)
    long = keep(tmp_path / "3", IMPAIRED, iterations=50_000)
    found = Catalogue([tmp_path], print).learned(IMPAIRED)
    assert list(found) == ["paper", "cosine"]
    assert found["paper"].source == str(long)
    assert found["paper"].iterations == 50_000


def test_networks_are_found_by_width_with_their_omegas(tmp_path: Path) -> None:
    for hidden, omega in ((7, (0.0, 1.0)), (5, (1.0, 0.0, 0.4)), (6, (0.0,))):
        save(tmp_path / f"{hidden}.safetensors", neural(IMPAIRED, hidden, omega))
    save(tmp_path / "order.safetensors", neural(IMPAIRED.replace(order=16), 9, (0.0,)))
    save(tmp_path / "snr.safetensors", neural(IMPAIRED.replace(snr_comm_db=10), 9, (0.0,)))
    found = Catalogue([tmp_path], print).neural(IMPAIRED.replace(grid_size=156))
    assert [(card.hidden, card.omegas) for card in found] == [
        (5, (0.0, 0.4, 1.0)),
        (6, (0.0,)),
        (7, (0.0, 1.0)),
    ]


def test_shipped_models_are_used_where_the_folder_has_none(tmp_path: Path) -> None:
    save(tmp_path / "shipped" / "coarse.safetensors", model_driven(IMPAIRED.replace(grid_size=156)))
    found = Catalogue([], print).learned(IMPAIRED.replace(grid_size=156))
    assert found["paper"].source == "coarse"


def test_checkpoints_are_passed_over_and_damaged_models_reported(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    damaged = keep(folder / "damaged", IMPAIRED)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    save_file({"x": np.zeros(3)}, folder / "checkpoint.safetensors", {"isac-checkpoint": "{}"})
    (folder / "noise.safetensors").write_bytes(b"\xff" * 50)
    warnings: list[str] = []
    catalogue = Catalogue([folder], warnings.append)
    assert catalogue.cards == []
    assert len(warnings) == 1
    assert str(damaged) in warnings[0]


def test_a_training_that_ended_early_says_how_far_it_came(tmp_path: Path) -> None:
    keep(tmp_path / "1", IMPAIRED, iterations=50_000, steps=41_500)
    card = Catalogue([tmp_path], print).learned(IMPAIRED)["paper"]
    assert (card.ran, card.iterations) == ((41_500, 41_500), 50_000)


def test_networks_say_how_far_each_step_of_each_omega_came(tmp_path: Path) -> None:
    made = replace(neural(IMPAIRED), training={**TRAINING, "stopped_at": [[12_000, None], [None, 57_500]]})
    save(tmp_path / "a.safetensors", made)
    (card,) = Catalogue([tmp_path], print).neural(IMPAIRED)
    assert card.ran == (7_500, 50_000)


def test_networks_of_the_default_losses_come_before_those_of_others_whatever_their_loss(
    tmp_path: Path,
) -> None:
    usual = {"literal_loss": False, "mask": "detected", "angle_unit": "sector", "scale_inputs": True}
    changes: dict[str, dict[str, Any]] = {
        "usual": {},
        "literal": {"literal_loss": True},
        "rad": {"angle_unit": "rad"},
        "present": {"mask": "present"},
    }
    for n, (name, change) in enumerate(changes.items()):
        training = {**TRAINING, **usual, **change}
        made = replace(neural(IMPAIRED), training=training, held_out_loss=1.0 / (1 + n))
        save(tmp_path / f"{name}.safetensors", made)
    catalogue = Catalogue([tmp_path], print)
    (card,) = catalogue.neural(IMPAIRED)
    assert (Path(card.source).stem, card.variant) == ("usual", ())
    assert {Path(each.source).stem: each.variant for each in catalogue.cards} == {
        "usual": (),
        "literal": ("literal loss",),
        "rad": ("angle loss in rad²",),
        "present": ("angle loss on all targets",),
    }


@pytest.mark.parametrize(
    "training",
    [{"iterations": "abc"}, {"iterations": -1}, {"steps": []}, {"stopped_at": [[1]]}, {"stopped_at": 3}],
)
def test_a_description_that_cannot_be_is_reported_and_left_out(
    tmp_path: Path, training: dict[str, Any]
) -> None:
    kind = neural if "stopped_at" in training else model_driven
    save(tmp_path / "odd.safetensors", replace(kind(IMPAIRED), training={**TRAINING, **training}))
    warnings: list[str] = []
    assert Catalogue([tmp_path], warnings.append).cards == []
    assert len(warnings) == 1
    assert "impossible number of iterations" in warnings[0]


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--artifacts .*nowhere: there is no such folder"):
        Catalogue([tmp_path / "nowhere"], print)
