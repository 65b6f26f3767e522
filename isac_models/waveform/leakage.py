"""Direct leakage of a monostatic transmitter told from an echo by its delay: least squares.

Behind one receive channel, y(t) = ℓ s(t - d_L) + e s(t - d_L - d) + n with s(t) = Σ_k x_k g(t - kT) known.
Whatever a column s(t - τ) has to be multiplied with follows from correlations at whole samples: both ⟨y,
s(·-τ)⟩ and ⟨s(·-τ), s(·-τ')⟩ are band-limited in τ, so that a windowed sinc over the lags around τ gives
them in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from isac_models.waveform.burst_format import BurstFormat

Values = NDArray[Any]

EDGE = 8
"""Symbols behind the orthogonal pilots that are left out: the pilots' pulses reach into them."""
HALF = 12
"""Lags to either side that the interpolation of a correlation looks at."""
STEP = 0.25
"""Of the grid of echo delays, in samples."""


@dataclass(frozen=True)
class Separated:
    """Leakage and echo of one burst: their amplitudes (K,) per symbol, and delays in samples.

    leakage, echo: (K,) complex, ℓ and e. early: by how much the leakage came earlier than the start that
    was given. delay: of the echo behind the leakage. waveform: s(t - d_L) at the samples of the window,
    (L,). variance: of each ℓ in units of the noise power of a sample.
    """

    leakage: Values
    echo: Values
    early: float
    delay: float
    waveform: Values
    variance: float


