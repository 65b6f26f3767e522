"""Beams against an independent least-squares solver, and their power to the last digits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from isac_models.array import hardware, nominal_array, steering_matrix
from isac_models.beamforming import baseline_beam, beampattern, isac_beam, least_squares_beam
from isac_models.errors import UserError
from isac_models.grid import angle_grid, sector_mask
from isac_models.scenario import PRESETS, Scenario


def grid_matrix(scenario: Scenario, true_array: bool = False) -> np.ndarray:
    array = hardware(scenario).transmit if true_array else nominal_array(scenario)
    return steering_matrix(array, angle_grid(scenario.grid_size))


def energy(beam: np.ndarray) -> float:
    return float(np.vdot(beam, beam).real)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("true_array", [False, True])
@pytest.mark.parametrize("degrees", [(-40, -20), (30, 50), (-20, 20), (-90, 90), (60, 61.5)])
def test_beams_solve_the_least_squares_problem(
    preset: str, true_array: bool, degrees: tuple[float, float]
) -> None:
    scenario = Scenario.preset(preset)
    matrix = grid_matrix(scenario, true_array)
    mask = sector_mask(angle_grid(scenario.grid_size), (math.radians(degrees[0]), math.radians(degrees[1])))
    expected = scipy.linalg.lstsq(matrix.T, 16.0 * mask)[0]  # min ‖b - Aᵀx‖², Sec. III-A
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(least_squares_beam(matrix, mask), expected, rtol=0, atol=1e-13)


def test_beams_of_small_grids_keep_their_digits() -> None:
    scenario = Scenario(antennas=16, grid_size=20)
    matrix = grid_matrix(scenario)
    mask = sector_mask(angle_grid(20), scenario.target_sector)
    expected = scipy.linalg.lstsq(matrix.T, 16.0 * mask)[0]
    np.testing.assert_allclose(
        least_squares_beam(matrix, mask), expected / np.linalg.norm(expected), rtol=0, atol=1e-10
    )


@given(
    rho=st.floats(0, 1),
    phi=st.floats(-10, 10),
    transmit_energy=st.floats(1e-6, 1e6),
    preset=st.sampled_from(sorted(PRESETS)),
)
def test_the_power_is_exactly_the_transmit_energy(
    rho: float, phi: float, transmit_energy: float, preset: str
) -> None:
    scenario = Scenario.preset(preset).replace(transmit_energy=transmit_energy)
    beam = baseline_beam(scenario, rho, phi)
    assert beam.shape == (16,)
    assert beam.dtype == np.complex128
    assert energy(beam) == pytest.approx(transmit_energy, rel=1e-14)


def test_the_combination_follows_equation_5() -> None:
    random = np.random.default_rng(1)
    radar, comm = random.normal(size=(2, 6, 2)).view(np.complex128)[..., 0]
    radar, comm = radar / np.linalg.norm(radar), comm / np.linalg.norm(comm)
    expected = math.sqrt(0.3) * radar + math.sqrt(0.7) * np.exp(0.8j) * comm
    expected *= math.sqrt(2.5) / np.linalg.norm(expected)
    np.testing.assert_allclose(isac_beam(radar, comm, 0.3, 0.8, 2.5), expected, atol=1e-15)
    np.testing.assert_allclose(isac_beam(7 * radar, comm / 9, 0.3, 0.8, 2.5), expected, atol=1e-15)


def test_the_ends_of_the_trade_off_are_the_single_beams() -> None:
    scenario = Scenario.preset("impaired")
    grid = angle_grid(500)
    radar = least_squares_beam(grid_matrix(scenario), sector_mask(grid, scenario.target_sector))
    comm = least_squares_beam(grid_matrix(scenario), sector_mask(grid, scenario.comm_sector))
    np.testing.assert_allclose(baseline_beam(scenario, 1.0), radar, atol=1e-14)
    np.testing.assert_allclose(baseline_beam(scenario, 0.0), comm, atol=1e-14)
    np.testing.assert_allclose(baseline_beam(scenario, 0.0, phi=0.4), np.exp(0.4j) * comm, atol=1e-14)


def test_beams_point_where_they_should() -> None:
    scenario = Scenario.preset("ideal")
    array = nominal_array(scenario)
    beam = baseline_beam(scenario, 0.5)
    inside = [
        beampattern(beam, array, np.linspace(*s, 50)) for s in (scenario.target_sector, scenario.comm_sector)
    ]
    outside = beampattern(beam, array, np.radians(np.linspace(-5, 15, 50)))
    assert all(pattern.mean() > 20 * outside.mean() for pattern in inside)


def test_the_known_array_forms_the_beam_of_the_true_hardware() -> None:
    scenario = Scenario.preset("impaired")
    array = hardware(scenario).transmit
    known = baseline_beam(scenario, 1.0, array=array)
    mask = sector_mask(angle_grid(500), scenario.target_sector)
    np.testing.assert_allclose(known, least_squares_beam(grid_matrix(scenario, True), mask), atol=1e-14)
    assert np.abs(known - baseline_beam(scenario, 1.0)).max() > 1e-3


def test_the_beampattern_is_the_power_sent_towards_an_angle() -> None:
    array = nominal_array(Scenario(antennas=3, grid_size=10))
    beam = np.array([0.5, -0.2j, 0.1 + 0.3j])
    angles = np.array([[-0.7, 0.0], [0.4, 1.2]])
    pattern = beampattern(beam, array, angles)
    assert pattern.shape == (2, 2)
    for index in np.ndindex(2, 2):
        response = sum(np.exp(-1j * np.pi * (k - 1) * np.sin(angles[index])) * beam[k] for k in range(3))
        assert pattern[index] == pytest.approx(abs(response) ** 2, rel=1e-13)


def test_single_angle_sectors_give_a_beam() -> None:
    point = float(angle_grid(500)[200])
    scenario = Scenario(target_sector=(point, point))
    beam = baseline_beam(scenario, 1.0)
    assert beampattern(beam, nominal_array(scenario), point) > 10


@pytest.mark.parametrize("rho", [-0.1, 1.1, math.nan, math.inf, -math.inf])
def test_rho_outside_its_range_is_refused(rho: float) -> None:
    with pytest.raises(UserError, match="rho must be a number from 0 to 1, not"):
        baseline_beam(Scenario(), rho)


@pytest.mark.parametrize("phi", [math.nan, math.inf, -math.inf])
def test_phi_that_is_not_finite_is_refused(phi: float) -> None:
    with pytest.raises(UserError, match="phi must be a finite angle"):
        baseline_beam(Scenario(), 0.5, phi)


def test_beams_that_cancel_are_refused() -> None:
    scenario = Scenario(comm_sector=Scenario().target_sector)
    with pytest.raises(UserError, match=r"cancel in eq\. \(5\) with rho = 0\.5 and phi = 3\.14159"):
        baseline_beam(scenario, 0.5, math.pi)
    assert energy(baseline_beam(scenario, 0.5, 3.0)) == pytest.approx(1, rel=1e-14)
    assert energy(baseline_beam(scenario, 0.6, math.pi)) == pytest.approx(1, rel=1e-14)


def test_a_singular_matrix_is_refused() -> None:
    mask = np.ones(4, bool)
    with pytest.raises(UserError, match="cannot be inverted"):
        least_squares_beam(np.zeros((2, 4)), mask)
    with pytest.raises(UserError, match="cannot be inverted"):
        least_squares_beam(np.full((2, 4), np.nan), mask)


def test_a_sector_without_grid_points_is_refused() -> None:
    with pytest.raises(UserError, match="is zero"):
        least_squares_beam(grid_matrix(Scenario()), np.zeros(500, bool))
