"""Missed detections, false alarms and angle error."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import SensingMetrics
from isac_models.scenario import Scenario
from isac_models.statistics import clopper_pearson

FRAME = {
    "present": np.array([True, True, True, False, False, True, False, False]),
    "angle": np.array([0.1, 0.2, 0.3, 0.0, 0.0, 0.4, 0.0, 0.0], np.float32),
    "detected": np.array([True, False, True, True, False, True, False, False]),
    "estimated_angle": np.array([0.1, 9.0, 0.33, 9.0, 9.0, 0.36, 9.0, 9.0], np.float32),
}


def part(first: int, last: int) -> dict[str, np.ndarray]:
    return {key: array[first:last] for key, array in FRAME.items()}


def test_each_rate_counts_its_own_snapshots() -> None:
    metrics = SensingMetrics(Scenario())
    metrics.work(**part(0, 3))
    metrics.work(**part(3, 8))
    result = metrics.result()
    assert (result["p_md"], result["p_fa"]) == (1 / 4, 1 / 4)
    assert (result["p_md_low"], result["p_md_high"]) == clopper_pearson(1, 4)
    assert result["rmse_rad"] == pytest.approx(np.sqrt((0.03**2 + 0.04**2) / 3), rel=1e-5)
    assert result["rmse_rad_low"] < result["rmse_rad"] < result["rmse_rad_high"]


def test_runs_merge_into_one() -> None:
    whole, first, second = (SensingMetrics(Scenario()) for _ in range(3))
    whole.work(**FRAME)
    first.work(**part(0, 5))
    second.work(**part(5, 8))
    first.merge(second.result())
    merged, expected = first.result(), whole.result()
    for values in (merged, expected):
        values.update(values.pop("counters")["rmse_rad"])
    assert merged == pytest.approx(expected)


def test_nothing_counted_is_no_rate() -> None:
    result = SensingMetrics(Scenario()).result()
    assert np.isnan([result["p_md"], result["p_fa"], result["rmse_rad"]]).all()


def test_a_second_run_counts_from_nothing() -> None:
    metrics = SensingMetrics(Scenario())
    metrics.work(**FRAME)
    metrics.start()
    assert metrics.result()["counters"]["p_md"]["trials"] == 0
