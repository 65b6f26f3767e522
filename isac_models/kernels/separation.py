"""Leakage and echo of a burst told apart by their delay: least squares from correlations at whole lags.

`given` (lags, 2C) float32 holds ⟨y_c, s(·-lag)⟩, real and imaginary part side by side, `products` (2, lags,
lags) ⟨s(·-lag), s(·-lag')⟩ as two planes. A column s(t - τ) is a row of weights over the lags: a sinc under
Blackman's window, so that it is short. `turns` (2, lags): cosine and sine of π lag / half.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isac_models.kernels.compiling import FLOAT, called, kernel, readable, types, writable

DOUBLE = types.float64
SLOPE = 1e-3
"""Samples to either side by which the derivative of a column is taken."""
FARTHEST = 0.25
"""Samples by which the leakage may be elsewhere than it is said to be."""


@called
def weigh(row: Any, delay: Any, turns: Any, first: Any, half: Any) -> None:
    """row[l]: a sinc at first + l - delay under Blackman's window."""
    sine = np.sin(np.pi * (delay - first)) / np.pi
    x = np.cos(np.pi * delay / half)
    y = np.sin(np.pi * delay / half)
    sign = -1.0
    for i in range(row.shape[0]):
        t = first + i - delay
        turn = turns[0, i] * x + turns[1, i] * y
        value = 1.0 if abs(t) < 1e-12 else sign * sine / t
        row[i] = value * (0.34 + turn * (0.5 + 0.16 * turn)) if abs(t) < half else 0.0
        sign = -sign


@called
def pair(columns: Any, at: Any, turns: Any, first: Any, half: Any) -> None:
    """columns[0], columns[1]: s(t - at) and its derivative by the delay."""
    before = np.empty(columns.shape[1])
    weigh(columns[0], at, turns, first, half)
    weigh(columns[1], at + SLOPE, turns, first, half)
    weigh(before, at - SLOPE, turns, first, half)
    for i in range(before.shape[0]):
        columns[1, i] = (columns[1, i] - before[i]) / (2 * SLOPE)


@called
def combine(out: Any, columns: Any, given: Any) -> None:
    """out = columns · given, (D, 2C); weights of zero are passed over."""
    for d in range(out.shape[0]):
        row = out[d]
        row[:] = 0
        for i in range(columns.shape[1]):
            weight = columns[d, i]
            if weight == 0:
                continue
            part = given[i]
            for c in range(row.shape[0]):
                row[c] += weight * part[c]


@called
def gram(out: Any, columns: Any, products: Any) -> None:
    """out[i, j]: inner product of column i with column j, for as many i as out has rows; complex."""
    lags = columns.shape[1]
    real = np.empty(lags)
    imaginary = np.empty(lags)
    for i in range(out.shape[0]):
        real[:] = 0
        imaginary[:] = 0
        for m in range(lags):
            weight = columns[i, m]
            if weight == 0:
                continue
            a = products[0, m]
            b = products[1, m]
            for n in range(lags):
                real[n] += weight * a[n]
                imaginary[n] += weight * b[n]
        for j in range(columns.shape[0]):
            x = 0.0
            y = 0.0
            for n in range(lags):
                x += real[n] * columns[j, n]
                y += imaginary[n] * columns[j, n]
            out[i, j] = complex(x, y)


@called
def energy_of(row: Any, products: Any) -> Any:
    """Energy of a column, (lags,)."""
    total = np.zeros(row.shape[0])
    for m in range(row.shape[0]):
        weight = row[m]
        if weight == 0:
            continue
        a = products[0, m]
        for n in range(total.shape[0]):
            total[n] += weight * a[n]
    energy = 0.0
    for n in range(total.shape[0]):
        energy += total[n] * row[n]
    return energy


@called
def invert(matrix: Any) -> None:
    """The inverse of a positive definite matrix, in its place (Gauss and Jordan)."""
    size = matrix.shape[0]
    for k in range(size):
        pivot = 1 / matrix[k, k]
        matrix[k, k] = 1
        for j in range(size):
            matrix[k, j] *= pivot
        for i in range(size):
            if i != k:
                factor = matrix[i, k]
                matrix[i, k] = 0
                for j in range(size):
                    matrix[i, j] -= factor * matrix[k, j]


@called
def fit(coefficients: Any, columns: Any, given: Any, products: Any) -> Any:
    """Least squares of the columns: coefficients (c, C) complex; the variance of the first."""
    count = columns.shape[0]
    inverse = np.empty((count, count), np.complex128)
    gram(inverse, columns, products)
    invert(inverse)
    rows = np.empty((count, given.shape[1]))
    combine(rows, columns, given)
    for i in range(count):
        for c in range(coefficients.shape[1]):
            total = 0j
            for j in range(count):
                total += inverse[i, j] * complex(rows[j, 2 * c], rows[j, 2 * c + 1])
            coefficients[i, c] = total
    return inverse[0, 0].real


