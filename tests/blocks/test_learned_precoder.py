"""The precoder with a learned array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blocks import LearnedPrecoder, Precoder
from isac_models import artifact as artifacts
from isac_models.artifact import ArtifactWarning, save
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven, neural

SCENARIO = Scenario.preset("limited")
TRUTH = model_driven(SCENARIO)


def test_who_learned_the_true_array_sends_as_who_knows_it() -> None:
    symbol = np.array([1, 1j, -1, 0.5 - 0.5j], np.complex64)
    learned = LearnedPrecoder(SCENARIO, rho=0.3, phi=1.0, artifact=TRUTH)
    known = Precoder(SCENARIO, rho=0.3, phi=1.0, known_array=True)
    np.testing.assert_array_equal(learned.work(symbol)["transmitted"], known.work(symbol)["transmitted"])
    assert learned.work(symbol)["transmitted"].dtype == np.complex64


def test_the_transmitted_energy_is_that_of_the_scenario() -> None:
    random = np.random.default_rng(3)
    matrix = TRUTH.dictionary + random.standard_normal(TRUTH.dictionary.shape)
    scenario = SCENARIO.replace(transmit_energy=3.0)
    precoder = LearnedPrecoder(scenario, artifact=model_driven(scenario, matrix))
    transmitted = precoder.work(np.ones(1, np.complex64))["transmitted"]
    assert np.sum(np.abs(transmitted) ** 2) == pytest.approx(3, rel=1e-6)


def test_an_artifact_is_given_by_file_by_name_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path)
    save(tmp_path / "small.safetensors", TRUTH)
    for given in (tmp_path / "small.safetensors", "small", None):
        precoder = LearnedPrecoder(SCENARIO, artifact=given)
        assert precoder.artifact.sha256 == TRUTH.sha256
        assert precoder.parameters["artifact"] == TRUTH.sha256, "all hosts must have the same"


def test_use_outside_the_training_warns() -> None:
    with pytest.warns(ArtifactWarning, match="impairment_seed 1, not 2"):
        LearnedPrecoder(SCENARIO.replace(impairment_seed=2), artifact=TRUTH)


def test_what_does_not_fit_is_refused() -> None:
    for scenario, artifact, rho, reason in (
        (SCENARIO.replace(antennas=8), TRUTH, 0.5, "--antennas 16"),
        (SCENARIO.replace(grid_size=500), TRUTH, 0.5, "--grid-size 156"),
        (SCENARIO, neural(SCENARIO), 0.5, "is neural"),
        (SCENARIO, TRUTH, 1.5, "rho"),
    ):
        with pytest.raises(UserError, match=reason):
            LearnedPrecoder(scenario, rho=rho, artifact=artifact)
