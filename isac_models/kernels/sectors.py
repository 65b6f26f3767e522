"""Sectors and angles of training snapshots from uniform draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from isac_models.kernels.compiling import FLOAT, kernel, readable, types, writable


def sectors(
    low: Any, high: Any, angle: Any, centre: Any, width: Any, place: Any, grid_size: Any, tolerance: Any
) -> None:
    """First grid point of each sector, the one after its last, and the target's angle in radians: (n,) each.

    centre, width in radians, place in [-1, 1): (n,). As `window` and `SimulatedBatch` have it, in double
    precision and without fused operations, so that every form of the training sees the same bits.
    """
    quarter = np.pi / 2
    step = np.pi / (grid_size - 1)
    last = np.float64(grid_size)
    for i in range(low.shape[0]):
        middle = np.float64(centre[i])
        half = np.float64(width[i]) / 2
        begin = middle - half
        end = middle + half
        first = np.ceil((begin - tolerance + quarter) / step)
        after = np.floor((end + tolerance + quarter) / step) + 1
        if after <= first:
            first = np.rint(((begin + end) / 2 + quarter) / step)
            after = first + 1
        low[i] = np.int32(min(max(first, 0.0), last))
        high[i] = np.int32(min(max(after, 0.0), last))
        angle[i] = middle + half * np.float64(place[i])


_DRAWS = (readable(FLOAT, 1),) * 3
_INDICES = (writable(types.int32, 1),) * 2
_MORE = (types.int64, types.float64)
sectors_32 = kernel(*_INDICES, writable(types.float32, 1), *_DRAWS, *_MORE, label="_32", fused=False)(sectors)
sectors_64 = kernel(*_INDICES, writable(types.float64, 1), *_DRAWS, *_MORE, label="_64", fused=False)(sectors)
