"""Direct leakage of a monostatic transmitter told from an echo by its delay: least squares.

Behind one receive channel, y(t) = ℓ s(t - d_L) + e s(t - d_L - d) + n with s(t) = Σ_k x_k g(t - kT) known.
Whatever a column s(t - τ) has to be multiplied with follows from correlations at whole samples: both ⟨y,
s(·-τ)⟩ and ⟨s(·-τ), s(·-τ')⟩ are band-limited in τ, so that a windowed sinc over the lags around τ gives
them in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import ModuleType
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
CLOSE = 0.02
"""Samples by which the leakage may be elsewhere without its moving the delay of an echo by more than that."""
STEP = 0.25
"""Of the grid of echo delays, in samples."""


AT_ONCE = 8
"""Channels that the kernels take at a time: other numbers of them run through the plain form."""


@cache
def _kernels() -> ModuleType:
    from isac_models.kernels import bursts  # here, because it imports numba

    return bursts


@cache
def _separation() -> ModuleType:
    from isac_models.kernels import separation

    return separation


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
        self._turns = np.stack([f(np.pi / HALF * self._lags) for f in (np.cos, np.sin)])
        self._shape = self._turns, float(self._lags[0]), float(HALF)
        self._first = int(layout.header_at[0]) + EDGE
        """First symbol of the segment that is fitted; its last is the burst's."""
        self._taps = layout.pulse.taps().astype(np.float32)

    def _weights(self, delays: Values) -> Values:
        """(D, lags): s(t - delay) = Σ w_j s(t - lag_j)."""
        t = self._lags - delays[:, None]
        turn = np.pi * t / HALF
        window = 0.42 + 0.5 * np.cos(turn) + 0.08 * np.cos(2 * turn)  # Blackman's
        return np.asarray(np.sinc(t) * np.where(np.abs(t) < HALF, window, 0))

    def _columns(self, fraction: float, delays: Values) -> Values:
        """(2 + D, lags): s at `fraction`, its derivative by the delay, and the echo at each of the delays."""
        step = _separation().SLOPE
        weights = self._weights(fraction + np.concatenate([[0.0, step, -step], delays]))
        weights[2] = (weights[1] - weights[2]) / (2 * step)
        weights[1] = weights[0]
        return weights[1:]

    def correlate(self, window: Values, start: float, symbols: Values) -> Correlations:
        """What the fits need of a window (K, L): symbols (S,) of the burst, 0 where the pilots stand.

        complex64 runs through the compiled kernels, any other precision through the plain form.
        """
        form = self.format
        whole = int(np.floor(start))
        first = whole + self._first * form.samples_per_symbol
        last = whole + (form.symbols - 1) * form.samples_per_symbol + form.pulse.delay
        span = first, min(last, window.shape[1])
        if window.dtype == np.complex64 and window.shape[0] % AT_ONCE == 0 and self._lags.size % 4 == 0:
            return self._correlate(window, start, symbols, span)
        return self._correlate_plain(window, start, symbols, span)

    def _room(self, window: Values, start: float) -> tuple[int, int]:
        """How much room stands before the waveform, and where sample 0 of the window lies then."""
        pad = window.shape[1] + int(self._lags[-1])
        return pad, pad - (int(np.floor(start)) - self.format.pulse.delay)

    def _correlate_plain(
        self, window: Values, start: float, symbols: Values, span: tuple[int, int]
    ) -> Correlations:
        from scipy.signal import upfirdn

        form = self.format
        pad, zero = self._room(window, start)
        s = upfirdn(form.pulse.taps(), symbols, up=form.samples_per_symbol)
        padded = np.zeros(s.size + 2 * pad, np.complex128)
        padded[pad : pad + s.size] = s
        first, last = span
        rows = sliding_window_view(padded, last - first)[zero + first - self._lags]
        given = window[:, first:last] @ rows.conj().T.astype(window.dtype)
        planes = np.stack([padded.real, padded.imag])
        inner = rows.conj() @ rows.T
        products = np.stack([inner.real, inner.imag])
        return Correlations(given.astype(np.complex128), products, planes, zero, start - np.floor(start))

    def _correlate(
        self, window: Values, start: float, symbols: Values, span: tuple[int, int]
    ) -> Correlations:
        form, count = self.format, self._lags.size
        pad, zero = self._room(window, start)
        planes = np.zeros((2, form.samples + 2 * pad), np.float32)
        parts = np.stack([symbols.real, symbols.imag]).astype(np.float32)
        _kernels().shape(planes, parts, self._taps, form.samples_per_symbol, pad)
        rows = np.ascontiguousarray(window.T).view(np.float32)
        given = np.empty((count, rows.shape[1]), np.float32)
        at = zero - int(self._lags[0])
        _kernels().correlate(given, rows, planes, *span, at)
        products = np.empty((2, count, count))
        _kernels().inner(products, planes, *span, at)
        return Correlations(given.view(np.complex64).T, products, planes, zero, start - np.floor(start))

    def profile(self, found: Correlations, before: Values | float = 0.0) -> Values:
        """Energy that an echo at each delay of the grid explains beside the leakage, all channels: (D,).

        Delays count from the leakage, whose place is told best where the echo is known: `before` is the sum
        of earlier bursts' profiles.
        """
        if not found.compiled:
            return self._profile_plain(found, before)
        energy, earlier = np.empty(self.grid.size), np.full(self.grid.size, before)
        _separation().profile(energy, earlier, *found.arguments, self.grid, *self._shape, CLOSE)
        return energy

    def _profile_plain(self, found: Correlations, before: Values | float = 0.0) -> Values:
        """As `profile`, step by step."""
        rough = self._profile(found, 0.0)
        early = self._early(found, self.peak(before + rough))
        return rough if abs(early) < CLOSE else self._profile(found, early)

    def _profile(self, found: Correlations, early: float) -> Values:
        columns = self._columns(found.fraction - early, self.grid)
        given = _combined(columns, found.given)  # (2 + D, K); the columns are real
        two = (columns[:2] @ found.inner) @ columns.T
        own = np.sum((columns[2:] @ found.inner.real) * columns[2:], axis=1)
        mixed = np.linalg.solve(two[:, :2], two[:, 2:])  # (2, D)
        left = given[2:] - mixed.conj().T @ given[:2]
        energy = own - np.sum((two[:, 2:].conj() * mixed).real, axis=0)
        return np.asarray(np.sum(left.real**2 + left.imag**2, axis=1) / energy)

    def peak(self, profile: Values) -> float:
        """Delay at which a profile (D,) is largest, between grid points by a parabola."""
        grid, best = self.grid, int(np.argmax(profile))
        if not 0 < best < grid.size - 1:
            return float(grid[best])
        left, middle, right = profile[best - 1 : best + 2]
        bend = left - 2 * middle + right
        shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
        return float(grid[best] + min(max(shift, -0.5), 0.5) * STEP)

    def _early(self, found: Correlations, delay: float) -> float:
        """By how much the leakage is earlier than the start that was given, the echo at `delay`."""
        coefficients, _ = _fit(found, self._columns(found.fraction, np.array([delay])))
        power = np.vdot(coefficients[0], coefficients[0]).real
        if power == 0:
            return 0.0
        # ℓ s(t - d - ε) = ℓ s(t - d) + ε ℓ ∂s/∂d
        late = np.vdot(coefficients[0], coefficients[1]).real / power
        farthest = _separation().FARTHEST
        return -float(min(max(late, -farthest), farthest))

    def separate(self, found: Correlations, delay: float, length: int) -> Separated:
        """Leakage and echo with the echo at `delay`; the leakage's own delay is corrected first."""
        if not found.compiled:
            return self._separate_plain(found, delay, length)
        amplitudes = np.empty((2, len(found.given)), np.complex128)
        weights, told = np.empty((2, self._lags.size)), np.empty(2)
        _separation().separate(amplitudes, weights, told, *found.arguments, delay, *self._shape)
        early, variance = told.tolist()
        waveform = self._delayed(found, weights[0], length)
        return Separated(amplitudes[0], amplitudes[1], early, delay, waveform, variance)

    def _separate_plain(self, found: Correlations, delay: float, length: int) -> Separated:
        """As `separate`, step by step."""
        at, early = found.fraction, self._early(found, delay)
        two = self._weights(at - early + np.array([0.0, delay]))
        coefficients, inverse = _fit(found, two)
        waveform = self._delayed(found, two[0], length)
        return Separated(coefficients[0], coefficients[1], early, delay, waveform, float(inverse[0, 0].real))

    def _delayed(self, found: Correlations, weights: Values, length: int) -> Values:
        """Σ_j w_j s(t - lag_j) at the samples of the window: (L,), complex128 in the plain form."""
        first = found.zero - int(self._lags[0])
        if found.planes.dtype == np.float32:
            wave = np.empty((length, 2), np.float32)
            _kernels().delay(wave, found.planes, weights.astype(np.float32), first)
            return wave.view(np.complex64)[:, 0]
        low = first - self._lags.size + 1
        real, imaginary = (np.convolve(p[low : first + length], weights, "valid") for p in found.planes)
        return np.asarray(real + 1j * imaginary)


