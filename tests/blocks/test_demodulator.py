"""The demodulator."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import Demodulator
from isac_models.constellation import Constellation
from isac_models.scenario import Scenario


@pytest.mark.parametrize("order", [4, 16, 64, 256])
def test_without_noise_every_message_is_recovered(order: int) -> None:
    rng = np.random.default_rng(1)
    message = rng.integers(0, order, 5000).astype(np.uint8)
    csi = (rng.normal(size=5000) + 1j * rng.normal(size=5000)).astype(np.complex64)
    received = csi * Constellation(order).points[message]
    decided = Demodulator(Scenario(order=order)).work(received, csi)["decided"]
    assert decided.dtype == np.uint8
    assert np.array_equal(decided, message)
