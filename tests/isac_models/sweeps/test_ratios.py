"""Ratios from the rows of a study: of the same draws, of separate ones, and between curves."""

from __future__ import annotations

import math

import pytest

from isac_models.pairing import Estimate
from isac_models.scenario import Scenario
from isac_models.sweeps.points import Point
from isac_models.sweeps.ratios import Metric, between, excess, independent, paired, worst
from isac_models.sweeps.studies import RHOS, study
from isac_models.sweeps.tables import Row, rows
from tests.isac_models.sweeps.measured import Cards, Rates, Truth, learned_card, neural_card, results_of

CARDS = Cards(learned_card(500), neural_card(1024, (0.0, 0.05, 0.4, 0.9, 1.0)), neural_card(21, RHOS))


def power_law(name: str, point: Point) -> Rates:
    """Straight lines in logarithms; the learned A misses 10 % less, the networks err 25 % more elsewhere."""
    shift = 0.07 if name == "neural-wide" else 0.0
    ser = 0.002 * 100 ** (point.rho + shift)
    rates = {"ser": ser, "p_md": 0.05 * (ser / 0.2) ** -0.5, "rmse_rad": 0.01 * (ser / 0.2) ** -0.3}
    if name.startswith("learned"):
        rates["p_md"] *= 0.9
    if name == "neural-wide":
        rates["ser"] *= 1.25
    return rates


def rows_of(truth: Truth = power_law) -> list[Row]:
    made = study("fig4", Scenario.preset("impaired"), CARDS, 1_200_000)
    return rows(made, results_of(made, truth))


def test_a_pair_is_found_from_either_side() -> None:
    of = rows_of()
    one = paired(of, "p_md", "learned-500", "baseline", 1.0)
    other = paired(of, "p_md", "baseline", "learned-500", 1.0)
    assert one is not None
    assert other is not None
    assert one.value == pytest.approx(0.9)
    assert (other.value, other.low, other.high) == pytest.approx((1 / one.value, 1 / one.high, 1 / one.low))
    assert paired(of, "p_md", "learned-500", "nobody", 1.0) is None
    assert paired(of, "p_md", "learned-500", "baseline", 0.123) is None


def test_the_worst_ratio_is_the_one_that_may_be_farthest_from_one() -> None:
    def dips(name: str, point: Point) -> Rates:
        rates = power_law("baseline", point)
        if name == "learned-500" and point.rho == 0.15:
            rates["p_md"] *= 0.5
        return rates

    found = worst(rows_of(dips), "p_md", "learned-500", "baseline")
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert worst(rows_of(), "p_md", "learned-500", "nobody") is None


def test_excess_looks_both_ways() -> None:
    assert excess(Estimate(1.1, 1.0, 1.2, 0.05)) == 1.2
    assert excess(Estimate(0.9, 0.8, 1.0, 0.05)) == 1.25
    assert excess(Estimate(0.1, 0.0, 0.2, 0.05)) == math.inf


def test_separate_runs_have_the_errors_of_both() -> None:
    of = rows_of()
    at_one = {row["name"]: row for row in of if row["rho"] == 1}
    first, second = at_one["learned-500"], at_one["baseline"]
    found = independent(first, second, "p_md")
    assert found is not None
    assert found.value == pytest.approx(0.9)
    relative = [(row["p_md_high"] - row["p_md_low"]) / 3.92 / row["p_md"] for row in (first, second)]
    assert found.error == pytest.approx(0.9 * math.hypot(*relative), rel=1e-3)
    assert independent(None, second, "p_md") is None
    assert independent({**first, "p_md": None}, second, "p_md") is None
    assert independent({**first, "p_md_high": None}, second, "p_md").error == math.inf  # type: ignore[union-attr]


@pytest.mark.parametrize("at_equal", ["p_md", "rmse_rad"])
def test_between_curves_the_ratio_is_exact_for_power_laws(at_equal: Metric) -> None:
    found = between(rows_of(), at_equal, "neural-wide", "baseline")
    assert found is not None
    assert found.value == pytest.approx(1.25, rel=1e-9)
    assert found.low < 1.25 < found.high
    assert found.high / found.low < 1.2


def test_curves_that_do_not_overlap_have_no_ratio() -> None:
    def apart(name: str, point: Point) -> Rates:
        rates = power_law("baseline", point)
        return {**rates, "p_md": rates["p_md"] * (1e-2 if name == "neural-wide" else 1)}

    assert between(rows_of(apart), "p_md", "neural-wide", "baseline") is None
    assert between(rows_of(), "p_md", "nobody", "baseline") is None
