"""The converters: quantisation and clipping."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

NOISE_BELOW_FULL_SCALE = 512
"""At a gain of 0 dB noise of power N0 has a standard deviation of 1/512 of full scale: 4 LSB of 12 bits."""


def convert(values: NDArray[Any], bits: int) -> int:
    """Round float32 `values` in place to codes -2^(b-1) … 2^(b-1)-1 over 2^(b-1); returns how many clipped.

    `bits` 0 leaves them as they are.
    """
    if not bits or not values.size:
        return 0
    scale = np.float32(2 ** (bits - 1))
    values *= scale
    np.rint(values, out=values)
    clipped = 0
    if values.max() > scale - 1 or values.min() < -scale:
        clipped = int(np.count_nonzero((values > scale - 1) | (values < -scale)))
        np.clip(values, -scale, scale - 1, out=values)
    values *= 1 / scale
    return clipped
