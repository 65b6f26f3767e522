"""Tallies count what they are shown."""

from __future__ import annotations

import math

import numpy as np

from isac_models.constellation import Constellation
from isac_models.scenario import Scenario
from isac_models.statistics import RateCounter, SquaredErrorCounter
from isac_models.tally import Tally

SCENARIO = Scenario.preset("ideal").replace(order=16)


def counted(repeat: int = 1) -> Tally:
    """Four snapshots, as often as asked: one missed target, one found, one false alarm, one clear."""
    tally = Tally.empty(SCENARIO)
    flags = np.array([[1, 1, 0, 0], [0, 1, 1, 0]], bool)
    for _ in range(repeat):
        tally.communication.add(
            Constellation(16), np.array([3, 0, 7, 9], np.uint8), np.array([3, 1, 7, 6], np.uint8)
        )
        angle, estimate = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.5, 0.21, 0.5, 0.5])
        tally.sensing.add(flags[0], angle, flags[1], estimate)
    return tally


def test_every_event_is_counted_once() -> None:
    rates = counted().rates()
    assert (rates["ser"], rates["ber"]) == (2 / 4, 5 / 16)
    assert (rates["p_md"], rates["p_fa"]) == (1 / 2, 1 / 2)
    assert math.isclose(rates["rmse_rad"], 0.01)
    assert all(rates[f"{key}_low"] <= rates[key] <= rates[f"{key}_high"] for key in ("ser", "p_md", "p_fa"))


def test_merged_runs_are_one_run() -> None:
    assert counted(2).merge(counted(3)).to_dict() == counted(5).to_dict()
    assert counted(2).merge(counted(3)).snapshots == 20


def test_counts_are_enough_to_make_the_counters_again() -> None:
    values = counted(3).to_dict()
    rates = counted(3).rates()
    assert RateCounter.from_dict(values["ber"]).interval() == (rates["ber_low"], rates["ber_high"])
    assert SquaredErrorCounter.from_dict(values["rmse_rad"]).rmse == rates["rmse_rad"]


def test_precision_is_that_of_the_widest_interval() -> None:
    tally = counted(4000)
    tally.sensing.rmse_rad.add(np.full(8000, 0.02))
    rates = tally.rates()
    widest = max(
        (rates[f"{key}_high"] - rates[f"{key}_low"]) / 2 / rates[key] for key in ("ser", "p_md", "rmse_rad")
    )
    assert tally.precise(1.01 * widest)
    assert not tally.precise(0.99 * widest)
    assert not Tally.empty(SCENARIO).precise(0.5)


def test_targets_are_counted_by_block_and_false_alarms_by_snapshot() -> None:
    tally = Tally.empty(SCENARIO.replace(coherence=10)).to_dict()
    assert {key: tally[key]["coherence"] for key in ("ser", "p_md", "p_fa")} == {
        "ser": 10,
        "p_md": 10,
        "p_fa": 1,  # noise is drawn for every snapshot
    }
    low, high = SCENARIO.target_sector
    assert tally["rmse_rad"]["limit"] == high - low
