"""Compiled Philox and Box-Muller against the plain form."""

from __future__ import annotations

import numpy as np
import pytest

from isac_models.draws import normals_from_words, philox_words
from isac_models.kernels import philox

# Random123, kat_vectors, philox4x32 with 10 rounds.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
KEY = (0x12345678, 0x9ABCDEF0, 0x0FEDCBA9)
NEAR_THE_CARRY = 2**32 - 5


def hexadecimal(text: str) -> np.ndarray:
    """Words written in base 16."""
    return np.array([int(word, 16) for word in text.split()], np.uint32)


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_known_answers(counter: str, key: str, expected: str) -> None:
    c0, c1, c2, c3 = hexadecimal(counter).tolist()
    k0, k1 = hexadecimal(key).tolist()
    out = np.empty(4, np.uint32)
    philox.words(out, c0 | c1 << 32, c2, k0, k1, c3)
    assert out.tolist() == hexadecimal(expected).tolist()


@pytest.mark.parametrize("call", [0, NEAR_THE_CARRY, 2**63])
def test_words_are_those_of_the_plain_form(call: int) -> None:
    out = np.empty(4 * 37, np.uint32)
    philox.words(out, call, 3, *KEY)
    assert out.reshape(-1, 4).tolist() == philox_words(KEY, 3, call, 37).tolist()


def test_normals_are_those_of_the_plain_form_to_rounding() -> None:
    calls = 50_000
    out = np.empty(4 * calls, np.float32)
    philox.normals(out, 2.5, 0, 1, *KEY)
    expected = 2.5 * normals_from_words(philox_words(KEY, 1, 0, calls))
    assert np.abs(out.reshape(-1, 4) - expected).max() < 2e-6


def test_pairs_are_the_first_two_normals_of_each_call() -> None:
    four, two = np.empty((100, 4), np.float32), np.empty((100, 2), np.float32)
    philox.normals(four.reshape(-1), 1.5, 7, 1, *KEY)
    philox.normal_pairs(two.reshape(-1), 1.5, 7, 1, *KEY)
    assert two.tolist() == four[:, :2].tolist()


def test_uniforms_and_integers_come_from_the_first_word() -> None:
    first = philox_words(KEY, 1, 11, 1000)[:, 0]
    uniform = np.empty(1000, np.float32)
    philox.uniforms(uniform, -1.0, 3.0, 11, 1, *KEY)
    assert np.abs(uniform - (-1 + 3 * (first >> np.uint32(8)) * 2.0**-24)).max() < 3e-7
    few, many = np.empty(1000, np.uint8), np.empty(1000, np.uint16)
    philox.bytes_below(few, 6, 11, 1, *KEY)
    philox.shorts_below(many, 60_000, 11, 1, *KEY)
    assert few.tolist() == (first.astype(np.uint64) * np.uint64(6) >> np.uint64(32)).tolist()
    assert many.tolist() == (first.astype(np.uint64) * np.uint64(60_000) >> np.uint64(32)).tolist()


def test_nothing_asked_is_nothing_done() -> None:
    philox.normals(np.empty(0, np.float32), 1.0, 0, 0, *KEY)
    philox.normal_pairs(np.empty(0, np.float32), 1.0, 0, 0, *KEY)
