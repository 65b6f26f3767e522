"""Matched filter: its decision and angle by definition, false alarms and missed detections by theory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from isac_models.array import hardware, nominal_array, steering_matrix
from isac_models.beamforming import baseline_beam
from isac_models.constellation import Constellation
from isac_models.detection import Estimator, MatchedFilter
from isac_models.draws import SnapshotRandom
from isac_models.errors import UserError
from isac_models.grid import angle_grid
from isac_models.propagation import TargetModel, precode
from isac_models.scenario import Scenario

COUNT = 200_000


def noise(count: int, antennas: int = 16) -> np.ndarray:
    """CN(0, I) snapshots."""
    return SnapshotRandom(8, "noise").complex_normal(0, 0, count, antennas)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"grid_size": 156, "target_sector": (-0.35, 0.35)},
        {"target_sector": (-1.5, 1.5), "grid_size": 100, "false_alarm": 0.2},
        {"antennas": 5, "false_alarm": 1e-3},
        {"target_sector": (0.0, 0.0), "grid_size": 501},
    ],
)
@pytest.mark.parametrize("estimator", ["argmax", "softmax"])
def test_false_alarms_come_as_often_as_asked(changes: dict[str, Any], estimator: Any) -> None:
    scenario = Scenario.preset("ideal").replace(**changes)
    matched_filter = MatchedFilter(scenario, estimator=estimator)
    false = int(matched_filter.detect(noise(COUNT, scenario.antennas)).detected.sum())
    asked = scenario.false_alarm
    spread = math.sqrt(asked * (1 - asked) / COUNT)
    assert abs(false / COUNT - asked) < 5 * spread + 5e-3 * asked


def test_statistic_and_angle_are_those_of_the_definition() -> None:
    scenario = Scenario.preset("limited")
    matched_filter = MatchedFilter(scenario)
    echo = (3 * noise(300)).astype(np.complex128)
    found = matched_filter.detect(echo)
    grid = angle_grid(scenario.grid_size)
    low, high = scenario.target_sector
    inside = [i for i, angle in enumerate(grid) if low - 1e-9 <= angle <= high + 1e-9]
    for n in range(300):
        sizes = [
            abs(np.vdot(nominal_array(scenario).steering(grid[i], np.complex128), echo[n])) for i in inside
        ]
        assert math.isclose(found.statistic[n], max(sizes))
        assert found.angle[n] == grid[inside[int(np.argmax(sizes))]]
        assert found.detected[n] == (max(sizes) > matched_filter.threshold.amplitude)


def test_softmax_counts_the_grid_outside_the_sector_with_exponent_zero() -> None:
    scenario = Scenario.preset("limited").replace(target_sector=(0.1, 0.5))
    echo = noise(200).astype(np.complex128)
    matrix = steering_matrix(nominal_array(scenario), angle_grid(scenario.grid_size))
    grid = angle_grid(scenario.grid_size)
    inside = (grid >= 0.1 - 1e-9) & (grid <= 0.5 + 1e-9)
    weights = np.exp(np.abs(echo @ matrix.conj()) * inside)
    expected = weights @ grid / weights.sum(axis=1)
    found = MatchedFilter(scenario, estimator="softmax").detect(echo).angle
    assert np.allclose(found, expected, atol=1e-12)


def test_missed_detections_at_one_known_angle_are_those_of_swerling_one() -> None:
    angle = float(angle_grid(500)[300])
    scenario = Scenario.preset("ideal").replace(target_sector=(angle, angle))
    beam = baseline_beam(scenario, 1.0)
    symbol = Constellation(4).encode(SnapshotRandom(2, "m").integers(0, 0, COUNT, 4))
    echo, target = TargetModel(scenario).observe(
        precode(symbol, beam.astype(np.complex64)), SnapshotRandom(2, "t"), 0
    )
    detected = MatchedFilter(scenario).detect(echo).detected
    gain = abs(nominal_array(scenario).steering(angle, np.complex128) @ beam) ** 2
    expected = scenario.false_alarm ** (1 / (1 + 16 * gain * scenario.radar_gain / scenario.noise_power))
    found, trials = int((detected & target.present).sum()), int(target.present.sum())
    assert abs(found / trials - expected) < 5 * math.sqrt(expected * (1 - expected) / trials)


def test_gross_figures_of_an_independent_implementation() -> None:
    scenario = Scenario.preset("ideal")
    symbol = Constellation(4).encode(SnapshotRandom(3, "m").integers(0, 0, COUNT, 4))
    beam = baseline_beam(scenario, 1.0).astype(np.complex64)
    echo, target = TargetModel(scenario).observe(precode(symbol, beam), SnapshotRandom(3, "t"), 0)
    matched_filter = MatchedFilter(scenario)
    found = matched_filter.detect(echo)
    hit = target.present & found.detected
    missed = 1 - hit.sum() / target.present.sum()
    rmse = float(np.sqrt(np.mean((found.angle - target.angle)[hit] ** 2)))
    assert abs(matched_filter.threshold.amplitude - 10.25) < 0.05
    assert abs(missed - 0.072) < 0.003
    assert abs(rmse - 0.0113) < 0.0005


def test_a_receiver_that_knows_its_array_measures_better_angles() -> None:
    scenario = Scenario.preset("impaired").replace(spacing_std=0.1)
    true = hardware(scenario)
    symbol = np.ones(COUNT // 4, np.complex64)
    beam = baseline_beam(scenario, 1.0, 0.0, true.transmit).astype(np.complex64)
    echo, target = TargetModel(scenario).observe(precode(symbol, beam), SnapshotRandom(3, "t"), 0)
    errors = []
    for matrix in (None, steering_matrix(true.receive, angle_grid(scenario.grid_size))):
        found = MatchedFilter(scenario, matrix).detect(echo)
        hit = target.present & found.detected
        errors.append(((found.angle - target.angle)[hit].astype(float)) ** 2)
    assert errors[1].mean() < errors[0].mean()
    assert stats.ttest_ind(*errors).pvalue < 1e-3


@pytest.mark.parametrize("grid_size", [61, 156])
def test_interpolation_finds_an_angle_between_grid_points(grid_size: int) -> None:
    """Without noise the vertex is the target to a small part of the grid's step, which argmax rounds to."""
    scenario = Scenario.preset("ideal").replace(grid_size=grid_size)
    low, high = scenario.target_sector
    step = math.pi / (grid_size - 1)
    angle = np.linspace(low + step, high - step, 301)
    echo = 10 * hardware(scenario).receive.steering(angle, np.complex128)
    names: tuple[Estimator, ...] = ("argmax", "interpolated")
    error = {
        name: np.abs(MatchedFilter(scenario, estimator=name).detect(echo).angle - angle).max()
        for name in names
    }
    assert error["argmax"] > 0.45 * step
    assert error["interpolated"] < 0.12 * step


