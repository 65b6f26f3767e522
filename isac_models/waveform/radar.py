"""The monostatic radar receiver: from the array's samples of a burst to one calibrated echo a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.calibration_vectors import Calibration
from isac_models.waveform.leakage import LeakageEstimator, remove
from isac_models.waveform.response import ResponseEstimator

Values = NDArray[Any]

FORGET = 0.95
"""How much the delay profile of the bursts before counts from burst to burst."""
NOISE_MEMORY = 256
"""Bursts that the noise is averaged over."""
QUIET = 10
"""Samples that the silence keeps away from the pulses' tails, to which a fractional delay adds."""


@cache
def _kernels() -> ModuleType:
    from isac_models.kernels import bursts  # here, because it imports numba

    return bursts


@dataclass(frozen=True)
class RadarBurst:
    """What one burst has brought.

    echo: y_r of every payload snapshot, (N, K) complex64, noise power `noise_power` an antenna. noise: per
    sample, as it came in. leakage_db: leakage over noise, per channel and symbol; -inf where nothing was
    removed. delay: of the echo behind the leakage in samples. response: (K, K), α a(θ) a(θ)ᵀ but for what
    calibration has left of the chains, scaled as the echo, from the orthogonal pilots (`ResponseEstimator`);
    None unless it was asked for.
    """

    echo: Values
    noise: float
    leakage_db: float
    delay: float
    response: Values | None = None


class RadarReceiver:
    """Receives bursts of one format, sent through one beam, one after the other.

    Leakage is told from the echo by its delay, at least one sample earlier (`LeakageEstimator`). The echo's
    delay is the place where the bursts so far, this one included, have most energy beside the leakage: the
    target's range changes slowly, its presence does not matter. Noise is measured in the silence between
    bursts and averaged. `calibration` None takes the chains as equal; `leakage_removal` False is a negative
    control. `response` asks for that of every burst (`ResponseEstimator`).
    """

    def __init__(
        self,
        layout: BurstFormat,
        calibration: Calibration | None = None,
        leakage_removal: bool = True,
        max_delay: float = 12.0,
        noise_power: float = 1.0,
        response: bool = False,
    ) -> None:
        self.format = layout
        self.leakage_removal, self.max_delay, self._noise_power = leakage_removal, max_delay, noise_power
        gains = np.ones(layout.antennas) if calibration is None else calibration.receive
        self._equalise = (1 / np.asarray(gains, np.complex128)).astype(np.complex64)[:, None]
        self._response = ResponseEstimator(layout) if response else None
        self._estimator = LeakageEstimator(layout, max_delay)
        self._known = np.zeros(layout.symbols, np.complex128)
        self._known[layout.preamble_at], self._known[layout.phase_at] = layout.preamble, layout.phase_pilots
        self._profile = np.zeros(self._estimator.grid.size)
        self._noise: float | None = None
        self._heard = self._measured = 0
        self._left = 0.0

    def receive(
        self, window: Values, start: float, cfo: float, symbols: Values, header: Values
    ) -> RadarBurst:
        """The echoes in a window (K, L) complex64: symbol 0 of the leakage at `start`, `cfo` a sample.

        symbols (N,): the payload that was sent; header (96,): its header's symbols.
        Raises UserError for samples that are not finite numbers.
        """
        form = self.format
        if not np.isfinite(window.sum()):
            raise UserError(
                "the window contains values that are not finite numbers; look at the radio's samples"
            )
        y = self._equalised(window, cfo, start)
        noise = self._listen(y, start)
        stream = self._known.copy()
        stream[form.header_at], stream[form.payload_at] = header, symbols
        found = self._estimator.correlate(y, start, stream)
        self._profile *= FORGET
        self._profile += self._estimator.profile(found, self._profile)
        one = self._estimator.separate(found, self._estimator.peak(self._profile), y.shape[1])
        if self.leakage_removal:
            y = remove(y, one)
        at = start - one.early + one.delay
        begin = int((form.payload_at if self._response is None else form.orthogonal_at)[0])  # first wanted
        z = form.pulse.sample(y, at + begin * form.samples_per_symbol, int(form.payload_at[-1]) + 1 - begin)
        echo = z.T[form.payload_at - begin]
        level = -np.inf
        if self.leakage_removal:
            noise = self._residual(echo, symbols)
            level = 10 * np.log10(max(np.mean(np.abs(one.leakage) ** 2) / noise, 1e-30))
        scale = np.float32(np.sqrt(self._noise_power / noise))
        response = None
        if self._response is not None:
            at_echo = z[:, form.orthogonal_at - begin]
            first = at - one.delay + begin * form.samples_per_symbol
            at_leakage = form.pulse.sample(y, first, at_echo.shape[1])
            seen = symbols.conj().astype(np.complex64) @ echo / np.vdot(symbols, symbols).real
            response = scale * self._response.estimate(
                at_leakage, at_echo, one.delay, seen, noise, self.leakage_removal
            )
        return RadarBurst(scale * echo, noise, float(level), one.delay, response)

    def _equalised(self, window: Values, cfo: float, start: float) -> Values:
        """The window (K, L) through the inverse of the receive chains, its carrier offset turned back."""
        if window.dtype != np.complex64:
            turn = np.exp(-2j * np.pi * cfo * (np.arange(window.shape[1]) - start))
            return np.asarray(window * (self._equalise * turn))
        rows = np.empty((window.shape[1], 2 * window.shape[0]), np.float32)
        samples = np.ascontiguousarray(window).view(np.float32)
        gains = self._equalise.view(np.float32).reshape(-1, 2)
        _kernels().rotate(rows, samples, gains, cfo, start)
        return np.asarray(rows.view(np.complex64).T)

    def _residual(self, echo: Values, symbols: Values) -> float:
        """Noise power of a snapshot (N, K) beside what lies along the symbols, averaged over bursts.

        Silence would not tell all of it: the transmitter's converters add noise that leaks in while it sends.
        """
        energy = float(np.vdot(symbols, symbols).real)
        along = symbols.conj().astype(np.complex64) @ echo
        power = float(np.vdot(echo, echo).real) - float(np.vdot(along, along).real) / energy
        power /= echo.shape[1] * max(echo.shape[0] - 1, 1)
        self._measured = min(self._measured + 1, NOISE_MEMORY)
        self._left += (power - self._left) / self._measured
        return max(self._left, float(np.finfo(np.float32).tiny))

    def _listen(self, y: Values, start: float) -> float:
        """Noise power per sample, averaged over channels and bursts."""
        form = self.format
        tail = form.pulse.delay + QUIET
        end = (form.symbols - 1) * form.samples_per_symbol + tail + self.max_delay
        spans = ((start - form.slot + end, start - tail), (start + end, start + form.slot - tail))
        parts = [y.T[max(int(np.ceil(a)), 0) : max(int(b), 0)] for a, b in spans]
        size = sum(part.size for part in parts)
        power = sum(float(np.vdot(part, part).real) for part in parts)
        if size:
            self._heard = min(self._heard + 1, NOISE_MEMORY)
            before = 0.0 if self._noise is None else self._noise
            self._noise = before + (power / size - before) / self._heard
        return max(self._noise or 0.0, float(np.finfo(np.float32).tiny))
