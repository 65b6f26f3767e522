"""Sector-limited matched filter, eqs. (7) and (8), and the softmax angle (13).

A tile of snapshots is handled together, so that every steering value loaded from memory serves all of them;
the last tile is filled up with silent snapshots, so that all snapshots run through the same instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int32

from isac_models.kernels.compiling import FLOAT, REASSOCIATE, inlined, kernel, readable, types, writable

LANES = 16
"""Grid columns are handled in groups of this many, padded with zeros."""


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
def correlate(real: Any, imaginary: Any, row: Any, column_real: Any, column_imaginary: Any) -> None:
    """aᴴy of every column for one snapshot y of interleaved elements; columns (K, G) split."""
    columns = real.shape[0]
    elements = row.shape[0] // 2
    for g in range(columns):
        real[g] = float32(0)
        imaginary[g] = float32(0)
    whole = elements // 4 * 4
    for k in range(0, whole, 4):
        r0, i0 = row[2 * k], row[2 * k + 1]
        r1, i1 = row[2 * k + 2], row[2 * k + 3]
        r2, i2 = row[2 * k + 4], row[2 * k + 5]
        r3, i3 = row[2 * k + 6], row[2 * k + 7]
        for g in range(columns):
            re = real[g]
            im = imaginary[g]
            re += column_real[k, g] * r0 + column_imaginary[k, g] * i0
            im += column_real[k, g] * i0 - column_imaginary[k, g] * r0
            re += column_real[k + 1, g] * r1 + column_imaginary[k + 1, g] * i1
            im += column_real[k + 1, g] * i1 - column_imaginary[k + 1, g] * r1
            re += column_real[k + 2, g] * r2 + column_imaginary[k + 2, g] * i2
            im += column_real[k + 2, g] * i2 - column_imaginary[k + 2, g] * r2
            re += column_real[k + 3, g] * r3 + column_imaginary[k + 3, g] * i3
            im += column_real[k + 3, g] * i3 - column_imaginary[k + 3, g] * r3
            real[g] = re
            imaginary[g] = im
    for k in range(whole, elements):
        r0, i0 = row[2 * k], row[2 * k + 1]
        for g in range(columns):
            real[g] += column_real[k, g] * r0 + column_imaginary[k, g] * i0
            imaginary[g] += column_real[k, g] * i0 - column_imaginary[k, g] * r0


@kernel(
    writable(FLOAT, 1), writable(types.int32, 1), readable(FLOAT, 2), readable(FLOAT, 2), readable(FLOAT, 2)
)
def maximum(power: Any, index: Any, echo: Any, column_real: Any, column_imaginary: Any) -> None:
    """Largest |aᴴy|² and the first column where it occurs: echo (n, 2K); columns (K, G); results (n,)."""
    columns = column_real.shape[1]
    real = np.empty(columns, np.float32)
    imaginary = np.empty(columns, np.float32)
    level = np.empty(columns, np.int32)
    for i in range(echo.shape[0]):
        correlate(real, imaginary, echo[i], column_real, column_imaginary)
        # Bit patterns of floats ≥ 0 are ordered like the floats, and integer maxima run in vector lanes.
        best = int32(-2147483648)
        for g in range(columns):
            level[g] = np.float32(real[g] * real[g] + imaginary[g] * imaginary[g]).view(np.int32)
            best = max(best, level[g])
        where = int32(columns)
        for g in range(columns):
            where = min(where, int32(g) if level[g] == best else int32(columns))
        power[i] = np.int32(best).view(np.float32)
        index[i] = where


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
    math=REASSOCIATE,
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

    echo (n, 2K); columns (K, G), padded; angles (sector,); results (n,). The grid points outside the sector
    enter with exponent 0: `outside` is their number, `outside_sum` the sum of their angles.
    """
    columns = column_real.shape[1]
    sector = angles.shape[0]
    real = np.empty(columns, np.float32)
    imaginary = np.empty(columns, np.float32)
    level = np.empty(columns, np.int32)
    for i in range(echo.shape[0]):
        correlate(real, imaginary, echo[i], column_real, column_imaginary)
        best = int32(-2147483648)
        for g in range(columns):
            level[g] = np.float32(real[g] * real[g] + imaginary[g] * imaginary[g]).view(np.int32)
            best = max(best, level[g])
        largest = np.int32(best).view(np.float32)
        amplitude = np.sqrt(largest)
        total = outside * exponential(-amplitude)
        moment = outside_sum * exponential(-amplitude)
        for g in range(sector):
            weight = exponential(np.sqrt(np.int32(level[g]).view(np.float32)) - amplitude)
            total += weight
            moment += weight * angles[g]
        power[i] = largest
        angle[i] = moment / total
