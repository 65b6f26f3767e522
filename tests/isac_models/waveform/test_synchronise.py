from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.signal import upfirdn

from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.synchronise import REACH, Sync, crb_cfo, crb_delay, refine, synchronise
from tests.isac_models.waveform.scene import Values, noise

FORM = BurstFormat()
LENGTH = 1600


def window(
    rng: np.random.Generator,
    start: float,
    cfo: float,
    snr: float,
    channels: int = 1,
    form: BurstFormat = FORM,
) -> Values:
    """A burst of unit symbols, random behind the preamble, in noise of power 1: (channels, LENGTH)."""
    symbols = np.exp(2j * np.pi * rng.random(form.symbols))
    symbols[form.preamble_at] = form.preamble
    whole = int(np.floor(start))
    sent = upfirdn(form.pulse.taps(whole - start), symbols, up=form.samples_per_symbol)
    y = noise(rng, channels, LENGTH)
    first = whole - form.pulse.delay
    low, high = max(first, 0), min(first + sent.size, LENGTH)
    gains = np.sqrt(snr) * np.exp(2j * np.pi * rng.random((channels, 1)))
    y[:, low:high] += (
        gains * sent[low - first : high - first] * np.exp(2j * np.pi * cfo * np.arange(low, high))
    )
    return y.astype(np.complex64)


@pytest.mark.parametrize("false_alarm", [0.05, 0.3])
@pytest.mark.parametrize("channels", [1, 17])
def test_the_rate_of_false_alarms_is_the_one_asked_for(channels: int, false_alarm: float) -> None:
    rng = np.random.default_rng(3)
    trials = 800 if channels == 1 else 400
    alarms = sum(
        synchronise(noise(rng, channels, 900).astype(np.complex64), FORM, false_alarm, high=400).detected
        for _ in range(trials)
    )
    # Between 2 REACH + 1 independent places at two looks each, and places that agree half a symbol apart.
    most = false_alarm
    least = 1 - (1 - false_alarm / (4 * REACH)) ** (REACH)
    deviation = 5 * np.sqrt(most * (1 - most) / trials)
    assert least - deviation < alarms / trials < most + deviation


@pytest.mark.parametrize("channels", [1, 5])
def test_the_metric_at_one_place_is_gamma_distributed_in_noise_of_any_power(channels: int) -> None:
    rng = np.random.default_rng(4)
    powers = 10 ** rng.uniform(-8, 8, (channels, 1))
    metrics = [
        refine(
            (powers * noise(rng, channels, 500)).astype(np.complex64), FORM, Sync(40, 0.01, 0, True), reach=0
        )
        for _ in range(1500)
    ]
    assert stats.kstest([m.metric for m in metrics], "gamma", args=(channels,)).pvalue > 5.7e-7


@pytest.mark.parametrize("snr_db", [10, 20])
@pytest.mark.parametrize("channels", [1, 4])
def test_delay_and_frequency_are_as_sharp_as_the_bound_allows(channels: int, snr_db: int) -> None:
    rng = np.random.default_rng(5)
    snr, trials = 10 ** (snr_db / 10), 300
    errors = []
    for _ in range(trials):
        start, cfo = rng.uniform(30, 400), rng.uniform(-0.015, 0.015)
        sync = synchronise(window(rng, start, cfo, snr, channels), FORM)
        assert sync.detected
        errors.append((sync.start - start, sync.cfo - cfo))
    bounds = np.array([crb_delay(FORM, channels * snr), crb_cfo(FORM, channels * snr)])
    ratio = np.mean(np.square(errors), axis=0) / bounds
    spread = 5 * np.sqrt(2 / trials)
    assert np.all(ratio > 1 - spread)
    assert np.all(ratio < 1.1 + 1.1 * spread)