class LeakageEstimator:
    """Separates leakage and echo in bursts of one format, the echo from 1 to `max_delay` samples later.

    One echo at most is looked for, and one delay for all channels. Where there is none, that column takes up
    noise, at the price of `variance`.
    """

    def __init__(self, layout: BurstFormat, max_delay: float = 12.0) -> None:
        self.format = layout
        self.grid: Values = np.arange(1.0, max_delay + STEP / 2, STEP)
        """Echo delays that are looked at, (D,)."""
        self._lags = np.arange(-HALF - 1, int(np.ceil(max_delay)) + HALF + 3)
        self._first = int(layout.header_at[0]) + EDGE
        """First symbol of the segment that is fitted; its last is the burst's."""

    def _weights(self, delay: Values | float) -> Values:
        """(…, lags): s(t - delay) = Σ w_j s(t - lag_j)."""
        t = self._lags - np.asarray(delay)[..., None]
        turn = np.pi * t / HALF
        window = 0.42 + 0.5 * np.cos(turn) + 0.08 * np.cos(2 * turn)  # Blackman's
        return np.asarray(np.sinc(t) * np.where(np.abs(t) < HALF, window, 0))

    def _columns(self, fraction: float) -> Values:
        """(2 + D, lags): s at `fraction`, its derivative by the delay, and the echo at every grid delay."""
        return np.vstack([self._pair(fraction), self._weights(fraction + self.grid)])

    def _pair(self, delay: float) -> Values:
        """(2, lags): s at a delay, and its derivative by it."""
        step = 1e-3
        at, later, earlier = self._weights(delay + np.array([0.0, step, -step]))
        return np.stack([at, (later - earlier) / (2 * step)])

    def correlate(self, window: Values, start: float, symbols: Values) -> Correlations:
        """What the fits need of a window (K, L): symbols (S,) of the burst, 0 where the pilots stand."""
        from scipy.signal import upfirdn

        form, pulse = self.format, self.format.pulse
        whole = int(np.floor(start))
        s = upfirdn(pulse.taps(), symbols, up=form.samples_per_symbol)
        first = whole + self._first * form.samples_per_symbol
        last = min(whole + (form.symbols - 1) * form.samples_per_symbol + pulse.delay, window.shape[1])
        pad = window.shape[1] + int(self._lags[-1])
        padded = np.zeros(s.size + 2 * pad, np.complex128)
        padded[pad : pad + s.size] = s
        zero = pad - (whole - pulse.delay)  # where sample 0 of the window lies in `padded`
        rows = sliding_window_view(padded, last - first)[zero + first - self._lags]
        given = window[:, first:last] @ rows.conj().T.astype(window.dtype)
        inner = rows.conj() @ rows.T
        return Correlations(given.astype(np.complex128), inner, padded, zero, start - whole)

    def profile(self, found: Correlations, before: Values | float = 0.0) -> Values:
        """Energy that an echo at each delay of the grid explains beside the leakage, all channels: (D,).

        Delays count from the leakage, whose place is told best where the echo is known: `before` is the sum
        of earlier bursts' profiles.
        """
        rough = self.peak(before + self._profile(found, 0.0))
        return self._profile(found, self._early(found, rough))

    def _profile(self, found: Correlations, early: float) -> Values:
        columns = self._columns(found.fraction - early)
        given = found.given @ columns.T  # (K, 2 + D); the columns are real
        inner = columns @ found.inner @ columns.T
        known = inner[:2, :2]
        mixed = np.linalg.solve(known, inner[:2, 2:])  # (2, D)
        left = given[:, 2:] - given[:, :2] @ mixed.conj()
        energy = np.real(np.diag(inner)[2:] - np.einsum("id,id->d", inner[:2, 2:].conj(), mixed))
        return np.asarray(np.sum(np.abs(left) ** 2, axis=0) / energy)

    def peak(self, profile: Values) -> float:
        """Delay at which a profile (D,) is largest, between grid points by a parabola."""
        grid, best = self.grid, int(np.argmax(profile))
        if not 0 < best < grid.size - 1:
            return float(grid[best])
        left, middle, right = profile[best - 1 : best + 2]
        bend = left - 2 * middle + right
        shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
        return float(grid[best] + np.clip(shift, -0.5, 0.5) * STEP)

    def later(self, found: Correlations, delay: float) -> float:
        """By how much the echo is later than `delay` behind the leakage, to first order, from this burst."""
        at = found.fraction - self._early(found, delay)
        coefficients, _ = _fit(found, np.vstack([self._pair(at), self._pair(at + delay)]))
        return _shift(coefficients[2], coefficients[3]) - _shift(coefficients[0], coefficients[1])

    def _early(self, found: Correlations, delay: float) -> float:
        """By how much the leakage is earlier than the start that was given, the echo at `delay`."""
        at = found.fraction
        coefficients, _ = _fit(found, np.vstack([self._pair(at), self._weights(at + delay)]))
        return -_shift(coefficients[0], coefficients[1])

    def separate(self, found: Correlations, delay: float, length: int) -> Separated:
        """Leakage and echo with the echo at `delay`; the leakage's own delay is corrected first."""
        at, early = found.fraction, self._early(found, delay)
        two = self._weights(at - early + np.array([0.0, delay]))
        coefficients, inverse = _fit(found, two)
        waveform = np.zeros(length, np.complex128)
        for weight, lag in zip(two[0], self._lags, strict=True):
            waveform += weight * found.padded[found.zero - lag : found.zero - lag + length]
        return Separated(coefficients[0], coefficients[1], early, delay, waveform, float(inverse[0, 0].real))


@dataclass(frozen=True)
class Correlations:
    """⟨y, s(·-lag)⟩ (K, lags), ⟨s(·-lag), s(·-lag')⟩ (lags, lags), and s itself with room around it.

    s stands at whole samples, the start that was given `fraction` of one later.
    """

    given: Values
    inner: Values
    padded: Values
    zero: int
    fraction: float


def _shift(amplitude: Values, slope: Values) -> float:
    """ε of ℓ s(t - d - ε) = ℓ s(t - d) + ε ℓ ∂s/∂d, from the amplitudes (K,) of both, at most a grid step."""
    power = np.vdot(amplitude, amplitude).real
    return float(np.clip(np.vdot(amplitude, slope).real / power, -STEP, STEP)) if power > 0 else 0.0


def _fit(found: Correlations, columns: Values) -> tuple[Values, Values]:
    """Least squares: coefficients (c, K) of the columns, and the inverse of their inner products (c, c)."""
    inner = columns @ found.inner @ columns.T
    inverse = np.linalg.inv(inner)
    return inverse @ (found.given @ columns.T).T, inverse
