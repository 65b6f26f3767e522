"""Precoding, radar echo and MISO channel, eqs. (1) and (2).

Complex arrays come as float32 with real and imaginary part side by side: (n, 2K) for (n, K).
An array is given by its element positions in wavelengths and the response of each element, modulus and
phase (in turns): a(θ)_k = m_k exp(-j2π (p_k sin θ - φ_k)). Sine and cosine: Cephes sinf and cosf.

Snapshots lie in the vector lanes: a tile of them is transposed, and every lane runs through the same
instructions whether the tile is full or not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int32, int64

from isac_models.kernels.compiling import FLOAT, inlined, kernel, readable, types, writable

TILE = 64
"""Snapshots of a tile."""

HALF_PI = np.float32(np.pi / 2)
QUARTER_TURNS = np.float32(2 / np.pi)
# sin x and cos x on [-π/4, π/4].
SIN_3 = np.float32(-1.6666654611e-1)
SIN_5 = np.float32(8.3321608736e-3)
SIN_7 = np.float32(-1.9515295891e-4)
COS_4 = np.float32(4.166664568298827e-2)
COS_6 = np.float32(-1.388731625493765e-3)
COS_8 = np.float32(2.443315711809948e-5)

VECTOR = readable(FLOAT, 1)
MATRIX = readable(FLOAT, 2)
ARRAY = (VECTOR, VECTOR, VECTOR)
"""Positions (wavelengths), moduli and phases (turns) of an array, each (K,)."""


@inlined
def sine_cosine(quarters: Any) -> Any:
    """Sine and cosine of an angle in quarter turns."""
    quarter = np.floor(quarters + float32(0.5))
    x = (quarters - quarter) * HALF_PI
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
def steer(real: Any, imaginary: Any, sine: Any, k: Any, position: Any, modulus: Any, phase: Any) -> None:
    """a(θ)_k of every snapshot of a tile into `real` and `imaginary` (K, TILE), given sin θ (TILE,)."""
    p = float32(4) * position[k]
    f = float32(4) * phase[k]
    m = modulus[k]
    for b in range(TILE):
        s, c = sine_cosine(p * sine[b] - f)
        real[k, b] = m * c
        imaginary[k, b] = -m * s


@inlined
def project(re: Any, im: Any, real: Any, imaginary: Any, tile: Any, k: Any) -> None:
    """Element k's part of aᵀx, added to `re` and `im` (TILE,); x (2K, TILE)."""
    for b in range(TILE):
        re[b] += real[k, b] * tile[2 * k, b]
        im[b] += real[k, b] * tile[2 * k + 1, b]
        re[b] -= imaginary[k, b] * tile[2 * k + 1, b]
        im[b] += imaginary[k, b] * tile[2 * k, b]


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


@kernel(writable(FLOAT, 2), MATRIX, readable(types.boolean, 1), VECTOR, VECTOR, types.boolean, *ARRAY, *ARRAY)
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
    elements = echo.shape[1] // 2
    row = np.zeros(TILE, np.int64)
    tile = np.zeros((2 * elements, TILE), np.float32)
    real = np.empty((elements, TILE), np.float32)
    imaginary = np.empty((elements, TILE), np.float32)
    sine = np.zeros(TILE, np.float32)
    g_re = np.zeros(TILE, np.float32)
    g_im = np.zeros(TILE, np.float32)
    re = np.empty(TILE, np.float32)
    im = np.empty(TILE, np.float32)
    i = 0
    while i < echo.shape[0]:
        # A tile holds snapshots with a target alone.
        count = 0
        while i < echo.shape[0] and count < TILE:
            row[count] = i
            count += int64(present[i])
            i += 1
        for b in range(count):
            n = row[b]
            sine[b] = angle[n]
            g_re[b] = gain[2 * n]
            g_im[b] = gain[2 * n + 1]
            for j in range(2 * elements):
                tile[j, b] = transmitted[n, j]
        for b in range(TILE):
            sine[b], _ = sine_cosine(sine[b] * QUARTER_TURNS)
            re[b] = float32(0)
            im[b] = float32(0)
        for k in range(elements):
            steer(real, imaginary, sine, k, send_position, send_modulus, send_phase)
            project(re, im, real, imaginary, tile, k)
        for b in range(TILE):
            h = g_re[b] * re[b] - g_im[b] * im[b]
            im[b] = g_re[b] * im[b] + g_im[b] * re[b]
            re[b] = h
        for k in range(elements):
            if not same:
                steer(real, imaginary, sine, k, receive_position, receive_modulus, receive_phase)
            for b in range(TILE):
                tile[2 * k, b] = re[b] * real[k, b] - im[b] * imaginary[k, b]
                tile[2 * k + 1, b] = re[b] * imaginary[k, b] + im[b] * real[k, b]
        for b in range(count):
            for j in range(2 * elements):
                echo[row[b], j] += tile[j, b]


@kernel(writable(FLOAT, 1), writable(FLOAT, 1), MATRIX, VECTOR, VECTOR, VECTOR, *ARRAY)
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
    elements = transmitted.shape[1] // 2
    tile = np.zeros((2 * elements, TILE), np.float32)
    real = np.empty((elements, TILE), np.float32)
    imaginary = np.empty((elements, TILE), np.float32)
    sine = np.zeros(TILE, np.float32)
    re = np.empty(TILE, np.float32)
    im = np.empty(TILE, np.float32)
    for first in range(0, transmitted.shape[0], TILE):
        count = min(TILE, transmitted.shape[0] - first)
        for b in range(count):
            sine[b] = angle[first + b]
            for j in range(2 * elements):
                tile[j, b] = transmitted[first + b, j]
        for b in range(TILE):
            sine[b], _ = sine_cosine(sine[b] * QUARTER_TURNS)
            re[b] = float32(0)
            im[b] = float32(0)
        for k in range(elements):
            steer(real, imaginary, sine, k, position, modulus, phase)
            project(re, im, real, imaginary, tile, k)
        for b in range(count):
            n = first + b
            h_re = gain[2 * n] * re[b] - gain[2 * n + 1] * im[b]
            h_im = gain[2 * n] * im[b] + gain[2 * n + 1] * re[b]
            received[2 * n] += h_re
            received[2 * n + 1] += h_im
            s_re = symbol[2 * n]
            s_im = symbol[2 * n + 1]
            inverse = float32(1) / (s_re * s_re + s_im * s_im)
            csi[2 * n] = (h_re * s_re + h_im * s_im) * inverse
            csi[2 * n + 1] = (h_im * s_re - h_re * s_im) * inverse