def test_interpolation_stays_in_the_sector_and_next_to_the_largest() -> None:
    scenario = Scenario.preset("limited")
    random = np.random.default_rng(3)
    echo = random.normal(size=(5000, 16)) + 1j * random.normal(size=(5000, 16))
    exact = MatchedFilter(scenario).detect(echo)
    between = MatchedFilter(scenario, estimator="interpolated").detect(echo)
    step = math.pi / (scenario.grid_size - 1)
    assert np.abs(between.angle - exact.angle).max() <= step / 2 + 1e-9
    columns = MatchedFilter(scenario).angles
    assert columns[0] <= between.angle.min()
    assert between.angle.max() <= columns[-1]
    assert np.array_equal(between.detected, exact.detected)


def test_a_coarse_grid_with_interpolation_measures_angles_like_a_fine_one() -> None:
    """N = 156 with the vertex against N = 500 with argmax, same beam and draws: RMSE of found targets."""
    found = {}
    runs: list[tuple[int, Estimator]] = [(500, "argmax"), (156, "argmax"), (156, "interpolated")]
    for grid_size, estimator in runs:
        scenario = Scenario.preset("ideal").replace(grid_size=grid_size)
        beam = baseline_beam(scenario.replace(grid_size=500), 1.0).astype(np.complex64)
        transmitted = precode(np.ones(100_000, np.complex64), beam)
        echo, target = TargetModel(scenario).observe(transmitted, SnapshotRandom(1, "target_reflector"), 0)
        seen = MatchedFilter(scenario, estimator=estimator).detect(echo)
        hit = seen.detected & target.present
        found[grid_size, estimator] = np.sqrt(np.mean((seen.angle - target.angle)[hit] ** 2))
    assert found[156, "interpolated"] < 1.02 * found[500, "argmax"]
    assert found[156, "argmax"] > 1.06 * found[500, "argmax"]


def test_bad_matrices_and_estimators_are_refused() -> None:
    scenario = Scenario.preset("ideal")
    with pytest.raises(UserError, match="estimator 'mean': choose one of argmax, interpolated, softmax"):
        MatchedFilter(scenario, estimator="mean")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"\(16, 499\)"):
        MatchedFilter(scenario, np.ones((16, 499), complex))
    with pytest.raises(UserError, match="finite"):
        MatchedFilter(scenario, np.full((16, 500), np.nan, complex))
