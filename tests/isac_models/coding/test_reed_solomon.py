"""Reed–Solomon codes on many codewords at once."""

from __future__ import annotations

import numpy as np
import pytest
import reedsolo
from hypothesis import given
from hypothesis import strategies as st

from isac_models.coding.reed_solomon import ReedSolomon, multiply, products, solve
from isac_models.errors import UserError


def carry_less(a: int, b: int) -> int:
    """a · b modulo x⁸+x⁴+x³+x²+1, bit by bit."""
    out = 0
    for bit in range(8):
        out ^= (a << bit) * (b >> bit & 1)
    for bit in range(14, 7, -1):
        out ^= (0x11D << bit - 8) * (out >> bit & 1)
    return out


def random_data(rows: int, columns: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns)).astype(np.uint8)


def test_products_are_those_of_polynomials() -> None:
    assert products().tolist() == [[carry_less(a, b) for b in range(256)] for a in range(256)]


def test_the_published_example_is_reproduced() -> None:
    # ISO/IEC 18004, Annex I: the symbol 1-M of "01234567", 16 data and 10 error correction codewords.
    data = bytes.fromhex("10200c566180ec11ec11ec11ec11ec11")
    parity = bytes.fromhex("a524d4c1ed36c7872c55")
    word = ReedSolomon(16, 10).encode(np.frombuffer(data, np.uint8)[:, None])
    assert word[:, 0].tobytes() == data + parity


@pytest.mark.parametrize(("data", "parity"), [(191, 64), (1, 1), (1, 254), (40, 7), (255, 0), (200, 55)])
def test_codewords_are_those_of_the_library(data: int, parity: int) -> None:
    rows = random_data(data, 3)
    words = ReedSolomon(data, parity).encode(rows)
    codec = reedsolo.RSCodec(parity)
    for column in range(3):
        expected = bytes(codec.encode(rows[:, column].tobytes())) if parity else rows[:, column].tobytes()
        assert words[:, column].tobytes() == expected


def test_codewords_vanish_at_the_roots_of_the_generator() -> None:
    words = ReedSolomon(30, 8).encode(random_data(30, 2))
    root = 1
    for _ in range(8):
        value = 0
        for symbol in words[:, 1].tolist():  # Horner
            value = carry_less(value, root) ^ symbol
        assert value == 0
        root = carry_less(root, 2)


@given(data=st.integers(1, 60), parity=st.integers(0, 40), seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_as_many_lost_symbols_as_there_is_parity_come_back(
    data: int, parity: int, seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    code, rows = ReedSolomon(data, parity), random_data(data, 5, seed)
    places = rng.permutation(code.length)[round(share * parity) :].tolist()  # in any order
    found = code.decode(places, code.encode(rows)[places])
    assert found is not None
    assert np.array_equal(found, rows)


def test_one_lost_symbol_too_many_is_said() -> None:
    code = ReedSolomon(10, 4)
    words = code.encode(random_data(10, 2))
    assert code.decode(list(range(5, 14)), words[5:14]) is None


@pytest.mark.parametrize("lost", [0, 5, 12])
def test_wrong_symbols_among_the_rest_are_found_and_mended(lost: int) -> None:
    code, rows = ReedSolomon(40, 20), random_data(40, 60)
    words = code.encode(rows)
    places = np.random.default_rng(3).permutation(60)[lost:]
    received = words[places]
    wrong = (20 - lost) // 2
    received[:wrong, 7] ^= 0x55
    found = code.decode(places.tolist(), received)
    assert found is not None
    assert np.array_equal(found, rows)
    received[: wrong + 1, 8] ^= 1
    assert code.decode(places.tolist(), received) is None


def test_linear_systems_are_solved_and_singular_ones_refused() -> None:
    # A Vandermonde matrix of distinct elements is invertible.
    points = np.arange(1, 9, dtype=np.uint8)
    matrix = np.ones((8, 8), np.uint8)
    for power in range(1, 8):
        matrix[:, power] = products()[matrix[:, power - 1], points]
    x = random_data(8, 3)
    assert np.array_equal(solve(matrix, multiply(matrix, x)), x)
    assert np.array_equal(solve(matrix[::-1], multiply(matrix[::-1], x)), x)
    matrix[3] = matrix[5]
    with pytest.raises(ZeroDivisionError):
        solve(matrix, x)


@pytest.mark.parametrize(("data", "parity"), [(0, 3), (200, 56), (5, -1)])
def test_sizes_that_cannot_be_are_refused(data: int, parity: int) -> None:
    with pytest.raises(UserError, match="at most 255"):
        ReedSolomon(data, parity)
