"""Ratios and differences of paired counts: closed forms, symmetry, and coverage in simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from isac_models.pairing import Estimate, PairedErrors, PairedRate, mean_estimate

RUNS = 2000
COVERED = (0.93, 0.97)  # of 2000 runs at 95 %: five standard errors on either side


def test_events_are_counted_where_they_count() -> None:
    counter = PairedRate()
    first, second = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 1], bool)
    counter.add(first, second)
    assert (counter.first, counter.second, counter.both, counter.trials) == (3, 3, 2, 5)
    counter.add(first, second, np.array([0, 1, 1, 1, 0], bool))
    assert (counter.first, counter.second, counter.both, counter.trials) == (4, 4, 2, 8)


def test_independent_methods_have_the_sum_of_both_variances() -> None:
    # p₁ = .2, p₂ = .1, p₁₂ = .02: Var ln p̂ = (1 - p)/(n p) for each.
    counter = PairedRate(first=200_000, second=100_000, both=20_000, trials=1_000_000)
    ratio = counter.ratio()
    assert ratio.value == pytest.approx(2)
    expected = math.sqrt(0.8 / 200_000 + 0.9 / 100_000)
    assert ratio.error == pytest.approx(2 * expected)
    assert math.log(ratio.high / ratio.low) == pytest.approx(2 * 1.959964 * expected, rel=1e-6)
    difference = counter.difference()
    assert difference.value == pytest.approx(0.1)
    assert difference.error == pytest.approx(math.sqrt((0.2 * 0.8 + 0.1 * 0.9) / 1_000_000))


def test_only_what_differs_makes_a_difference_uncertain() -> None:
    # McNemar: a difference of c - b among n has the variance (c + b - (c - b)²/n)/n².
    counter = PairedRate(first=1030, second=1010, both=1000, trials=10_000)
    assert counter.difference().value == pytest.approx(0.002)
    assert counter.difference().error == pytest.approx(math.sqrt(40 - 400 / 10_000) / 10_000)
    assert counter.ratio().error / counter.ratio().value == pytest.approx(math.sqrt(40 / (1030 * 1010)))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_ratio_of_normal_deviations_has_its_known_variance(correlation: float) -> None:
    # Var ln(s₁/s₂) = (1 - ρ²)/n for two normal variables of correlation ρ; moments by Isserlis' theorem.
    n, one, two = 10_000, 2.0, 3.0
    counter = PairedErrors(
        n,
        n * one**2,
        n * two**2,
        3 * n * one**4,
        3 * n * two**4,
        n * one**2 * two**2 * (1 + 2 * correlation**2),
    )
    ratio = counter.ratio()
    assert ratio.value == pytest.approx(2 / 3)
    assert ratio.error / ratio.value == pytest.approx(math.sqrt((1 - correlation**2) / n))
    # r₁ - r₂ with Var r = σ²/2n and Cov = ρ² σ₁σ₂/2n.
    variance = (one**2 + two**2 - 2 * correlation**2 * one * two) / (2 * n)
    assert counter.difference().value == pytest.approx(-1)
    assert counter.difference().error == pytest.approx(math.sqrt(variance))


def test_errors_are_summed() -> None:
    counter = PairedErrors()
    first, second = np.array([1.0, -2.0], np.float32), np.array([3.0, 0.5], np.float32)
    counter.add(first, second)
    sums = (counter.first, counter.second, counter.first_fourth, counter.second_fourth, counter.cross)
    assert (counter.count, *sums) == (2, 5.0, 9.25, 17.0, 81.0625, 10.0)
    assert counter.first_rmse.rmse == pytest.approx(math.sqrt(2.5))
    assert counter.swapped().first_rmse.rmse == pytest.approx(math.sqrt(9.25 / 2))


def rates(random: np.random.Generator) -> PairedRate:
    """Two methods with rates .08 and .10 that mostly err together."""
    common, own = random.random((2, 4000)), random.random(4000)
    counter = PairedRate()
    counter.add((common[0] < 0.07) | (own < 0.01 / 0.93), (common[0] < 0.07) | (common[1] < 0.03 / 0.93))
    return counter


def errors(random: np.random.Generator) -> PairedErrors:
    """Errors of deviation 1 and 1.25 that share a part, with heavier tails than normal ones."""
    shared, one, two = random.laplace(size=(3, 2000)) / math.sqrt(2)
    counter = PairedErrors()
    counter.add(0.8 * shared + 0.6 * one, 1.25 * (0.8 * shared + 0.6 * two))
    return counter


@pytest.mark.parametrize(
    ("draw", "ratio", "difference"), [(rates, 0.8, -0.02), (errors, 0.8, -0.25)], ids=["rates", "errors"]
)
def test_intervals_cover_as_often_as_they_say(
    draw: Callable[[np.random.Generator], PairedRate | PairedErrors], ratio: float, difference: float
) -> None:
    random = np.random.default_rng(11)
    found = [(counter.ratio(), counter.difference()) for counter in (draw(random) for _ in range(RUNS))]
    for n, truth in enumerate((ratio, difference)):
        covered = sum(each[n].low < truth < each[n].high for each in found) / RUNS
        assert COVERED[0] < covered < COVERED[1]
        # The standard error is the deviation that the values have.
        assert np.std([each[n].value for each in found]) == pytest.approx(
            np.mean([each[n].error for each in found]), rel=0.1
        )


def test_swapping_inverts_ratios_and_negates_differences() -> None:
    for counter in (rates(np.random.default_rng(1)), errors(np.random.default_rng(1))):
        there, back = counter.ratio(), counter.swapped().ratio()
        assert (back.value, back.low, back.high) == pytest.approx(
            (1 / there.value, 1 / there.high, 1 / there.low)
        )
        there, back = counter.difference(), counter.swapped().difference()
        assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))


def test_merged_counts_are_those_of_one_run() -> None:
    random = np.random.default_rng(2)
    first, second = rates(random), rates(random)
    merged = first.merge(second)
    assert merged == PairedRate(
        first.first + second.first, first.second + second.second, first.both + second.both, 8000
    )
    one, two = random.standard_normal((2, 100))
    whole, left, right = PairedErrors(limit=1.0), PairedErrors(limit=1.0), PairedErrors(limit=2.0)
    whole.add(one, two)
    left.add(one[:30], two[:30])
    right.add(one[30:], two[30:])
    assert left.merge(right).ratio().value == pytest.approx(whole.ratio().value)
    assert left.merge(right).ratio().error == pytest.approx(whole.ratio().error)
    assert left.merge(right).limit == 2.0
    for a, b in ((PairedRate(), PairedRate(coherence=2)), (PairedErrors(), PairedErrors(coherence=2))):
        with pytest.raises(ValueError, match="coherence 1 and 2"):
            a.merge(b)  # type: ignore[arg-type]


def test_coherent_snapshots_count_as_blocks() -> None:
    # Every trial four times over: what is known is what a quarter of them tells.
    single, four = PairedRate(130, 120, 100, 1000), PairedRate(520, 480, 400, 4000, 4)
    assert four.ratio() == single.ratio()
    assert four.difference().error == pytest.approx(single.difference().error)
    single_errors = PairedErrors(100, 50.0, 60.0, 80.0, 90.0, 70.0)
    four_errors = PairedErrors(400, 200.0, 240.0, 320.0, 360.0, 280.0, 4)
    assert four_errors.ratio().error == pytest.approx(single_errors.ratio().error)
    assert four_errors.difference().error == pytest.approx(single_errors.difference().error)


def test_agreement_on_a_short_run_is_no_certainty() -> None:
    same = PairedRate(10, 10, 10, 100)
    assert (same.ratio().value, same.difference().value) == (1, 0)
    assert same.ratio().low < 0.95 < 1.05 < same.ratio().high
    assert same.difference().low < 0 < same.difference().high


def test_nothing_counted_is_nothing_known() -> None:
    for counter in (
        PairedRate(),
        PairedRate(0, 5, 0, 10),
        PairedErrors(),
        PairedErrors(5, 0.0, 1.0, 0.0, 1.0),
    ):
        ratio = counter.ratio()
        assert math.isnan(ratio.value)
        assert (ratio.low, ratio.high) == (0, math.inf)
    assert (PairedRate().difference().low, PairedRate().difference().high) == (-1, 1)
    assert math.isnan(PairedErrors().difference().value)


def test_the_mean_over_conditions_has_the_error_of_a_mean() -> None:
    mean = mean_estimate([Estimate.of_difference(0.9, 0.03), Estimate.of_difference(1.0, 0.04)])
    assert mean.value == pytest.approx(0.95)
    assert mean.error == pytest.approx(0.025)
    assert mean.high == pytest.approx(0.95 + 1.959964 * 0.025, rel=1e-6)
    assert mean.to_dict("r") == {
        "r": mean.value,
        "r_low": mean.low,
        "r_high": mean.high,
        "r_error": mean.error,
    }
    with pytest.raises(ValueError, match="no estimates"):
        mean_estimate([])
