"""Draws: laws, independence, and the same bits however a run is cut up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from isac_models.draws import NumpyRandom, SnapshotRandom, normals_from_words, philox4x32

COUNT = 200_000
CUTS = [0, 1, 2, 7, 8, 131, 1000, 1003, 2048]
# Random123, kat_vectors, philox4x32 with 10 rounds.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
DRAWS: dict[str, Callable[[Any, int, int], Any]] = {
    "normal": lambda random, start, count: random.normal(1, start, count),
    "normal 3": lambda random, start, count: random.normal(1, start, count, 3),
    "normal 16": lambda random, start, count: random.normal(1, start, count, 16),
    "complex": lambda random, start, count: random.complex_normal(2, start, count, variance=3.0),
    "complex 5": lambda random, start, count: random.complex_normal(2, start, count, 5),
    "uniform": lambda random, start, count: random.uniform(3, start, count, -1.0, 2.0),
    "bytes": lambda random, start, count: random.integers(4, start, count, 4),
    "shorts": lambda random, start, count: random.integers(4, start, count, 1000),
}


def hexadecimal(text: str) -> np.ndarray:
    """Words written in base 16."""
    return np.array([int(word, 16) for word in text.split()], np.uint32)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_plain_philox_gives_the_known_answers(counter: str, key: str, words: str) -> None:
    assert philox4x32(hexadecimal(counter)[None], hexadecimal(key)).tolist() == [hexadecimal(words).tolist()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_run_cut_anywhere_has_the_same_bits(draw: Callable[[Any, int, int], Any], dtype: type) -> None:
    random = SnapshotRandom(7, "stream", dtype)
    whole = draw(random, 1000, CUTS[-1])
    parts = [draw(random, 1000 + a, b - a) for a, b in pairwise(CUTS)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_single_and_double_precision_draw_the_same_numbers(draw: Callable[[Any, int, int], Any]) -> None:
    single = draw(SnapshotRandom(7, "stream"), 5, 10_000)
    double = draw(SnapshotRandom(7, "stream", np.float64), 5, 10_000)
    assert single.shape == double.shape
    assert np.abs(single.astype(double.dtype) - double).max() < 2e-6


def test_a_draw_is_pinned() -> None:
    random = SnapshotRandom(1, "target_reflector")
    assert random.integers(0, 0, 12, 256).tolist() == [174, 9, 249, 69, 241, 123, 202, 216, 211, 19, 188, 90]
    assert random.integers(0, 2**40, 4, 65536).tolist() == [62580, 50707, 18372, 26871]


def test_normals_are_normal() -> None:
    values = SnapshotRandom(3, "a").normal(0, 0, COUNT, 4)
    for column in values.T:
        assert stats.kstest(column, "norm").pvalue > 1e-6
    flat = values.astype(np.float64).ravel()
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(flat**power) - moment) < 5 * np.sqrt(spread / flat.size)
    # Tails: 5.7 standard deviations are expected about once in the whole sample.
    assert 4.5 < np.abs(flat).max() < 7


def test_complex_normals_have_their_variance_and_no_preferred_phase() -> None:
    values = SnapshotRandom(3, "a").complex_normal(0, 0, COUNT, variance=4.0).astype(np.complex128)
    assert stats.kstest(np.abs(values) ** 2 / 4, "expon").pvalue > 1e-6
    assert stats.kstest(np.angle(values) / np.pi, stats.uniform(-1, 2).cdf).pvalue > 1e-6


def test_uniforms_are_uniform_and_inside_their_bounds() -> None:
    values = SnapshotRandom(3, "a").uniform(0, 0, COUNT, -0.7, -0.35)
    assert values.dtype == np.float32
    assert values.min() >= np.float32(-0.7)
    assert values.max() <= np.float32(-0.35)
    assert stats.kstest(values.astype(np.float64), stats.uniform(-0.7, 0.35).cdf).pvalue > 1e-6


@pytest.mark.parametrize(
    ("bound", "dtype"), [(1, "u1"), (2, "u1"), (4, "u1"), (256, "u1"), (257, "u2"), (65536, "u2")]
)
def test_integers_are_uniform_below_their_bound(bound: int, dtype: str) -> None:
    values = SnapshotRandom(3, "a").integers(0, 0, COUNT, bound)
    assert values.dtype == np.dtype(dtype)
    counts = np.bincount(values, minlength=bound)
    assert counts.size == bound
    if bound <= 257:
        assert bound == 1 or stats.chisquare(counts).pvalue > 1e-6


@pytest.mark.parametrize(
    "other",
    [
        SnapshotRandom(3, "a").normal(1, 0, COUNT)[:, 0],
        SnapshotRandom(3, "b").normal(0, 0, COUNT)[:, 0],
        SnapshotRandom(4, "a").normal(0, 0, COUNT)[:, 0],
        SnapshotRandom(3, "a").normal(0, 1, COUNT)[:, 0],
        SnapshotRandom(3, "a").normal(0, 0, COUNT, 2)[:, 1],
    ],
    ids=["lane", "key", "seed", "index", "word"],
)
def test_sequences_are_independent(other: np.ndarray) -> None:
    one = SnapshotRandom(3, "a").normal(0, 0, COUNT)[:, 0]
    for a, b in ((one, other), (one**2, other**2), (np.abs(one), other)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(COUNT)


def test_given_memory_is_used_and_holds_the_same_draws() -> None:
    random = SnapshotRandom(3, "a")
    for width in (1, 2, 3, 16):
        out = np.empty((50, width), np.complex64)
        given = random.complex_normal(0, 9, 50, width, out=out)
        assert np.shares_memory(given, out)
        assert given.tobytes() == random.complex_normal(0, 9, 50, width).tobytes()
    row = np.empty(50, np.complex64)
    assert np.shares_memory(random.complex_normal(0, 9, 50, out=row), row)
    assert row.tobytes() == random.complex_normal(0, 9, 50).tobytes()


def test_extreme_words_give_finite_normals() -> None:
    extreme = [0, 1, 2**31 - 1, 2**31, 2**32 - 1]
    words = np.array([[a, b, b, a] for a in extreme for b in extreme], np.uint32)
    deviates = normals_from_words(words)
    assert np.isfinite(deviates).all()
    assert np.abs(deviates).max() < 7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_numpy_generator_offers_the_same_methods(dtype: type) -> None:
    random = NumpyRandom(np.random.default_rng(5), dtype)
    for name, draw in DRAWS.items():
        counted = draw(SnapshotRandom(1, "a", dtype), 0, 1000)
        values = draw(random, 0, 1000)
        assert (values.shape, values.dtype) == (counted.shape, counted.dtype), name
        assert abs(np.std(values) / np.std(counted) - 1) < 0.15


def test_impossible_requests_are_refused() -> None:
    random = SnapshotRandom(0, "a")
    for call in (
        lambda: SnapshotRandom(-1, "a"),
        lambda: SnapshotRandom(1, "a", np.int32),
        lambda: random.normal(0, -1, 5),
        lambda: random.uniform(0, 0, -5),
        lambda: random.integers(0, 0, 5, 0),
        lambda: random.integers(0, 0, 5, 65537),
        lambda: random.normal(0, 0, 5, 4, out=np.empty((5, 8), np.float32)[:, ::2]),
        lambda: random.complex_normal(0, 0, 5, 4, out=np.empty((5, 8), np.complex64)[:, :4]),
        lambda: random.complex_normal(0, 0, 5, out=np.empty(4, np.complex64)),
        lambda: random.complex_normal(0, 0, 5, out=np.empty(5, np.complex128)),
    ):
        with pytest.raises(ValueError, match=r"must|are float32"):
            call()
    assert random.normal(0, 0, 0, 3).shape == (0, 3)
    assert random.complex_normal(0, 0, 0).shape == (0,)
