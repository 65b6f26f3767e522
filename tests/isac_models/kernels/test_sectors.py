"""Sectors of training snapshots, bit for bit those of the plain form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isac_models.draws import SnapshotRandom
from isac_models.grid import TOLERANCE
from isac_models.kernels import sectors
from isac_models.learning.sensing_batch import window


@pytest.mark.parametrize("grid_size", [17, 156, 500])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_windows_and_angles_are_those_of_the_plain_form(grid_size: int, dtype: Any) -> None:
    random, count = SnapshotRandom(3, "test"), 5000
    centre = random.uniform(0, 0, count, -1.4, 1.4)
    width = random.uniform(1, 0, count, 0.0, 0.4)  # with sectors between two points, and beyond the ends
    width[:10] = 0
    place = random.uniform(2, 0, count, -1.0, 1.0)
    low, high = np.empty((2, count), np.int32)
    angle = np.empty(count, dtype)
    kernel = sectors.sectors_32 if dtype == np.float32 else sectors.sectors_64
    kernel(low, high, angle, centre, width, place, grid_size, TOLERANCE)

    middle, half = centre.astype(np.float64), width.astype(np.float64) / 2
    expected = window(grid_size, middle - half, middle + half)
    np.testing.assert_array_equal(low, expected[0])
    np.testing.assert_array_equal(high, expected[1])
    assert (high > low).mean() > 0.99
    np.testing.assert_array_equal(angle, (middle + half * place).astype(dtype))
