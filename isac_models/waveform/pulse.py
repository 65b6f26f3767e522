"""Root-raised-cosine pulses and band-limited shifts by a fraction of a sample."""

from __future__ import annotations

from functools import cache
from math import floor
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.errors import UserError

Values = NDArray[Any]
WIDE = 16
"""Real numbers that a vector holds: with a multiple of them a sample the filter's sums stay in registers."""


@cache
def _kernels() -> ModuleType:
    from isac_models.kernels import pulse  # here, because it imports numba

    return pulse


class RootRaisedCosine:
    """The unit-energy pulse g(t) with g ∗ g Nyquist, truncated to ±`half_span` symbols.

    `samples_per_symbol` O, roll-off 0 < β ≤ 1. Σ_n g[n]² = 1, so that white noise of power N0 a sample
    has power N0 a symbol behind the matched filter. At the defaults the truncation leaves an error of -51 dB,
    whatever the delay. With one sample a symbol a delay of d symbols leaves 1/sinc²(d) - 1 behind the best
    single tap: -20.8 dB for d = 0.05, -6.3 dB for 0.25, +1.7 dB for 0.5.

    Raises UserError for fewer than two samples a symbol: one cannot survive a fractional delay.
    """

    def __init__(self, samples_per_symbol: int = 2, rolloff: float = 0.35, half_span: int = 10) -> None:
        if samples_per_symbol < 2:
            raise UserError(f"samples_per_symbol must be at least 2, not {samples_per_symbol}")
        if not 0 < rolloff <= 1:
            raise UserError(f"rolloff must be above 0 and at most 1, not {rolloff:g}")
        self.samples_per_symbol, self.rolloff, self.half_span = samples_per_symbol, rolloff, half_span
        self.delay = half_span * samples_per_symbol
        """Samples from the first tap to the middle one."""
        self._places = np.arange(-self.delay, self.delay + 1)
        self._norm = 1.0
        self._norm = 1 / float(np.sqrt(np.sum(self.taps() ** 2)))

    def taps(self, shift: float = 0.0) -> Values:
        """g(n/O + shift/O) for n = -delay … delay: (2 delay + 1,) float64; `shift` in samples.

        Source: Proakis and Salehi, Digital Communications, 5th ed., eq. (9.2-37) ff.
        """
        t = (self._places + shift) / self.samples_per_symbol
        b = self.rolloff
        edge = np.abs(np.abs(t) - 1 / (4 * b)) < 1e-9
        middle = np.abs(t) < 1e-9
        special = middle.any() or edge.any()
        away = np.where(edge | middle, 0.1, t) if special else t
        turn = np.pi * away
        g = (np.sin(turn * (1 - b)) + 4 * b * away * np.cos(turn * (1 + b))) / (
            turn * (1 - (4 * b * away) ** 2)
        )
        if special:
            g[middle] = 1 - b + 4 * b / np.pi
            angle = np.pi / 4 / b
            g[edge] = b / np.sqrt(2) * ((1 + 2 / np.pi) * np.sin(angle) + (1 - 2 / np.pi) * np.cos(angle))
        return np.asarray(self._norm * g)

    def _single_taps(self, shift: float) -> Values:
        """As `taps`, in single precision and through the compiled kernel."""
        out = np.empty(self._places.size, np.float32)
        _kernels().root_raised_cosine(out, shift, self.samples_per_symbol, self.rolloff, self._norm)
        return out

    def shape(self, symbols: Values) -> Values:
        """Σ_k s_k g(t - kT): symbols (..., S) to samples (..., (S-1) O + 2 delay + 1), 0 at `delay`.

        complex64 runs through the compiled kernel, any other precision through the plain form.
        """
        if symbols.dtype == np.complex64 and symbols.size:
            rows, lead = _lanes(symbols)
            length = (len(rows) - 1) * self.samples_per_symbol + 2 * self.delay + 1
            out = np.empty((length, rows.shape[1]), np.float32)
            _kernels().shape(out, rows, self.taps().astype(np.float32), self.samples_per_symbol)
            return _channels(out, lead)
        from scipy.signal import upfirdn

        return np.asarray(upfirdn(self.taps(), symbols, up=self.samples_per_symbol, axis=-1)).astype(
            np.result_type(symbols.dtype, np.complex64), copy=False
        )

    def sample(self, samples: Values, start: float, count: int) -> Values:
        """Matched-filter outputs at the times `start` + k O: samples (..., L) to (..., count).

        `start` is in samples and may be a fraction: the filter g(t - start) does both at once. Samples
        outside the array count as zero. complex64 runs through the compiled kernel.
        """
        whole = floor(start)
        shift = whole - start  # g is even: Σ_n y[n] g(n - start)
        first = whole - self.delay
        if samples.dtype == np.complex64 and samples.size:
            rows, lead = _lanes(samples)
            out = np.empty((count, rows.shape[1]), np.float32)
            wide = rows.shape[1] % WIDE == 0
            apply = _kernels().matched_filter_wide if wide else _kernels().matched_filter
            apply(out, rows, self._single_taps(shift), first, self.samples_per_symbol)
            return _channels(out, lead)
        from scipy.signal import upfirdn

        taps = self.taps(shift)
        last = whole + (count - 1) * self.samples_per_symbol + self.delay + 1
        low, high = max(first, 0), min(last, samples.shape[-1])
        if low >= high:
            return np.zeros((*samples.shape[:-1], count), samples.dtype)
        part = samples[..., low:high]
        if (low, high) != (first, last):
            pad = [(0, 0)] * (samples.ndim - 1) + [(low - first, last - high)]
            part = np.pad(part, pad)
        filtered = upfirdn(taps[::-1], part, down=1, axis=-1)[..., 2 * self.delay :: self.samples_per_symbol]
        return np.asarray(filtered[..., :count]).astype(samples.dtype, copy=False)


def _lanes(values: Values) -> tuple[Values, tuple[int, ...]]:
    """(..., n) complex64 as (n, 2C) float32, and the leading shape."""
    flat = values.reshape(-1, values.shape[-1])
    return np.ascontiguousarray(flat.T).view(np.float32), values.shape[:-1]


def _channels(rows: Values, lead: tuple[int, ...]) -> Values:
    """(n, 2C) float32 as (..., n) complex64."""
    return np.asarray(rows.view(np.complex64).T.reshape(*lead, len(rows)))


def fractional_delay(samples: Values, delay: float, half_length: int = 32) -> Values:
    """samples(t - delay) by a Kaiser-windowed sinc: (..., L) to (..., L), zero outside.

    Window and sinc have the same centre, else the gain would depend on the fraction.
    """
    whole = int(np.round(delay))
    t = np.arange(-half_length, half_length + 1) - (delay - whole)
    taps = np.sinc(t) * np.i0(8.0 * np.sqrt(1 - (t / (half_length + 1)) ** 2)) / np.i0(8.0)
    from scipy.signal import fftconvolve

    length = samples.shape[-1]
    full = fftconvolve(samples, taps.reshape((1,) * (samples.ndim - 1) + (-1,)), axes=-1)
    out = np.zeros_like(samples)
    first = half_length - whole
    low, high = max(0, -first), min(length, full.shape[-1] - first)
    if low < high:
        out[..., low:high] = full[..., first + low : first + high]
    return out