@called
def earlier(given: Any, products: Any, at: Any, delay: Any, turns: Any, first: Any, half: Any) -> Any:
    """By how much the leakage is earlier than `at`, the echo `delay` behind it."""
    columns = np.empty((3, given.shape[0]))
    pair(columns, at, turns, first, half)
    weigh(columns[2], at + delay, turns, first, half)
    found = np.empty((3, given.shape[1] // 2), np.complex128)
    fit(found, columns, given, products)
    power = 0.0
    late = 0.0
    for c in range(found.shape[1]):
        power += found[0, c].real ** 2 + found[0, c].imag ** 2
        late += found[0, c].real * found[1, c].real + found[0, c].imag * found[1, c].imag
    return -min(max(late / power, -FARTHEST), FARTHEST) if power else 0.0


@called
def explain(
    energy: Any, given: Any, products: Any, at: Any, grid: Any, turns: Any, first: Any, half: Any
) -> None:
    """energy[d]: what an echo grid[d] behind the leakage, which stands at `at`, explains beside it."""
    count = grid.shape[0]
    columns = np.empty((2 + count, given.shape[0]))
    pair(columns, at, turns, first, half)
    for d in range(count):
        weigh(columns[2 + d], at + grid[d], turns, first, half)
    rows = np.empty((2 + count, given.shape[1]))
    combine(rows, columns, given)
    two = np.empty((2, 2 + count), np.complex128)
    gram(two, columns, products)
    inverse = two[:, :2].copy()
    invert(inverse)
    for d in range(count):
        p = two[0, 2 + d]
        q = two[1, 2 + d]
        u = inverse[0, 0] * p + inverse[0, 1] * q
        v = inverse[1, 0] * p + inverse[1, 1] * q
        left = 0.0
        for c in range(0, rows.shape[1], 2):
            x = rows[2 + d, c] - u.real * rows[0, c] - u.imag * rows[0, c + 1]
            y = rows[2 + d, c + 1] - u.real * rows[0, c + 1] + u.imag * rows[0, c]
            x -= v.real * rows[1, c] + v.imag * rows[1, c + 1]
            y -= v.real * rows[1, c + 1] - v.imag * rows[1, c]
            left += x * x + y * y
        told = p.real * u.real + p.imag * u.imag + q.real * v.real + q.imag * v.imag
        energy[d] = left / (energy_of(columns[2 + d], products) - told)


@called
def peak(profile: Any, grid: Any) -> Any:
    """Where a profile is largest, between the points of the grid by a parabola."""
    best = np.argmax(profile)
    if best in (0, grid.shape[0] - 1):
        return grid[best]
    left, middle, right = profile[best - 1], profile[best], profile[best + 1]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return grid[best] + min(max(shift, -0.5), 0.5) * (grid[1] - grid[0])


_GIVEN = (readable(FLOAT, 2), readable(DOUBLE, 3), DOUBLE)
_LAGS = (readable(DOUBLE, 2), DOUBLE, DOUBLE)


@kernel(writable(DOUBLE, 1), readable(DOUBLE, 1), *_GIVEN, readable(DOUBLE, 1), *_LAGS, DOUBLE)
def profile(
    energy: Any,
    before: Any,
    given: Any,
    products: Any,
    at: Any,
    grid: Any,
    turns: Any,
    first: Any,
    half: Any,
    close: Any,
) -> None:
    """energy (D,): what an echo at each delay of the grid explains beside the leakage, all channels.

    The leakage stands near `at`; where it is `close` samples or more away, its place is corrected, the echo
    being where before (D,) and this profile together say.
    """
    explain(energy, given, products, at, grid, turns, first, half)
    both = np.empty(grid.shape[0])
    for d in range(both.shape[0]):
        both[d] = before[d] + energy[d]
    early = earlier(given, products, at, peak(both, grid), turns, first, half)
    if abs(early) >= close:
        explain(energy, given, products, at - early, grid, turns, first, half)


@kernel(writable(types.complex128, 2), writable(DOUBLE, 2), writable(DOUBLE, 1), *_GIVEN, DOUBLE, *_LAGS)
def separate(
    amplitudes: Any,
    columns: Any,
    found: Any,
    given: Any,
    products: Any,
    at: Any,
    delay: Any,
    turns: Any,
    first: Any,
    half: Any,
) -> None:
    """amplitudes (2, C): of leakage and echo; columns (2, lags): their weights.

    found: by how much the leakage is earlier than `at`, and the variance of its amplitudes.
    """
    found[0] = earlier(given, products, at, delay, turns, first, half)
    weigh(columns[0], at - found[0], turns, first, half)
    weigh(columns[1], at - found[0] + delay, turns, first, half)
    found[1] = fit(amplitudes, columns, given, products)
