"""Detectors on the same targets: counts against arrays compared one by one, and against evaluate_paired."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from isac_models.methods import System, build_system
from isac_models.monte_carlo import Link
from isac_models.paired import evaluate_paired
from isac_models.paired_sensing import PairedSensingTally
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven

SCENARIO = Scenario.preset("limited").replace(spacing_std=0.08)
NAMES = ("one", "two", "three")


def drawn(seed: int = 1, count: int = 2000) -> dict[str, Any]:
    """Targets, and what three detectors of different quality make of them."""
    random = np.random.default_rng(seed)
    angle = random.uniform(-0.7, -0.4, count)
    return {
        "present": random.random(count) < 0.5,
        "angle": angle,
        "detected": {name: random.random(count) < 0.9 - 0.2 * n for n, name in enumerate(NAMES)},
        "estimate": {name: angle + random.normal(0, 0.01 * (n + 1), count) for n, name in enumerate(NAMES)},
    }


def counted(*batches: dict[str, Any]) -> PairedSensingTally:
    """A tally of these batches."""
    tally = PairedSensingTally.empty(SCENARIO, NAMES)
    for batch in batches:
        tally.add(**batch)
    return tally


def test_common_targets_are_those_that_everyone_finds() -> None:
    data = drawn()
    rates = counted(data).rates()
    common = data["present"].copy()
    for name in NAMES:
        common &= data["detected"][name]
    assert rates["common"] == np.count_nonzero(common)
    for name in NAMES:
        errors = (data["estimate"][name] - data["angle"])[common]
        values = rates["methods"][name]
        assert values["common_rmse_rad"] == pytest.approx(np.sqrt(np.mean(errors**2)))
        assert values["common_rmse_rad_low"] < values["common_rmse_rad"] < values["common_rmse_rad_high"]


def test_pairs_have_ratios_and_differences_both_ways() -> None:
    data = drawn()
    pairs = counted(data).rates()["pairs"]
    present = data["present"]
    missed = {name: np.mean(~data["detected"][name][present]) for name in NAMES}
    for first in NAMES:
        for second in NAMES:
            if first == second:
                assert second not in pairs[first]
                continue
            values = pairs[first][second]
            both = present & data["detected"][first] & data["detected"][second]
            assert values["common"] == np.count_nonzero(both)
            assert values["p_md_difference"] == pytest.approx(missed[first] - missed[second])
            assert values["p_md_ratio"] == pytest.approx(missed[first] / missed[second])
            errors = {n: (data["estimate"][n] - data["angle"])[both] for n in (first, second)}
            rmse = {name: np.sqrt(np.mean(each**2)) for name, each in errors.items()}
            assert values["rmse_rad_ratio"] == pytest.approx(rmse[first] / rmse[second])
            assert values["rmse_rad_difference"] == pytest.approx(rmse[first] - rmse[second])
            for key in ("p_md_ratio", "p_md_difference", "rmse_rad_ratio", "rmse_rad_difference"):
                assert values[f"{key}_low"] < values[key] < values[f"{key}_high"]


def test_it_counts_what_the_paired_evaluation_counts() -> None:
    systems: dict[str, System] = {
        "baseline": build_system(SCENARIO, rho=0.4),
        "known": build_system(SCENARIO, rho=0.4, known_array=True),
        "learned": build_system(SCENARIO, "learned", rho=0.4, artifact=model_driven(SCENARIO)),
    }
    count, seed = 20_000, 4
    expected = evaluate_paired(SCENARIO, systems, count, seed)
    tally = PairedSensingTally.empty(SCENARIO, list(systems))
    for batch in zip(
        *(Link(SCENARIO, system, seed).outcomes(0, count) for system in systems.values()), strict=True
    ):
        outcomes = dict(zip(systems, batch, strict=True))
        target = batch[0].target
        tally.add(
            target.present,
            target.angle,
            {name: outcome.found.detected for name, outcome in outcomes.items()},
            {name: outcome.found.angle for name, outcome in outcomes.items()},
        )
    for pair, misses in tally.misses.items():
        theirs = expected.tally.pairs[pair]
        assert (misses, tally.pair_errors[pair]) == (theirs.p_md, theirs.rmse_rad)


def test_tallies_merge_and_travel_as_plain_values() -> None:
    one, two = drawn(1), drawn(2)
    merged = counted(one).merge(PairedSensingTally.from_dict(counted(two).to_dict()))
    whole = counted(one, two)
    assert merged.rates()["common"] == whole.rates()["common"]
    assert merged.misses == whole.misses
    for name in NAMES:
        assert merged.errors[name].rmse == pytest.approx(whole.errors[name].rmse, rel=1e-12)
    assert PairedSensingTally.from_dict(whole.to_dict()) == whole


def test_coherent_snapshots_count_as_one() -> None:
    data = drawn()
    wide = PairedSensingTally.empty(SCENARIO.replace(coherence=9), NAMES)
    wide.add(**data)
    narrow, rates = counted(data).rates(), wide.rates()
    for key in ("p_md_difference", "rmse_rad_difference"):
        ratio = rates["pairs"]["one"]["two"][f"{key}_error"] / narrow["pairs"]["one"]["two"][f"{key}_error"]
        assert ratio == pytest.approx(3)


def test_nothing_counted_is_no_number() -> None:
    rates = counted().rates()
    assert rates["common"] == 0
    assert math.isnan(rates["methods"]["one"]["common_rmse_rad"])
    assert math.isnan(rates["pairs"]["one"]["two"]["p_md_ratio"])
