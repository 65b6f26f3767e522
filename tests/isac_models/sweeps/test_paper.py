"""The claims are the paper's, and can be tested on the studies that there are."""

from __future__ import annotations

import pytest

from isac_models.scenario import Scenario
from isac_models.sweeps.claims import Claim, Measured, judge
from isac_models.sweeps.paper import CLAIMS, beyond
from isac_models.sweeps.points import Point
from isac_models.sweeps.studies import FIGURES, RHOS, study
from isac_models.sweeps.tables import rows
from tests.isac_models.sweeps.measured import (
    Cards,
    Rates,
    Truth,
    alike,
    learned_card,
    neural_card,
    results_of,
)

CARDS = Cards(learned_card(500), learned_card(156), neural_card(1024, RHOS), neural_card(21, RHOS))
STUDIES = [name for figure in ("fig3", "fig4", "fig5") for name in FIGURES[figure]]


def measured(truth: Truth) -> Measured:
    """All figures on one hardware, as if every rate were the true one."""
    made = [study(name, Scenario.preset("impaired"), CARDS, 1_200_000) for name in STUDIES]
    setting = {each.name: (each.scenario.impairment, each.scenario.impairment_seed) for each in made}
    return {each.name: {setting[each.name]: rows(each, results_of(each, truth))} for each in made}


def as_the_paper_says(name: str, point: Point) -> Rates:
    """What the paper saw, in round numbers."""
    rates = alike(name, point)
    if point.scenario.impairment == "none":
        return rates
    factors = {"baseline": (1.02, 1.2), "neural-wide": (0.98, 0.97), "neural-narrow": (1.3, 1.5)}
    if point.scenario.target_sector[1] > 0:  # unseen
        factors |= {"neural-wide": (1.2, 1.3)}
    p_md, rmse = factors.get(name, (1.0, 1.0))
    return {**rates, "p_md": rates["p_md"] * p_md, "rmse_rad": rates["rmse_rad"] * rmse}


def test_every_claim_holds_where_the_world_is_as_the_paper_says() -> None:
    found = measured(as_the_paper_says)
    for judgement in judge(CLAIMS, found):
        expected = "holds partly" if judgement.claim.sentence.startswith("We expected") else "holds"
        assert judgement.verdict == expected, judgement.claim.sentence


def test_no_difference_means_that_only_claims_of_likeness_hold() -> None:
    verdicts: dict[str, str] = {each.claim.sentence: each.verdict for each in judge(CLAIMS, measured(alike))}
    like = [sentence for sentence, verdict in verdicts.items() if verdict == "holds"]
    assert len(like) == 5
    assert any("No significant differences" in sentence for sentence in like)
    assert not any("outperform" in sentence for sentence in like)
    drops = next(verdict for sentence, verdict in verdicts.items() if "drops" in sentence)
    assert drops in ("undecided", "does not hold")


def test_the_sections_are_in_the_order_of_the_paper() -> None:
    sections = [claim.section for claim in CLAIMS]
    assert sections == sorted(sections)
    assert set(sections) == {"V-B", "V-C", "V-D"}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.sentence[:40])
def test_every_check_is_about_contenders_of_its_study(claim: Claim) -> None:
    for check in claim.checks:
        names = {c.name for c in study(check.figure, Scenario.preset("impaired"), CARDS, 10).curves}
        assert {check.first, check.second} <= names


def test_figure_5_is_judged_in_both_readings() -> None:
    both = [claim for claim in CLAIMS if "is the best approach" in claim.sentence]
    assert [claim.figures for claim in both] == [{"fig5-unrestricted"}, {"fig5-low"}]


def test_beating_the_known_array_asks_for_an_upper_bound_of_one() -> None:
    def better(name: str, point: Point) -> Rates:
        rates = alike(name, point)
        return {key: 0.95 * value for key, value in rates.items()} if name == "learned-500" else rates

    claims = beyond(["learned-500"])
    (won,) = judge(claims, {"fig4": measured(better)["fig4"]})
    (drawn,) = judge(claims, {"fig4": measured(alike)["fig4"]})
    assert (won.verdict, drawn.verdict) == ("holds", "undecided")
    assert {check.second for check in claims[0].checks} == {"known-softmax"}
