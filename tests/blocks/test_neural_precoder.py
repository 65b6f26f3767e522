"""The precoder of the neural baseline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blocks import NeuralPrecoder
from isac_models import artifact as artifacts
from isac_models.artifact import ArtifactWarning, save
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven, neural

SCENARIO = Scenario.preset("limited")
TRAINED = neural(SCENARIO)


def by_hand(omega_row: int, scenario: Scenario) -> np.ndarray:
    """The beam by Table I: three layers with ReLU, a linear one, the norm √E_tx; nothing is scaled."""
    values = np.array([*scenario.target_sector, *scenario.comm_sector])
    for layer in range(4):
        weight, bias = (
            TRAINED.tensors[f"beamformer.{layer}.{part}"][omega_row] for part in ("weight", "bias")
        )
        values = weight.astype(np.float64) @ values + bias
        values = np.maximum(values, 0) if layer < 3 else values
    beam: np.ndarray = values[:16] + 1j * values[16:]
    return beam * float(np.sqrt(scenario.transmit_energy) / np.linalg.norm(values))


@pytest.mark.parametrize(("rho", "row"), [(0.0, 0), (1.0, 1)])
def test_it_sends_the_network_s_beam(rho: float, row: int) -> None:
    symbol = np.array([1, 1j, -1, 0.5 - 0.5j], np.complex64)
    scenario = SCENARIO.replace(target_sector_deg=(10.0, 22.0))
    precoder = NeuralPrecoder(scenario, rho, TRAINED)
    transmitted = precoder.work(symbol)["transmitted"]
    assert transmitted.dtype == np.complex64
    np.testing.assert_allclose(transmitted, symbol[:, None] * by_hand(row, scenario), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(precoder.beam, by_hand(row, scenario), rtol=1e-9)


def test_the_transmitted_energy_is_that_of_the_scenario() -> None:
    with pytest.warns(ArtifactWarning, match="transmit_energy"):
        precoder = NeuralPrecoder(SCENARIO.replace(transmit_energy=3.0), 1.0, TRAINED)
    transmitted = precoder.work(np.ones(1, np.complex64))["transmitted"]
    assert np.sum(np.abs(transmitted) ** 2) == pytest.approx(3, rel=1e-6)


def test_an_artifact_is_given_by_file_by_name_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path)
    save(tmp_path / "small.safetensors", TRAINED)
    for given in (tmp_path / "small.safetensors", "small", None):
        precoder = NeuralPrecoder(SCENARIO, 1.0, given)
        assert precoder.parameters == {"rho": 1.0, "artifact": TRAINED.sha256}, "all hosts must have the same"


def test_what_does_not_fit_is_refused() -> None:
    for scenario, artifact, rho, reason in (
        (SCENARIO.replace(antennas=8), TRAINED, 1.0, "--antennas 16"),
        (SCENARIO.replace(order=16), TRAINED, 1.0, "--order 4"),
        (SCENARIO, model_driven(SCENARIO), 1.0, "is model-driven"),
        (SCENARIO, TRAINED, 0.5, "trained for ω_r 0, 1: choose"),
    ):
        with pytest.raises(UserError, match=reason):
            NeuralPrecoder(scenario, rho, artifact)
