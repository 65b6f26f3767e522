"""The front end against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.hil.frontend.engine import FrontEnd
from tests.hil.frontend.settings import ScenarioValues, Settings


def test_two_antennas_two_impulses_by_hand() -> None:
    # E_tx / (P_ref O) = 1 / (0.5 · 2) = 1: digital samples are amplitudes. The reflector at boresight is
    # 20 dB above σ_r = 1: α = 10, a = (1, 1). σ_c² = 100: β = 10. Full scale is 512 √N0 = 512.
    scenario = ScenarioValues(antennas=2, comm_gain=100.0)
    settings = Settings(
        scenario,
        scene="calibration",
        reference_power=0.5,
        bits=0,
        noise=False,
        cfo=0.25,
        cfo_drift=0.0,
        radar_cfo=0.0,
        clock_ppm=0.0,
        leakage_delay=4.0,
        echo_after=2.0,
        ue_delay=5.0,
    )
    front = FrontEnd(settings)
    front.unknowns = replace(
        front.unknowns,
        tx_errors=np.array([1, 2j]),
        rx_errors=np.array([2, 1j]),
        leakage=np.array([[0, 16], [32j, 8]]),
        ue_phase=0.0,
    )
    front.rewind()

    samples = np.zeros((2, 10), np.complex64)
    samples[0, 1] = 0.5  # x_0 = c_0 0.5   = 0.5  at tick 1
    samples[1, 2] = 0.25j  # x_1 = 2j 0.25j = -0.5 at tick 2

    expected = np.zeros((3, 10), complex)
    # Leakage, 4 ticks later: y = g L x.
    expected[0, 6] += 2 * 16 * -0.5  # -16
    expected[1, 5] += 1j * 32j * 0.5  # -16
    expected[1, 6] += 1j * 8 * -0.5  # -4j
    # Echo, 4 + 2 = 6 ticks later: α (x_0 + x_1) = 5 at tick 7, -5 at tick 8, times g.
    expected[0, 7:9] += [10, -10]
    expected[1, 7:9] += [5j, -5j]
    # The receiver, 5 ticks later: β (x_0 + x_1) = 5 at tick 6, -5 at tick 7, turned by a quarter turn a tick:
    # 6/4 turns give -1, 7/4 turns give -j.
    expected[2, 6:8] += [-5, 5j]

    np.testing.assert_allclose(front.process(samples), expected / 512, atol=1e-7)


def test_the_phases_of_two_elements_at_thirty_degrees_by_hand() -> None:
    # p = (-1/4, 1/4), sin 30° = 1/2: a = (e^{jπ/4}, e^{-jπ/4}). With x = (1, 1): aᵀx = 2 cos 45° = √2;
    # with x = (1, -1): aᵀx = 2j sin 45° = j√2. E_tx/(P_ref O) = 1 as above; |α| = 3, |β| = 2.
    sector = (np.pi / 6, np.pi / 6)
    scenario = ScenarioValues(
        antennas=2, radar_gain=9.0, comm_gain=4.0, target_sector=sector, comm_sector=sector
    )
    settings = Settings(
        scenario, reference_power=0.5, bits=0, noise=False, fading=False, leakage=False, chain_errors=False,
        cfo=0.0, cfo_drift=0.0, radar_cfo=0.0, clock_ppm=0.0, leakage_delay=4.0, echo_after=1.0, ue_delay=7.0,
        block=16,
    )  # fmt: skip
    front = FrontEnd(settings)
    truth = front.truth(0, 512)
    samples = np.zeros((2, 512), np.complex64)
    samples[0, ::16], samples[1, ::16] = 0.5, 0.5
    samples[0, 3::16], samples[1, 3::16] = 0.5, -0.5
    received = front.process(samples) * 512
    assert 0 < sum(block["present"] for block in truth) < 32
    for m, block in enumerate(truth):
        alpha = complex(*block["alpha"]) * block["present"]
        assert abs(complex(*block["alpha"])) == pytest.approx(3)
        back = np.exp([0.25j * np.pi, -0.25j * np.pi])
        sent = 0.5 * np.sqrt(2)
        np.testing.assert_allclose(received[:2, 16 * m + 5], alpha * sent * back, atol=1e-5)
        np.testing.assert_allclose(received[:2, 16 * m + 8], 1j * alpha * sent * back, atol=1e-5)
        beta = complex(*block["beta"])
        assert abs(beta) == pytest.approx(2)
        np.testing.assert_allclose(received[2, 16 * m + 7], beta * sent, atol=1e-5)
        np.testing.assert_allclose(received[2, 16 * m + 10], 1j * beta * sent, atol=1e-5)
