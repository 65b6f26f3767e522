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


@kernel(writable(DOUBLE, 1), writable(DOUBLE, 1), readable(DOUBLE, 2), readable(DOUBLE, 1))
def errors(fit: Any, angle: Any, values: Any, places: Any) -> None:
    """Turn values (n, 2) back by fit's δ and γ; writes κ and what the values are off.

    fit: κ (two numbers), δ, γ, and the mean square error |v e^{-j…} - κ|². angle (n,): Im(v e^{-j…} κ*)/|κ|².
    """
    n = values.shape[0]
    real = np.empty(n)
    imaginary = np.empty(n)
    delta = fit[2]
    curve = 0.5 * fit[3]
    for i in range(n):
        k = places[i]
        c, s = wave(k * (delta + curve * k))
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
    square = 0.0
    for i in range(n):
        angle[i] = (imaginary[i] * a - real[i] * b) / power
        square += (real[i] - a) * (real[i] - a) + (imaginary[i] - b) * (imaginary[i] - b)
    fit[0] = a
    fit[1] = b
    fit[4] = square / n
