"""The detector of the neural baseline."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import NeuralDetector
from isac_models.artifact import ArtifactWarning
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven, neural

SCENARIO = Scenario.preset("limited")
TRAINED = neural(SCENARIO)


def echoes(count: int) -> np.ndarray:
    """CN(0, 1), (count, 16)."""
    random = np.random.default_rng(4)
    return random.standard_normal((count, 32), np.float32).view(np.complex64) * np.float32(np.sqrt(0.5))


def test_decision_and_angle_are_the_networks() -> None:
    detector = NeuralDetector(SCENARIO, 1.0, TRAINED)
    echo = echoes(400)
    found = detector.work(echo)
    given = np.hstack([echo.real, echo.imag, np.tile(SCENARIO.target_sector, (400, 1))]).astype(np.float64)
    for name, key in (("presence", "statistic"), ("angle", "estimated_angle")):
        values = given.T
        for layer in range(4):
            weight, bias = (TRAINED.tensors[f"{name}.{layer}.{part}"][1] for part in ("weight", "bias"))
            values = weight.astype(np.float64) @ values + bias[:, None]
            values = np.maximum(values, 0) if layer < 3 else values
        expected = values[0] if name == "presence" else np.pi / 2 * np.tanh(values[0])
        np.testing.assert_allclose(found[key], expected, rtol=2e-5, atol=2e-6)
    np.testing.assert_array_equal(found["detected"], found["statistic"] > detector.threshold.amplitude)
    dtypes = [found[key].dtype for key in ("detected", "estimated_angle", "statistic")]
    assert dtypes == [bool, np.float32, np.float32]
    assert detector.estimator == "network"
    assert detector.parameters == {"rho": 1.0, "artifact": TRAINED.sha256}


def test_noise_alone_is_detected_as_rarely_as_asked() -> None:
    share = NeuralDetector(SCENARIO, 1.0, TRAINED).work(echoes(100_000))["detected"].mean()
    assert abs(share - 0.01) < 5 * np.sqrt(0.01 / 100_000)


def test_what_does_not_fit_warns_or_is_refused() -> None:
    with pytest.warns(ArtifactWarning, match="radar SNR"):
        NeuralDetector(SCENARIO.replace(snr_radar_db=6), 1.0, TRAINED)
    for scenario, artifact, rho, reason in (
        (SCENARIO.replace(antennas=8), TRAINED, 1.0, "--antennas 16"),
        (SCENARIO, model_driven(SCENARIO), 1.0, "is model-driven"),
        (SCENARIO, TRAINED, 0.5, "trained for ω_r 0, 1: choose"),
        (SCENARIO.replace(false_alarm=1e-8), TRAINED, 1.0, "false_alarm"),
    ):
        with pytest.raises(UserError, match=reason):
            NeuralDetector(scenario, rho, artifact)
