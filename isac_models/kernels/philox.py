"""Philox4x32-10 counter-based random numbers, and normal deviates from them.

Generator: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, with its
published constants. Counter words: call number (64 bits), lane, third key word; key words: the first two.

Normals: Box and Muller 1958, in single precision. Polynomials: Cephes (Moshier), logf, sinf, cosf.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int32, uint8, uint16, uint32, uint64

from isac_models.kernels.compiling import FLOAT, WORD, inlined, kernel, types, writable

MULTIPLIER_0 = np.uint64(0xD2511F53)
MULTIPLIER_1 = np.uint64(0xCD9E8D57)
WEYL_0 = np.uint32(0x9E3779B9)
WEYL_1 = np.uint32(0xBB67AE85)
ROUNDS = 10
HIGH = np.uint64(32)

TO_UNIT = np.float32(2.0**-32)
TO_UNIT_24 = np.float32(2.0**-24)
TWO_PI = np.float32(2 * np.pi)
SQRT_HALF_BITS = np.int32(0x3F3504F3)
"""Bit pattern of √½ in float32: mantissas are reduced to [√½, √2)."""

# Cephes logf: log(1+m) - m + m²/2 = m³ P(m), and ln 2 in two parts.
LOG = tuple(
    np.float32(c)
    for c in (
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    )
)
LOG_0, LOG_1, LOG_2, LOG_3, LOG_4, LOG_5, LOG_6, LOG_7, LOG_8 = LOG
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)
# Cephes sinf and cosf on [-π/4, π/4].
SIN_3 = np.float32(-1.6666654611e-1)
SIN_5 = np.float32(8.3321608736e-3)
SIN_7 = np.float32(-1.9515295891e-4)
COS_4 = np.float32(4.166664568298827e-2)
COS_6 = np.float32(-1.388731625493765e-3)
COS_8 = np.float32(2.443315711809948e-5)

KEY = (WORD, WORD, WORD)
"""The three 32-bit key words, as arguments of a kernel."""


@inlined
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Four random words from a counter of four words and a key of two."""
    for _ in range(ROUNDS):
        p0 = uint64(c0) * MULTIPLIER_0
        p1 = uint64(c2) * MULTIPLIER_1
        c0 = uint32(p1 >> HIGH) ^ c1 ^ k0
        c1 = uint32(p1)
        c2 = uint32(p0 >> HIGH) ^ c3 ^ k1
        c3 = uint32(p0)
        k0 = uint32(k0 + WEYL_0)
        k1 = uint32(k1 + WEYL_1)
    return c0, c1, c2, c3


@inlined
def normal_pair(a: Any, b: Any) -> Any:
    """Two independent N(0, 1) deviates from two words: radius from `a`, angle from `b`."""
    u = (float32(a) + float32(0.5)) * TO_UNIT  # in (0, 1]
    bits = np.float32(u).view(np.int32)
    exponent = int32(int32(bits - SQRT_HALF_BITS) >> int32(23))
    m = np.int32(bits - int32(exponent << int32(23))).view(np.float32) - float32(1)
    p = LOG_0
    p = p * m + LOG_1
    p = p * m + LOG_2
    p = p * m + LOG_3
    p = p * m + LOG_4
    p = p * m + LOG_5
    p = p * m + LOG_6
    p = p * m + LOG_7
    p = p * m + LOG_8
    e = float32(exponent)
    z = m * m
    log_u = m * z * p + e * LN2_LOW - float32(0.5) * z + m + e * LN2_HIGH
    radius = np.sqrt(max(float32(0), float32(-2) * log_u))

    turn = float32(int32(b)) * TO_UNIT  # in [-1/2, 1/2]
    quarter = np.floor(turn * float32(4) + float32(0.5))
    x = (turn - quarter * float32(0.25)) * TWO_PI
    x2 = x * x
    s = x + x * x2 * (SIN_3 + x2 * (SIN_5 + x2 * SIN_7))
    c = float32(1) - float32(0.5) * x2 + x2 * x2 * (COS_4 + x2 * (COS_6 + x2 * COS_8))
    q = int32(quarter)
    odd = (q & int32(1)) != 0
    sine = c if odd else s
    cosine = s if odd else c
    sine = -sine if (q & int32(2)) != 0 else sine
    cosine = -cosine if ((q + int32(1)) & int32(2)) != 0 else cosine
    return radius * cosine, radius * sine


