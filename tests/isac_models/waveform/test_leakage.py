"""Leakage and echo told apart, against windows that an independent sampler made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.leakage import EDGE, LeakageEstimator
from tests.isac_models.waveform.array_scene import (
    HEAD,
    HEADER,
    ArrayScene,
    decibels,
    qpsk,
    random_leakage,
    vectors_at,
)
from tests.isac_models.waveform.scene import noise, steering

Values = np.ndarray[Any, Any]
FORM = BurstFormat()
ANGLE = -0.5
BEAM = steering(16, ANGLE).conj() / 4
EARLY = 0.31
"""Where the leakage is said to be; it is at 0.3."""


def scene(level: float, delay: float, seed: int = 1) -> ArrayScene:
    """Leakage `level` dB over an echo of power 16 a symbol, `delay` samples before it."""
    leakage = random_leakage(np.random.default_rng(seed), BEAM, 16 * 10 ** (level / 10))
    return ArrayScene(FORM, BEAM, leakage, 0.3, 0.3 + delay, ANGLE)


def known(symbols: Values) -> Values:
    """The burst's symbols, 0 where the orthogonal pilots stand: (S,)."""
    stream = np.zeros(FORM.symbols, complex)
    stream[FORM.preamble_at], stream[FORM.header_at] = FORM.preamble, HEADER
    stream[FORM.payload_at], stream[FORM.phase_at] = symbols, FORM.phase_pilots
    return stream


def scalar(symbols: Values, length: int, start: float) -> Values:
    """s(t) of a burst that stands at `start`, (length,)."""
    return np.asarray(vectors_at(FORM, known(symbols)[None], length, start)[0])


@pytest.mark.parametrize("level", [20.0, 40.0])
@pytest.mark.parametrize("delay", [1.0, 1.5, 2.3, 3.37, 5.5, 8.0])
def test_the_echo_stays_and_what_is_left_of_the_leakage_is_far_below_the_noise(
    level: float, delay: float
) -> None:
    rng = np.random.default_rng(2)
    one = scene(level, delay)
    symbols = qpsk(rng, FORM.payload)
    leak, echo = one.parts(one.vectors(symbols), 1.0)
    estimator = LeakageEstimator(FORM)
    found = estimator.correlate(leak + echo + noise(rng, *leak.shape), HEAD + EARLY, known(symbols))
    said = estimator.separate(found, delay, one.length)
    rest = leak - np.outer(said.leakage, said.waveform)
    at = HEAD + 0.3 + delay
    rest_z, echo_z = (FORM.pulse.sample(y, at, FORM.symbols)[:, FORM.payload_at] for y in (rest, echo))
    assert decibels(np.mean(np.abs(echo_z) ** 2)) == pytest.approx(decibels(16), abs=0.01)
    assert decibels(np.mean(np.abs(rest_z) ** 2)) < -20  # of the noise
    gain = np.vdot(echo_z, echo_z + rest_z) / np.vdot(echo_z, echo_z)
    assert abs(decibels(abs(gain) ** 2)) < 0.1
    assert said.early == pytest.approx(EARLY - 0.3, abs=2e-3)


@pytest.mark.parametrize("delay", [1.0, 1.75, 4.3])
def test_the_variance_of_the_leakage_is_the_inverse_of_the_normal_matrix(delay: float) -> None:
    # Least squares of y = ℓ s(t) + e s(t - d) + n: cov(ℓ, e) = N0 (AᴴA)⁻¹ over the samples that are fitted.
    rng = np.random.default_rng(3)
    one = scene(20.0, delay)
    truth = one.leakage @ BEAM
    estimator = LeakageEstimator(FORM)
    first = HEAD + (int(FORM.header_at[0]) + EDGE) * FORM.samples_per_symbol
    last = HEAD + (FORM.symbols - 1) * FORM.samples_per_symbol + FORM.pulse.delay
    ratios = []
    for _ in range(24):
        symbols = qpsk(rng, FORM.payload)
        x = one.vectors(symbols)
        leak, echo = one.parts(x, 1.0)
        y = leak + echo + noise(rng, *leak.shape)
        said = estimator.separate(estimator.correlate(y, HEAD + 0.3, known(symbols)), delay, one.length)
        columns = [scalar(symbols, one.length, HEAD + 0.3 + d)[first:last] for d in (0.0, delay)]
        a = np.stack(columns, axis=1)
        expected = np.linalg.inv(a.conj().T @ a)[0, 0].real
        assert said.variance == pytest.approx(expected, rel=0.02)
        ratios.append(np.abs(said.leakage - truth) ** 2 / expected)
    # Exponential of mean 1, 16 · 24 of them.
    count = np.size(ratios)
    assert np.mean(ratios) == pytest.approx(1, abs=5 / np.sqrt(count))


def test_the_profile_is_largest_at_the_echo_and_a_burst_without_one_leaves_noise() -> None:
    rng = np.random.default_rng(4)
    estimator = LeakageEstimator(FORM)
    for delay in (1.0, 2.25, 6.5, 11.0):
        one = scene(30.0, delay)
        symbols = qpsk(rng, FORM.payload)
        energies = []
        for gain in (1.0, 0.0):
            y = one.window(rng, one.vectors(symbols), gain)
            energies.append(estimator.profile(estimator.correlate(y, HEAD + 0.3, known(symbols))))
        assert estimator.grid[np.argmax(energies[0])] == pytest.approx(delay, abs=0.25)
        # Noise alone: energy of one direction in each of 16 channels, Gamma(16) at every delay. What the
        # leakage's own error explains (its pulse is truncated) comes on top: it is below the noise.
        assert energies[1].max() < 16 + 10 * np.sqrt(16)
        assert energies[0].max() > 30 * energies[1].max()


def test_a_window_without_anything_is_no_leakage() -> None:
    estimator = LeakageEstimator(FORM)
    silence = np.zeros((16, FORM.samples + 128), np.complex64)
    symbols = qpsk(np.random.default_rng(5), FORM.payload)
    said = estimator.separate(estimator.correlate(silence, 84.0, known(symbols)), 3.0, silence.shape[1])
    assert np.array_equal(said.leakage, np.zeros(16))
    assert said.early == 0.0
    assert np.isfinite(said.waveform).all()


def test_a_window_that_ends_early_is_fitted_up_to_its_end() -> None:
    rng = np.random.default_rng(6)
    one = scene(20.0, 3.0)
    symbols = qpsk(rng, FORM.payload)
    y = one.window(rng, one.vectors(symbols), 1.0)[:, :1200]
    estimator = LeakageEstimator(FORM)
    said = estimator.separate(estimator.correlate(y, HEAD + 0.3, known(symbols)), 3.0, 1200)
    error = np.abs(said.leakage - one.leakage @ BEAM) ** 2 / said.variance
    assert np.mean(error) < 1 + 5 / 4
    assert said.waveform.shape == (1200,)