def remove(y: Values, one: Separated) -> Values:
    """The window (K, L) without its leakage. One that the kernels take is changed in place."""
    if y.dtype == np.complex64 and y.T.flags.c_contiguous and one.waveform.dtype == np.complex64:
        gains = one.leakage.astype(np.complex64).view(np.float32)
        _kernels().remove(y.T.view(np.float32), one.waveform.view(np.float32).reshape(-1, 2), gains)
        return y
    return np.asarray(y - (one.leakage[:, None] * one.waveform).astype(y.dtype))


@dataclass(frozen=True)
class Correlations:
    """given: ⟨y, s(·-lag)⟩ (K, lags); products: ⟨s(·-lag), s(·-lag')⟩ (2, lags, lags), real and imaginary.

    planes: real and imaginary part of s with room around it, (2, n), sample 0 of the window at
    `zero`. s stands at whole samples, the start that was given `fraction` of one later.
    """

    given: Values
    products: Values
    planes: Values
    zero: int
    fraction: float

    @property
    def compiled(self) -> bool:
        """Whether the kernels made this, and take it."""
        return self.given.dtype == np.complex64

    @property
    def arguments(self) -> tuple[Values, Values, float]:
        """given, products and fraction as the kernels take them."""
        return self.given.T.view(np.float32), self.products, self.fraction

    @property
    def inner(self) -> Values:
        """⟨s(·-lag), s(·-lag')⟩, (lags, lags) complex128."""
        return np.asarray(self.products[0] + 1j * self.products[1])


def _combined(columns: Values, given: Values) -> Values:
    """columns (c, lags), real, of given (K, lags): (c, K)."""
    rows = np.ascontiguousarray(given.T, np.complex128).view(np.float64)
    return np.asarray((columns @ rows).view(np.complex128))


def _fit(found: Correlations, columns: Values) -> tuple[Values, Values]:
    """Least squares: coefficients (c, K) of the columns, and the inverse of their inner products (c, c)."""
    inverse = np.linalg.inv(columns @ found.inner @ columns.T)
    return inverse @ _combined(columns, found.given), inverse
