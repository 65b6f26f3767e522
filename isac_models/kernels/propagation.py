"""Precoding, radar echo and MISO channel, eqs. (1) and (2).

Complex arrays come as float32 with real and imaginary part side by side: (n, 2K) for (n, K).
An array is given by its element positions in wavelengths and the response of each element, modulus and
phase (in turns): a(θ)_k = m_k exp(-j2π (p_k sin θ - φ_k)). Sine and cosine: Cephes sinf and cosf.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int32

from isac_models.kernels.compiling import FLOAT, REASSOCIATE, inlined, kernel, readable, types, writable

HALF_PI = np.float32(np.pi / 2)
TWO_OVER_PI = np.float32(2 / np.pi)
# sin x on [-π/4, π/4] and cos x likewise.
SIN_3 = np.float32(-1.6666654611e-1)
SIN_5 = np.float32(8.3321608736e-3)
SIN_7 = np.float32(-1.9515295891e-4)
COS_4 = np.float32(4.166664568298827e-2)
COS_6 = np.float32(-1.388731625493765e-3)
COS_8 = np.float32(2.443315711809948e-5)

LANES = 16
"""Elements are handled in groups of this many, the width of the vector registers, padded with silent ones."""

VECTOR = readable(FLOAT, 1)
MATRIX = readable(FLOAT, 2)
ARRAY = (VECTOR, VECTOR, VECTOR)
"""Positions, moduli and phases of an array, padded to a multiple of LANES with modulus 0."""


@inlined
def sine_cosine(turn: Any) -> Any:
    """sin 2πt and cos 2πt, t in turns of any size."""
    quarter = np.floor(turn * float32(4) + float32(0.5))
    x = (turn * float32(4) - quarter) * HALF_PI
    x2 = x * x
    s = x + x * x2 * (SIN_3 + x2 * (SIN_5 + x2 * SIN_7))
    c = float32(1) - float32(0.5) * x2 + x2 * x2 * (COS_4 + x2 * (COS_6 + x2 * COS_8))
    q = int32(quarter)
    odd = (q & int32(1)) != 0
    sine = c if odd else s
    cosine = s if odd else c
    sine = -sine if (q & int32(2)) != 0 else sine
    cosine = -cosine if ((q + int32(1)) & int32(2)) != 0 else cosine
    return sine, cosine


@inlined
def steer(real: Any, imaginary: Any, sine: Any, position: Any, modulus: Any, phase: Any) -> None:
    """a(θ) into `real` and `imaginary`, given sin θ."""
    for first in range(0, position.shape[0], LANES):
        for lane in range(LANES):
            k = first + lane
            s, c = sine_cosine(position[k] * sine - phase[k])
            real[k] = modulus[k] * c
            imaginary[k] = -modulus[k] * s


@inlined
def project(real: Any, imaginary: Any, row: Any) -> Any:
    """aᵀx for one row x of interleaved elements."""
    re = float32(0)
    im = float32(0)
    whole = row.shape[0] // 2 // LANES * LANES
    for first in range(0, whole, LANES):
        for lane in range(LANES):
            k = first + lane
            re += real[k] * row[2 * k] - imaginary[k] * row[2 * k + 1]
            im += real[k] * row[2 * k + 1] + imaginary[k] * row[2 * k]
    for k in range(whole, row.shape[0] // 2):
        re += real[k] * row[2 * k] - imaginary[k] * row[2 * k + 1]
        im += real[k] * row[2 * k + 1] + imaginary[k] * row[2 * k]
    return re, im


@inlined
def sine_of(angle: Any) -> Any:
    """sin θ, θ in radians."""
    s, _ = sine_cosine(angle * TWO_OVER_PI * float32(0.25))
    return s


@kernel(writable(FLOAT, 2), VECTOR, VECTOR)
def precode(transmitted: Any, symbol: Any, beam: Any) -> None:
    """x = v s: symbol (2n,), beam (2K,) into transmitted (n, 2K)."""
    turned = np.empty_like(beam)
    for k in range(beam.shape[0] // 2):
        turned[2 * k] = -beam[2 * k + 1]
        turned[2 * k + 1] = beam[2 * k]
    for i in range(transmitted.shape[0]):
        re = symbol[2 * i]
        im = symbol[2 * i + 1]
        for j in range(beam.shape[0]):
            transmitted[i, j] = re * beam[j] + im * turned[j]


@kernel(
    writable(FLOAT, 2),
    MATRIX,
    readable(types.boolean, 1),
    VECTOR,
    VECTOR,
    types.boolean,
    *ARRAY,
    *ARRAY,
    math=REASSOCIATE,
)
def add_echo(
    echo: Any,
    transmitted: Any,
    present: Any,
    angle: Any,
    gain: Any,
    same: Any,
    send_position: Any,
    send_modulus: Any,
    send_phase: Any,
    receive_position: Any,
    receive_modulus: Any,
    receive_phase: Any,
) -> None:
    """echo += α (a_tx(θ)ᵀx) a_rx(θ) where a target is present, eq. (1).

    echo, transmitted (n, 2K); present, angle (n,); gain (2n,). `same`: both arrays are one.
    """
    padded = send_position.shape[0]
    real = np.empty(padded, np.float32)
    imaginary = np.empty(padded, np.float32)
    for i in range(echo.shape[0]):
        if not present[i]:
            continue
        sine = sine_of(angle[i])
        steer(real, imaginary, sine, send_position, send_modulus, send_phase)
        re, im = project(real, imaginary, transmitted[i])
        if not same:
            steer(real, imaginary, sine, receive_position, receive_modulus, receive_phase)
        g_re = gain[2 * i] * re - gain[2 * i + 1] * im
        g_im = gain[2 * i] * im + gain[2 * i + 1] * re
        elements = echo.shape[1] // 2
        whole = elements // LANES * LANES
        for first in range(0, whole, LANES):
            for lane in range(LANES):
                k = first + lane
                echo[i, 2 * k] += g_re * real[k] - g_im * imaginary[k]
                echo[i, 2 * k + 1] += g_re * imaginary[k] + g_im * real[k]
        for k in range(whole, elements):
            echo[i, 2 * k] += g_re * real[k] - g_im * imaginary[k]
            echo[i, 2 * k + 1] += g_re * imaginary[k] + g_im * real[k]


@kernel(writable(FLOAT, 1), writable(FLOAT, 1), MATRIX, VECTOR, VECTOR, VECTOR, *ARRAY, math=REASSOCIATE)
def add_miso(
    received: Any,
    csi: Any,
    transmitted: Any,
    symbol: Any,
    angle: Any,
    gain: Any,
    position: Any,
    modulus: Any,
    phase: Any,
) -> None:
    """received += β a(ϑ)ᵀx, eq. (2), and csi = β a(ϑ)ᵀx / s.

    received, csi, symbol, gain (2n,); transmitted (n, 2K); angle (n,).
    """
    real = np.empty(position.shape[0], np.float32)
    imaginary = np.empty(position.shape[0], np.float32)
    for i in range(transmitted.shape[0]):
        steer(real, imaginary, sine_of(angle[i]), position, modulus, phase)
        re, im = project(real, imaginary, transmitted[i])
        h_re = gain[2 * i] * re - gain[2 * i + 1] * im
        h_im = gain[2 * i] * im + gain[2 * i + 1] * re
        received[2 * i] += h_re
        received[2 * i + 1] += h_im
        s_re = symbol[2 * i]
        s_im = symbol[2 * i + 1]
        inverse = float32(1) / (s_re * s_re + s_im * s_im)
        csi[2 * i] = (h_re * s_re + h_im * s_im) * inverse
        csi[2 * i + 1] = (h_im * s_re - h_re * s_im) * inverse
