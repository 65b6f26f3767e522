"""Every figure has the curves, the points and the comparisons that the issue of it asks for."""

from __future__ import annotations

import pytest

from isac_models.scenario import Scenario
from isac_models.sweeps.studies import FIGURES, RHOS, Study, setting_of, study, training_command
from tests.isac_models.sweeps.measured import Cards, learned_card, neural_card

IMPAIRED = Scenario.preset("impaired")
ALL = Cards(
    learned_card(500),
    learned_card(156),
    learned_card(500, "joint"),
    neural_card(1024, RHOS),
    neural_card(21, RHOS),
)
NAMES = tuple(name for names in FIGURES.values() for name in names)


def names_of(study: Study) -> list[str]:
    return [curve.name for curve in study.curves if curve.shown]


def versus(study: Study, name: str, value: float = 1.0) -> set[str]:
    found = [point for at, point in study.points if point.contender.name == name and at == value]
    return {each.name for each in found[0].versus}


def test_the_paper_has_thirteen_values_of_rho() -> None:
    assert RHOS == (0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.15, 0.4, 0.6, 0.8, 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_curve_has_thirteen_points_of_the_asked_size(name: str) -> None:
    made = study(name, IMPAIRED, ALL, 1_200_000)
    for curve in made.curves:
        own = [(value, point) for value, point in made.points if point.contender.name == curve.name]
        assert len({value for value, _ in own}) == (13 if curve.shown else 0), curve
        assert all(point.snapshots == 1_200_000 for _, point in own)
    assert not made.missing
    keys = [point.key for _, point in made.points]
    assert len(set(keys)) == len(keys)


def test_the_curves_are_those_of_the_paper_and_the_references() -> None:
    curves = {name: names_of(study(name, IMPAIRED, ALL, 100)) for name in NAMES}
    assert curves["fig3"] == ["baseline", "best", "learned-500", "learned-500-joint", "neural-wide"]
    assert curves["fig4"] == [
        *("baseline", "known", "best"),
        *("learned-500", "learned-500-joint", "learned-156", "neural-wide", "neural-narrow"),
    ]
    assert curves["fig5-low"] == ["baseline", "known", "best", "learned-156", "neural-narrow"]
    assert curves["fig5-unrestricted"] == ["baseline", "known", "best", "learned-500", "neural-wide"]


def test_the_scenarios_are_those_of_the_paper() -> None:
    seed_3 = IMPAIRED.replace(impairment="element", impairment_seed=3)
    assert study("fig3", seed_3, ALL, 100).scenario == Scenario.preset("ideal")
    assert study("fig4", seed_3, ALL, 100).scenario == seed_3
    low, unrestricted = (study(f"fig5-{name}", IMPAIRED, ALL, 100) for name in ("low", "unrestricted"))
    assert low.scenario == Scenario.preset("unseen")
    assert unrestricted.scenario == Scenario.preset("unseen").replace(grid_size=500)
    assert study("fig4", seed_3, ALL, 100).stem == "fig4-element-3"
    assert study("fig3", seed_3, ALL, 100).stem == "fig3"


def test_methods_keep_their_own_grid_on_a_common_scenario() -> None:
    made = study("fig4", IMPAIRED, ALL, 100)
    grids = {point.contender.name: point.contender.grid_size for _, point in made.points}
    assert grids["learned-156"] == 156
    assert grids["learned-500"] == grids["baseline"] == grids["known"] == 500
    low = study("fig5-low", IMPAIRED, ALL, 100)
    assert {p.contender.grid_size for _, p in low.points if p.contender.name == "baseline"} == {156}


def test_who_is_compared_with_whom() -> None:
    made = study("fig4", IMPAIRED, ALL, 100)
    assert versus(made, "baseline") == {"known"}
    assert versus(made, "best") == {"baseline", "known"}
    assert versus(made, "learned-500") == {"baseline", "known", "known-softmax"}
    assert versus(made, "learned-156") >= {"baseline", "known", "learned-500"}
    assert versus(made, "neural-wide") >= {"baseline", "learned-500", "neural-narrow"}
    assert versus(made, "neural-narrow") >= {"baseline", "learned-156"}


def test_draws_of_one_hardware_are_not_those_of_another() -> None:
    seeds = {
        seed: {
            point.seed for _, point in study("fig4", IMPAIRED.replace(impairment_seed=seed), ALL, 9).points
        }
        for seed in (1, 2)
    }
    assert seeds == {1: {1}, 2: {2}}


def test_networks_have_points_only_where_they_were_trained() -> None:
    cards = Cards(learned_card(500), neural_card(256, (0.0, 0.4, 1.0)), neural_card(21, (0.4, 1.0)))
    made = study("fig4", IMPAIRED, cards, 100)
    values = {
        n: {v for v, p in made.points if p.contender.name == n} for n in ("neural-wide", "neural-narrow")
    }
    assert values == {"neural-wide": {0.0, 0.4, 1.0}, "neural-narrow": {0.4, 1.0}}
    assert "neural-narrow" in versus(made, "neural-wide", 0.4)
    assert "neural-narrow" not in versus(made, "neural-wide", 0.0)


def test_what_was_trained_otherwise_says_so() -> None:
    cards = Cards(
        learned_card(500, "joint", 5000),
        neural_card(256, RHOS, iterations=20_000),
        neural_card(21, RHOS, stopped_at=[[12_000, None], [None, 57_500]], angle_unit="rad"),
    )
    labels = {curve.name: curve.label for curve in study("fig4", IMPAIRED, cards, 100).curves}
    assert labels["learned-500"] == "learned A, N=500, joint (5,000 iterations)"
    assert labels["neural-wide"] == "networks, N=256 (20,000 iterations)"
    assert labels["neural-narrow"] == (
        "networks, N=21 (7,500 … 50,000 of 50,000 iterations, angle loss in rad²)"
    )


def test_files_of_an_impaired_transmitter_have_a_name_of_their_own() -> None:
    both, one = (
        study("fig4", IMPAIRED.replace(impaired_side=side), Cards(), 100) for side in ("both", "transmit")
    )
    assert (both.stem, one.stem) == ("fig4-spacing-1", "fig4-spacing-1-transmit")


def test_what_is_missing_is_named_with_the_command_that_makes_it() -> None:
    made = study("fig4", IMPAIRED.replace(impairment="element", impairment_seed=4), Cards(), 100)
    assert names_of(made) == ["baseline", "known", "best"]
    hardware = "--scenario impaired --impairment element --impairment-seed 4"
    neural = f"python -m isac_models.train neural {hardware}"
    assert made.missing == (
        f"learned A, N=500: python -m isac_models.train model-driven {hardware} --grid-size 500 --out DIR",
        f"learned A, N=156: python -m isac_models.train model-driven {hardware} --grid-size 156 --out DIR",
        f"networks, N=1024: {neural} --hidden 1024 --omega all --out DIR",
        f"networks, N=21: {neural} --hidden 21 --omega all --out DIR",
    )
    assert [each.grid_size for each in made.untrained] == [500, 156]


def test_the_commands_are_taken_by_the_trainer() -> None:
    from isac_models.learning.arguments import parse
    from isac_models.options import scenario_from

    for scenario in (
        Scenario.preset("ideal"),
        IMPAIRED,
        IMPAIRED.replace(impairment="element", impairment_seed=5, impaired_side="transmit"),
    ):
        words = training_command("model-driven", scenario).split()[3:]
        assert scenario_from(parse([*words, "--out", "x"])) == scenario


def test_sweeps_change_one_thing_alone() -> None:
    roc, snr = study("roc", IMPAIRED, ALL, 100), study("snr", IMPAIRED, ALL, 100)
    for value, point in roc.points:
        assert point.scenario == IMPAIRED.replace(false_alarm=value)
        assert point.rho == 1
    for value, point in snr.points:
        assert point.scenario.radar_gain == pytest.approx(10 ** (value / 10))
        assert point.scenario.comm_gain == pytest.approx(100 * 10 ** (value / 10))
        assert point.rho == 0.4


def test_the_setting_says_which_side_is_impaired() -> None:
    assert setting_of(Scenario.preset("ideal")) == "ideal array"
    assert "both directions, hardware seed 1" in setting_of(IMPAIRED)
    assert "transmitter only" in setting_of(IMPAIRED.replace(impaired_side="transmit"))
