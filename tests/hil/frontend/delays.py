"""Delays by fractions of a sample, fixed and drifting, that need no sample of the future.

The taps are the least-squares fit of e^{-j2πfd} over |f| ≤ BAND cycles a sample. A windowed sinc needs as
many samples ahead of the wanted point as behind it; the fit is content with four (then -83 dB of error at
worst, -105 dB with eight), because a signal of two samples a symbol leaves the outer band empty.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Values = NDArray[Any]
BAND = 0.36
"""Frequencies served, in cycles a sample: a root-raised cosine of roll-off 0.35 ends at 0.3375."""
TAPS = 32
MOST_AHEAD = 16
LEAST = 4
"""The shortest delay."""
PHASES = 256
"""Fractions in the table of the drifting delay; linear between: (2π BAND/PHASES)²/8 ≈ -100 dB of error."""
GROUP = 32


def fractional_taps(fraction: float, ahead: int, count: int = TAPS) -> Values:
    """Taps h, (count,) float64, newest sample first: x(i + fraction) ≈ Σ_k h_k x[i + ahead - k].

    The normal equations of the fit are closed: R_kl = ∫ e^{j2πf(k-l)} df = 2B sinc(2B(k-l)).
    """
    offsets = ahead - np.arange(count)
    if fraction == 0:
        return np.asarray((offsets == 0).astype(float))
    products = 2 * BAND * np.sinc(2 * BAND * (offsets[:, None] - offsets))
    wanted = 2 * BAND * np.sinc(2 * BAND * (offsets - fraction))
    return np.asarray(np.linalg.solve(products + 1e-12 * np.eye(count), wanted))


class FixedDelay:
    """A delay d ≥ LEAST of a stream (rows, n) float32, that arrives in pieces of any size."""

    def __init__(self, rows: int, delay: float) -> None:
        if delay < LEAST:
            raise ValueError(f"a delay must be at least {LEAST} samples, not {delay:g}")
        whole = math.ceil(delay)
        ahead = min(whole, MOST_AHEAD)
        taps = fractional_taps(whole - delay, ahead).astype(np.float32)
        self._skip = whole - ahead
        # GROUP outputs at once as one product with a banded matrix: a window of inputs, oldest first.
        self._matrix = np.zeros((GROUP + TAPS - 1, GROUP), np.float32)
        for output in range(GROUP):
            self._matrix[output : output + TAPS, output] = taps[::-1]
        self._past = np.zeros((rows, self._skip + TAPS - 1), np.float32)

    def __call__(self, x: Values) -> Values:
        """The next samples: (rows, n) to (rows, n)."""
        rows, n = x.shape
        groups = -(-n // GROUP)
        padding = np.zeros((rows, groups * GROUP - n), np.float32)
        stream = np.concatenate([self._past, x, padding], axis=1)
        keep = self._past.shape[1]
        self._past = stream[:, n : n + keep].copy()
        used = stream[:, : groups * GROUP + TAPS - 1]
        windows = sliding_window_view(used, GROUP + TAPS - 1, axis=1)[:, ::GROUP]
        product = windows.reshape(rows * groups, -1) @ self._matrix
        return np.asarray(product.reshape(rows, -1)[:, :n])


@cache
def _table(ahead: int) -> Values:
    """Taps, oldest sample first, for PHASES + 1 fractions from 0 to 1."""
    rows = [fractional_taps(phase / PHASES, ahead)[::-1] for phase in range(PHASES + 1)]
    return np.array(rows, np.float32)


class DriftingDelay:
    """A complex stream read by a clock of its own: sample i is x at the time i - lag(i), lag ≥ LEAST + 1.

    lag(i) = d + (1 - 1/(1+e)) i, e = ppm · 1e-6. A slow clock (e < 0) works the lag off: where it would ask
    for samples that are yet to be sent, at LEAST + 1, it turns round and runs as fast as it was slow, so that
    the stream has no jump. A fast one lags ever more, and the history grows with it.
    """

    AHEAD = LEAST + 1

    def __init__(self, delay: float, ppm: float) -> None:
        self.delay = delay
        self.drift = 1 - 1 / (1 + 1e-6 * ppm)
        self._table = _table(self.AHEAD)
        self._slopes = np.diff(self._table, axis=0)
        self._past = np.zeros(0, np.complex64)
        self._first = 0  # time of the first sample in _past

    def lag(self, tick: Values) -> Values:
        """Samples by which the reader is behind at `tick` (n,) of its own count."""
        least = self.AHEAD
        return np.asarray(np.abs(self.delay - least + self.drift * tick) + least)

    def __call__(self, x: Values, first: int) -> tuple[Values, Values]:
        """The next samples x (n,) complex64, the first at tick `first`: samples and the times read, (n,)."""
        n = x.size
        tick = first + np.arange(n)
        at = tick - self.lag(tick)
        whole = np.floor(at).astype(np.int64)
        oldest = int(whole.min()) + self.AHEAD - TAPS + 1
        stream = np.concatenate([self._past, x])
        missing = max(0, self._first - oldest)  # before the first tick all was silent
        stream = np.concatenate([np.zeros(missing, np.complex64), stream])
        start = self._first - missing
        place = (at - whole) * PHASES
        phase = np.minimum(place.astype(np.int64), PHASES - 1)
        between = (place - phase).astype(np.float32)[:, None]
        taps = self._table[phase] + between * self._slopes[phase]
        windows = sliding_window_view(stream, TAPS)[whole + self.AHEAD - TAPS + 1 - start]
        out = np.einsum("nt,nt->n", windows, taps).astype(np.complex64)
        keep = max(math.ceil(self.lag(np.array(float(first + n)))), self.AHEAD) + TAPS + 2
        cut = max(0, stream.size - keep)
        self._past, self._first = stream[cut:].copy(), start + cut
        return out, at
