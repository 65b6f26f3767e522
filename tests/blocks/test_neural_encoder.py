"""The encoder of the neural baseline."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import NeuralEncoder
from isac_models.artifact import ArtifactWarning
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import neural

SCENARIO = Scenario.preset("limited").replace(order=16)
TRAINED = neural(SCENARIO)


@pytest.mark.parametrize(("rho", "row"), [(0.0, 0), (1.0, 1)])
def test_symbols_are_the_network_s_of_unit_mean_energy(rho: float, row: int) -> None:
    # By Table I: a one-hot message, three layers with ReLU, a linear one to Re s and Im s.
    values = np.eye(16)
    for layer in range(4):
        weight, bias = (TRAINED.tensors[f"encoder.{layer}.{part}"][row] for part in ("weight", "bias"))
        values = weight.astype(np.float64) @ values + bias[:, None]
        values = np.maximum(values, 0) if layer < 3 else values
    points = (values[0] + 1j * values[1]) / np.sqrt((values**2).sum() / 16)
    message = np.random.default_rng(1).integers(0, 16, 300).astype(np.uint8)
    symbol = NeuralEncoder(SCENARIO, rho, TRAINED).work(message)["symbol"]
    assert symbol.dtype == np.complex64
    np.testing.assert_allclose(symbol, points[message], rtol=1e-5, atol=1e-6)


def test_a_message_beyond_the_order_is_refused() -> None:
    with pytest.raises(UserError, match="message 16 must be below the order 16"):
        NeuralEncoder(SCENARIO, 1.0, TRAINED).work(np.array([16], np.uint8))


def test_what_does_not_fit_warns_or_is_refused() -> None:
    with pytest.warns(ArtifactWarning, match="communication SNR"):
        NeuralEncoder(SCENARIO.replace(snr_comm_db=10), 1.0, TRAINED)
    with pytest.raises(UserError, match="trained for ω_r 0, 1: choose"):
        NeuralEncoder(SCENARIO, 0.3, TRAINED)
    with pytest.raises(UserError, match="--order 16"):
        NeuralEncoder(SCENARIO.replace(order=4), 1.0, TRAINED)
