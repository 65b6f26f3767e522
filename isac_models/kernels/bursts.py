"""The samples of a burst on all channels against the one waveform that was sent.

Rows (L, 2C) float32 hold the channels of a sample after one another, real and imaginary part side by side, so
that the channels lie in the vector lanes. The waveform s comes as two planes (2, n), real and imaginary part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32

from isac_models.kernels import lanes
from isac_models.kernels.compiling import FLOAT, kernel, readable, types, writable
from isac_models.kernels.lanes import WIDTH, fma, load_row, splat, store

BLOCK = 64
DOUBLE = types.float64


@kernel(writable(FLOAT, 2), readable(FLOAT, 2), readable(FLOAT, 2), DOUBLE, DOUBLE)
def rotate(rows: Any, window: Any, gains: Any, cfo: Any, start: Any) -> None:
    """rows[n, c] = gains[c] window[c, n] e^{-j2π cfo (n - start)}: window (C, 2L), gains (C, 2)."""
    channels = window.shape[0]
    length = rows.shape[0]
    turn = np.empty((length, 2), np.float32)
    step_x, step_y = np.cos(2 * np.pi * cfo), -np.sin(2 * np.pi * cfo)
    x, y = np.cos(2 * np.pi * cfo * start), np.sin(2 * np.pi * cfo * start)
    for n in range(length):
        turn[n, 0] = x
        turn[n, 1] = y
        x, y = x * step_x - y * step_y, x * step_y + y * step_x
    for first in range(0, length, BLOCK):
        last = min(first + BLOCK, length)
        for c in range(channels):
            a = gains[c, 0]
            b = gains[c, 1]
            for n in range(first, last):
                p = a * turn[n, 0] - b * turn[n, 1]
                q = a * turn[n, 1] + b * turn[n, 0]
                u = window[c, 2 * n]
                v = window[c, 2 * n + 1]
                rows[n, 2 * c] = p * u - q * v
                rows[n, 2 * c + 1] = p * v + q * u


@kernel(writable(FLOAT, 2), readable(FLOAT, 2), readable(FLOAT, 1), types.int64, types.int64)
def shape(planes: Any, symbols: Any, taps: Any, step: Any, begin: Any) -> None:
    """planes[:, begin + n] = Σ_k symbols[:, k] taps[n - k step]: symbols (2, S); the rest of planes stays."""
    count = symbols.shape[1]
    width = (taps.shape[0] + step - 1) // step
    phase = np.empty(count + width, np.float32)
    for part in range(2):
        for p in range(step):
            for k in range(count + width):
                phase[k] = 0
            for j in range(p, taps.shape[0], step):
                tap = taps[j]
                late = phase[j // step : j // step + count]
                for k in range(count):
                    late[k] += tap * symbols[part, k]
            for k in range(count + (taps.shape[0] - 1 - p) // step):
                planes[part, begin + p + k * step] = phase[k]


_CORRELATE = (writable(FLOAT, 2), readable(FLOAT, 2), readable(FLOAT, 2), *(types.int64,) * 3)


def _correlate(given: Any, rows: Any, planes: Any, first: Any, last: Any, at: Any) -> None:
    """given[l] = Σ_n y[n] s*[n + at - l] over n = first … last - 1: given (lags, 2C), lags a multiple of 4.

    C is a multiple of 8.
    """
    a = np.empty((4, WIDTH), np.float32)
    b = np.empty((4, WIDTH), np.float32)
    real = planes[0]
    imaginary = planes[1]
    for g in range(0, rows.shape[1], WIDTH):
        for lag in range(0, given.shape[0], 4):
            a0 = splat(float32(0))
            a1 = splat(float32(0))
            a2 = splat(float32(0))
            a3 = splat(float32(0))
            b0 = splat(float32(0))
            b1 = splat(float32(0))
            b2 = splat(float32(0))
            b3 = splat(float32(0))
            for n in range(first, last):
                y = load_row(rows, n, g)
                p = n + at - lag
                a0 = fma(splat(real[p]), y, a0)
                b0 = fma(splat(imaginary[p]), y, b0)
                a1 = fma(splat(real[p - 1]), y, a1)
                b1 = fma(splat(imaginary[p - 1]), y, b1)
                a2 = fma(splat(real[p - 2]), y, a2)
                b2 = fma(splat(imaginary[p - 2]), y, b2)
                a3 = fma(splat(real[p - 3]), y, a3)
                b3 = fma(splat(imaginary[p - 3]), y, b3)
            store(a[0], 0, a0)
            store(a[1], 0, a1)
            store(a[2], 0, a2)
            store(a[3], 0, a3)
            store(b[0], 0, b0)
            store(b[1], 0, b1)
            store(b[2], 0, b2)
            store(b[3], 0, b3)
            for i in range(4):
                for c in range(0, WIDTH, 2):
                    given[lag + i, g + c] = a[i, c] + b[i, c + 1]
                    given[lag + i, g + c + 1] = a[i, c + 1] - b[i, c]


correlate = kernel(*_CORRELATE, uses=lanes)(_correlate)


@kernel(writable(DOUBLE, 3), readable(FLOAT, 2), types.int64, types.int64, types.int64)
def inner(products: Any, planes: Any, first: Any, last: Any, at: Any) -> None:
    """products[:, i, j] = Σ_n s*[n + at - i] s[n + at - j] over n = first … last - 1, in double precision.

    products (2, lags, lags), real and imaginary part. Along a diagonal a sum loses and gains one term.
    """
    lags = products.shape[1]
    count = last - first + lags
    low = first + at - lags + 1
    real = np.empty(count)
    imaginary = np.empty(count)
    for i in range(count - 1):  # turned around, so that later lags come later
        real[i] = planes[0, low + count - 2 - i]
        imaginary[i] = planes[1, low + count - 2 - i]
    width = last - first
    for j in range(lags):
        products[0, 0, j] = 0
        products[1, 0, j] = 0
    for n in range(width):
        a = real[n]
        b = imaginary[n]
        for j in range(lags):
            products[0, 0, j] += a * real[n + j] + b * imaginary[n + j]
            products[1, 0, j] += a * imaginary[n + j] - b * real[n + j]
    for i in range(1, lags):
        for j in range(i, lags):
            a = real[width + i - 1]
            b = imaginary[width + i - 1]
            c = real[width + j - 1]
            d = imaginary[width + j - 1]
            e = real[i - 1]
            f = imaginary[i - 1]
            g = real[j - 1]
            h = imaginary[j - 1]
            products[0, i, j] = products[0, i - 1, j - 1] + (a * c + b * d) - (e * g + f * h)
            products[1, i, j] = products[1, i - 1, j - 1] + (a * d - b * c) - (e * h - f * g)
    for i in range(lags):
        for j in range(i):
            products[0, i, j] = products[0, j, i]
            products[1, i, j] = -products[1, j, i]


@kernel(writable(FLOAT, 2), readable(FLOAT, 2), readable(FLOAT, 1), types.int64)
def delay(wave: Any, planes: Any, weights: Any, at: Any) -> None:
    """wave[n] = Σ_l weights[l] planes[:, n + at - l]: wave (L, 2)."""
    length = wave.shape[0]
    total = np.empty(length, np.float32)
    for part in range(2):
        for n in range(length):
            total[n] = 0
        for j in range(weights.shape[0]):
            weight = weights[j]
            if weight == 0:
                continue
            late = planes[part, at - j : at - j + length]
            for n in range(length):
                total[n] += weight * late[n]
        for n in range(length):
            wave[n, part] = total[n]


@kernel(writable(FLOAT, 2), readable(FLOAT, 2), readable(FLOAT, 1))
def remove(rows: Any, wave: Any, gains: Any) -> None:
    """rows[n, c] -= gains[c] wave[n]: gains (2C,), wave (L, 2)."""
    width = rows.shape[1]
    across = np.empty(width, np.float32)
    for c in range(0, width, 2):
        across[c] = -gains[c + 1]
        across[c + 1] = gains[c]
    for n in range(rows.shape[0]):
        a = wave[n, 0]
        b = wave[n, 1]
        for c in range(width):
            rows[n, c] -= a * gains[c] + b * across[c]
