"""From an order to its studies, tasks and files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from isac_models.errors import UserError
from isac_models.sweeps import production
from isac_models.sweeps.production import Order, judgements_on, studies, tasks, write
from isac_models.sweeps.studies import RHOS
from tests.isac_models.sweeps.measured import Cards, alike, learned_card, neural_card, results_of

FULL = Order(("fig3", "fig4", "fig5", "roc", "snr"), "full", (1, 2), ("spacing", "element"), 1_200_000)
CARDS = Cards(learned_card(500), learned_card(156), learned_card(500, "joint"), neural_card(21, RHOS))


def test_an_order_has_a_study_for_every_figure_and_hardware_once() -> None:
    stems = [each.stem for each in studies(FULL, CARDS)]
    hardware = ["spacing-1", "spacing-2", "element-1", "element-2"]
    figures = ("fig4", "fig5-low", "fig5-unrestricted")
    expected = {"fig3", *(f"{name}-{each}" for name in figures for each in hardware)}
    expected |= {f"{name}-{kind}-1" for name in ("roc", "snr") for kind in ("spacing", "element")}
    assert set(stems) == expected
    assert len(stems) == len(expected)
    transmit = studies(replace(FULL, impaired_side="transmit"), CARDS)
    assert {each.scenario.impaired_side for each in transmit} == {"transmit"}


def test_every_point_is_one_task_whoever_shows_it() -> None:
    made = studies(replace(FULL, figures=("fig4",), seeds=(1,)), CARDS)
    found = tasks(made, ship=False)
    assert len(found) == sum(len(each.points) for each in made)
    twice = tasks([*made, *made], ship=False)
    assert list(twice) == list(found)
    key, (values, files) = next(iter(found.items()))
    assert made[0].points[0][1].key == key
    assert json.loads(json.dumps(values)) == values
    assert files == {}


def test_only_full_scale_goes_unstamped() -> None:
    assert FULL.stamp == ""
    assert "quick: 200,000 snapshots a point" in replace(FULL, scale="quick", snapshots=200_000).stamp
    assert "full: 1,000 snapshots" in replace(FULL, snapshots=1000).stamp


def test_the_files_of_an_order(tmp_path: Path) -> None:
    order = replace(
        FULL, figures=("fig3", "fig4"), scale="quick", snapshots=200_000, impairments=("spacing",)
    )
    made = studies(order, CARDS)
    results = {key: result for each in made for key, result in results_of(each, alike).items()}
    written = write(order, made, results, tmp_path)
    assert sorted(path.name for path in written) == sorted(
        [
            *("fig3.png", "fig3.csv", "fig3-pairs.csv", "fig3.json"),
            *("fig4-spacing-1.png", "fig4-spacing-2.png", "fig4.csv", "fig4-pairs.csv", "fig4.json"),
            *("claims.md", "claims.json"),
        ]
    )
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written}
    values = json.loads((tmp_path / "fig4.json").read_text())
    assert values["stamp"] == order.stamp
    assert {row["impairment_seed"] for row in values["rows"]} == {1, 2}
    assert "fig4-spacing-2" in values["missing"]
    lines = (tmp_path / "fig4.csv").read_text().splitlines()
    assert len(lines) == 1 + len(values["rows"])
    page = (tmp_path / "claims.md").read_text()
    assert page.startswith(order.stamp)
    assert "mean of 2" in page
    assert "The learned A (learned-500-joint) beats the known array" in page


def test_claims_are_judged_on_what_was_measured_alone() -> None:
    assert judgements_on({"roc": {("spacing", 1): []}}) == []
    sections = {each.claim.section for each in judgements_on({"fig5-low": {("spacing", 1): []}})}
    assert sections == {"V-D"}


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    order = replace(FULL, figures=("roc",), seeds=(1,), impairments=("spacing",))
    made = studies(order, Cards())
    (tmp_path / "roc-spacing-1.png").mkdir()
    results = results_of(made[0], alike)
    with pytest.raises(UserError, match=r"cannot write .*roc-spacing-1\.png"):
        write(order, made, results, tmp_path)


def test_full_scale_is_what_the_comparison_asks_for() -> None:
    assert production.SCALES["full"] >= 1_200_000