def test_the_bounds_without_coupling_are_those_of_the_textbooks() -> None:
    p, o, snr = FORM.preamble.size, FORM.samples_per_symbol, 7.0
    bandwidth = (1 / 12 + FORM.rolloff**2 * (1 / 4 - 2 / np.pi**2)) / o**2
    kay = 1 / (2 * snr * p * (2 * np.pi) ** 2 * bandwidth)
    rife = 6 / ((2 * np.pi) ** 2 * snr * o**2 * p * (p**2 - 1))
    # The chirps couple delay and frequency, which costs a little; the truncated pulse is a little wider.
    assert 0.98 * kay < crb_delay(FORM, snr) < 1.05 * kay
    assert 0.999 * rife < crb_cfo(FORM, snr) < 1.05 * rife


@pytest.mark.parametrize("start", [20.0, 77.5, 300.25])
@pytest.mark.parametrize("cfo", [-0.015, 0.0, 0.0155])
def test_a_clean_burst_is_found_to_a_hundredth_of_a_sample(start: float, cfo: float) -> None:
    clean = window(np.random.default_rng(6), start, cfo, 1e5)
    sync = synchronise(clean, FORM)
    assert sync.detected
    assert abs(sync.start - start) < 0.01
    assert abs(sync.cfo - cfo) < 1e-5


def test_a_window_without_noise_is_no_trouble() -> None:
    sent = np.zeros((2, LENGTH), np.complex64)
    sent[1, 100 : 100 + 900] = FORM.modulate(FORM.assemble(np.ones(256), np.ones(96), np.ones(16) / 4))[
        3, :900
    ]
    sync = synchronise(sent, FORM)
    assert sync.detected
    assert abs(sync.start - 120) < 0.01


def test_the_scale_of_a_channel_changes_nothing() -> None:
    y = window(np.random.default_rng(7), 55.5, 0.002, 1, 3)
    one, other = synchronise(y, FORM), synchronise(y * np.array([[1e-6], [1], [1e5]], np.float32), FORM)
    assert other.start == pytest.approx(one.start, abs=1e-4)
    assert other.metric == pytest.approx(one.metric, rel=1e-3)


def test_tracking_finds_what_searching_finds() -> None:
    rng = np.random.default_rng(8)
    y = window(rng, 61.3, 0.004, 10, 2)
    found = synchronise(y, FORM)
    tracked = refine(y, FORM, Sync(62.4, 0.0045, 0, True))
    assert tracked.detected
    assert tracked.start == pytest.approx(found.start, abs=1e-3)
    assert tracked.cfo == pytest.approx(found.cfo, abs=1e-6)


def test_tracking_keeps_the_prediction_where_no_burst_is() -> None:
    expected = Sync(61.3, 0.004, 50.0, True)
    tracked = refine(noise(np.random.default_rng(9), 1, LENGTH), FORM, expected)
    assert (tracked.start, tracked.cfo, tracked.detected) == (61.3, 0.004, False)


def test_only_the_places_that_are_asked_for_are_searched() -> None:
    y = window(np.random.default_rng(10), 600, 0.0, 100)
    assert not synchronise(y, FORM, low=0, high=150).detected
    assert synchronise(y, FORM, low=550, high=650).detected


def test_other_sampling_rates_work_too() -> None:
    form = BurstFormat(payload=32, samples_per_symbol=3)
    sync = synchronise(window(np.random.default_rng(11), 90.7, -0.006, 100, form=form), form)
    assert sync.detected
    assert abs(sync.start - 90.7) < 0.1


def test_what_cannot_be_searched_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="longer"):
        synchronise(np.zeros((1, 300), np.complex64), FORM)
    with pytest.raises(UserError, match="shape"):
        synchronise(np.zeros(1600, np.complex64), FORM)
    with pytest.raises(UserError, match="finite"):
        synchronise(np.full((1, 1600), np.nan, np.complex64), FORM)
    assert not synchronise(np.zeros((2, 1600), np.complex64), FORM).detected
