"""Closed forms against numeric integrals and against direct simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import check_grad
from scipy.special import erfc

from isac_models import theory
from isac_models.array import hardware
from isac_models.beamforming import baseline_beam, beampattern
from isac_models.constellation import ORDERS, Constellation
from isac_models.detection import MatchedFilter
from isac_models.grid import angle_grid
from isac_models.scenario import Scenario

CASES = [
    Scenario(),
    Scenario(
        impairment="gain_phase", order=64, antennas=8, radar_gain=0.5, noise_power=2.0, transmit_energy=3.0
    ),
    Scenario(impairment="spacing", order=16, target_sector_deg=(-90, 90), comm_sector_deg=(-60, 80)),
    Scenario(
        impairment="gain_phase",
        reciprocal=False,
        antennas=32,
        order=256,
        target_sector_deg=(10, 70),
        false_alarm=1e-6,
    ),
]


def awgn_ser(order: int, snr: float) -> float:
    """Symbol error rate of square QAM in white noise."""
    q = 1 - 1 / math.sqrt(order)
    tail = 0.5 * erfc(math.sqrt(1.5 * snr / (order - 1)))
    return float(4 * q * tail - 4 * q**2 * tail**2)


@pytest.mark.parametrize("mean_snr", [1e-3, 0.1, 1.0, 10.0, 300.0, 1e5])
@pytest.mark.parametrize("order", ORDERS)
def test_rayleigh_ser_is_the_integral_over_the_fading(order: int, mean_snr: float) -> None:
    # Over t = snr / mean_snr: the density is exp(-t), and errors happen at small t.
    scale = min(1.0, order / mean_snr)
    ends = (0.0, scale, 30 * scale, min(60.0, 600 * scale))

    def integrand(t: float) -> float:
        return awgn_ser(order, mean_snr * t) * math.exp(-t)

    expected = sum(quad(integrand, *part, epsabs=0, epsrel=1e-11)[0] for part in itertools.pairwise(ends))
    assert float(theory.rayleigh_qam_ser(order, mean_snr)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_rayleigh_ser_has_its_limits(order: int) -> None:
    assert float(theory.rayleigh_qam_ser(order, 0)) == pytest.approx(1 - 1 / order, rel=1e-14)
    # At high SNR the rate falls as 1/snr down to the smallest numbers, without cancellation.
    rates = theory.rayleigh_qam_ser(order, np.array([1e12, 1e13]))
    assert rates[0] / rates[1] == pytest.approx(10, rel=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_rayleigh_ser_is_what_decisions_make(order: int) -> None:
    count, mean_snr = 200_000, 3.0 * order
    random = np.random.default_rng(order)

    def normal(variance: float) -> np.ndarray:
        parts = random.normal(size=(count, 2)) * math.sqrt(variance / 2)
        return parts.view(np.complex128)[:, 0]

    constellation = Constellation(order, np.complex128)
    message = random.integers(order, size=count, dtype=np.uint8)
    csi = normal(mean_snr)
    decided = constellation.decide(csi * constellation.encode(message) + normal(1.0), csi)
    expected = float(theory.rayleigh_qam_ser(order, mean_snr))
    error = math.sqrt(expected * (1 - expected) / count)
    assert abs((decided != message).mean() - expected) < 5 * error


def test_swerling1_is_a_threshold_on_an_exponential() -> None:
    snr, false_alarm = np.array([[0.0, 1.0], [10.0, 1e3]]), 1e-3
    # Under H0 the normalised statistic is Exp(1), under H1 it is (1+S) Exp(1).
    np.testing.assert_allclose(
        theory.swerling1_detection(snr, false_alarm), np.exp(math.log(false_alarm) / (1 + snr)), rtol=1e-15
    )
    assert float(theory.swerling1_detection(0.0, false_alarm)) == pytest.approx(false_alarm, rel=1e-14)


@pytest.mark.parametrize("scenario", CASES)
def test_genie_and_ser_average_over_their_sectors(scenario: Scenario) -> None:
    beam = baseline_beam(scenario, 0.4)
    arrays = hardware(scenario)
    points = Constellation(scenario.order, np.complex128).points

    def mean_over(sector: tuple[float, float], values: np.ndarray) -> float:
        return float(np.trapezoid(values, dx=1.0) / (values.size - 1))

    angles = np.linspace(*scenario.target_sector, 40_001)
    a_tx = arrays.transmit.steering(angles, np.complex128)
    a_rx = arrays.receive.steering(angles, np.complex128)
    detection = np.zeros(angles.size)
    for energy, number in zip(*np.unique(np.abs(points).round(9) ** 2, return_counts=True), strict=True):
        snr = (np.abs(a_rx) ** 2).sum(axis=1) * np.abs(a_tx @ beam) ** 2 * energy
        snr *= scenario.radar_gain / scenario.noise_power
        detection += number / scenario.order * scenario.false_alarm ** (1 / (1 + snr))
    expected = 1 - mean_over(scenario.target_sector, detection)
    assert theory.genie_missed_detection(scenario, beam) == pytest.approx(expected, rel=1e-6)

    angles = np.linspace(*scenario.comm_sector, 40_001)
    mean_snr = beampattern(beam, arrays.transmit, angles) * scenario.comm_gain / scenario.noise_power
    expected = mean_over(scenario.comm_sector, theory.rayleigh_qam_ser(scenario.order, mean_snr))
    assert theory.symbol_error_rate(scenario, beam) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("antennas", [1, 16, 200])
@pytest.mark.parametrize("sector", [(-1.5, 1.5), (0.2, 0.3), (0.4, 0.4)])
def test_quadrature_is_exact_for_beampatterns(antennas: int, sector: tuple[float, float]) -> None:
    angles, weights = theory.sector_quadrature(sector, antennas)
    assert weights.sum() == pytest.approx(1, rel=1e-13)
    assert angles.min() >= sector[0]
    assert angles.max() <= sector[1]
    ripple = math.pi * (antennas - 1)  # the finest in |a(θ)ᵀv|², as a function of sin θ
    found = weights @ (np.exp(1j * ripple * np.sin(angles)) * np.cos(angles))
    low, high = math.sin(sector[0]), math.sin(sector[1])
    if high == low:
        expected = np.exp(1j * ripple * low) * math.cos(sector[0])
    elif ripple == 0:
        expected = (high - low) / (sector[1] - sector[0])
    else:
        expected = (np.exp(1j * ripple * high) - np.exp(1j * ripple * low)) / (
            1j * ripple * (sector[1] - sector[0])
        )
    assert found == pytest.approx(expected, abs=1e-10)


def test_single_angle_sectors_are_points() -> None:
    target, comm = (float(angle) for angle in angle_grid(500)[[170, 400]])
    scenario = Scenario(target_sector=(target, target), comm_sector=(comm, comm), impairment="spacing")
    beam = baseline_beam(scenario, 0.5)
    array = hardware(scenario).transmit
    snr = 16 * float(beampattern(beam, array, target))
    assert theory.genie_missed_detection(scenario, beam) == pytest.approx(
        1 - 0.01 ** (1 / (1 + snr)), rel=1e-12
    )
    mean_snr = 100 * float(beampattern(beam, array, comm))
    assert theory.symbol_error_rate(scenario, beam) == pytest.approx(
        float(theory.rayleigh_qam_ser(4, mean_snr)), rel=1e-12
    )
    assert theory.angle_rmse_bound(scenario, beam, MatchedFilter(scenario)) == (0.0, 0.0)
    # A single known angle is best lit by the conjugate of its steering vector.
    best = theory.best_beam(scenario)
    assert float(beampattern(best, array, target)) == pytest.approx(16, rel=1e-6)


@pytest.mark.parametrize("scenario", CASES)
def test_the_gradient_of_the_best_beam_is_exact(scenario: Scenario) -> None:
    angles, weights = theory.sector_quadrature(scenario.target_sector, scenario.antennas)
    steering = hardware(scenario).transmit.steering(angles, np.complex128)
    climb = theory._Climb(scenario, steering, weights)
    start = np.random.default_rng(3).normal(size=2 * scenario.antennas)
    start /= np.linalg.norm(start)
    gradient = climb.missed(start)[1]
    error = check_grad(lambda x: climb.missed(x)[0], lambda x: climb.missed(x)[1], start, epsilon=1e-7)
    assert error < 1e-4 * np.linalg.norm(gradient) + 1e-7
    # The value depends on the direction only.
    assert climb.missed(3 * start)[0] == pytest.approx(climb.missed(start)[0], rel=1e-12)


@pytest.mark.parametrize("scenario", CASES)
def test_no_other_beam_detects_better_than_the_best(scenario: Scenario) -> None:
    best = theory.best_beam(scenario)
    assert float(np.vdot(best, best).real) == pytest.approx(scenario.transmit_energy, rel=1e-13)
    missed = theory.genie_missed_detection(scenario, best)
    angles, weights = theory.sector_quadrature(scenario.target_sector, scenario.antennas)
    climb = theory._Climb(scenario, hardware(scenario).transmit.steering(angles, np.complex128), weights)
    assert climb.missed(np.concatenate([best.real, best.imag]))[0] == pytest.approx(missed, rel=1e-12)

    array = hardware(scenario).transmit
    rivals = [baseline_beam(scenario, 1.0), baseline_beam(scenario, 1.0, array=array)]
    random = np.random.default_rng(4)
    for size in (1e-3, 0.1):
        noise = random.normal(size=(20, scenario.antennas, 2)).view(np.complex128)[..., 0]
        rivals += [best + size * np.linalg.norm(best) * n / np.linalg.norm(n) for n in noise]
    for rival in rivals:
        rival *= np.linalg.norm(best) / np.linalg.norm(rival)
        assert theory.genie_missed_detection(scenario, rival) >= missed - 1e-9


def test_the_link_is_summarised_under_the_keys_of_the_report() -> None:
    scenario = Scenario()
    beam = baseline_beam(scenario, 1.0)
    matched_filter = MatchedFilter(scenario)
    summary = theory.link_theory(scenario, beam, matched_filter)
    bound, error = theory.angle_rmse_bound(scenario, beam, matched_filter)
    assert summary == {
        "ser": theory.symbol_error_rate(scenario, beam),
        "p_md_genie": theory.genie_missed_detection(scenario, beam),
        "rmse_bound_rad": bound,
        "rmse_bound_rad_error": error,
    }
    # Knowing the angle beats searching a sector, where .072 was measured, and nothing beats the bound: .0113.
    assert 0.04 < theory.genie_missed_detection(scenario, beam) < 0.072
    assert 0.009 < bound < 0.0113


def test_what_has_no_formula_is_none() -> None:
    scenario = Scenario()
    beam = baseline_beam(scenario, 0.5)
    points = np.exp(2j * np.pi * np.arange(4) / 4 + 0.3j)
    summary = theory.link_theory(scenario, beam, None, points)
    # Of the symbols the radar knows the energy only, which is that of 4-QAM.
    assert summary == {
        "ser": None,
        "p_md_genie": pytest.approx(theory.genie_missed_detection(scenario, beam), rel=1e-9),
        "rmse_bound_rad": None,
        "rmse_bound_rad_error": None,
    }
    assert theory.link_theory(scenario, beam, None)["ser"] == theory.symbol_error_rate(scenario, beam)


def test_unequal_symbols_are_missed_as_their_energies_are() -> None:
    # Two symbols of energy 0 and 2: half of the targets are found as noise is, half at twice the energy.
    scenario = Scenario()
    beam = baseline_beam(scenario, 1.0)
    missed = theory.genie_missed_detection(scenario, beam, np.array([0, np.sqrt(2)]))
    twice = theory.genie_missed_detection(scenario, np.sqrt(2) * beam)
    assert missed == pytest.approx((1 - scenario.false_alarm + twice) / 2, rel=1e-9)
