"""Pulse shaping and matched filtering of many channels at once.

Complex arrays come as float32 with real and imaginary part side by side, a sample of all channels after the
other: (L, 2C). The channels lie in the vector lanes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32

from isac_models.kernels import lanes as vectors
from isac_models.kernels.compiling import FLOAT, kernel, readable, types, writable
from isac_models.kernels.lanes import WIDTH, fma, load_row, splat, store_row

_FILTER = (writable(FLOAT, 2), readable(FLOAT, 2), readable(FLOAT, 1), types.int64, types.int64)


@kernel(*_FILTER)
def matched_filter(out: Any, samples: Any, taps: Any, first: Any, step: Any) -> None:
    """out[k] = Σ_j taps[j] samples[first + k step + j]; samples outside count as zero.

    The samples are sorted by their place modulo the step, so that the outputs lie in the vector lanes.
    """
    length, width = samples.shape
    count = out.shape[0]
    size = count + taps.shape[0] // step + 1
    phase = np.empty((step, size), np.float32)
    total = np.empty(count, np.float32)
    for c in range(width):
        for p in range(step):
            for i in range(size):
                at = first + p + i * step
                phase[p, i] = samples[at, c] if 0 <= at < length else float32(0)
        for k in range(count):
            total[k] = 0
        for j in range(taps.shape[0]):
            tap = taps[j]
            late = phase[j % step, j // step : j // step + count]
            for k in range(count):
                total[k] += tap * late[k]
        for k in range(count):
            out[k, c] = total[k]


def _matched_filter_wide(out: Any, samples: Any, taps: Any, first: Any, step: Any) -> None:
    """As `matched_filter` for a multiple of 8 channels, a sum in a register."""
    length, width = samples.shape
    for k in range(out.shape[0]):
        begin = first + k * step
        for c in range(0, width, WIDTH):
            total = splat(float32(0))
            for j in range(max(0, -begin), min(taps.shape[0], length - begin)):
                total = fma(splat(taps[j]), load_row(samples, begin + j, c), total)
            store_row(out, k, c, total)


matched_filter_wide = kernel(*_FILTER, uses=vectors)(_matched_filter_wide)


@kernel(writable(FLOAT, 2), readable(FLOAT, 2), readable(FLOAT, 1), types.int64)
def shape(out: Any, symbols: Any, taps: Any, step: Any) -> None:
    """out[n] = Σ_k symbols[k] taps[n - k step]; out is ((S - 1) step + T, 2C)."""
    lanes = symbols.shape[1]
    for n in range(out.shape[0]):
        for c in range(lanes):
            out[n, c] = 0
    for k in range(symbols.shape[0]):
        for j in range(taps.shape[0]):
            tap = taps[j]
            for c in range(lanes):
                out[k * step + j, c] += tap * symbols[k, c]


@kernel(writable(FLOAT, 1), types.float64, types.float64, types.float64, types.float64)
def root_raised_cosine(taps: Any, shift: Any, step: Any, rolloff: Any, norm: Any) -> None:
    """taps[n] = norm · g((n - delay + shift) / step), delay the middle tap: see RootRaisedCosine.taps."""
    delay = (taps.shape[0] - 1) // 2
    b = rolloff
    for n in range(taps.shape[0]):
        t = (n - delay + shift) / step
        if abs(t) < 1e-9:
            g = 1 - b + 4 * b / np.pi
        elif abs(abs(t) - 1 / (4 * b)) < 1e-9:
            angle = np.pi / 4 / b
            g = b / np.sqrt(2.0) * ((1 + 2 / np.pi) * np.sin(angle) + (1 - 2 / np.pi) * np.cos(angle))
        else:
            turn = np.pi * t
            wave = np.sin(turn * (1 - b)) + 4 * b * t * np.cos(turn * (1 + b))
            g = wave / (turn * (1 - (4 * b * t) ** 2))
        taps[n] = norm * g
