"""Array calibration: one complex number a chain, measured in the loop against a reflector at boresight.

There a(0) is all ones wherever the elements of a linear array stand, so that what the orthogonal pilots
bring back at the reflector's delay is G = γ g cᵀ, with the chains' c (transmit) and g (receive) and nothing
of the positions: rank one, and its singular vectors are the chains, each up to a complex number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.leakage import EDGE, LeakageEstimator
from isac_models.waveform.pulse import fractional_delay

Values = NDArray[Any]

PILOT_REPEATS = 8
"""Of the orthogonal pilots in a burst for calibration: fewer do not tell leakage and reflector apart."""
LARGEST_RESIDUAL = 0.1
"""Second singular value over the first above which there was no one reflector at boresight."""


@dataclass(frozen=True)
class Calibration:
    """The chains of a device as it was set.

    transmit c, receive g: (K,) complex128, Σ|·|² = K, each up to a common phase. residual: second over
    first singular value of what was measured. error: standard error of an entry of c or g. key: what it
    holds for (`device`, `session`, `rate`, gains, frequencies).
    """

    transmit: Values
    receive: Values
    residual: float
    error: float
    key: Mapping[str, Any] = field(default_factory=dict)

    @property
    def equaliser(self) -> Values:
        """What to multiply each transmit channel with: 1/c, scaled to mean square 1 (K,)."""
        weights = 1 / self.transmit
        return np.asarray(weights / np.sqrt(np.mean(np.abs(weights) ** 2)))


class CalibrationEstimator:
    """Takes bursts that a reflector at boresight has returned, unequalised, pilots `PILOT_REPEATS` times.

    All of them carry the same beam v, header and payload, which only serve to find leakage and delay.
    """

    def __init__(self, layout: BurstFormat, max_delay: float = 12.0) -> None:
        if layout.pilot_repeats < PILOT_REPEATS:
            raise UserError(
                f"calibration needs pilots repeated {PILOT_REPEATS} times, not {layout.pilot_repeats}"
            )
        self.format = layout
        self._estimator = LeakageEstimator(layout, max_delay)
        self._bursts: list[tuple[Values, float]] = []
        self._profile = np.zeros(self._estimator.grid.size)
        self._stream: Values = np.zeros(0)

    def add(self, window: Values, start: float, cfo: float, symbols: Values, header: Values) -> None:
        """One burst's samples (K, L), as in `RadarReceiver.receive`.

        Raises UserError for samples that are not finite numbers.
        """
        form = self.format
        if not np.isfinite(np.vdot(window, window).real):
            raise UserError(
                "the window contains values that are not finite numbers; look at the radio's samples"
            )
        y = window * np.exp(-2j * np.pi * cfo * (np.arange(window.shape[1]) - start))
        self._stream = np.zeros(form.symbols, np.complex128)
        self._stream[form.header_at], self._stream[form.payload_at] = header, symbols
        self._stream[form.phase_at] = form.phase_pilots
        found = self._estimator.correlate(y, start, self._stream)
        self._profile += self._estimator.profile(found, self._profile)
        self._bursts.append((y, start))

    def estimate(self, key: Mapping[str, Any] | None = None) -> Calibration:
        """The chains, from all bursts together.

        Raises UserError where no burst was added, and where what came back is not one reflector at boresight.
        """
        if not self._bursts:
            raise UserError("calibration: no burst was received; is the front end there, and its gain right?")
        delay = self._estimator.peak(self._profile)
        known = [self._estimator.correlate(y, start, self._stream) for y, start in self._bursts]
        for _ in range(2):  # an error of the delay turns into one of c, whatever the number of bursts
            delay += float(np.mean([self._estimator.later(found, delay) for found in known]))
        first: Values | None = None
        responses = []
        for (y, start), found in zip(self._bursts, known, strict=True):
            one = self._estimator.separate(found, delay, y.shape[1])
            leakage, response = self._responses(y, start - one.early, delay)
            first = leakage if first is None else first
            turn = np.vdot(leakage, first)
            responses.append(response * (turn / max(float(abs(turn)), 1e-30)))
        total = np.mean(responses, axis=0)
        u, s, vh = np.linalg.svd(total)
        residual = float(s[1] / s[0]) if s.size > 1 and s[0] > 0 else 0.0
        if not np.isfinite(s[0]) or s[0] == 0 or residual > LARGEST_RESIDUAL:
            raise UserError(
                f"calibration: what came back has a second part {residual:.2f} as strong as the first, not "
                "one reflector at boresight: put one there, and nothing else as strong"
            )
        k = self.format.antennas
        spread = np.std(responses, axis=0).mean() / np.sqrt(max(len(responses), 1))
        return Calibration(
            transmit=vh[0] * np.sqrt(k),
            receive=u[:, 0] * np.sqrt(k),
            residual=residual,
            error=float(spread * np.sqrt(k) / s[0]),  # an entry of c is a mean over g, and s = |γ| K
            key=dict(key or {}),
        )

    def _responses(self, y: Values, start: float, delay: float) -> tuple[Values, Values]:
        """Leakage and reflector (K, K): least squares over the samples of the orthogonal pilots."""
        form, o = self.format, self.format.samples_per_symbol
        low = int(np.ceil(start)) + (int(form.orthogonal_at[0]) + EDGE) * o
        high = int(np.ceil(start)) + (int(form.orthogonal_at[-1]) - EDGE) * o
        columns = np.vstack([self._pilots(start + d, low, high) for d in (0.0, delay)])
        solution = np.linalg.lstsq(columns.T, y[:, low:high].T, rcond=None)[0].T
        return solution[:, : form.antennas], solution[:, form.antennas :]

    def _pilots(self, start: float, low: int, high: int) -> Values:
        """Samples low … high - 1 of every antenna's pilots, symbol 0 of the burst at `start`: (K, n)."""
        from scipy.signal import upfirdn

        form, pulse = self.format, self.format.pulse
        begin = start + int(form.orthogonal_at[0]) * form.samples_per_symbol
        whole = int(np.floor(begin))
        # Shaped at whole samples, as they were sent, and then delayed: see `LeakageEstimator`.
        shaped = upfirdn(pulse.taps(), form.orthogonal, up=form.samples_per_symbol, axis=1)
        zero = whole - pulse.delay
        return np.asarray(fractional_delay(shaped, begin - whole)[:, low - zero : high - zero])
