"""Tiles of training data for the networks: everything of a snapshot that does not depend on the networks.

Row j of tile t is `tiles[t, j * TILE : (j + 1) * TILE]`; networks.py lists the rows.
Sine and cosine: Cephes sinf and cosf.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int32

from isac_models.kernels.compiling import FLOAT, inlined, kernel, readable, types, writable

TILE = 128
"""Snapshots of a tile, as in networks.py."""
HALF_PI = np.float32(np.pi / 2)
QUARTER_TURNS = np.float32(2 / np.pi)
# sin x and cos x on [-π/4, π/4].
SIN_3, SIN_5, SIN_7 = np.float32(-1.6666654611e-1), np.float32(8.3321608736e-3), np.float32(-1.9515295891e-4)
COS_4, COS_6, COS_8 = (
    np.float32(4.166664568298827e-2),
    np.float32(-1.388731625493765e-3),
    np.float32(2.443315711809948e-5),
)


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
def steer(out: Any, sine: Any, position: Any, modulus: Any, phase: Any) -> None:
    """a(θ)_k = m_k exp(-j2π (p_k sin θ - φ_k)): out (2K TILE,), real parts first, given sin θ (TILE,)."""
    elements = position.shape[0]
    for k in range(elements):
        p, f, m = float32(4) * position[k], float32(4) * phase[k], modulus[k]
        re = out[k * TILE : (k + 1) * TILE]
        im = out[(elements + k) * TILE : (elements + k + 1) * TILE]
        for b in range(TILE):
            s, c = sine_cosine(p * sine[b] - f)
            re[b] = m * c
            im[b] = -m * s


# Rows of a tile, as in networks.py.
PRIOR, TRUTH, PRESENT, MESSAGE, GAIN, NOISE, MATRICES = 0, 4, 5, 6, 7, 9, 11
VECTOR = readable(FLOAT, 1)
BYTES = readable(types.uint8, 1)
ARRAY = (VECTOR, VECTOR, VECTOR)
"""Positions (wavelengths), moduli and phases (turns) of an array, each (K,)."""


@kernel(
    writable(FLOAT, 2), VECTOR, VECTOR, VECTOR, BYTES, BYTES, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR,
    FLOAT, *ARRAY, *ARRAY,
)  # fmt: skip
def fill(
    tiles: Any, mean: Any, span: Any, place: Any, present: Any, message: Any, gain: Any, noise: Any,
    comm_angle: Any, comm_gain: Any, comm_noise: Any, comm_sector: Any, scale: Any, send_position: Any,
    send_modulus: Any, send_phase: Any, receive_position: Any, receive_modulus: Any, receive_phase: Any,
) -> None:  # fmt: skip
    """Tiles (T, rows TILE) of n snapshots, n at most T TILE; the places left over get finite values.

    mean, span (n,): target sectors in radians; place (n,): where in it the target is, from 0 to 1. present,
    message (n,); gain, comm_gain, comm_noise (2n,) and noise (2Kn,) complex values, interleaved;
    comm_angle (n,); comm_sector (2,) in radians. `scale` multiplies the angles that the networks are given.
    """
    elements = send_position.shape[0]
    wide = 2 * elements * TILE
    sine, re, im = np.zeros(TILE, np.float32), np.zeros(TILE, np.float32), np.zeros(TILE, np.float32)
    for t in range(tiles.shape[0]):
        tile = tiles[t]
        first = t * TILE
        count = max(0, min(TILE, mean.shape[0] - first))
        tile[: MATRICES * TILE] = float32(0)
        sine[:] = float32(0)
        for b in range(count):
            n = first + b
            half = float32(0.5) * span[n]
            angle = mean[n] - half + span[n] * place[n]
            there = float32(1) if present[n] > 0 else float32(0)
            tile[PRIOR * TILE + b] = scale * (mean[n] - half)
            tile[(PRIOR + 1) * TILE + b] = scale * (mean[n] + half)
            tile[TRUTH * TILE + b] = angle
            tile[PRESENT * TILE + b] = there
            tile[MESSAGE * TILE + b] = float32(message[n])
            tile[GAIN * TILE + b] = there * gain[2 * n]
            tile[(GAIN + 1) * TILE + b] = there * gain[2 * n + 1]
            tile[NOISE * TILE + b] = comm_noise[2 * n]
            tile[(NOISE + 1) * TILE + b] = comm_noise[2 * n + 1]
            sine[b] = angle * QUARTER_TURNS
            re[b], im[b] = comm_gain[2 * n], comm_gain[2 * n + 1]
        tile[(PRIOR + 2) * TILE : (PRIOR + 3) * TILE] = scale * comm_sector[0]
        tile[(PRIOR + 3) * TILE : (PRIOR + 4) * TILE] = scale * comm_sector[1]
        for b in range(TILE):
            sine[b], _ = sine_cosine(sine[b])
        rest = tile[MATRICES * TILE :]
        steer(rest, sine, send_position, send_modulus, send_phase)
        steer(rest[wide:], sine, receive_position, receive_modulus, receive_phase)
        transposed = rest[2 * wide : 3 * wide]
        transposed[:] = float32(0)
        for b in range(count):
            row = noise[(first + b) * 2 * elements : (first + b + 1) * 2 * elements]
            for k in range(elements):
                transposed[k * TILE + b] = row[2 * k]
                transposed[(elements + k) * TILE + b] = row[2 * k + 1]
            sine[b] = comm_angle[first + b] * QUARTER_TURNS
        for b in range(TILE):
            sine[b], _ = sine_cosine(sine[b])
        channel = rest[3 * wide : 4 * wide]
        steer(channel, sine, send_position, send_modulus, send_phase)
        for k in range(elements):
            h = channel[k * TILE : (elements + k + 1) * TILE]
            for b in range(TILE):
                x, y = h[b], h[elements * TILE + b]
                h[b] = re[b] * x - im[b] * y
                h[elements * TILE + b] = re[b] * y + im[b] * x
