"""Packets in bursts."""

from __future__ import annotations

import hashlib
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac_models.coding.packet import PacketFormat
from isac_models.errors import UserError


@given(
    bits=st.sampled_from([1, 2, 3, 4, 6]),
    symbols=st.integers(96, 300),
    number=st.integers(0, 2**24 - 1),
    flags=st.integers(0, 255),
    seed=st.integers(0, 2**32),
)
def test_a_packet_comes_back_and_an_error_is_noticed(
    bits: int, symbols: int, number: int, flags: int, seed: int
) -> None:
    layout, rng = PacketFormat(symbols, bits), np.random.default_rng(seed)
    data = rng.bytes(layout.size)
    messages = layout.messages(number, flags, data)
    assert messages.shape == (symbols,)
    assert messages.max() < 1 << bits
    assert layout.parse(messages) == (number, flags, data)
    used = 8 * (layout.size + 8) // bits
    messages[rng.integers(used)] ^= 1
    assert layout.parse(messages) is None


def test_the_bytes_are_where_they_are_said_to_be() -> None:
    layout = PacketFormat(256, 2)
    assert layout.size == 56
    data = bytes(range(56))
    sequence = hashlib.shake_256(b"isac burst").digest(64)
    body = b"\x01\x02\x03\x04" + data
    expected = bytes(a ^ b for a, b in zip(body + zlib.crc32(body).to_bytes(4, "big"), sequence, strict=True))
    found = layout.messages(0x010203, 4, data)
    quarters = [expected[n // 4] >> (6 - 2 * (n % 4)) & 3 for n in range(256)]
    assert found.tolist() == quarters


def test_a_file_of_zeros_does_not_make_equal_symbols() -> None:
    counts = np.bincount(PacketFormat(256, 2).messages(0, 0, bytes(56)), minlength=4)
    assert counts.min() > 64 - 5 * np.sqrt(256 * 3 / 16)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="cannot carry"):
        PacketFormat(40, 2)
    layout = PacketFormat(256, 2)
    for number, flags, size in ((2**24, 0, 56), (-1, 0, 56), (0, 256, 56), (0, 0, 55)):
        with pytest.raises(ValueError, match="24-bit"):
            layout.messages(number, flags, bytes(size))
