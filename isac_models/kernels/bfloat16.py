"""bfloat16 between the matrix products of wide networks: the upper half of a float32, held as uint16.

Arrays are (features, n), n a multiple of LANES. Conversions round to the nearest, ties to the even one; NaN
is not minded. All arithmetic is that of float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, uint16, uint32

from isac_models.kernels.compiling import FLOAT, inlined, kernel, readable, types, writable

LANES = 64
"""Partial sums of a row, so that no addition waits for the one before."""
HALF, HALVES, HALVES_OUT = types.uint16, readable(types.uint16, 2), writable(types.uint16, 2)
SINGLES, SINGLES_OUT = readable(FLOAT, 2), writable(FLOAT, 2)
VECTOR, VECTOR_OUT = readable(FLOAT, 1), writable(FLOAT, 1)


@inlined
def rounded(x: Any) -> Any:
    """The bfloat16 nearest to a float32."""
    bits = np.float32(x).view(np.uint32)
    odd = uint32(uint32(bits >> uint32(16)) & uint32(1))
    return uint16(uint32(bits + uint32(0x7FFF) + odd) >> uint32(16))


@inlined
def widened(h: Any) -> Any:
    """The float32 that a bfloat16 is."""
    return np.uint32(uint32(h) << uint32(16)).view(np.float32)


@kernel(HALVES_OUT, SINGLES)
def narrow(out: Any, values: Any) -> None:
    """float32 to bfloat16."""
    for j in range(values.shape[0]):
        o, v = out[j], values[j]
        for i in range(v.shape[0]):
            o[i] = rounded(v[i])


@kernel(SINGLES_OUT, HALVES)
def add(total: Any, values: Any) -> None:
    """total += values, float32 and bfloat16."""
    for j in range(values.shape[0]):
        t, v = total[j], values[j]
        for i in range(v.shape[0]):
            t[i] += widened(v[i])


@kernel(HALVES_OUT, SINGLES, VECTOR)
def enter(out: Any, values: Any, bias: Any) -> None:
    """ReLU(values + bias (m,)), float32 to bfloat16."""
    for j in range(values.shape[0]):
        o, v, b = out[j], values[j], bias[j]
        for i in range(v.shape[0]):
            o[i] = rounded(max(v[i] + b, float32(0)))


@kernel(HALVES_OUT, VECTOR)
def activate(values: Any, bias: Any) -> None:
    """ReLU(values + bias (m,)), bfloat16, in place."""
    for j in range(values.shape[0]):
        v, b = values[j], bias[j]
        for i in range(v.shape[0]):
            v[i] = rounded(max(widened(v[i]) + b, float32(0)))


@kernel(SINGLES_OUT, HALVES, VECTOR)
def leave(out: Any, values: Any, bias: Any) -> None:
    """values + bias (m,), bfloat16 to float32."""
    for j in range(values.shape[0]):
        o, v, b = out[j], values[j], bias[j]
        for i in range(v.shape[0]):
            o[i] = widened(v[i]) + b


@kernel(SINGLES_OUT, HALVES, SINGLES, VECTOR)
def weigh(out: Any, values: Any, weight: Any, bias: Any) -> None:
    """out (1, n) = weight (1, m) values (m, n) + bias (1,) of a layer with one output."""
    total = out[0]
    total[:] = bias[0]
    for j in range(values.shape[0]):
        v, w = values[j], weight[0, j]
        for i in range(v.shape[0]):
            total[i] += w * widened(v[i])


@kernel(SINGLES_OUT, HALVES_OUT, SINGLES, HALVES, SINGLES)
def weigh_back(slope: Any, out: Any, error: Any, values: Any, weight: Any) -> None:
    """The way back through `weigh`: slope (1, m) += error (1, n) valuesᵀ, out (m, n) = weightᵀ error."""
    e = error[0]
    sums = np.zeros(LANES, np.float32)
    for j in range(values.shape[0]):
        o, v, w = out[j], values[j], weight[0, j]
        sums[:] = float32(0)
        for first in range(0, e.shape[0], LANES):
            part, errors, back = v[first : first + LANES], e[first : first + LANES], o[first : first + LANES]
            for b in range(LANES):
                sums[b] += errors[b] * widened(part[b])
                back[b] = rounded(w * errors[b])
        slope[0, j] += sums.sum()


@kernel(VECTOR_OUT, HALVES_OUT, HALVES)
def slope(gradient: Any, error: Any, values: Any) -> None:
    """dJ/d(before ReLU) from dJ/d(values), both (m, n), in place; its sums are added to gradient (m,)."""
    sums = np.zeros(LANES, np.float32)
    for j in range(error.shape[0]):
        e, v = error[j], values[j]
        sums[:] = float32(0)
        for first in range(0, e.shape[0], LANES):
            part, value = e[first : first + LANES], v[first : first + LANES]
            for b in range(LANES):
                kept = part[b] if value[b] != uint16(0) else uint16(0)  # ReLU gives +0, whose bits are 0
                part[b] = kept
                sums[b] += widened(kept)
        gradient[j] += sums.sum()


@kernel(VECTOR_OUT, SINGLES)
def bias_slope(gradient: Any, error: Any) -> None:
    """gradient (m,) += sums of error (m, n) over the snapshots."""
    sums = np.zeros(LANES, np.float32)
    for j in range(error.shape[0]):
        e = error[j]
        sums[:] = float32(0)
        for first in range(0, e.shape[0], LANES):
            part = e[first : first + LANES]
            for b in range(LANES):
                sums[b] += part[b]
        gradient[j] += sums.sum()


@kernel(SINGLES_OUT, HALVES)
def widen(out: Any, values: Any) -> None:
    """bfloat16 to float32."""
    for j in range(values.shape[0]):
        o, v = out[j], values[j]
        for i in range(v.shape[0]):
            o[i] = widened(v[i])
