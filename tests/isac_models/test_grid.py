"""The angle grid and sectors on it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isac_models.grid import angle_grid, sector_mask


@pytest.mark.parametrize("grid_size", [2, 3, 156, 500])
def test_the_grid_is_uniform_with_both_ends(grid_size: int) -> None:
    grid = angle_grid(grid_size)
    assert grid.shape == (grid_size,)
    assert (grid[0], grid[-1]) == (-np.pi / 2, np.pi / 2)
    np.testing.assert_allclose(np.diff(grid), np.pi / (grid_size - 1), rtol=1e-11)
    np.testing.assert_allclose(grid, -grid[::-1], atol=1e-15)


def test_sectors_include_their_edges() -> None:
    grid = angle_grid(181)  # one point a degree
    mask = sector_mask(grid, (math.radians(-40), math.radians(-20)))
    np.testing.assert_array_equal(np.flatnonzero(mask), np.arange(50, 71))
    assert sector_mask(grid, (math.radians(33), math.radians(33))).sum() == 1
