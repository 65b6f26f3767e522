"""The QAM encoder."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import QamEncoder
from isac_models.constellation import Constellation
from isac_models.scenario import Scenario


@pytest.mark.parametrize("order", [4, 16, 64, 256])
def test_every_message_becomes_its_point(order: int) -> None:
    encoder = QamEncoder(Scenario(order=order))
    message = np.arange(order, dtype=np.uint8)
    symbol = encoder.work(message)["symbol"]
    assert symbol.dtype == np.complex64
    assert np.array_equal(symbol, Constellation(order).points)
    assert np.mean(np.abs(symbol) ** 2) == pytest.approx(1, rel=1e-6)
