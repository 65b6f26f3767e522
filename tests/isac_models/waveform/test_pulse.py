from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from isac_models.errors import UserError
from isac_models.waveform.pulse import RootRaisedCosine, fractional_delay
from tests.isac_models.waveform.scene import noise


def decibels(ratio: float) -> float:
    """Of a power."""
    return float(10 * np.log10(ratio))


@pytest.mark.parametrize("rolloff", [0.2, 0.25, 0.35, 1.0])
@pytest.mark.parametrize("shift", [0.0, 0.5, -0.37])
def test_the_taps_are_the_fourier_transform_of_the_spectrum(rolloff: float, shift: float) -> None:
    def spectrum(f: float) -> float:
        """Square root of the raised cosine, T = 1."""
        low, high = (1 - rolloff) / 2, (1 + rolloff) / 2
        if f <= low:
            return 1.0
        return float(np.cos(np.pi / (2 * rolloff) * (f - low))) if f < high else 0.0

    pulse = RootRaisedCosine(2, rolloff, 20)
    taps = pulse.taps(shift)
    for n in (-9, -3, 0, 1, 4):
        t = (n + shift) / 2
        value = quad(lambda f, t=t: 2 * spectrum(f) * np.cos(2 * np.pi * f * t), 0, 1, limit=200)[0]
        assert taps[pulse.delay + n] == pytest.approx(value / np.sqrt(2), abs=2e-4)


@pytest.mark.parametrize("samples_per_symbol", [2, 3, 4])
def test_the_pulse_has_unit_energy_and_is_even(samples_per_symbol: int) -> None:
    taps = RootRaisedCosine(samples_per_symbol).taps()
    assert np.sum(taps**2) == pytest.approx(1)
    assert np.allclose(taps, taps[::-1])
    assert np.all(np.isfinite(taps))


# 1 / (4 β) falls on a tap: 0 / 0 there.
@pytest.mark.parametrize("rolloff", [0.25, 0.5, 1.0])
def test_the_removable_singularities_are_removed(rolloff: float) -> None:
    pulse = RootRaisedCosine(4, rolloff)
    assert np.allclose(pulse.taps(), pulse.taps(1e-6), atol=1e-5)


@pytest.mark.parametrize("start", [20.0, 20.5, 21.25, 24.93])
def test_symbols_come_back_at_any_fraction_of_a_sample(start: float) -> None:
    rng = np.random.default_rng(1)
    symbols = noise(rng, 3, 100)
    pulse = RootRaisedCosine()
    sent = np.pad(pulse.shape(symbols), ((0, 0), (0, 40)))
    received = fractional_delay(sent, start - pulse.delay, half_length=64)
    back = pulse.sample(received, start, 100)
    assert back.shape == symbols.shape
    assert decibels(np.mean(np.abs(back - symbols) ** 2)) < -45


def test_one_sample_a_symbol_does_not_survive_a_fractional_delay_and_two_do() -> None:
    # One sample a symbol through ideal converters: a delay of d symbols leaves sinc(d) of a symbol and
    # spreads the rest over its neighbours. The error behind the best single tap is 1/sinc²(d) - 1.
    rng = np.random.default_rng(2)
    symbols = np.exp(0.5j * np.pi * rng.integers(0, 4, 4000))
    pulse = RootRaisedCosine()
    for delay, expected in ((0.05, -20.8), (0.25, -6.3), (0.5, 1.7)):
        late = fractional_delay(symbols, delay, half_length=200)[200:-200]
        tap = np.vdot(symbols[200:-200], late) / late.size
        one = decibels(np.mean(np.abs(late / tap - symbols[200:-200]) ** 2))
        assert one == pytest.approx(expected, abs=0.5)
        shaped = fractional_delay(pulse.shape(symbols), delay * pulse.samples_per_symbol, half_length=64)
        back = pulse.sample(shaped, pulse.delay + delay * pulse.samples_per_symbol, symbols.size)[50:-50]
        assert decibels(np.mean(np.abs(back - symbols[50:-50]) ** 2)) < -45


def test_white_noise_keeps_its_power_behind_the_matched_filter() -> None:
    received = noise(np.random.default_rng(3), 40_000)
    pulse = RootRaisedCosine()
    for start in (100.0, 100.5):
        symbols = pulse.sample(received, start, 19_000)
        assert np.mean(np.abs(symbols) ** 2) == pytest.approx(1, abs=5 / np.sqrt(19_000))
        assert abs(np.vdot(symbols[1:], symbols[:-1])) / 19_000 < 5 / np.sqrt(19_000) + 2e-3


def test_samples_outside_the_array_count_as_zero() -> None:
    pulse = RootRaisedCosine()
    received = noise(np.random.default_rng(4), 2, 60)
    padded = np.pad(received, ((0, 0), (100, 100)))
    for start in (-13.3, 0.0, 31.7):
        assert np.allclose(pulse.sample(received, start, 30), pulse.sample(padded, start + 100, 30))
    assert np.array_equal(pulse.sample(received, 500.0, 4), np.zeros((2, 4)))
    assert np.array_equal(pulse.sample(received, -500.0, 4), np.zeros((2, 4)))


def test_single_precision_stays_single() -> None:
    pulse = RootRaisedCosine()
    shaped = pulse.shape(np.ones((2, 5), np.complex64))
    assert pulse.sample(shaped, 20.5, 5).dtype == np.complex64
    assert fractional_delay(shaped, 0.5).dtype == np.complex64


@pytest.mark.parametrize("delay", [0.0, 3.0, -2.0, 0.5, -7.3, 12.37])
def test_a_band_limited_tone_is_shifted_exactly(delay: float) -> None:
    n = np.arange(400)
    tone = np.exp(2j * np.pi * 0.3 * n)
    late = fractional_delay(tone, delay)
    inner = slice(60, -60)
    assert np.allclose(late[inner], np.exp(2j * np.pi * 0.3 * (n - delay))[inner], atol=1e-3)


@pytest.mark.parametrize("delay", [-500.0, 500.5])
def test_a_shift_beyond_the_array_leaves_nothing(delay: float) -> None:
    assert np.array_equal(fractional_delay(np.ones(100, complex), delay), np.zeros(100))


def test_impossible_pulses_are_refused() -> None:
    with pytest.raises(UserError, match="samples_per_symbol must be at least 2, not 1"):
        RootRaisedCosine(1)
    with pytest.raises(UserError, match="rolloff"):
        RootRaisedCosine(2, 0.0)
    with pytest.raises(UserError, match="rolloff"):
        RootRaisedCosine(2, 1.5)
