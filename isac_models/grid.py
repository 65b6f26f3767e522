"""The grid of angles that beams are designed on and detectors search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

TOLERANCE = 1e-9
"""Radians by which a grid point may miss a sector's edge and still count as inside."""


def angle_grid(grid_size: int) -> Reals:
    """Angles uniform over [-π/2, π/2], both ends included: (N,) radians."""
    return np.linspace(-np.pi / 2, np.pi / 2, grid_size)


def sector_mask(grid: Reals, sector: tuple[float, float]) -> NDArray[np.bool_]:
    """Which grid angles (N,) lie inside the sector [low, high]: (N,) bool."""
    low, high = sector
    mask: NDArray[np.bool_] = (grid >= low - TOLERANCE) & (grid <= high + TOLERANCE)
    return mask