@kernel(writable(types.uint32, 1), WORD, WORD, *KEY)
def words(out: Any, call: Any, lane: Any, k0: Any, k1: Any, k2: Any) -> None:
    """Raw words: `out` (4 calls), call number `call` first."""
    for i in range(out.shape[0] // 4):
        n = call + uint64(i)
        a, b, c, d = philox(uint32(n), uint32(n >> HIGH), uint32(lane), uint32(k2), uint32(k0), uint32(k1))
        out[4 * i] = a
        out[4 * i + 1] = b
        out[4 * i + 2] = c
        out[4 * i + 3] = d


@kernel(writable(FLOAT, 1), FLOAT, WORD, WORD, *KEY)
def normals(out: Any, scale: Any, call: Any, lane: Any, k0: Any, k1: Any, k2: Any) -> None:
    """N(0, scale²) deviates: `out` (4 calls)."""
    for i in range(out.shape[0] // 4):
        n = call + uint64(i)
        a, b, c, d = philox(uint32(n), uint32(n >> HIGH), uint32(lane), uint32(k2), uint32(k0), uint32(k1))
        x0, x1 = normal_pair(a, b)
        x2, x3 = normal_pair(c, d)
        out[4 * i] = scale * x0
        out[4 * i + 1] = scale * x1
        out[4 * i + 2] = scale * x2
        out[4 * i + 3] = scale * x3


@kernel(writable(FLOAT, 1), FLOAT, WORD, WORD, *KEY)
def normal_pairs(out: Any, scale: Any, call: Any, lane: Any, k0: Any, k1: Any, k2: Any) -> None:
    """The first two deviates of every call: `out` (2 calls,)."""
    for i in range(out.shape[0] // 2):
        n = call + uint64(i)
        a, b, _, _ = philox(uint32(n), uint32(n >> HIGH), uint32(lane), uint32(k2), uint32(k0), uint32(k1))
        x0, x1 = normal_pair(a, b)
        out[2 * i] = scale * x0
        out[2 * i + 1] = scale * x1


@kernel(writable(FLOAT, 1), FLOAT, FLOAT, WORD, WORD, *KEY)
def uniforms(out: Any, low: Any, span: Any, call: Any, lane: Any, k0: Any, k1: Any, k2: Any) -> None:
    """low + span·U[0, 1) from the first word of every call, 24 bits each: `out` (calls,)."""
    for i in range(out.shape[0]):
        n = call + uint64(i)
        a, _, _, _ = philox(uint32(n), uint32(n >> HIGH), uint32(lane), uint32(k2), uint32(k0), uint32(k1))
        out[i] = low + span * (float32(int32(a >> uint32(8))) * TO_UNIT_24)


@kernel(writable(types.uint8, 1), WORD, WORD, WORD, *KEY)
def bytes_below(out: Any, bound: Any, call: Any, lane: Any, k0: Any, k1: Any, k2: Any) -> None:
    """Integers in [0, bound), bound ≤ 256, from the first word of every call: `out` (calls,)."""
    for i in range(out.shape[0]):
        n = call + uint64(i)
        a, _, _, _ = philox(uint32(n), uint32(n >> HIGH), uint32(lane), uint32(k2), uint32(k0), uint32(k1))
        out[i] = uint8((uint64(a) * bound) >> HIGH)


@kernel(writable(types.uint16, 1), WORD, WORD, WORD, *KEY)
def shorts_below(out: Any, bound: Any, call: Any, lane: Any, k0: Any, k1: Any, k2: Any) -> None:
    """Integers in [0, bound), bound ≤ 65536, from the first word of every call: `out` (calls,)."""
    for i in range(out.shape[0]):
        n = call + uint64(i)
        a, _, _, _ = philox(uint32(n), uint32(n >> HIGH), uint32(lane), uint32(k2), uint32(k0), uint32(k1))
        out[i] = uint16((uint64(a) * bound) >> HIGH)
