"""Array calibration: one complex number a chain, measured in the loop against a reflector at boresight.

There a(0) is all ones wherever the elements of a linear array stand, so that what the orthogonal pilots
bring back at the reflector's delay is G = γ g cᵀ, with the chains' c (transmit) and g (receive) and nothing
of the positions: rank one, and its singular vectors are the chains, each up to a complex number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.leakage import EDGE
from isac_models.waveform.pulse import fractional_delay

Values = NDArray[Any]

PILOT_REPEATS = 8
"""Of the orthogonal pilots in a burst for calibration: fewer do not tell leakage and reflector apart."""
FITTED = 3
"""Bursts that the delays are fitted to."""
MOST_BEFORE = 8
"""Samples by which the starts may be too late, and half of one by which they may be too early."""
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

    Header and payload do not matter, and beams may change: nothing but the pilots is looked at.
    """

    def __init__(self, layout: BurstFormat, max_delay: float = 12.0) -> None:
        if layout.pilot_repeats < PILOT_REPEATS:
            raise UserError(
                f"calibration needs pilots repeated {PILOT_REPEATS} times, not {layout.pilot_repeats}"
            )
        self.format, self.max_delay = layout, max_delay
        self._bursts: list[tuple[Values, float]] = []

    def add(self, window: Values, start: float, cfo: float) -> None:
        """One burst's samples (K, L): symbol 0 at `start` samples, `cfo` in cycles a sample.

        The starts of all bursts are wrong by the same, if at all: transmitter and receiver share their clock.
        Raises UserError for samples that are not finite numbers.
        """
        if not np.isfinite(np.vdot(window, window).real):
            raise UserError(
                "the window contains values that are not finite numbers; look at the radio's samples"
            )
        y = window * np.exp(-2j * np.pi * cfo * (np.arange(window.shape[1]) - start))
        self._bursts.append((y, start))

    def estimate(self, key: Mapping[str, Any] | None = None) -> Calibration:
        """The chains, from all bursts together.

        Raises UserError where no burst was added, and where what came back is not one reflector at boresight.
        """
        if not self._bursts:
            raise UserError("calibration: no burst was received; is the front end there, and its gain right?")
        with threadpool_limits(1):  # small matrices: more threads would only wait for each other
            shift, delay = self._delays()
        first: Values | None = None
        responses = []
        for y, start in self._bursts:
            leakage, response, _ = self._fit(y, start + shift, delay)
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

    def _delays(self) -> tuple[float, float]:
        """Where the leakage begins, against the starts that were given, and the reflector's delay behind it.

        Both amplitudes are eliminated by least squares, what is left is smallest at the right delays
        (variable projection: Golub and Pereyra, SIAM J. Numer. Anal., 1973). A few bursts are enough.
        """
        from scipy.optimize import minimize

        some = self._bursts[:: max(1, len(self._bursts) // FITTED)][:FITTED]
        power = sum(float(np.vdot(y, y).real) for y, _ in some)

        def left(place: Sequence[float] | Values) -> float:
            shift, behind = float(place[0]), float(place[1])
            if not -MOST_BEFORE - 1 <= shift <= 0.5 or not 0.5 <= behind <= self.max_delay + 1:
                return 1.0
            return sum(self._fit(y, start + shift, behind)[2] for y, start in some) / power

        # A strong reflector may be what the starts belong to: the leakage is then looked for before it.
        behind = [(0.0, float(d)) for d in np.arange(1, self.max_delay + 0.25, 0.5)]
        before = [(-float(d), float(d)) for d in np.arange(1, MOST_BEFORE + 0.25, 0.5)]
        coarse = min([*behind, *before], key=left)
        fine = {"xatol": 1e-4, "fatol": 1e-12, "maxiter": 100}
        found = minimize(left, coarse, method="Nelder-Mead", options=fine)
        return float(found.x[0]), float(found.x[1])

    def _fit(self, y: Values, start: float, delay: float) -> tuple[Values, Values, float]:
        """Least squares over the samples of the orthogonal pilots: leakage, reflector (K, K), energy left."""
        form, o = self.format, self.format.samples_per_symbol
        low = int(np.ceil(start)) + (int(form.orthogonal_at[0]) + EDGE) * o
        high = int(np.ceil(start)) + (int(form.orthogonal_at[-1]) - EDGE) * o
        columns = np.vstack([self._pilots(start + d, low, high) for d in (0.0, delay)]).T
        seen = y[:, low:high].T
        solution = np.linalg.lstsq(columns, seen, rcond=None)[0]
        rest = seen - columns @ solution
        k = form.antennas
        return solution[:k].T, solution[k:].T, float(np.vdot(rest, rest).real)

    @cached_property
    def _shaped(self) -> Values:
        """Every antenna's pilots as they were sent, symbol 0 of them at `pulse.delay`: (K, n)."""
        form = self.format
        return form.pulse.shape(form.orthogonal)

    def _pilots(self, start: float, low: int, high: int) -> Values:
        """Samples low … high - 1 of every antenna's pilots, symbol 0 of the burst at `start`: (K, n).

        They were shaped at whole samples and delayed then: see `LeakageEstimator`.
        """
        form = self.format
        begin = start + int(form.orthogonal_at[0]) * form.samples_per_symbol
        whole = int(np.floor(begin))
        zero = whole - form.pulse.delay
        return fractional_delay(self._shaped, begin - whole)[:, low - zero : high - zero]
