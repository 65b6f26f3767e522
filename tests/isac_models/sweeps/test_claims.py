"""Claims hold when they should, and not when they should not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from isac_models.pairing import Estimate
from isac_models.scenario import Impairment, Scenario
from isac_models.sweeps.claims import IDEAL, Check, Claim, Judgement, Outcome, judge, verdict
from isac_models.sweeps.points import Point
from isac_models.sweeps.studies import study
from isac_models.sweeps.tables import Row, rows
from tests.isac_models.sweeps.measured import Cards, Rates, Truth, alike, learned_card, results_of

CARDS = Cards(learned_card(500), learned_card(156))


def rows_of(name: str, truth: Truth, impairment: Impairment = "spacing", seed: int = 1) -> list[Row]:
    scenario = Scenario.preset("impaired").replace(impairment=impairment, impairment_seed=seed)
    made = study(name, scenario, CARDS, 1_200_000)
    return rows(made, results_of(made, truth))


def times(factor: float) -> Truth:
    """Everything that a learned A does is so many times the others'."""

    def truth(name: str, point: Point) -> Rates:
        rates = alike(name, point)
        return {key: value * factor for key, value in rates.items()} if name.startswith("learned") else rates

    return truth


@pytest.mark.parametrize(
    ("wanted", "interval", "expected"),
    [
        ("lower", (0.8, 0.99), "yes"),
        ("lower", (0.8, 1.0), "undecided"),
        ("lower", (1.01, 1.2), "no"),
        ("higher", (1.01, 1.2), "yes"),
        ("higher", (0.9, 1.2), "undecided"),
        ("higher", (0.8, 0.9), "no"),
        ("not higher", (0.9, 1.0), "yes"),
        ("not higher", (0.9, 1.01), "undecided"),
        ("at most 1.10", (0.5, 1.1), "yes"),
        ("at most 1.10", (1.11, 1.2), "no"),
        ("coincide", (0.92, 1.09), "yes"),
        ("coincide", (0.90, 1.09), "undecided"),
        ("coincide", (1.05, 1.2), "undecided"),
        ("coincide", (0.5, 0.8), "no"),
    ],
)
def test_a_check_asks_for_the_whole_interval(
    wanted: str, interval: tuple[float, float], expected: Outcome
) -> None:
    check = Check("fig4", "p_md", "a", "b", wanted)  # type: ignore[arg-type]
    assert check.outcome(Estimate(sum(interval) / 2, *interval, 0.1)) == expected


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], "not tested"),
        ([None, None], "not tested"),
        (["yes", "yes"], "holds"),
        (["yes", None], "holds as far as measured"),
        (["yes", "no", None], "holds partly"),
        (["yes", "undecided"], "holds partly"),
        (["no", "undecided"], "undecided"),
        (["no", None], "does not hold"),
    ],
)
def test_a_verdict_weighs_all_checks(outcomes: Sequence[Outcome | None], expected: str) -> None:
    assert verdict(outcomes) == expected


def claim(*checks: Check) -> Claim:
    return Claim("V-X", "All is well.", checks)


BETTER = claim(
    Check("fig4", "p_md", "learned-500", "baseline", "lower"),
    Check("fig4", "rmse_rad", "learned-500", "baseline", "lower"),
)


def test_a_claim_is_judged_on_every_kind_of_impairment() -> None:
    element = rows_of("fig4", times(1.2), "element")
    measured = {"fig4": {("spacing", 1): rows_of("fig4", times(0.8)), ("element", 1): element}}
    by_kind = {each.impairment: each for each in judge([BETTER], measured)}
    assert {kind: each.verdict for kind, each in by_kind.items()} == {
        "element": "does not hold",
        "spacing": "holds",
    }
    assert by_kind["spacing"].findings[0].by_seed[1].value == pytest.approx(0.8)


def judged_over_seeds(*factors: float) -> Judgement:
    settings = {
        ("spacing", seed): rows_of("fig4", times(factor), seed=seed) for seed, factor in enumerate(factors, 1)
    }
    (only,) = judge([BETTER], {"fig4": settings})
    return only


def test_over_seeds_the_mean_is_judged_and_every_seed_reported() -> None:
    only = judged_over_seeds(0.8, 0.9, 1.1)
    finding = only.findings[0]
    assert finding.mean is not None
    assert finding.mean.value == pytest.approx((0.8 + 0.9 + 1.1) / 3)
    errors = [ratio.error for ratio in finding.by_seed.values()]
    assert finding.mean.error == pytest.approx(sum(error**2 for error in errors) ** 0.5 / 3)
    assert only.verdict == "holds"
    by_seed = [only.verdict_of(seed) for seed in (1, 2, 3, 4)]
    assert by_seed == ["holds", "holds", "does not hold", "not tested"]
    assert finding.seeds_passed == [1, 2]
    assert judged_over_seeds(0.8, 1.1, 1.2).verdict == "does not hold"


def test_figure_3_has_one_hardware_whatever_the_impairments() -> None:
    same = claim(
        Check("fig3", "p_md", "learned-500", "baseline", "coincide", "all"),
        Check("fig3", "ser", "learned-500", "baseline", "coincide", "all"),
    )
    other = rows_of("fig4", alike)
    measured = {"fig3": {IDEAL: rows_of("fig3", times(1.01))}, "fig4": {("spacing", 2): other}}
    (only,) = judge([same], measured)
    assert only.impairment == "none"
    assert only.findings[0].by_seed[1].value == pytest.approx(1.01)


def test_a_figure_can_be_compared_with_figure_3() -> None:
    def worse(name: str, point: Point) -> Rates:
        rates = alike(name, point)
        factor = 1.0 if point.scenario.impairment == "none" else 1.3
        return {**rates, "rmse_rad": factor * rates["rmse_rad"]}

    drops = claim(Check("fig4", "rmse_rad", "baseline", "baseline", "higher", "without impairment"))
    impaired = {("spacing", 2): rows_of("fig4", worse, seed=2)}
    measured = {"fig3": {IDEAL: rows_of("fig3", worse)}, "fig4": impaired}
    (only,) = judge([drops], measured)
    assert only.verdict == "holds"
    assert only.findings[0].by_seed[2].value == pytest.approx(1.3)
    (alone,) = judge([drops], {"fig4": measured["fig4"]})
    assert alone.verdict == "not tested"


def test_what_was_not_measured_is_not_tested() -> None:
    absent = claim(Check("fig4", "p_md", "neural-wide", "learned-500", "lower"))
    (only,) = judge([absent], {"fig4": {("spacing", 1): rows_of("fig4", alike)}})
    assert only.verdict == "not tested"
    assert only.findings[0].mean is None
    assert only.findings[0].outcome is None
