"""The page of claims shows each sentence, each number and each verdict."""

from __future__ import annotations

import json
import re

from isac_models.pairing import Estimate
from isac_models.sweeps.claims import Check, Claim, Finding, Judgement
from isac_models.sweeps.report import as_markdown, as_values

P_MD = Check("fig4", "p_md", "learned-500", "baseline", "lower")
RMSE = Check("fig5-low", "rmse_rad", "learned-156", "neural-narrow", "at most 1.10")
DROPS = Claim("V-C", "It drops.", (P_MD, RMSE), "Both are lower.")
SAME = Claim("V-B", "They coincide.", (Check("fig3", "ser", "a", "b", "coincide", "all"),))


def ratio(value: float) -> Estimate:
    return Estimate(value, value - 0.05, value + 0.05, 0.0255)


JUDGEMENTS = [
    Judgement(SAME, "none", (Finding(SAME.checks[0], {}, None),)),
    Judgement(
        DROPS,
        "spacing",
        (
            Finding(P_MD, {1: ratio(0.8), 2: ratio(1.2)}, ratio(0.9)),
            Finding(RMSE, {1: ratio(1.3)}, ratio(1.3)),
        ),
    ),
]
LABELS = {"fig4/learned-500": "learned A, N=500", "fig4/baseline": "baseline, N=500"}
PAGE = as_markdown(JUDGEMENTS, LABELS)


def table_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_claim_has_a_line_with_its_verdicts() -> None:
    rows = table_rows(PAGE)
    assert ["1", "V-B", "They coincide.", "**not tested**", ""] in rows
    assert ["2", "V-C", "It drops.", "", "**holds partly**"] in rows


def test_every_ratio_is_shown_with_its_interval_seed_by_seed() -> None:
    rows = table_rows(PAGE)
    assert [
        *("P_md: learned A, N=500 / baseline, N=500", "< 1", "0.900 (0.850 … 0.950)"),
        *("0.800 (0.750 … 0.850)", "1.200 (1.150 … 1.250)", "1 of 2", "yes"),
    ] in rows
    assert [
        *("RMSE: learned-156 / networks, N=21 (fig5-low)", "≤ 1.10", "1.300 (1.250 … 1.350)"),
        *("1.300 (1.250 … 1.350)", "–", "0 of 1", "no"),
    ] in rows


def test_the_sentence_is_quoted_and_its_reading_given() -> None:
    assert "> It drops." in PAGE
    assert "Read as: Both are lower." in PAGE


def test_tables_are_well_formed() -> None:
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_the_same_is_there_as_values() -> None:
    first, second = json.loads(json.dumps(as_values(JUDGEMENTS)))
    assert (first["claim"], first["verdict"], first["impairment"]) == (1, "not tested", "none")
    assert second["verdict_by_seed"] == {"1": "holds partly", "2": "does not hold"}
    check = second["checks"][0]
    assert check["mean"] == {"value": 0.9, "low": 0.85, "high": 0.95}
    assert check["seeds_passed"] == [1]
    assert second["checks"][1]["metric"] == "rmse_common"
