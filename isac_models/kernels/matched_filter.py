"""Sector-limited matched filter, eqs. (7) and (8), and the softmax angle (13).

Snapshots lie in the vector lanes: a tile of them is transposed once, then every steering value serves the
whole tile. The last tile is filled up with silence, so that all snapshots run through the same instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int32

from isac_models.kernels.compiling import FLOAT, inlined, kernel, readable, types, writable

TILE = 128
"""Snapshots of a tile. Their correlations with one column stay in the first-level cache."""
UNROLL = 4
"""Elements taken in one pass over a tile; the steering vectors are padded to a multiple with zeros."""

# Cephes expf on [-½ ln 2, ½ ln 2], and ln 2 in two parts.
EXP_0 = np.float32(1.9875691500e-4)
EXP_1 = np.float32(1.3981999507e-3)
EXP_2 = np.float32(8.3334519073e-3)
EXP_3 = np.float32(4.1665795894e-2)
EXP_4 = np.float32(1.6666665459e-1)
EXP_5 = np.float32(5.0000001201e-1)
LOG2_E = np.float32(1.44269504088896341)
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)
EXP_LOWEST = np.float32(-87.0)


@inlined
def load(tile: Any, echo: Any, first: Any) -> Any:
    """Transpose the snapshots from number `first` on into a tile; returns how many there were."""
    count = min(TILE, echo.shape[0] - first)
    for b in range(count):
        for j in range(echo.shape[1]):
            tile[j, b] = echo[first + b, j]
    return count


@inlined
def correlate(real: Any, imaginary: Any, tile: Any, column_real: Any, column_imaginary: Any, g: Any) -> None:
    """aᴴy of column g for every snapshot y of a tile."""
    for b in range(TILE):
        real[b] = float32(0)
        imaginary[b] = float32(0)
    for k in range(0, column_real.shape[0], UNROLL):
        r0, i0 = column_real[k, g], column_imaginary[k, g]
        r1, i1 = column_real[k + 1, g], column_imaginary[k + 1, g]
        r2, i2 = column_real[k + 2, g], column_imaginary[k + 2, g]
        r3, i3 = column_real[k + 3, g], column_imaginary[k + 3, g]
        for b in range(TILE):
            re = real[b]
            im = imaginary[b]
            re += r0 * tile[2 * k, b]
            im += r0 * tile[2 * k + 1, b]
            re += i0 * tile[2 * k + 1, b]
            im -= i0 * tile[2 * k, b]
            re += r1 * tile[2 * k + 2, b]
            im += r1 * tile[2 * k + 3, b]
            re += i1 * tile[2 * k + 3, b]
            im -= i1 * tile[2 * k + 2, b]
            re += r2 * tile[2 * k + 4, b]
            im += r2 * tile[2 * k + 5, b]
            re += i2 * tile[2 * k + 5, b]
            im -= i2 * tile[2 * k + 4, b]
            re += r3 * tile[2 * k + 6, b]
            im += r3 * tile[2 * k + 7, b]
            re += i3 * tile[2 * k + 7, b]
            im -= i3 * tile[2 * k + 6, b]
            real[b] = re
            imaginary[b] = im


@kernel(
    writable(FLOAT, 1), writable(types.int32, 1), readable(FLOAT, 2), readable(FLOAT, 2), readable(FLOAT, 2)
)
def maximum(power: Any, index: Any, echo: Any, column_real: Any, column_imaginary: Any) -> None:
    """Largest |aᴴy|² and the first column where it occurs.

    echo (n, 2K); columns (K padded, G); results (n,).
    """
    tile = np.zeros((2 * column_real.shape[0], TILE), np.float32)
    real = np.empty(TILE, np.float32)
    imaginary = np.empty(TILE, np.float32)
    best = np.empty(TILE, np.float32)
    where = np.empty(TILE, np.int32)
    for first in range(0, echo.shape[0], TILE):
        count = load(tile, echo, first)
        for b in range(TILE):
            best[b] = float32(-1)
            where[b] = int32(0)
        for g in range(column_real.shape[1]):
            correlate(real, imaginary, tile, column_real, column_imaginary, g)
            for b in range(TILE):
                level = real[b] * real[b] + imaginary[b] * imaginary[b]
                better = not level <= best[b]  # NaN wins, so that it shows
                best[b] = level if better else best[b]
                where[b] = int32(g) if better else where[b]
        for b in range(count):
            power[first + b] = best[b]
            index[first + b] = where[b]


@kernel(
    writable(FLOAT, 1), readable(types.int32, 1), readable(FLOAT, 2), readable(FLOAT, 2), readable(FLOAT, 2)
)
def interpolate(place: Any, index: Any, echo: Any, column_real: Any, column_imaginary: Any) -> None:
    """Vertex of the parabola through |aᴴy|² around column `index`, in columns; at most half a one from it.

    Three neighbouring columns around the largest, or the outermost three where that is at an end.
    """
    last = column_real.shape[1] - 1
    for i in range(echo.shape[0]):
        best = index[i]
        place[i] = float32(best)
        if last < 2:
            continue
        middle = min(max(best, 1), last - 1)
        r0 = float32(0)
        r1 = float32(0)
        r2 = float32(0)
        m0 = float32(0)
        m1 = float32(0)
        m2 = float32(0)
        for k in range(echo.shape[1] // 2):
            a = echo[i, 2 * k]
            b = echo[i, 2 * k + 1]
            r0 += column_real[k, middle - 1] * a + column_imaginary[k, middle - 1] * b
            m0 += column_real[k, middle - 1] * b - column_imaginary[k, middle - 1] * a
            r1 += column_real[k, middle] * a + column_imaginary[k, middle] * b
            m1 += column_real[k, middle] * b - column_imaginary[k, middle] * a
            r2 += column_real[k, middle + 1] * a + column_imaginary[k, middle + 1] * b
            m2 += column_real[k, middle + 1] * b - column_imaginary[k, middle + 1] * a
        left = r0 * r0 + m0 * m0
        centre = r1 * r1 + m1 * m1
        right = r2 * r2 + m2 * m2
        bend = left - centre + right - centre
        if bend < float32(0):
            vertex = float32(middle) + float32(0.5) * (left - right) / bend
            nearest = min(max(vertex, float32(best) - float32(0.5)), float32(best) + float32(0.5))
            place[i] = min(max(nearest, float32(0)), float32(last))


@inlined
def exponential(x: Any) -> Any:
    """eˣ for x ≤ 0, Cephes expf; 0 below the smallest normal number."""
    n = np.floor(x * LOG2_E + float32(0.5))
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = EXP_0
    p = p * r + EXP_1
    p = p * r + EXP_2
    p = p * r + EXP_3
    p = p * r + EXP_4
    p = p * r + EXP_5
    p = p * r * r + r + float32(1)
    power = np.int32(int32(int32(n) + int32(127)) << int32(23)).view(np.float32)
    return p * power if x > EXP_LOWEST else float32(0)


@kernel(
    writable(FLOAT, 1),
    writable(FLOAT, 1),
    readable(FLOAT, 2),
    readable(FLOAT, 2),
    readable(FLOAT, 2),
    readable(FLOAT, 1),
    FLOAT,
    FLOAT,
)
def softmax_mean(
    power: Any,
    angle: Any,
    echo: Any,
    column_real: Any,
    column_imaginary: Any,
    angles: Any,
    outside: Any,
    outside_sum: Any,
) -> None:
    """Largest |aᴴy|² and the softmax mean of the angle (13).

    echo (n, 2K); columns (K padded, G); angles (G,); results (n,). The grid points outside the sector enter
    with exponent 0: `outside` is their number, `outside_sum` the sum of their angles.
    """
    columns = column_real.shape[1]
    tile = np.zeros((2 * column_real.shape[0], TILE), np.float32)
    real = np.empty(TILE, np.float32)
    imaginary = np.empty(TILE, np.float32)
    amplitude = np.empty((columns, TILE), np.float32)
    best = np.empty(TILE, np.float32)
    total = np.empty(TILE, np.float32)
    moment = np.empty(TILE, np.float32)
    for first in range(0, echo.shape[0], TILE):
        count = load(tile, echo, first)
        for b in range(TILE):
            best[b] = float32(0)
        for g in range(columns):
            correlate(real, imaginary, tile, column_real, column_imaginary, g)
            for b in range(TILE):
                size = np.sqrt(real[b] * real[b] + imaginary[b] * imaginary[b])
                amplitude[g, b] = size
                larger = not size <= best[b]
                best[b] = size if larger else best[b]
        for b in range(TILE):
            weight = exponential(-best[b])
            total[b] = outside * weight
            moment[b] = outside_sum * weight
        for g in range(columns):
            theta = angles[g]
            for b in range(TILE):
                weight = exponential(amplitude[g, b] - best[b])
                total[b] += weight
                moment[b] += weight * theta
        for b in range(count):
            power[first + b] = best[b] * best[b]
            angle[first + b] = moment[b] / total[b]
