"""Following a preamble on many channels: samples made level, the place looked for, delay and carrier scored.

Rows (L, 2C) float32 hold the channels of a sample after one another, real and imaginary part side by side, so
that the channels lie in the vector lanes. What is summed over channels is in double precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isac_models.kernels.compiling import FLOAT, inlined, kernel, readable, types, writable

DOUBLE = types.float64
BLOCK = 16
"""Samples of which the periodogram takes the sum."""


@kernel(writable(FLOAT, 2), writable(DOUBLE, 1), readable(FLOAT, 2), types.int64)
def level(rows: Any, power: Any, window: Any, low: Any) -> None:
    """rows[n, c] = window[c, low + n] / √power[c], power its mean square in rows: window (C, 2W)."""
    length = rows.shape[0]
    for c in range(window.shape[0]):
        total = 0.0
        for n in range(2 * low, 2 * (low + length)):
            total += np.float64(window[c, n] * window[c, n])
        power[c] = total / length
        scale = np.float32(1 / np.sqrt(power[c])) if power[c] > 0 else np.float32(1)
        for n in range(length):
            rows[n, 2 * c] = scale * window[c, 2 * (low + n)]
            rows[n, 2 * c + 1] = scale * window[c, 2 * (low + n) + 1]


@kernel(writable(FLOAT, 2), writable(DOUBLE, 1), readable(FLOAT, 2), types.int64)
def level_rows(rows: Any, power: Any, window: Any, low: Any) -> None:
    """As `level` for a window whose channels lie side by side: (W, 2C)."""
    length, lanes = rows.shape
    total = np.zeros(lanes)
    for n in range(length):
        for c in range(lanes):
            total[c] += np.float64(window[low + n, c] * window[low + n, c])
    scale = np.empty(lanes, np.float32)
    for c in range(power.shape[0]):
        power[c] = (total[2 * c] + total[2 * c + 1]) / length
        scale[2 * c] = np.float32(1 / np.sqrt(power[c])) if power[c] > 0 else np.float32(1)
        scale[2 * c + 1] = scale[2 * c]
    for n in range(length):
        for c in range(lanes):
            rows[n, c] = scale[c] * window[low + n, c]


@inlined
def times(a: Any, b: Any, c: Any, d: Any) -> Any:
    """(a + jb)(c + jd)."""
    return a * c - b * d, a * d + b * c


@kernel(writable(DOUBLE, 1), readable(FLOAT, 2), types.int64, types.int64, readable(FLOAT, 2), DOUBLE)
def look(found: Any, rows: Any, first: Any, places: Any, column: Any, cfo: Any) -> None:
    """found: at which of the places first, first + 1, … column (N, 2) fits best, and the metric Λ there.

    Λ = -(N - 1) Σ_c ln(1 - T_c), T_c the share of a channel's energy that lies along the column.
    """
    length, lanes = column.shape[0], rows.shape[1]
    wave = np.empty((length, 2), np.float32)
    step_x, step_y = np.cos(2 * np.pi * cfo), -np.sin(2 * np.pi * cfo)
    x, y = 1.0, 0.0
    for n in range(length):
        wave[n, 0], wave[n, 1] = times(np.float64(column[n, 0]), np.float64(column[n, 1]), x, y)
        x, y = times(x, y, step_x, step_y)
    real = np.empty(lanes, np.float32)
    imaginary = np.empty(lanes, np.float32)
    squares = np.empty(lanes, np.float32)
    found[1] = -1
    for p in range(places):
        for c in range(lanes):
            real[c] = 0
            imaginary[c] = 0
            squares[c] = 0
        for n in range(length):
            a = wave[n, 0]
            b = wave[n, 1]
            at = first + p + n
            for c in range(lanes):
                real[c] += a * rows[at, c]
                imaginary[c] += b * rows[at, c]
                squares[c] += rows[at, c] * rows[at, c]
        metric = 0.0
        for c in range(0, lanes, 2):
            a = np.float64(real[c]) - np.float64(imaginary[c + 1])
            b = np.float64(real[c + 1]) + np.float64(imaginary[c])
            total = np.float64(squares[c]) + np.float64(squares[c + 1])
            if total > 1e-12:
                metric -= (length - 1) * np.log1p(-min((a * a + b * b) / total, 1 - 1e-9))
        if metric > found[1]:
            found[0] = p
            found[1] = metric


@kernel(writable(FLOAT, 2), writable(FLOAT, 1), readable(FLOAT, 2), types.int64, readable(FLOAT, 2), DOUBLE)
def project(along: Any, energy: Any, rows: Any, first: Any, columns: Any, cfo: Any) -> None:
    """along[k] = Σ_n columns[n, k] y[first + n] e^{-j2π cfo n}; energy = Σ_n |y|² in its even places.

    columns (N, 2k), along (k, 2C), energy (2C,). Samples outside count as zero.
    """
    length, lanes = rows.shape
    count = columns.shape[1] // 2
    real = np.zeros((count, lanes), np.float32)
    imaginary = np.zeros((count, lanes), np.float32)
    squares = np.zeros(lanes, np.float32)
    begin = max(0, -first)
    step_x, step_y = np.cos(2 * np.pi * cfo), -np.sin(2 * np.pi * cfo)
    x, y = np.cos(2 * np.pi * cfo * begin), -np.sin(2 * np.pi * cfo * begin)
    for n in range(begin, min(columns.shape[0], length - first)):
        at = first + n
        for k in range(count):
            a = np.float32(columns[n, 2 * k] * x - columns[n, 2 * k + 1] * y)
            b = np.float32(columns[n, 2 * k] * y + columns[n, 2 * k + 1] * x)
            for c in range(lanes):
                real[k, c] += a * rows[at, c]
                imaginary[k, c] += b * rows[at, c]
        for c in range(lanes):
            squares[c] += rows[at, c] * rows[at, c]
        x, y = times(x, y, step_x, step_y)
    for k in range(count):
        for c in range(0, lanes, 2):
            along[k, c] = real[k, c] - imaginary[k, c + 1]
            along[k, c + 1] = real[k, c + 1] + imaginary[k, c]
    for c in range(0, lanes, 2):
        energy[c] = squares[c] + squares[c + 1]


@kernel(
    writable(DOUBLE, 1),
    readable(FLOAT, 2),
    readable(FLOAT, 1),
    types.int64,
    DOUBLE,
    readable(DOUBLE, 2),
)
def score(change: Any, along: Any, energy: Any, samples: Any, norm: Any, inverse: Any) -> None:
    """change: of delay and frequency by Fisher scoring, and Σ_c |ĥ_c|²/σ̂_c², from what `project` gives.

    samples: that were summed; norm: energy of the waveform; inverse: of Re DᴴD, (2, 2).
    """
    channels = along.shape[1] // 2
    noise = np.empty(channels)
    strength = np.empty(channels)
    loudest = 0.0
    strongest = 0.0
    for c in range(channels):
        a = np.float64(along[0, 2 * c])
        b = np.float64(along[0, 2 * c + 1])
        strength[c] = a * a + b * b
        noise[c] = (np.float64(energy[2 * c]) - strength[c]) / (samples - 1)
        loudest = max(loudest, noise[c])
        strongest = max(strongest, strength[c])
    least = 1e-9 * (loudest + strongest / samples) + 1e-30
    gain = 0.0
    first = 0.0
    second = 0.0
    for c in range(channels):
        weight = 1 / max(noise[c], least)
        a = np.float64(along[0, 2 * c])
        b = np.float64(along[0, 2 * c + 1])
        gain += weight * strength[c]
        first += weight * (a * along[1, 2 * c] + b * along[1, 2 * c + 1])
        second += weight * (a * along[2, 2 * c] + b * along[2, 2 * c + 1])
    gain /= norm
    first /= np.sqrt(norm)
    second /= np.sqrt(norm)
    change[0] = (inverse[0, 0] * first + inverse[0, 1] * second) / (gain + 1e-30)
    change[1] = (inverse[1, 0] * first + inverse[1, 1] * second) / (gain + 1e-30)
    change[2] = gain


@kernel(
    writable(DOUBLE, 1),
    readable(FLOAT, 2),
    types.int64,
    readable(FLOAT, 2),
    DOUBLE,
    DOUBLE,
    readable(DOUBLE, 2),
)
def step(change: Any, rows: Any, first: Any, columns: Any, cfo: Any, norm: Any, inverse: Any) -> None:
    """change: `score` of what `project` gives."""
    along = np.empty((columns.shape[1] // 2, rows.shape[1]), np.float32)
    energy = np.empty(rows.shape[1], np.float32)
    project(along, energy, rows, first, columns, cfo)
    score(change, along, energy, columns.shape[0], norm, inverse)


@kernel(
    writable(DOUBLE, 1),
    readable(FLOAT, 2),
    types.int64,
    readable(FLOAT, 2),
    DOUBLE,
    readable(DOUBLE, 1),
)
def periodogram(power: Any, rows: Any, first: Any, columns: Any, cfo: Any, offsets: Any) -> None:
    """power[b] = Σ_c |Σ_n columns[n, 0] y[first + n] e^{-j2π(cfo n + offsets[b] BLOCK ⌊n / BLOCK⌋)}|²."""
    length, lanes = rows.shape
    count = (columns.shape[0] + BLOCK - 1) // BLOCK
    real = np.zeros((count, lanes), np.float32)
    imaginary = np.zeros((count, lanes), np.float32)
    begin = max(0, -first)
    step_x, step_y = np.cos(2 * np.pi * cfo), -np.sin(2 * np.pi * cfo)
    x, y = np.cos(2 * np.pi * cfo * begin), -np.sin(2 * np.pi * cfo * begin)
    for n in range(begin, min(columns.shape[0], length - first)):
        u, v = times(np.float64(columns[n, 0]), np.float64(columns[n, 1]), x, y)
        x, y = times(x, y, step_x, step_y)
        a = np.float32(u)
        b = np.float32(v)
        i = n // BLOCK
        for c in range(lanes):
            real[i, c] += a * rows[first + n, c]
            imaginary[i, c] += b * rows[first + n, c]
    p = np.empty(lanes, np.float32)
    q = np.empty(lanes, np.float32)
    for bin_ in range(power.shape[0]):
        for c in range(lanes):
            p[c] = 0
            q[c] = 0
        turn = 2 * np.pi * offsets[bin_] * BLOCK
        step_x, step_y = np.cos(turn), -np.sin(turn)
        x, y = 1.0, 0.0
        for i in range(count):
            a = np.float32(x)
            b = np.float32(y)
            x, y = times(x, y, step_x, step_y)
            # real + j imaginary of each lane, turned: what its even and odd lanes are of follows below
            for c in range(lanes):
                p[c] += a * real[i, c] - b * imaginary[i, c]
                q[c] += a * imaginary[i, c] + b * real[i, c]
        total = 0.0
        for c in range(0, lanes, 2):
            u = np.float64(p[c]) - np.float64(q[c + 1])
            v = np.float64(p[c + 1]) + np.float64(q[c])
            total += u * u + v * v
        power[bin_] = total
