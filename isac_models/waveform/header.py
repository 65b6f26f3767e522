"""The header of a burst (number, flags, CRC-16), and the checksum of its payload (CRC-32)."""

from __future__ import annotations

import zlib
from binascii import crc_hqx
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.errors import UserError
from isac_models.waveform.burst_format import HEADER_BITS, HEADER_REPEATS

Values = NDArray[Any]

NUMBERS, FLAGS = 1 << 24, 1 << 8
"""Burst numbers and flag bytes are below these; numbers go round."""
CHECKSUM = 4
"""Bytes that `protect` appends."""


def crc16(data: bytes) -> int:
    """CRC-16 of the CCITT: polynomial 0x1021, from 0xFFFF on, not reflected (check value 0x29B1)."""
    return crc_hqx(data, 0xFFFF)


def encode(number: int, flags: int = 0) -> Values:
    """BPSK symbols (HEADER_BITS · HEADER_REPEATS,) complex128: the word, then all of it again; bit 0 is +1.

    Most significant bit first. Raises UserError for a number of more than 24 bits or flags of more than 8.
    """
    if not 0 <= number < NUMBERS or not 0 <= flags < FLAGS:
        raise UserError(f"a burst number has 24 bits and its flags have 8, not {number} and {flags}")
    word = number.to_bytes(3, "big") + flags.to_bytes(1, "big")
    word += crc16(word).to_bytes(2, "big")
    bits = np.unpackbits(np.frombuffer(word * HEADER_REPEATS, np.uint8))
    return (1.0 - 2.0 * bits).astype(np.complex128)


def decode(symbols: Values, weights: Values) -> tuple[int, int] | None:
    """(number, flags) of received symbols (96,), or None where the checksum fails.

    `weights`: κ/N0 per symbol (96,), or one for all; repeats are combined to Σ Re(κ* y)/N0, the sufficient
    statistic of a bit. Noise alone passes with probability 2⁻¹⁶. Raises UserError for another number of
    symbols.
    """
    if symbols.shape != (HEADER_BITS * HEADER_REPEATS,):
        raise UserError(f"a header has {HEADER_BITS * HEADER_REPEATS} symbols, not {symbols.shape}")
    soft = np.real(np.conj(weights) * symbols).reshape(HEADER_REPEATS, HEADER_BITS).sum(axis=0)
    word = np.packbits(soft < 0).tobytes()
    if crc16(word[:4]) != int.from_bytes(word[4:], "big"):
        return None
    return int.from_bytes(word[:3], "big"), word[3]


def protect(data: bytes) -> bytes:
    """The data with its CRC-32 behind it, most significant byte first."""
    return data + zlib.crc32(data).to_bytes(CHECKSUM, "big")


def check(data: bytes) -> bytes | None:
    """The data without its CRC-32, or None where that does not fit. Noise passes with probability 2⁻³²."""
    body, checksum = data[:-CHECKSUM], data[-CHECKSUM:]
    if len(data) < CHECKSUM or zlib.crc32(body) != int.from_bytes(checksum, "big"):
        return None
    return body
