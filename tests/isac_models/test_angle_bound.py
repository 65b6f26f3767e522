"""The posterior of the angle against brute force, and the bound against estimators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from isac_models import angle_bound
from isac_models.angle_bound import angle_posterior, angle_rmse_bound, draw_echoes
from isac_models.array import hardware
from isac_models.beamforming import baseline_beam, beampattern
from isac_models.detection import MatchedFilter
from isac_models.grid import angle_grid
from isac_models.scenario import Scenario

CASES: list[dict[str, Any]] = [
    {},
    {"order": 64, "impairment": "spacing", "snr_radar_db": 20},
    {"antennas": 4, "grid_size": 64, "impairment": "gain_phase", "reciprocal": False, "noise_power": 3.0},
    {"target_sector_deg": (-90, 90), "snr_radar_db": -10},
    {"target_sector_deg": (60, 90), "snr_radar_db": 10},
]


def brute_force(
    scenario: Scenario, beam: np.ndarray, symbol: complex, echo: np.ndarray
) -> tuple[float, float]:
    """Mean and variance of θ from the Gaussian density itself, on a dense grid of angles."""
    arrays = hardware(scenario)
    angles = np.linspace(*scenario.target_sector, 8001)
    a_tx = arrays.transmit.steering(angles, np.complex128)
    a_rx = arrays.receive.steering(angles, np.complex128)
    power = scenario.radar_gain * np.abs(a_tx @ beam * symbol) ** 2
    covariance = power[:, None, None] * a_rx[:, :, None] * a_rx.conj()[:, None, :]
    covariance += scenario.noise_power * np.eye(scenario.antennas)
    solved = np.linalg.solve(covariance, np.broadcast_to(echo, a_rx.shape)[..., None])[..., 0]
    log_density = -np.linalg.slogdet(covariance)[1] - (solved @ echo.conj()).real
    weight = np.exp(log_density - log_density.max())
    weight[[0, -1]] /= 2
    weight /= weight.sum()
    mean = float(weight @ angles)
    return mean, float(weight @ (angles - mean) ** 2)


@pytest.mark.parametrize("changes", CASES)
def test_the_posterior_is_that_of_the_gaussian_density(changes: dict[str, Any]) -> None:
    scenario = Scenario(**changes)
    beam = baseline_beam(scenario, 1.0)
    _, symbol, echo = draw_echoes(scenario, beam, np.random.default_rng(1), 12)
    mean, variance = angle_posterior(scenario, beam, symbol, echo)
    low, high = scenario.target_sector
    for n in range(12):
        expected = brute_force(scenario, beam, complex(symbol[n]), echo[n])
        deviation = math.sqrt(expected[1])
        assert mean[n] == pytest.approx(expected[0], abs=0.005 * deviation)
        assert variance[n] == pytest.approx(expected[1], rel=0.005)
        assert low <= mean[n] <= high


@pytest.mark.parametrize("changes", CASES)
def test_the_posterior_knows_how_wrong_it_is(changes: dict[str, Any]) -> None:
    scenario = Scenario(**changes)
    beam = baseline_beam(scenario, 1.0)
    count = 6000
    angle, symbol, echo = draw_echoes(scenario, beam, np.random.default_rng(2), count)
    # Any selection by the echo alone keeps E[(θ - mean)²] = E[variance]: here, the stronger echoes.
    strong = np.linalg.norm(echo, axis=1) > np.median(np.linalg.norm(echo, axis=1))
    mean, variance = angle_posterior(scenario, beam, symbol[strong], echo[strong])
    excess = (angle[strong] - mean) ** 2 - variance
    assert abs(excess.mean()) < 5 * excess.std() / math.sqrt(excess.size)
    bias = angle[strong] - mean
    assert abs(bias.mean()) < 5 * bias.std() / math.sqrt(bias.size)


@pytest.mark.parametrize("snr_radar_db", [0, 40, 80])
def test_the_bound_holds_at_any_snr(snr_radar_db: float) -> None:
    # A radar whose gain only scales: from some SNR on, ten times the amplitude is a tenth of the deviation.
    scenario = Scenario(snr_radar_db=snr_radar_db)
    beam = baseline_beam(scenario, 1.0)
    _, symbol, echo = draw_echoes(scenario, beam, np.random.default_rng(3), 500)
    deviation = float(np.median(np.sqrt(angle_posterior(scenario, beam, symbol, echo)[1])))
    assert deviation == pytest.approx(0.0085 * 10 ** (-snr_radar_db / 20), rel=0.35)


@pytest.mark.parametrize("snr_radar_db", [30, 60])
def test_nulls_of_the_beam_are_resolved(snr_radar_db: float) -> None:
    # A weak echo at a high SNR says that the target stands close to a null, on either flank of it.
    scenario = Scenario(snr_radar_db=snr_radar_db)
    elsewhere = baseline_beam(scenario, 0.0)
    arrays = hardware(scenario)
    angles = np.linspace(*scenario.target_sector, 400_001)
    snr = 16 * scenario.radar_gain * beampattern(elsewhere, arrays.transmit, angles)
    null = int(snr.argmin())
    assert snr[null] < 1e-4 * snr.max()
    random = np.random.default_rng(9)
    noise = random.normal(size=(6, 16, 2)).view(np.complex128)[..., 0] * math.sqrt(0.5)
    echo = noise + np.array([1, 2, 3, 4, 6, 10])[:, None] / 4 * arrays.receive.steering(
        angles[null], np.complex128
    )
    mean, variance = angle_posterior(scenario, elsewhere, np.ones(6, np.complex128), echo)
    for n in range(6):
        power = np.abs(arrays.receive.steering(angles, np.complex64).conj() @ echo[n]) ** 2 / 16
        log_density = snr / (1 + snr) * power - np.log1p(snr)
        weight = np.exp(log_density - log_density.max())
        weight /= weight.sum()
        expected = float(weight @ angles)
        spread = float(weight @ (angles - expected) ** 2)
        assert variance[n] == pytest.approx(spread, rel=0.02)
        assert mean[n] == pytest.approx(expected, abs=0.02 * math.sqrt(spread))


def test_windows_only_refine_what_the_sector_resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario(snr_radar_db=20)
    beam = baseline_beam(scenario, 1.0)
    _, symbol, echo = draw_echoes(scenario, beam, np.random.default_rng(4), 200)
    usual = angle_posterior(scenario, beam, symbol, echo)
    monkeypatch.setattr(angle_bound, "STEPS_PER_DEVIATION", 4.0)
    monkeypatch.setattr(angle_bound, "WINDOW", 32)
    finer = angle_posterior(scenario, beam, symbol, echo)
    np.testing.assert_allclose(usual[0], finer[0], rtol=0, atol=2e-5)
    np.testing.assert_allclose(usual[1], finer[1], rtol=0.02)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario()
    beam = baseline_beam(scenario, 1.0)
    _, symbol, echo = draw_echoes(scenario, beam, np.random.default_rng(5), 50)
    whole = angle_posterior(scenario, beam, symbol, echo)
    monkeypatch.setattr(angle_bound, "CHUNK", 7)
    for part, expected in zip(angle_posterior(scenario, beam, symbol, echo), whole, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-9)


@pytest.mark.parametrize("impairment", ["none", "spacing"])
def test_the_matched_filter_stays_above_the_bound(impairment: str) -> None:
    scenario = Scenario(impairment=impairment)
    beam = baseline_beam(scenario, 1.0)
    matched_filter = MatchedFilter(scenario)
    bound, error = angle_rmse_bound(scenario, beam, matched_filter)
    assert 0 < error < 0.02 * bound
    angle, _, echo = draw_echoes(scenario, beam, np.random.default_rng(6), 40_000)
    found = matched_filter.detect(echo.astype(np.complex64))
    squares = (found.angle - angle)[found.detected] ** 2
    rmse = math.sqrt(squares.mean())
    noise = math.hypot(squares.std() / math.sqrt(squares.size) / (2 * rmse), error)
    assert rmse > bound - 5 * noise
    assert bound > 0.8 * rmse


def test_seeds_agree_within_the_standard_error() -> None:
    scenario = Scenario.preset("impaired")
    beam = baseline_beam(scenario)
    matched_filter = MatchedFilter(scenario)
    runs = [
        angle_rmse_bound(scenario, beam, matched_filter, 8000, np.random.default_rng(seed)) for seed in (7, 8)
    ]
    assert abs(runs[0][0] - runs[1][0]) < 5 * math.hypot(runs[0][1], runs[1][1])
    assert angle_rmse_bound(scenario, beam, matched_filter) == angle_rmse_bound(
        scenario, beam, matched_filter
    )


def test_without_detections_there_is_no_bound() -> None:
    scenario = Scenario(snr_radar_db=-60, false_alarm=1e-9)
    bound = angle_rmse_bound(scenario, baseline_beam(scenario), MatchedFilter(scenario), snapshots=100)
    assert all(math.isnan(value) for value in bound)


def test_a_known_angle_has_no_error() -> None:
    point = float(angle_grid(500)[100])
    scenario = Scenario(target_sector=(point, point))
    assert angle_rmse_bound(scenario, baseline_beam(scenario), MatchedFilter(scenario)) == (0.0, 0.0)


def test_a_sector_much_narrower_than_the_beam_leaves_the_prior() -> None:
    point = float(angle_grid(500)[200])
    width = 1e-6
    scenario = Scenario(target_sector=(point, point + width))
    bound, _ = angle_rmse_bound(scenario, baseline_beam(scenario), MatchedFilter(scenario), snapshots=500)
    assert bound == pytest.approx(width / math.sqrt(12), rel=1e-3)
