from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac_models.errors import UserError
from isac_models.waveform.burst_format import HEADER_BITS, HEADER_REPEATS
from isac_models.waveform.header import check, crc16, decode, encode, protect
from tests.isac_models.waveform.scene import noise


def test_the_checksum_of_the_header_has_the_published_check_value() -> None:
    assert crc16(b"123456789") == 0x29B1


@given(st.integers(0, 2**24 - 1), st.integers(0, 255), st.floats(-math.pi, math.pi))
def test_a_header_comes_back_through_any_phase(number: int, flags: int, phase: float) -> None:
    csi = np.exp(1j * phase)
    assert decode(csi * encode(number, flags), csi) == (number, flags)


def test_a_header_is_two_times_the_same_word_most_significant_bit_first() -> None:
    symbols = encode(0x800001, 0x03)
    assert symbols.shape == (HEADER_BITS * HEADER_REPEATS,)
    assert np.array_equal(symbols[:HEADER_BITS], symbols[HEADER_BITS:])
    word = "".join("1" if symbol < 0 else "0" for symbol in symbols[:32].real)
    assert word == f"{0x800001:024b}{0x03:08b}"


def test_three_wrong_bits_never_pass() -> None:
    # The code's distance is 4 at this length; every pattern of one, and many of two and three.
    sent = encode(123456, 7)
    rng = np.random.default_rng(1)
    patterns = [[i] for i in range(HEADER_BITS)] + [
        rng.choice(HEADER_BITS, 2 + i % 2, replace=False).tolist() for i in range(2000)
    ]
    for pattern in patterns:
        wrong = sent.copy().reshape(HEADER_REPEATS, HEADER_BITS)
        wrong[:, pattern] *= -1
        assert decode(wrong.reshape(-1), np.ones(1)) is None


def test_both_repeats_count_by_their_strength() -> None:
    sent = encode(99, 1)
    csi = np.repeat([0.1 - 0.1j, 2.0j], HEADER_BITS)
    received = csi * sent
    received[:HEADER_BITS] *= -1  # what is weak is all wrong
    assert decode(received, csi) == (99, 1)


def test_a_header_in_noise_fails_as_often_as_theory_says() -> None:
    snr, trials = 10 ** (1 / 10), 3000
    rng = np.random.default_rng(2)
    csi = np.sqrt(snr)
    lost = sum(decode(csi * encode(5, 5) + noise(rng, 96), csi) is None for _ in range(trials))
    bit = 0.5 * math.erfc(math.sqrt(HEADER_REPEATS * snr))
    expected = 1 - (1 - bit) ** HEADER_BITS
    assert abs(lost / trials - expected) < 5 * math.sqrt(expected * (1 - expected) / trials)


def test_noise_rarely_passes_for_a_header() -> None:
    rng = np.random.default_rng(3)
    passed = sum(decode(noise(rng, 96), np.ones(1)) is not None for _ in range(20000))
    assert passed < 0.31 + 5 * math.sqrt(0.31) + 1  # 20000 · 2⁻¹⁶


@pytest.mark.parametrize(("number", "flags"), [(-1, 0), (2**24, 0), (0, -1), (0, 256)])
def test_what_does_not_fit_is_refused(number: int, flags: int) -> None:
    with pytest.raises(UserError, match="24 bits"):
        encode(number, flags)


def test_a_header_of_another_length_is_refused() -> None:
    with pytest.raises(UserError, match="96 symbols"):
        decode(np.ones(95), np.ones(1))


@given(st.binary(max_size=200))
def test_a_payload_comes_back_without_its_checksum(data: bytes) -> None:
    protected = protect(data)
    assert len(protected) == len(data) + 4
    assert int.from_bytes(protected[-4:], "big") == zlib.crc32(data)
    assert check(protected) == data


@given(st.binary(min_size=4, max_size=64), st.data())
def test_a_changed_byte_is_noticed(data: bytes, draw: st.DataObject) -> None:
    protected = bytearray(protect(data))
    place = draw.draw(st.integers(0, len(protected) - 1))
    protected[place] ^= draw.draw(st.integers(1, 255))
    assert check(bytes(protected)) is None


@pytest.mark.parametrize("data", [b"", b"a", b"abc", b"abcde"])
def test_a_payload_that_is_too_short_or_has_no_checksum_is_noticed(data: bytes) -> None:
    assert check(data) is None


def test_the_published_check_value_of_the_payload_s_checksum() -> None:
    assert protect(b"123456789")[-4:] == bytes.fromhex("cbf43926")
