"""The array's response to each of its own antennas, from orthogonal pilots: α a aᵀ c, without their leakage.

At the echo's delay the pilots P (K, n), P Pᴴ = (n / K) I, bring

    R = Y(d) Pᴴ K / n = E + γ L B(d) + noise,   B(d) = P A(d) Pᴴ K / n,   A(d)[k, m] = h((m - k) T + d),

with the echo E, the leakage L (K, K), which lies d earlier, and the pulse h = g ∗ g. As many pilots as there
are antennas cannot tell E from L in one burst. Over bursts they differ: the leakage stays but for a common
phase γ, and each burst has another echo. L is therefore what is seen at its own delay, R₀ = γ L + E B(-d) +
noise, in a mean that counts the direction e of a burst's echo, known from its payload, by

    W = I - κ e eᴴ/‖e‖²,   κ = ‖e‖² / (‖e‖² + noise),   L ← L + Λ⁻¹ W (R₀ / γ - L),   Λ ← λ Λ + W,

recursive least squares (Haykin, Adaptive Filter Theory, ch. 10) with the echo as noise in one direction. What
stands there always and never changes is taken for leakage: the response shows what is new.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.waveform.burst_format import BurstFormat

Values = NDArray[Any]

MEMORY = 128
"""Bursts that the leakage is averaged over."""
LARGEST = 0.999
"""Of κ: a direction that every echo comes from is averaged too, over more bursts."""


class ResponseEstimator:
    """Takes bursts of one format and beam v (K,), one after the other; remembers the pilots' leakage."""

    def __init__(self, layout: BurstFormat, beam: Values, memory: int = MEMORY) -> None:
        self.format, self._beam = layout, np.asarray(beam, np.complex128)
        self._keep = 1 - 1 / memory
        k, n = layout.orthogonal.shape
        self._matched: Values = layout.orthogonal.conj().T * (k / n)
        """(n, K): what turns received pilots into a response."""
        self._taps = layout.pulse.taps()
        self.leakage: Values = np.zeros((k, k), np.complex128)
        """L so far, behind the receive chains' equaliser: (K, K)."""
        self._information: Values = np.zeros((k, k), np.complex128)

    def estimate(
        self,
        early: Values,
        late: Values,
        delay: float,
        leakage: Values,
        echo: Values,
        noise: float,
        removal: bool = True,
    ) -> Values:
        """The response E (K, K) of a burst.

        early, late (K, n): the pilots behind the matched filter at the leakage's and at the echo's time,
        `delay` samples apart, what else leaks removed. leakage, echo (K,): ℓ = γ L v, e = E v, from the
        payload. noise: power of an entry of early and late. Without `removal` nothing is taken away.
        """
        if not removal:
            return np.asarray(late @ self._matched)
        first = not self._information.any()
        told = np.vdot(self.leakage @ self._beam, leakage)
        turn = 1.0 if first or told == 0 else told / abs(told)
        k = self._beam.size
        power = np.vdot(echo, echo).real
        weight = np.eye(k, dtype=np.complex128)
        if power > 0:
            share = min(power / (power + noise), LARGEST)
            weight -= (share / power) * np.outer(echo, echo.conj())
        self._information = self._keep * self._information + weight
        news = (early @ self._matched) / turn - self.leakage
        self.leakage = self.leakage + np.linalg.solve(self._information, weight @ news)
        return np.asarray(late @ self._matched - turn * (self.leakage @ self.mixing(delay)))

    def mixing(self, delay: float) -> Values:
        """B(d): what leakage d samples before the time that is looked at is multiplied with, (K, K)."""
        form = self.format
        n, o = form.orthogonal.shape[1], form.samples_per_symbol
        whole = int(np.floor(delay))
        pulse = np.correlate(form.pulse.taps(delay - whole), self._taps, "full")  # h at whole + lag - delay
        middle = pulse.size // 2
        at = whole + o * (np.arange(n)[None, :] - np.arange(n)[:, None])
        inside = np.abs(at) <= middle
        spread = np.where(inside, pulse[np.clip(middle + at, 0, pulse.size - 1)], 0.0)
        return np.asarray((form.orthogonal @ spread) @ self._matched)
