"""Impairments against closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isac_models.errors import UserError
from isac_models.impairments import (
    HALF,
    Impairments,
    chain_errors,
    interpolate,
    interpolation_taps,
    quantise,
    rotation,
)


def band_limited(times: np.ndarray, edge: float = 0.85) -> np.ndarray:
    """Tones of random phase up to a share of the Nyquist frequency, at any times."""
    frequencies = np.linspace(-edge / 2, edge / 2, 41)
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, frequencies.size)
    return np.asarray(np.exp(1j * (2 * np.pi * np.outer(times, frequencies) + phases)).sum(axis=1))


@pytest.mark.parametrize("delay", [0.0, 0.25, 0.5, 0.999, 3.0, 7.5])
def test_a_delayed_signal_is_the_signal_of_an_earlier_time(delay: float) -> None:
    first, samples = -50, band_limited(np.arange(-50, 400))
    times = np.arange(0, 300) - delay
    expected = band_limited(times)
    error = interpolate(samples, first, times) - expected
    assert np.mean(np.abs(error) ** 2) < 1e-7 * np.mean(np.abs(expected) ** 2)


def test_a_clock_that_runs_off_sees_the_signal_at_its_own_times() -> None:
    samples = band_limited(np.arange(0, 600))
    times = 50 + np.arange(480) * (1 + 1e-3)
    expected = band_limited(times)
    error = interpolate(np.stack([samples, 2 * samples]), 0, times) - np.stack([expected, 2 * expected])
    assert np.mean(np.abs(error) ** 2) < 2.5e-7 * np.mean(np.abs(expected) ** 2)


def test_whole_ticks_are_the_samples_themselves() -> None:
    samples = np.arange(200) + 1j
    np.testing.assert_array_equal(interpolate(samples, 10, np.arange(50, 100.0)), samples[40:90])
    np.testing.assert_allclose(interpolation_taps(np.zeros(1))[0], np.eye(2 * HALF)[HALF - 1], atol=1e-15)


def test_times_without_enough_samples_around_them_are_an_error() -> None:
    for time in (HALF - 2.0, 100.0 - HALF):
        with pytest.raises(ValueError, match="not covered"):
            interpolate(np.zeros(100), 0, np.array([time + 0.5]))


def test_a_rotation_has_its_frequency_and_drift() -> None:
    times = np.arange(1000.0)
    phase = np.unwrap(np.angle(rotation(times, 1e-3, 2e-6)))
    np.testing.assert_allclose(np.diff(phase, 2), 2 * np.pi * 2e-6, rtol=1e-6)
    np.testing.assert_allclose(phase[1] - phase[0], 2 * np.pi * (1e-3 + 1e-6), rtol=1e-9)


def test_converters_round_to_steps_and_clip() -> None:
    samples = np.array([0.1 + 0.9j, -2 + 2j, 0.126 - 0.124j, 0.06j], np.complex64)
    np.testing.assert_array_equal(quantise(samples, 4), [0.125 + 0.875j, -1 + 0.875j, 0.125 - 0.125j, 0])
    np.testing.assert_array_equal(quantise(samples, 0), samples)
    assert quantise(samples, 4).dtype == np.complex64


def test_the_error_of_twelve_bits_is_that_of_uniform_rounding() -> None:
    random = np.random.default_rng(1)
    n = 100_000
    samples = random.uniform(-0.9, 0.9, n) + 1j * random.uniform(-0.9, 0.9, n)
    power = np.mean(np.abs(quantise(samples, 12) - samples) ** 2)
    expected = 2 * (2**-11) ** 2 / 12  # variance of a uniform variable, twice
    assert abs(power / expected - 1) < 5 * np.sqrt(0.4 / n)  # Var(e²) = (4/5) E(e²)², over two parts


def test_a_front_end_is_drawn_within_its_limits() -> None:
    for seed in range(20):
        front = Impairments.draw(seed, 8)
        assert abs(front.clock_offset) <= 1e-5
        assert front.echo_delay >= front.leakage_delay + 1
        assert front.bits == 12
        assert front.noise
    assert Impairments.draw(1).cfo == Impairments.draw(1).cfo != Impairments.draw(2).cfo


def test_gains_scatter_by_a_tenth_around_one_with_any_phase() -> None:
    errors = chain_errors(np.random.default_rng(0), 10_000)
    assert abs(np.abs(errors).mean() - 1) < 5 * 0.1 / 100
    assert abs(np.abs(errors).std() - 0.1) < 5 * 0.1 / np.sqrt(20_000)
    assert abs(np.mean(errors)) < 5 * np.sqrt(1.01 / 10_000)


def test_every_impairment_can_be_switched_off() -> None:
    front, none = Impairments.draw(5, 4), Impairments.none(4)
    for name in front.__dataclass_fields__:
        if name != "echo_delay":  # it cannot come before the leakage's
            off = getattr(front.without(name), name)
            np.testing.assert_array_equal(off, False if name == "noise" else getattr(none, name))
    rest = front.without("cfo")
    assert rest.clock_offset == front.clock_offset
    assert rest.leakage is front.leakage
    with pytest.raises(UserError, match="no impairment 'rust'"):
        front.without("rust")


def test_what_cannot_be_is_refused() -> None:
    none = Impairments.none(4)
    with pytest.raises(UserError, match=r"leakage matrix \(4, 4\)"):
        Impairments(none.transmit, none.receive, none.transmit)
    bad: tuple[dict[str, Any], ...] = (
        {"leakage_delay": 0.5},
        {"user_delay": -1.0},
        {"bits": 99},
        {"clock_offset": 0.1},
    )
    for options in bad:
        with pytest.raises(UserError):
            Impairments(none.transmit, none.receive, none.leakage, **options)
