"""The engine: chunks, delays, clocks, powers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from isac_models.waveform.burst_format import BurstFormat
from tests.hil.frontend.engine import FrontEnd
from tests.hil.frontend.settings import ScenarioValues, Settings, SettingsError

CLEAN: dict[str, Any] = {
    "bits": 0, "noise": False, "fading": False, "leakage": False, "chain_errors": False, "cfo": 0.0,
    "cfo_drift": 0.0, "radar_cfo": 0.0, "clock_ppm": 0.0,
}  # fmt: skip


def white(channels: int, n: int, seed: int = 1, power: float = 10**-1.2) -> np.ndarray:
    """Noise within the band of a root-raised cosine, of mean power `power` a sample over all channels."""
    draw = np.random.default_rng(seed)
    spectrum = draw.normal(size=(channels, n)) + 1j * draw.normal(size=(channels, n))
    spectrum[:, np.abs(np.fft.fftfreq(n)) > 0.33] = 0
    samples = np.fft.ifft(spectrum)
    scale = np.sqrt(power / channels / np.mean(np.abs(samples) ** 2))
    return np.asarray(scale * samples, np.complex64)


def test_how_the_stream_is_cut_makes_no_difference() -> None:
    samples = white(16, 12000)
    settings = Settings(seed=3, bits=0, block=500)
    whole = FrontEnd(settings).process(samples)
    front = FrontEnd(settings)
    cuts = [0, 1, 2, 40, 41, 1500, 1517, 9000, 9031, 12000]
    parts = [front.process(samples[:, a:b]) for a, b in pairwise(cuts)]
    assert front.time == 12000
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-6 * np.abs(whole).max())


def test_a_call_without_samples_changes_nothing() -> None:
    front = FrontEnd(Settings())
    assert front.process(np.zeros((16, 0), np.complex64)).shape == (17, 0)
    assert front.time == 0


def test_another_number_of_channels_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"must be \(16, n\)"):
        FrontEnd(Settings()).process(np.zeros((15, 4), np.complex64))


def test_silence_gives_noise_of_four_steps_of_twelve_bits() -> None:
    n = 20000
    front = FrontEnd(Settings(gain_spread_db=0))
    received = front.process(np.zeros((16, n), np.complex64))
    # Behind the quantiser: N0/512² + 2 Δ²/12 with Δ = 1/2048. |y|² is exponential: its mean is sure to 1/√n.
    expected = 1 / 512**2 + 2 / 2048**2 / 12
    assert np.all(np.abs(np.mean(np.abs(received) ** 2, axis=1) / expected - 1) < 5 / np.sqrt(n))
    steps = received.view(np.float32) * 2048
    assert np.array_equal(steps, np.rint(steps))


def test_gain_errors_scale_signal_and_noise_alike() -> None:
    n = 20000
    front = FrontEnd(Settings(bits=0, seed=5))
    received = front.process(np.zeros((16, n), np.complex64))[:16]
    expected = np.abs(front.unknowns.rx_errors) ** 2 / 512**2
    assert expected.std() / expected.mean() > 0.05
    assert np.all(np.abs(np.mean(np.abs(received) ** 2, axis=1) / expected - 1) < 5 / np.sqrt(n))


@pytest.mark.parametrize("delay", [5.0, 5.25, 12.5, 20.75, 40.5])
def test_the_receiver_hears_a_tone_late_by_a_fraction(delay: float) -> None:
    front = FrontEnd(Settings(ScenarioValues(antennas=1), scene="calibration", ue_delay=delay, **CLEAN))
    t = np.arange(3000)
    for frequency in (-0.33, -0.1, 0.05, 0.3375):
        front.rewind()
        heard = front.process(0.1 * np.exp(2j * np.pi * frequency * t)[None].astype(np.complex64))[1]
        wanted = np.exp(2j * np.pi * frequency * (t - delay))
        wanted *= np.linalg.norm(heard[200:]) / np.linalg.norm(wanted[200:])
        assert np.abs(heard - wanted)[200:].max() < 1e-4 * np.abs(wanted[200])  # -80 dB


@pytest.mark.parametrize(("ppm", "delay"), [(10.0, 12.5), (-10.0, 25.5), (100.0, 5.0), (-200.0, 30.0)])
def test_a_clock_that_is_off_reads_a_tone_at_other_times(ppm: float, delay: float) -> None:
    front = FrontEnd(
        Settings(
            ScenarioValues(antennas=1), scene="calibration", ue_delay=delay, **{**CLEAN, "clock_ppm": ppm}
        )
    )
    n, frequency = 100_000, 0.2
    i = np.arange(n)
    heard = front.process(0.1 * np.exp(2j * np.pi * frequency * i)[None].astype(np.complex64))[1][200:]
    true_time = i[200:] / (1 + 1e-6 * ppm)  # the slow clocks' lag lasts: 0.2 ‰ · 1e5 = 20 < 30 - 5 samples
    wanted = np.exp(2j * np.pi * frequency * (true_time - delay))
    error = heard / np.abs(heard).mean() - wanted
    assert 20 * np.log10(np.abs(error).max()) < -70


def test_a_slow_clock_turns_round_without_a_jump() -> None:
    front = FrontEnd(
        Settings(
            ScenarioValues(antennas=1), scene="calibration", ue_delay=6.0, **{**CLEAN, "clock_ppm": -1000.0}
        )
    )
    i = np.arange(4000)
    heard = front.process(0.1 * np.exp(2j * np.pi * 0.1 * i)[None].astype(np.complex64))[1][200:]
    turn = np.angle(heard[1:] / heard[:-1]) / (2 * np.pi * 0.1)  # how far the reading moves in a sample
    np.testing.assert_allclose(turn[:600], 1.001, atol=2e-4)  # the lag of 6 has come down to 5 at 1000
    np.testing.assert_allclose(turn[900:], 0.999, atol=2e-4)
    assert np.abs(turn - 1).max() < 2e-3


def test_the_carrier_drifts() -> None:
    settings = Settings(
        ScenarioValues(antennas=1), scene="calibration", ue_delay=5.0,
        **{**CLEAN, "cfo": 0.003, "cfo_drift": 1e-8},
    )  # fmt: skip
    n = 50_000
    heard = FrontEnd(settings).process(np.full((1, n), 0.1, np.complex64))[1][100:]
    i = np.arange(100, n)
    phase = np.unwrap(np.angle(heard.astype(np.complex128))) / (2 * np.pi)
    wanted = 0.003 * i + 0.5e-8 * i**2
    np.testing.assert_allclose(phase - phase[0], wanted - wanted[0], atol=1e-5)


def test_leakage_stands_as_far_above_the_mean_echo_as_asked_for() -> None:
    samples = white(16, 40_000)
    common = {**CLEAN, "scene": "calibration", "calibration_echo_db": 0.0, "chain_errors": True}
    echo = FrontEnd(Settings(**common)).process(samples)[:16]
    both = FrontEnd(Settings(**{**common, "leakage": True}, leakage_db=30.0))
    leaked = both.process(samples)[:16] - echo
    gains = np.abs(both.unknowns.rx_errors)[:, None]
    ratio = np.mean(np.abs(leaked / gains) ** 2) / np.mean(np.abs(echo / gains) ** 2)
    # The tx errors (within ±1.5 dB) weigh both powers, the leakage matrix one: within 1 dB.
    assert 10 * np.log10(ratio) == pytest.approx(30, abs=1)


def test_a_burst_of_the_link_has_the_scenarios_signal_to_noise_ratio() -> None:
    # x = e_1 for every symbol: energy 1 a symbol; behind the matched filter |α|² E_tx against N0.
    form = BurstFormat()
    draw = np.random.default_rng(2)
    x = np.zeros((16, form.symbols), complex)
    x[0] = draw.choice([1, 1j, -1, -1j], form.symbols)
    samples = form.modulate(x) * np.sqrt(10**-1.2 * form.samples_per_symbol)
    settings = Settings(leakage_delay=6.0, echo_after=4.0, scene="calibration", **CLEAN)
    received = FrontEnd(settings).process(np.pad(samples, ((0, 0), (0, 100))).astype(np.complex64)) * 512
    symbols = form.pulse.sample(received[3], 10.0 + form.pulse.delay, form.symbols)
    np.testing.assert_allclose(symbols, 10 * x[0], atol=0.1)  # α: 20 dB above σ_r = 1


def test_sixteen_channels_stay_below_full_scale_with_the_strongest_leakage() -> None:
    front = FrontEnd(Settings(leakage_db=40.0))
    front.process(white(16, 20_000))
    assert front.stats() == {"time": 20_000, "clipped_tx": 0, "clipped_rx": 0}


def test_what_is_beyond_full_scale_is_clipped_and_counted() -> None:
    front = FrontEnd(Settings())
    samples = np.zeros((16, 8), np.complex64)
    samples[2, 3:5] = 1.5 - 2j
    front.process(samples)
    assert front.stats()["clipped_tx"] == 4


def test_a_restart_is_another_session_with_other_phases_and_the_same_gains() -> None:
    front = FrontEnd(Settings())
    first, drawn = front.session, front.unknowns
    front.process(white(16, 1000))
    front.restart()
    assert front.session != first
    assert front.time == 0
    assert front.unknowns.cfo == drawn.cfo
    np.testing.assert_allclose(np.abs(front.unknowns.tx_errors), np.abs(drawn.tx_errors))
    assert np.abs(np.angle(front.unknowns.tx_errors / drawn.tx_errors)).min() > 1e-3


def test_a_rewound_front_end_does_the_same_again() -> None:
    front = FrontEnd(Settings())
    samples = white(16, 5000)
    first = front.process(samples)
    front.rewind()
    np.testing.assert_array_equal(front.process(samples), first)


def test_another_frequency_has_other_phases_and_time_runs_on() -> None:
    front = FrontEnd(Settings())
    drawn, session = front.unknowns, front.session
    front.process(white(16, 100))
    front.retune()
    assert (front.time, front.session) == (100, session)
    assert np.abs(front.unknowns.rx_errors - drawn.rx_errors).min() > 1e-3


def test_gain_is_set_in_steps_and_scales_the_samples() -> None:
    front = FrontEnd(Settings(bits=0))
    samples = white(16, 500)
    before = front.process(samples)
    assert front.set_gain("rx", 16, 6.02) == 6.0
    assert front.set_gain("rx", 3, 200) == 90.0
    assert front.gain("rx", 3) == 90.0
    front.rewind()
    after = front.process(samples)
    np.testing.assert_allclose(after[16], before[16] * 10**0.3, rtol=1e-4)
    with pytest.raises(SettingsError, match="no channel 16 of 'tx'"):
        front.set_gain("tx", 16, 0)


def test_the_scene_changes_at_the_beginning_of_a_block() -> None:
    front = FrontEnd(Settings(block=100))
    front.process(np.zeros((16, 250), np.complex64))
    assert front.switch_scene("calibration") == 300
    assert front.switch_scene("scenario", 451) == 500
    assert [block["scene"] for block in front.truth(0, 600)] == ["scenario"] * 3 + ["calibration"] * 2 + [
        "scenario"
    ]
