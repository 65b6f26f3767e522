"""Converters of the IIO daemon by themselves: twelve bits, and an engine that is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from tests.blocks.radio.iio_loop import Loopback
from tests.hil.frontend.iio_converters import Converters, decode, encode


class Wrong(Loopback):
    """An engine that gives a channel too few."""

    def process(self, samples: np.ndarray) -> np.ndarray:
        """From (tx, n) to (rx - 1, n)."""
        return super().process(samples)[1:]


def test_levels_are_rounded_to_twelve_bits_and_clipped() -> None:
    levels = np.array([[0.5, 3 / 4096 + 1e-6, 2 - 2j, complex(np.nan, np.inf)]], np.complex64)
    assert encode(levels).tolist() == [[1024, 0], [2, 0], [2047, -2047], [0, 2047]]
    np.testing.assert_array_equal(decode(np.array([[1024 << 4, -16]], "<i2")), [[0.5 - 1j / 2048]])


def test_an_engine_that_gives_another_shape_is_an_error() -> None:
    converters = Converters(Wrong(2, 2), 1, 100, 1, 0.0)
    with pytest.raises(ValueError, match="the engine gave"):
        converters.read(0, 10)
