"""Gain, frequency and drift of a channel from known symbols, by Fisher scoring in double precision.

Phases are counted in turns. Sine and cosine: the Taylor series up to x¹³ and x¹⁴ on [-π/4, π/4], 2e-14 off.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isac_models.kernels.compiling import inlined, kernel, readable, types, writable

DOUBLE = types.float64


@inlined
def wave(turns: Any) -> Any:
    """Cosine and sine of an angle in turns."""
    rest = turns - np.floor(turns + 0.5)
    quarter = np.floor(4 * rest + 0.5)
    x = (rest - quarter * 0.25) * 6.283185307179586
    y = x * x
    s = -1 / 39916800.0 + y * (1 / 6227020800.0)
    s = 1 / 362880.0 + y * s
    s = -1 / 5040.0 + y * s
    s = 1 / 120.0 + y * s
    s = -1 / 6.0 + y * s
    s = x + x * y * s
    c = 1 / 479001600.0 - y * (1 / 87178291200.0)
    c = -1 / 3628800.0 + y * c
    c = 1 / 40320.0 + y * c
    c = -1 / 720.0 + y * c
    c = 1 / 24.0 + y * c
    c = -0.5 + y * c
    c = 1 + y * c
    odd = abs(quarter) == 1
    cosine = s if odd else c
    sine = c if odd else s
    cosine = -cosine if quarter == 1 or abs(quarter) == 2 else cosine
    sine = -sine if quarter == -1 or abs(quarter) == 2 else sine
    return cosine, sine


@inlined
def turn_back(real: Any, imaginary: Any, angle: Any, values: Any, places: Any, delta: Any, curve: Any) -> Any:
    """Values without their turn; κ, the mean of them, and angle (n,), Im(v e^{-j…} κ*)/|κ|²."""
    n = values.shape[0]
    for i in range(n):
        k = places[i]
        c, s = wave(k * (delta + 0.5 * curve * k))
        real[i] = values[i, 0] * c + values[i, 1] * s
        imaginary[i] = values[i, 1] * c - values[i, 0] * s
    a = 0.0
    b = 0.0
    for i in range(n):
        a += real[i]
        b += imaginary[i]
    a /= n
    b /= n
    power = max(a * a + b * b, 1e-30)
    for i in range(n):
        angle[i] = (imaginary[i] * a - real[i] * b) / power
    return a, b


_MATRIX = readable(DOUBLE, 2)


@kernel(writable(DOUBLE, 1), _MATRIX, readable(DOUBLE, 3))
def power(out: Any, values: Any, bank: Any) -> None:
    """out[g] = |Σ_i bank[:, i, g] values[i]|², bank (2, n, G) in real and imaginary part, values (n, 2)."""
    width = out.shape[0]
    real = np.zeros(width)
    imaginary = np.zeros(width)
    for i in range(values.shape[0]):
        a = values[i, 0]
        b = values[i, 1]
        for g in range(width):
            real[g] += bank[0, i, g] * a - bank[1, i, g] * b
            imaginary[g] += bank[0, i, g] * b + bank[1, i, g] * a
    for g in range(width):
        out[g] = real[g] * real[g] + imaginary[g] * imaginary[g]


@kernel(
    writable(DOUBLE, 1),
    _MATRIX,
    readable(DOUBLE, 1),
    _MATRIX,
    _MATRIX,
    readable(DOUBLE, 1),
    DOUBLE,
    types.int64,
)
def fit(
    found: Any,
    values: Any,
    places: Any,
    one: Any,
    two: Any,
    bend: Any,
    significant: Any,
    scorings: Any,
) -> None:
    """found: κ (two numbers), δ and γ of values (n, 2) at places (n,); the δ to begin with stands in it.

    `scorings` steps of scoring δ by one (1, n), and of δ and γ by two (2, n) where the curvature along bend
    (n,) stands out of the noise: its square over its variance above `significant`.
    """
    n = values.shape[0]
    real = np.empty(n)
    imaginary = np.empty(n)
    angle = np.empty(n)
    delta = found[2]
    curve = 0.0
    a, b = turn_back(real, imaginary, angle, values, places, delta, curve)
    for _ in range(scorings):
        for i in range(n):
            delta += one[0, i] * angle[i]
        a, b = turn_back(real, imaginary, angle, values, places, delta, curve)
    bent = 0.0
    square = 0.0
    for i in range(n):
        bent += bend[i] * angle[i]
        square += (real[i] - a) * (real[i] - a) + (imaginary[i] - b) * (imaginary[i] - b)
    if (a != 0 or b != 0) and bent * bent * 2 * (a * a + b * b) > significant * square / n:
        for _ in range(scorings):
            for i in range(n):
                delta += two[0, i] * angle[i]
                curve += two[1, i] * angle[i]
            a, b = turn_back(real, imaginary, angle, values, places, delta, curve)
    found[0] = a
    found[1] = b
    found[2] = delta
    found[3] = curve


@kernel(writable(DOUBLE, 2), readable(DOUBLE, 1), DOUBLE, DOUBLE, DOUBLE, DOUBLE)
def channel(out: Any, places: Any, real: Any, imaginary: Any, delta: Any, curve: Any) -> None:
    """out[i] = (real + j imaginary) e^{j2π(δk + γk²/2)} at k = places[i], two numbers each."""
    for i in range(places.shape[0]):
        k = places[i]
        c, s = wave(k * (delta + 0.5 * curve * k))
        out[i, 0] = real * c - imaginary * s
        out[i, 1] = real * s + imaginary * c
