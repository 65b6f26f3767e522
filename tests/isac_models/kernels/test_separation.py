"""Leakage and echo told apart in one kernel against the same step by step in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import upfirdn

from isac_models.kernels import separation
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.leakage import Correlations, LeakageEstimator

Values = np.ndarray[Any, Any]
FORM = BurstFormat()
ESTIMATOR = LeakageEstimator(FORM)
START = 64.4 + FORM.pulse.delay
"""Where the leakage is said to be; it is at 64 + `late`."""


def correlations(late: float, delay: int, level: float, seed: int = 1) -> Correlations:
    """What the kernels find in a burst whose echo lies `delay` samples behind a leakage of `level`."""
    random = np.random.default_rng(seed)
    stream = np.exp(2j * np.pi * random.random(FORM.symbols))
    stream[FORM.orthogonal_at] = 0
    s, echo = (np.pad(upfirdn(FORM.pulse.taps(-late), stream, up=2), (64 + d, 80 - d)) for d in (0, delay))
    gains = random.normal(size=(2, 16, 1)) + 1j * random.normal(size=(2, 16, 1))
    noise = random.normal(size=(2, 16, s.size))
    y = level * gains[0] * s + gains[1] * echo + noise[0] + 1j * noise[1]
    return ESTIMATOR.correlate(np.asfortranarray(y, np.complex64), START, stream)


@pytest.mark.parametrize("late", [0.395, 0.3, 0.0])
@pytest.mark.parametrize("level", [0.0, 3.0, 100.0])
@pytest.mark.parametrize("delay", [1, 4, 12])
def test_profile_and_amplitudes_are_those_of_the_plain_form(late: float, level: float, delay: int) -> None:
    found = correlations(late, delay, level)
    assert found.compiled
    before = np.random.default_rng(2).random(ESTIMATOR.grid.size)
    energy, plain = ESTIMATOR.profile(found, before), ESTIMATOR._profile_plain(found, before)
    assert np.allclose(energy, plain, rtol=1e-6)
    one, two = (f(found, delay + 0.1, 1200) for f in (ESTIMATOR.separate, ESTIMATOR._separate_plain))
    for name in ("leakage", "echo", "early", "variance"):
        assert np.allclose(getattr(one, name), getattr(two, name), rtol=1e-7, atol=1e-9)
    assert np.allclose(one.waveform, two.waveform, atol=1e-6)


def test_a_profile_without_one_before_it_is_that_of_the_burst_alone() -> None:
    found = correlations(0.3, 4, 10.0)
    assert np.allclose(ESTIMATOR.profile(found), ESTIMATOR._profile_plain(found), rtol=1e-6)
    assert np.array_equal(ESTIMATOR.profile(found), ESTIMATOR.profile(found, np.zeros(ESTIMATOR.grid.size)))


def test_a_window_of_silence_has_neither_leakage_nor_echo() -> None:
    found = correlations(0.3, 4, 10.0)
    nothing = np.zeros((found.given.shape[1], 32), np.float32)
    amplitudes, weights, told = np.ones((2, 16), complex), np.empty((2, len(nothing))), np.empty(2)
    separation.separate(
        amplitudes, weights, told, nothing, found.products, found.fraction, 4.0, *ESTIMATOR._shape
    )
    assert not amplitudes.any()
    assert told[0] == 0
    assert told[1] > 0


def test_the_weights_are_a_sinc_under_blackmans_window() -> None:
    found, delay = correlations(0.395, 4, 10.0), 7.37
    amplitudes, weights, told = np.empty((2, 16), complex), np.empty((2, found.given.shape[1])), np.empty(2)
    separation.separate(amplitudes, weights, told, *found.arguments, delay, *ESTIMATOR._shape)
    _, first, half = ESTIMATOR._shape
    at = found.fraction - told[0] + np.array([[0.0], [delay]])
    t = first + np.arange(weights.shape[1]) - at
    window = 0.42 + 0.5 * np.cos(np.pi * t / half) + 0.08 * np.cos(2 * np.pi * t / half)
    assert np.allclose(weights, np.sinc(t) * np.where(np.abs(t) < half, window, 0), atol=1e-12)
