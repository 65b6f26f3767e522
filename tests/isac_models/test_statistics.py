"""Intervals against SciPy and against their promised coverage; counts that merge."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm

from isac_models.statistics import (
    RateCounter,
    SquaredErrorCounter,
    clopper_pearson,
    root_mean_square_interval,
)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(
    ("events", "trials"), [(0, 1), (1, 1), (0, 50), (50, 50), (1, 50), (7, 1000), (300, 600), (3, 10**7)]
)
def test_rates_have_the_exact_interval(events: int, trials: int, confidence: float) -> None:
    expected = binomtest(events, trials).proportion_ci(confidence, method="exact")
    found = RateCounter(events, trials).interval(confidence)
    # SciPy searches the ends to 2e-12; ours satisfy the definition to rounding.
    np.testing.assert_allclose(found, [expected.low, expected.high], rtol=1e-11, atol=5e-12)
    tail = (1 - confidence) / 2
    if events > 0:
        assert binom.sf(events - 1, trials, found[0]) == pytest.approx(tail, rel=1e-9)
    if events < trials:
        assert binom.cdf(events, trials, found[1]) == pytest.approx(tail, rel=1e-9)
    assert clopper_pearson(events, trials, confidence) == found


def test_without_trials_nothing_is_known() -> None:
    counter = RateCounter()
    assert math.isnan(counter.rate)
    assert counter.interval() == (0.0, 1.0)
    errors = SquaredErrorCounter()
    assert math.isnan(errors.rmse)
    assert errors.interval() == (0.0, math.inf)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20), st.integers(1, 5))
def test_parts_that_merge_are_the_whole(parts: list[tuple[int, int]], coherence: int) -> None:
    whole, merged = RateCounter(coherence=coherence), RateCounter(coherence=coherence)
    for events, others in parts:
        whole.add(events, events + others)
        part = RateCounter(coherence=coherence)
        part.add(events, events + others)
        merged = merged.merge(part)
    assert merged == whole


@given(st.lists(st.floats(-2, 2), max_size=60), st.integers(0, 60), st.integers(1, 5))
def test_errors_that_merge_are_the_whole(errors: list[float], cut: int, coherence: int) -> None:
    whole, first, second = (SquaredErrorCounter(coherence=coherence) for _ in range(3))
    whole.add(np.array(errors))
    first.add(np.array(errors[:cut]))
    second.add(np.array(errors[cut:]))
    merged = first.merge(second)
    assert merged.count == whole.count == len(errors)
    np.testing.assert_allclose(
        [merged.sum_squares, merged.sum_fourth],
        [whole.sum_squares, whole.sum_fourth],
        rtol=1e-12,
        atol=1e-300,
    )


def test_merging_leaves_both_parts_as_they_were() -> None:
    first, second = RateCounter(1, 4), RateCounter(2, 5)
    assert first.merge(second) == RateCounter(3, 9)
    assert (first, second) == (RateCounter(1, 4), RateCounter(2, 5))


def test_coherence_counts_independent_blocks() -> None:
    counter = RateCounter(coherence=10)
    counter.add(200, 1000)
    expected = binomtest(20, 100).proportion_ci(method="exact")
    assert counter.rate == 0.2
    np.testing.assert_allclose(counter.interval(), [expected.low, expected.high], rtol=1e-9)
    errors, blocks = SquaredErrorCounter(coherence=10), SquaredErrorCounter()
    sample = np.random.default_rng(0).normal(size=500)
    errors.add(np.repeat(sample, 10))
    blocks.add(sample)
    np.testing.assert_allclose(errors.interval(), blocks.interval(), rtol=1e-12)


def test_the_rmse_interval_is_the_central_limit_of_the_mean_square() -> None:
    errors = np.random.default_rng(1).standard_t(8, size=(40, 50))
    counter = SquaredErrorCounter()
    counter.add(errors)
    squares = errors.reshape(-1) ** 2
    half = norm.ppf(0.975) * squares.std() / math.sqrt(squares.size)
    assert counter.rmse == pytest.approx(math.sqrt(squares.mean()), rel=1e-14)
    np.testing.assert_allclose(
        counter.interval(), np.sqrt([squares.mean() - half, squares.mean() + half]), rtol=1e-12
    )
    low, high = counter.interval(0.5)
    assert counter.interval()[0] < low < counter.rmse < high < counter.interval()[1]


def test_the_rmse_interval_covers_as_often_as_it_says() -> None:
    runs, confidence = 2000, 0.9
    errors = np.random.default_rng(2).normal(size=(runs, 400))
    covered = 0
    for run in errors:
        counter = SquaredErrorCounter()
        counter.add(run)
        low, high = counter.interval(confidence)
        covered += low <= 1 <= high
    # five standard errors, and one percent for the normal approximation at 400 errors
    assert abs(covered / runs - confidence) < 5 * math.sqrt(0.09 / runs) + 0.01


def test_equal_errors_leave_no_doubt() -> None:
    counter = SquaredErrorCounter()
    counter.add(np.full(100, -0.1, np.float32))
    assert counter.interval() == pytest.approx((0.1, 0.1), rel=1e-6)
    assert root_mean_square_interval(1, 0.01, 0.0001) == (0.0, math.inf)


def test_dictionaries_give_back_the_same_counter() -> None:
    rate = RateCounter(3, 10, coherence=2)
    assert RateCounter.from_dict(json.loads(json.dumps(rate.to_dict()))) == rate
    errors = SquaredErrorCounter(coherence=3)
    errors.add([0.1, -0.2, 1 / 3])
    assert SquaredErrorCounter.from_dict(json.loads(json.dumps(errors.to_dict()))) == errors


@pytest.mark.parametrize(("events", "trials"), [(2, 1), (-1, 1), (0, -1)])
def test_impossible_counts_are_refused(events: int, trials: int) -> None:
    with pytest.raises(ValueError, match="must be from 0"):
        RateCounter().add(events, trials)
    with pytest.raises(ValueError, match="must be from 0"):
        RateCounter(events, trials)
    with pytest.raises(ValueError, match="must be from 0"):
        clopper_pearson(events, trials)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, math.nan])
def test_impossible_confidence_is_refused(confidence: float) -> None:
    for counter in (RateCounter(1, 2), SquaredErrorCounter(2, 1.0, 1.0)):
        with pytest.raises(ValueError, match="confidence"):
            counter.interval(confidence)


def test_runs_of_different_coherence_do_not_merge() -> None:
    with pytest.raises(ValueError, match="cannot be merged"):
        RateCounter(coherence=2).merge(RateCounter(coherence=3))
    with pytest.raises(ValueError, match="cannot be merged"):
        SquaredErrorCounter(coherence=2).merge(SquaredErrorCounter(coherence=3))
    with pytest.raises(ValueError, match="at least 1"):
        RateCounter(coherence=0)


def test_the_interval_of_a_short_run_allows_for_errors_it_has_not_met() -> None:
    # As of a link: errors of 0.01 rad, and one in two thousand anywhere in a sector of 0.35 rad.
    generator = np.random.default_rng(1)
    rare, limit, runs = 5e-4, 0.35, 2000
    truth = math.sqrt((1 - rare) * 0.01**2 + rare * limit**2 / 3)
    held = {0.0: 0, limit: 0}
    for _ in range(runs):
        errors = generator.normal(0, 0.01, 850)
        outliers = generator.random(850) < rare
        errors[outliers] = generator.uniform(-limit, limit, outliers.sum())
        for bound in held:
            counter = SquaredErrorCounter(limit=bound)
            counter.add(errors)
            low, high = counter.interval()
            held[bound] += low <= truth <= high
    assert held[0.0] < 0.7 * runs  # without the allowance the interval of such a run is no interval
    assert held[limit] > 0.94 * runs
