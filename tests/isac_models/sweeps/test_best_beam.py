"""The best beams against numeric derivatives, simulation, and every beam near them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from isac_models.array import hardware
from isac_models.beamforming import baseline_beam, beampattern
from isac_models.scenario import Scenario
from isac_models.sweeps import best_beam
from isac_models.sweeps.best_beam import (
    best_comm_beam,
    best_isac_beam,
    known_array_filter,
    missed_detection,
    symbol_errors,
)
from isac_models.theory import genie_missed_detection, sector_quadrature, symbol_error_rate

SCENARIOS = [
    Scenario.preset("ideal"),
    Scenario.preset("unseen"),
    Scenario(impairment="gain_phase", antennas=8, order=16, transmit_energy=3.0, noise_power=2.0),
]
RHOS = (0.0, 1e-3, 0.1, 0.4, 0.8, 1.0)


@pytest.fixture(scope="module", params=range(len(SCENARIOS)))
def front(request: pytest.FixtureRequest) -> tuple[Scenario, float, dict[float, np.ndarray]]:
    scenario = SCENARIOS[request.param]
    matched_filter = known_array_filter(scenario)
    level = matched_filter.threshold.amplitude**2 / scenario.noise_power / best_beam.collected(scenario)
    return scenario, level, {rho: best_isac_beam(scenario, rho, matched_filter) for rho in RHOS}


def missed(scenario: Scenario, level: float, beam: np.ndarray) -> float:
    """Mean of 1 - exp(-level/(1 + S)), for the whole sector and constellation."""
    return genie_missed_detection(scenario.replace(false_alarm=math.exp(-level)), beam)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_derivatives_by_the_pattern_are_exact(scenario: Scenario) -> None:
    pattern = np.random.default_rng(5).uniform(0.01, 16, 24)
    weights = np.full(24, 1 / 24)
    for function in (missed_detection(scenario, 6.5), symbol_errors(scenario)):
        slope = function(pattern, weights)[1]
        numeric = approx_fprime(pattern, lambda x, f=function: f(x, weights)[0], 1e-6)
        assert slope == pytest.approx(numeric, rel=1e-3, abs=1e-8)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_gradients_by_the_beam_are_exact(scenario: Scenario) -> None:
    array = hardware(scenario).transmit
    sector = best_beam._Sector(scenario, array, scenario.target_sector)
    basis = best_beam._span(sector.steering)
    start = np.random.default_rng(6).normal(size=2 * basis.shape[1])
    for function in (missed_detection(scenario, 6.5), symbol_errors(scenario)):
        cost = best_beam._OfBeam(scenario, sector, basis, best_beam._log(function))
        value, gradient = cost(start)
        assert gradient == pytest.approx(approx_fprime(start, lambda x, c=cost: c(x)[0], 1e-7), abs=1e-5)
        assert cost(3 * start)[0] == pytest.approx(value, rel=1e-12)


def test_the_functions_are_those_of_theory(front: tuple[Scenario, float, dict[float, np.ndarray]]) -> None:
    scenario, level, beams = front
    for sector, function, expected in (
        (scenario.target_sector, missed_detection(scenario, level), missed(scenario, level, beams[0.4])),
        (scenario.comm_sector, symbol_errors(scenario), symbol_error_rate(scenario, beams[0.4])),
    ):
        angles, weights = sector_quadrature(sector, scenario.antennas)
        pattern = beampattern(beams[0.4], hardware(scenario).transmit, angles)
        assert function(pattern, weights)[0] == pytest.approx(expected, rel=1e-9)


def test_the_front_spans_both_ends(front: tuple[Scenario, float, dict[float, np.ndarray]]) -> None:
    scenario, level, beams = front
    for beam in beams.values():
        assert float(np.vdot(beam, beam).real) == pytest.approx(scenario.transmit_energy)
    rates = [symbol_error_rate(scenario, beam) for beam in beams.values()]
    misses = [missed(scenario, level, beam) for beam in beams.values()]
    assert rates == sorted(rates)
    assert misses == sorted(misses, reverse=True)
    assert rates[0] == pytest.approx(symbol_error_rate(scenario, best_comm_beam(scenario)), rel=1e-9)


def test_it_beats_the_least_squares_beam_in_both(
    front: tuple[Scenario, float, dict[float, np.ndarray]],
) -> None:
    scenario, level, beams = front
    array = hardware(scenario).transmit
    for rho, beam in beams.items():
        reference = baseline_beam(scenario, rho, array=array)
        assert rho < 0.1 or missed(scenario, level, beam) < missed(scenario, level, reference)
        assert symbol_error_rate(scenario, beam) < symbol_error_rate(scenario, reference)


def test_no_beam_nearby_is_better(front: tuple[Scenario, float, dict[float, np.ndarray]]) -> None:
    scenario, level, beams = front
    random = np.random.default_rng(7)
    for rho in (0.0, 0.1, 0.8, 1.0):
        beam = beams[rho]
        errors, least = symbol_error_rate(scenario, beam), missed(scenario, level, beam)
        for size in (1e-3, 0.05):
            for noise in random.normal(size=(12, scenario.antennas, 2)).view(np.complex128)[..., 0]:
                rival = beam + size * np.linalg.norm(beam) * noise / np.linalg.norm(noise)
                rival *= np.linalg.norm(beam) / np.linalg.norm(rival)
                rival_errors = symbol_error_rate(scenario, rival)
                if rho == 0:
                    assert rival_errors >= errors * (1 - 1e-3)
                elif rho == 1 or rival_errors <= errors:
                    assert missed(scenario, level, rival) >= least * (1 - 1e-3)


def test_a_matched_filter_detects_at_the_targets_angle_as_predicted() -> None:
    scenario = Scenario(target_sector_deg=(-30, -30), grid_size=181)  # one grid point: no search
    matched_filter = known_array_filter(scenario)
    beam = best_isac_beam(scenario, 0.4, matched_filter)
    random = np.random.default_rng(8)

    def normal(*shape: int) -> np.ndarray:
        return random.normal(size=(*shape, 2)).view(np.complex128)[..., 0] / math.sqrt(2)

    steering = hardware(scenario).transmit.steering(scenario.target_sector[0], np.complex128)
    count = 100_000
    echo = (normal(count) * (steering @ beam))[:, None] * steering + normal(count, scenario.antennas)
    rate = 1 - matched_filter.detect(echo.astype(np.complex64)).detected.mean()
    level = matched_filter.threshold.amplitude**2 / scenario.antennas
    expected = missed(scenario, level, beam)
    assert rate == pytest.approx(expected, abs=5 * math.sqrt(expected / count))
