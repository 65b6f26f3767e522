"""Thresholds against closed forms and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isac_models.array import nominal_array, steering_matrix
from isac_models.calibration import calibrate_threshold, false_alarm_probability
from isac_models.grid import angle_grid, sector_mask
from isac_models.scenario import Scenario

PROBABILITIES = [0.5, 1e-1, 1e-2, 1e-3, 1e-6, 1e-9]


def sector_columns(grid_size: int, low: float, high: float, antennas: int = 16) -> np.ndarray:
    """Steering vectors (K, G) of the grid points of a sector in degrees."""
    scenario = Scenario.preset("ideal").replace(antennas=antennas, grid_size=grid_size)
    grid = angle_grid(grid_size)
    mask = sector_mask(grid, (math.radians(low), math.radians(high)))
    return steering_matrix(nominal_array(scenario), grid)[:, mask]


@pytest.mark.parametrize("probability", [*PROBABILITIES, 0.99])
@pytest.mark.parametrize("noise_power", [1.0, 0.2])
def test_one_column_is_exact(probability: float, noise_power: float) -> None:
    column = np.array([[1.0], [2j], [0.5]])
    threshold = calibrate_threshold(column, noise_power, probability)
    assert math.isclose(threshold.amplitude, math.sqrt(-noise_power * 5.25 * math.log(probability)))
    assert threshold.relative_error == 0


@pytest.mark.parametrize("probability", [*PROBABILITIES, 0.99])
def test_orthogonal_columns_of_unequal_length(probability: float) -> None:
    generator = np.random.default_rng(1)
    basis, _ = np.linalg.qr(generator.standard_normal((16, 16)) + 1j * generator.standard_normal((16, 16)))
    norms = np.array([4.0, 4.0, 4.0, 3.5, 3.0, 2.0, 1.0, 0.1])
    threshold = calibrate_threshold(basis[:, :8] * norms, 1.0, probability)
    clear = np.log1p(-np.exp(-((threshold.amplitude / norms) ** 2))).sum()
    # Five standard errors, and a few parts in 10⁵ for the table and the last Newton step.
    assert abs(-math.expm1(clear) / probability - 1) < 5 * threshold.relative_error + 1e-4
    assert threshold.relative_error <= 1e-3


@pytest.mark.parametrize("columns", [1, 2, 9])
def test_repeated_columns_change_nothing(columns: int) -> None:
    column = np.exp(1j * np.arange(16.0))[:, None]
    threshold = calibrate_threshold(np.repeat(column, columns, axis=1), 1.0, 1e-3)
    assert math.isclose(threshold.amplitude, math.sqrt(-16 * math.log(1e-3)), rel_tol=1e-5)


@pytest.mark.parametrize(("grid_size", "low", "high"), [(500, -40, -20), (156, -20, 20), (60, -90, 90)])
@pytest.mark.parametrize("probability", [0.3, 1e-1, 1e-2, 1e-3])
def test_false_alarms_of_simulated_noise(grid_size: int, low: float, high: float, probability: float) -> None:
    columns = sector_columns(grid_size, low, high)
    threshold = calibrate_threshold(columns, 1.0, probability)
    generator = np.random.default_rng(9)
    trials, false = 200_000, 0
    for _ in range(10):
        parts = generator.standard_normal((trials // 10, 32), np.float32)
        outputs = np.abs(parts.view(np.complex64) @ columns.conj().astype(np.complex64)) * math.sqrt(0.5)
        false += int((outputs.max(axis=1) > threshold.amplitude).sum())
    spread = math.sqrt(probability * (1 - probability) / trials)
    assert abs(false / trials - probability) < 5 * spread + 5e-3 * probability


@pytest.mark.parametrize("probability", [0.9, *PROBABILITIES])
def test_levels_and_probabilities_are_inverse_to_each_other(probability: float) -> None:
    columns = sector_columns(500, -40, -20)
    threshold = calibrate_threshold(columns, 1.0, probability)
    estimate, error = false_alarm_probability(columns, 1.0, threshold.amplitude)
    assert abs(estimate / probability - 1) < 5 * math.hypot(error / probability, threshold.relative_error)
    assert threshold.relative_error <= 1e-3


def test_the_level_lies_between_those_of_one_column_and_of_independent_ones() -> None:
    columns = sector_columns(500, -40, -20)
    for probability in PROBABILITIES:
        level = calibrate_threshold(columns, 1.0, probability).amplitude ** 2
        assert -16 * math.log(probability) < level < -16 * math.log(probability / columns.shape[1])


def test_the_published_figure_of_an_independent_implementation() -> None:
    assert abs(calibrate_threshold(sector_columns(500, -40, -20), 1.0, 1e-2).amplitude - 10.25) < 0.05


def test_noise_power_only_scales() -> None:
    columns = sector_columns(156, -20, 20)
    one, four = (calibrate_threshold(columns, power, 1e-2).amplitude for power in (1.0, 4.0))
    assert math.isclose(four, 2 * one, rel_tol=1e-6)


def test_columns_of_zeros_are_never_the_largest() -> None:
    columns = sector_columns(156, -20, 20)
    more = np.concatenate([columns, np.zeros((16, 3))], axis=1)
    one, other = (calibrate_threshold(matrix, 1.0, 1e-2).amplitude for matrix in (columns, more))
    assert math.isclose(one, other, rel_tol=1e-6)


def test_equal_questions_get_the_same_answer_at_once() -> None:
    columns = sector_columns(156, -20, 20)
    assert calibrate_threshold(columns, 1.0, 1e-2) is calibrate_threshold(columns.copy(), 1.0, 1e-2)
    assert calibrate_threshold(columns, 1.0, 1e-2) is not calibrate_threshold(columns, 1.0, 2e-2)


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, math.nan])
def test_probabilities_outside_the_open_interval_are_refused(probability: float) -> None:
    with pytest.raises(ValueError, match="inside"):
        calibrate_threshold(np.ones((4, 2)), 1.0, probability)


def test_impossible_noise_and_matrices_are_refused() -> None:
    for matrix, noise in (
        (np.ones((4, 2)), 0.0),
        (np.ones((4, 2)), math.inf),
        (np.zeros((4, 2)), 1.0),
        (np.ones(4), 1.0),
    ):
        with pytest.raises(ValueError, match="must be"):
            calibrate_threshold(matrix, noise, 0.1)
