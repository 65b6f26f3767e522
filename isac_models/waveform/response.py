"""The array's response to each of its own antennas, from orthogonal pilots, without their leakage.

At the echo's delay d behind the leakage, the pilots P (K, n), P Pᴴ = (n / K) I, bring

    R = Y Pᴴ K / n = E + e^{jφ} L B(d) + noise,    E = α a(θ) (a(θ) ⊙ c)ᵀ,    B(d) = P A(d) Pᴴ K / n,

with the transmit chains c that calibration has left, the leakage L (K, K), and the pulses' inter-symbol
interference A(d)[k, m] = h((m - k) T + d), h = g ∗ g. As many pilots as there are antennas cannot tell E from
L in one burst. Over bursts they differ: the leakage stays but for the oscillators' phase φ, every burst has
another echo. L is what is seen at its own delay, R₀ = e^{jφ} L + E B(-d) + noise, by recursive weighted
least squares (Haykin, Adaptive Filter Theory, ch. 10) that takes the echo for noise in its own direction e,
which the payload shows:

    W = I - e eᴴ / (‖e‖² + σ²),    Λ ← λ Λ + W,    L ← L + Λ⁻¹ W (R₀ e^{-jφ} - L),    φ that of tr(Lᴴ W R₀),

σ² the noise of an entry of R₀. ‖e‖² is at least the power of E in that direction where the beam sees the
target no worse than a single antenna would. What W does not know, an echo beside the beam or a second
target, is averaged over the memory M = 1 / (1 - λ): an M-th of its mean power is left in the response where
it always comes from the same direction. What never fades or goes away is taken for leakage.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.waveform.burst_format import BurstFormat

Values = NDArray[Any]

MEMORY = 128
"""Bursts that the leakage is averaged over: 1 / (1 - λ)."""


class ResponseEstimator:
    """Takes bursts of one format, one after the other; remembers the pilots' leakage."""

    def __init__(self, layout: BurstFormat, memory: int = MEMORY) -> None:
        self.format = layout
        self._forget = 1 - 1 / memory
        k, n = layout.orthogonal.shape
        self._matched: Values = layout.orthogonal.conj().T * (k / n)
        """(n, K): Pᴴ K / n."""
        self._taps = layout.pulse.taps()
        self.leakage: Values = np.zeros((k, k), np.complex128)
        """L so far, behind the receive chains' equaliser: (K, K)."""
        self._information: Values = np.zeros((k, k), np.complex128)

    def estimate(
        self,
        at_leakage: Values,
        at_echo: Values,
        delay: float,
        echo: Values,
        noise: float,
        removal: bool = True,
    ) -> Values:
        """The response E (K, K) of a burst, its noise K / n of `noise` an entry.

        at_leakage, at_echo (K, n): the pilots behind the matched filter at the leakage's and at the echo's
        time, `delay` samples apart, what else leaks removed. echo e = E v (K,): the payload's, per symbol.
        noise: power of an entry of at_leakage and at_echo, above 0. Without `removal` nothing is taken away.
        """
        response = at_echo @ self._matched
        if not removal:
            return np.asarray(response)
        k, n = self.format.orthogonal.shape
        weight = np.eye(k) - np.outer(echo, echo.conj()) / (np.vdot(echo, echo).real + noise * k / n)
        seen = at_leakage @ self._matched
        phase = _phase(weight @ self.leakage, seen)
        self._information = self._forget * self._information + weight
        self.leakage = self.leakage + np.linalg.solve(
            self._information, weight @ (seen / phase - self.leakage)
        )
        return np.asarray(response - phase * (self.leakage @ self.interference(delay)))

    def interference(self, delay: float) -> Values:
        """B(d), (K, K): what pilots that are sampled `delay` samples too late turn into."""
        form = self.format
        n, o = form.orthogonal.shape[1], form.samples_per_symbol
        whole = int(np.floor(delay))
        pulse = np.correlate(form.pulse.taps(delay - whole), self._taps, "full")  # h at whole + lag - delay
        middle = pulse.size // 2
        at = whole + o * (np.arange(n)[None, :] - np.arange(n)[:, None])
        inside = np.abs(at) <= middle
        spread = np.where(inside, pulse[np.clip(middle + at, 0, pulse.size - 1)], 0.0)
        return np.asarray((form.orthogonal @ spread) @ self._matched)


def _phase(a: Values, b: Values) -> complex:
    """e^{jφ} by which b is ahead of a; 1 where they have nothing in common."""
    product = complex(np.vdot(a, b))
    return product / abs(product) if product else 1.0
