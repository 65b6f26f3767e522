"""What a trained model may be used for."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from isac_models.artifact_fit import check, same_hardware
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import TRAINING, model_driven, neural

TRAINED = Scenario.preset("limited")
LEARNED, NETWORKS = model_driven(TRAINED), neural(TRAINED)


@pytest.mark.parametrize("artifact", [LEARNED, NETWORKS], ids=lambda a: a.kind)
def test_nothing_is_said_of_what_was_trained(artifact: Any) -> None:
    assert check(artifact, artifact.kind, TRAINED) == []
    # What the training does not depend on may be anything.
    assert check(artifact, artifact.kind, TRAINED.replace(false_alarm=1e-3, coherence=4)) == []


OUTSIDE: dict[str, tuple[dict[str, Any], str]] = {
    "another realisation": ({"impairment_seed": 2}, "on other hardware: impairment_seed 1, not 2"),
    "no impairment": ({"impairment": "none"}, "on other hardware: impairment spacing, not none"),
    "one side only": ({"impaired_side": "transmit"}, "on other hardware: impaired_side both, not transmit"),
    "worse hardware": ({"spacing_std": 0.1}, "on other hardware: spacing_std 0.033333, not 0.1"),
    "weaker echo": ({"snr_radar_db": -3.5}, "at a radar SNR of 0 dB, not -3.5 dB"),
    "more noise": ({"noise_power": 2.0, "radar_gain": 2.0, "comm_gain": 200.0}, "with noise_power 1, not 2"),
    "more energy": ({"transmit_energy": 4.0}, "with transmit_energy 1, not 4"),
    "target sector beyond": (
        {"target_sector_deg": (65, 80)},
        "on sectors with a mean from -60° to 60°: the target_sector 65° … 80° has 72.5°",
    ),
    "narrow target sector": (
        {"target_sector_deg": (10, 15)},
        "on sectors with a span from 10° to 20°: the target_sector 10° … 15° has 5°",
    ),
    "the paper's unseen sector": (
        {"target_sector_deg": (-20, 20)},
        "on sectors with a span from 10° to 20°: the target_sector -20° … 20° has 40°",
    ),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_lies_outside_the_training_is_said(name: str) -> None:
    changes, text = OUTSIDE[name]
    for artifact in (LEARNED, NETWORKS):
        found = check(artifact, artifact.kind, TRAINED.replace(**changes))
        assert found == [f"the artifact was trained {text}"]


def test_every_preset_of_the_paper_but_the_unseen_one_is_inside() -> None:
    for name in ("ideal", "impaired", "limited"):
        scenario = Scenario.preset(name)
        assert check(model_driven(scenario), "model-driven", scenario) == []
    unseen = Scenario.preset("unseen")
    assert len(check(model_driven(unseen), "model-driven", unseen)) == 1, "by its ranges, not its scenario"


@pytest.mark.parametrize("sector", [(50, 70), (-70, -50), (55, 65), (-5, 5), (-10, 10)])
def test_the_ends_of_the_ranges_belong_to_them(sector: tuple[float, float]) -> None:
    assert check(LEARNED, "model-driven", TRAINED.replace(target_sector_deg=sector)) == []


def test_the_communication_side_counts_where_it_was_trained() -> None:
    far = TRAINED.replace(snr_comm_db=3)
    assert check(LEARNED, "model-driven", far) == []
    assert check(NETWORKS, "neural", far) == [
        "the artifact was trained at a communication SNR of 20 dB, not 3 dB"
    ]
    elsewhere = TRAINED.replace(comm_sector_deg=(0, 15))
    assert check(LEARNED, "model-driven", elsewhere) == []
    assert check(NETWORKS, "neural", elsewhere) == [
        "the artifact was trained on the comm_sector 30° … 50°, not 0° … 15°"
    ]
    (text,) = check(LEARNED, "model-driven", TRAINED.replace(comm_sector_deg=(0, 45)))
    assert "the comm_sector 0° … 45° has 45°" in text


@pytest.mark.parametrize("ranges", [{}, {"sector_mean_deg": "any", "sector_span_deg": [10, 20]}])
def test_without_ranges_the_sector_is_compared(ranges: dict[str, Any]) -> None:
    kept = {key: value for key, value in TRAINING.items() if not key.startswith("sector_")}
    artifact = model_driven(TRAINED, training={**kept, **ranges})
    assert check(artifact, "model-driven", TRAINED) == []
    (text,) = check(artifact, "model-driven", TRAINED.replace(target_sector_deg=(0, 15)))
    assert text.endswith("on the target_sector -40° … -20°, not 0° … 15°")


def test_the_same_array_under_another_name_is_the_same() -> None:
    perfect = TRAINED.replace(impairment="none")
    assert same_hardware(perfect, TRAINED.replace(spacing_std=0.0))
    assert same_hardware(perfect, perfect.replace(impairment_seed=5))
    assert check(model_driven(perfect), "model-driven", perfect.replace(impairment_seed=5)) == []
    assert not same_hardware(TRAINED, TRAINED.replace(impairment="element"))
    assert not same_hardware(TRAINED, TRAINED.replace(antennas=8))


def test_several_remarks_come_together() -> None:
    scenario = TRAINED.replace(impairment_seed=9, snr_radar_db=5, target_sector_deg=(60, 90))
    assert len(check(LEARNED, "model-driven", scenario)) == 4


@pytest.mark.parametrize(
    ("artifact", "kind", "changes", "reason"),
    [
        (LEARNED, "neural", {}, "is model-driven: a neural one is needed"),
        (NETWORKS, "model-driven", {}, "is neural: a model-driven one is needed"),
        (LEARNED, "model-driven", {"antennas": 8}, "trained with antennas 16 and does not fit antennas 8"),
        (NETWORKS, "neural", {"antennas": 8}, "give --antennas 16"),
        (LEARNED, "model-driven", {"grid_size": 500}, "give --grid-size 156"),
        (NETWORKS, "neural", {"order": 16}, "trained with order 4 and does not fit order 16"),
    ],
)
def test_what_does_not_fit_is_refused(artifact: Any, kind: Any, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=re.escape(reason)):
        check(artifact, kind, TRAINED.replace(**changes))


def test_sizes_that_do_not_matter_are_not_compared() -> None:
    assert check(LEARNED, "model-driven", TRAINED.replace(order=16)) == []
    assert check(NETWORKS, "neural", TRAINED.replace(grid_size=500)) == []


def test_a_receiver_of_recordings_knows_the_sectors_that_were_recorded() -> None:
    training = {key: value for key, value in TRAINING.items() if not key.startswith("sector_")}
    sectors = [[-40.0, -20.0], [20.0, 40.0]]
    artifact = replace(model_driven(TRAINED), training={**training, "recorded_sectors_deg": sectors})
    for sector in ((-40, -20), (20, 40)):
        assert check(artifact, "model-driven", TRAINED.replace(target_sector_deg=sector)) == []
    (warning,) = check(artifact, "model-driven", TRAINED.replace(target_sector_deg=(-10, 10)))
    assert "on echoes of other sectors than the target_sector -10° … 10°" in warning
