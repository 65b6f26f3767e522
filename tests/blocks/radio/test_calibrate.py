"""An array measured through a radio, against the chains that were put there."""

from __future__ import annotations

import numpy as np
import pytest

import blocks.radio.calibrate
from blocks.radio.calibrate import calibrate, key_of
from blocks.radio.interface import RadioError, Received
from blocks.radio.sim import SimRadio
from isac_models.errors import UserError
from isac_models.impairments import Impairments
from isac_models.scenario import Scenario
from isac_models.waveform.burst_format import BurstFormat
from tests.blocks.fake_radio import FakeRadio


def deviation(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of every entry, after the common factor that fits best; Σ|found|² = K."""
    factor = np.vdot(truth, found) / np.vdot(truth, truth)
    return np.asarray(np.abs(found - factor * truth))


@pytest.mark.parametrize(("antennas", "seed"), [(1, 4), (2, 3), (4, 1), (16, 2)])
def test_the_chains_are_found_up_to_a_common_factor_within_the_error_that_is_said(
    antennas: int, seed: int
) -> None:
    scenario = Scenario(antennas=antennas)
    layout = BurstFormat(antennas)
    front = Impairments.draw(seed, antennas)
    with SimRadio(scenario, front, layout, seed=seed, scene="calibration") as radio:
        found = calibrate(radio, scenario, layout, key_of(radio, "one"))
        assert found.key == {"device": radio.device, "session": "one", **radio.settings()}
    assert np.sqrt(np.mean(deviation(found.transmit, front.transmit) ** 2)) < 2 * found.error
    assert np.sqrt(np.mean(deviation(found.receive, front.receive) ** 2)) < 2 * found.error
    assert found.error < 0.01
    assert found.residual < 0.03


def test_an_energy_other_than_one_is_scaled_out() -> None:
    scenario = Scenario(antennas=4, transmit_energy=9.0)
    layout, front = BurstFormat(4), Impairments.draw(1, 4)
    with SimRadio(scenario, front, layout, seed=1, scene="calibration") as radio:
        found = calibrate(radio, scenario, layout, {}, bursts=8)
    assert deviation(found.transmit, front.transmit).max() < 0.03


def test_without_a_reflector_there_is_no_calibration() -> None:
    scenario, layout = Scenario(antennas=4, radar_gain=1e-6), BurstFormat(4)
    with (
        SimRadio(scenario, Impairments.draw(3, 4), layout, seed=3, scene="scenario") as radio,
        pytest.raises(UserError, match="not one reflector at boresight: put one there") as refusal,
    ):
        calibrate(radio, scenario, layout, {}, bursts=8)
    assert "\n" not in str(refusal.value)


def test_where_nothing_comes_back_antennas_and_gain_are_named() -> None:
    rng = np.random.default_rng(1)
    noise = (0.01 * rng.normal(size=(5, 200_000, 2)) @ [1, 1j]).astype(np.complex64)
    radio = FakeRadio([Received(noise, 0)], tx_channels=4, rx_channels=5)
    with pytest.raises(RadioError, match="0 of 6 bursts came back: look at gain and reflector") as refusal:
        calibrate(radio, Scenario(antennas=4), BurstFormat(4), {}, bursts=6)
    assert "\n" not in str(refusal.value)


def test_bursts_that_have_lost_samples_are_not_used_and_more_are_sent() -> None:
    from blocks.radio.interface import EventKind

    scenario, layout, front = Scenario(antennas=4), BurstFormat(4), Impairments.draw(1, 4)
    with SimRadio(scenario, front, layout, seed=1, scene="calibration") as radio:
        for first in (8000, 14_000):
            radio.inject(EventKind.OVERFLOW, first, 300)
        found = calibrate(radio, scenario, layout, {}, bursts=8)
    assert deviation(found.transmit, front.transmit).max() < 0.03


def test_a_calibration_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks.radio.calibrate, "SECONDS", 0.0)
    scenario, layout = Scenario(antennas=4), BurstFormat(4)
    with (
        SimRadio(scenario, Impairments.draw(1, 4), layout, scene="calibration") as radio,
        pytest.raises(RadioError, match="0 of 24 bursts"),
    ):
        calibrate(radio, scenario, layout, {})


def test_a_device_is_known_by_its_name_session_and_settings() -> None:
    with SimRadio(Scenario(antennas=2), rate=2e6, frequency=1e9) as radio:
        key = key_of(radio, "abc")
    assert key["device"] == "sim:0"
    assert key["session"] == "abc"
    assert key["rate"] == 2e6
    assert key["rx_frequency"] == [1e9] * 3
