"""Kernels over the samples of a burst against NumPy and SciPy in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import upfirdn

from isac_models.kernels import bursts
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.leakage import LeakageEstimator, remove

Values = np.ndarray[Any, Any]
LAGS, AT, FIRST, LAST = 8, 30, 5, 90


def noise(seed: int, *shape: int) -> Values:
    """CN(0, 2), complex64."""
    random = np.random.default_rng(seed)
    return (random.normal(size=shape) + 1j * random.normal(size=shape)).astype(np.complex64)


def planes(values: Values) -> Values:
    """Real and imaginary part, (2, n)."""
    return np.stack([values.real, values.imag]).astype(np.float32)


def rows(values: Values) -> Values:
    """(C, L) complex64 as the kernels take it."""
    return np.ascontiguousarray(values.T).view(np.float32)


@pytest.mark.parametrize("channels", [1, 16])
def test_windows_are_equalised_and_turned_back(channels: int) -> None:
    window, gains = noise(1, channels, 150), noise(2, channels)
    out = np.empty((150, 2 * channels), np.float32)
    bursts.rotate(out, window.view(np.float32), gains.view(np.float32).reshape(-1, 2), 0.0123, 17.25)
    turn = np.exp(-2j * np.pi * 0.0123 * (np.arange(150) - 17.25))
    assert np.allclose(out.view(np.complex64).T, gains[:, None] * turn * window, atol=2e-6)


@pytest.mark.parametrize("step", [2, 3])
def test_a_stream_is_shaped_as_by_scipy(step: int) -> None:
    symbols, taps = noise(3, 40), np.random.default_rng(4).normal(size=17).astype(np.float32)
    out = np.zeros((2, 200), np.float32)
    bursts.shape(out, planes(symbols), taps, step, 11)
    expected = upfirdn(taps, symbols, up=step)
    assert np.allclose(out[0] + 1j * out[1], np.pad(expected, (11, 189 - expected.size)), atol=1e-5)


def test_correlations_at_every_lag_are_inner_products() -> None:
    y, s = noise(5, 16, 100), noise(6, 160)
    given = np.empty((LAGS, 32), np.float32)
    bursts.correlate(given, rows(y), planes(s), FIRST, LAST, AT)
    products = np.empty((2, LAGS, LAGS))
    bursts.inner(products, planes(s), FIRST, LAST, AT)
    n = np.arange(FIRST, LAST)
    late = np.stack([s[n + AT - lag] for lag in range(LAGS)]).astype(np.complex128)
    assert np.allclose(given.view(np.complex64), late.conj() @ y[:, n].T, atol=1e-4)
    assert np.allclose(products[0] + 1j * products[1], late.conj() @ late.T, atol=1e-9)


def test_a_waveform_is_delayed_and_taken_away() -> None:
    y, s, gains = noise(7, 16, 100), noise(8, 160), noise(9, 16)
    weights = np.random.default_rng(10).normal(size=LAGS).astype(np.float32)
    weights[3] = 0
    wave = np.empty((100, 2), np.float32)
    bursts.delay(wave, planes(s), weights, AT)
    expected = sum(w * s[np.arange(100) + AT - lag] for lag, w in enumerate(weights))
    assert np.allclose(wave.view(np.complex64)[:, 0], expected, atol=1e-5)
    left = rows(y)
    bursts.remove(left, wave, gains.view(np.float32))
    assert np.allclose(left.view(np.complex64).T, y - gains[:, None] * expected, atol=2e-5)


def test_leakage_is_removed_alike_in_both_forms() -> None:
    form = BurstFormat()
    random = np.random.default_rng(11)
    stream = np.exp(2j * np.pi * random.random(form.symbols))
    stream[form.orthogonal_at] = 0
    s = np.pad(upfirdn(form.pulse.taps(), stream, up=2), (64, 64))
    leak, echo = 30 * noise(12, 16), noise(13, 16)
    y = (leak[:, None] * s + echo[:, None] * np.roll(s, 4) + noise(14, 16, s.size)).astype(np.complex64)
    estimator = LeakageEstimator(form)
    start = 64.2 + form.pulse.delay
    found = []
    for window in (np.asfortranarray(y), y.astype(np.complex128)):
        correlations = estimator.correlate(window, start, stream)
        one = estimator.separate(correlations, estimator.peak(estimator.profile(correlations)), s.size)
        found.append((one.leakage, one.echo, np.array([one.early, one.delay]), remove(window, one)))
    for compiled, plain in zip(*found, strict=True):
        assert np.allclose(compiled, plain, atol=1e-3)
