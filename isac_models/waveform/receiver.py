"""The communication receiver: from the samples of a burst to its payload and the κ̂ that decides it.

Behind the matched filter at the right place, symbol k of the burst is y_k = κ e^{j2πδk} x_k + n_k, with what
is left of the frequency δ in cycles per symbol and κ = β a(ϑ)ᵀ v. κ and δ are fitted jointly by maximum
likelihood to all known symbols that went through the beam: preamble, phase pilots and, once its checksum
fits, the header. A drift of the frequency, γ per symbol², is fitted with them where it stands out of the
noise; to do so always would cost more than it is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from math import ceil, floor, sqrt
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.constellation import Constellation
from isac_models.errors import UserError
from isac_models.waveform import header as headers
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.synchronise import Sync

Values = NDArray[Any]

MARGIN = 4
"""Samples that the silence keeps away from the pulses' tails."""
LEAST_SILENCE = 16
"""Samples of silence that a noise measurement needs."""
TURNS, STEP = 1.5, 0.125
"""Residual frequency that is searched: turns over the whole burst, to either side, and the grid's step."""
SCORINGS = 3
SIGNIFICANT = 4.0
"""The phase's curvature is followed from this χ² on. Always to follow it would cost 0.064 dB at the defaults;
this costs 0.017 dB without drift, and up to 4 · 0.064 dB more where a drift is only just not followed."""


@cache
def _kernels() -> ModuleType:
    from isac_models.kernels import phase  # here, because it imports numba

    return phase


@cache
def _bursts() -> ModuleType:
    from isac_models.kernels import bursts

    return bursts


@dataclass(frozen=True)
class CommBurst:
    """What one burst has brought. Amplitudes are in units of the noise: its power per symbol is 1.

    payload: y, (N,) complex64, raw behind the matched filter. csi: κ̂ of each, (N,) complex64, residual phase
    included. channel: ĥ = β a(ϑ), transmit chains included, (K,) complex64, from the orthogonal pilots, with
    the phase of symbol 0. header: (number, flags), None where its checksum fails. noise: power per sample as
    it came in. snr: |κ̂|². cfo: cycles per sample in the burst's middle. start: as in Sync. order: of the
    constellation.
    """

    payload: Values
    csi: Values
    channel: Values
    header: tuple[int, int] | None
    noise: float
    snr: float
    cfo: float
    start: float
    order: int

    @cached_property
    def evm(self) -> float:
        """Root mean square of y/κ̂ about its nearest points, which have unit mean energy."""
        if not np.all(np.abs(self.csi) > 0):
            return float("inf")
        constellation = Constellation(self.order)
        points = constellation.points[constellation.decide(self.payload, self.csi)]
        return float(np.sqrt(np.mean(np.abs(self.payload / self.csi - points) ** 2)))


def known_places(form: BurstFormat, header: bool = True) -> Values:
    """Places in the burst, in symbols, of what κ̂ is fitted to; with the header or without."""
    parts = [form.preamble_at, form.phase_at, *([form.header_at] if header else [])]
    return np.asarray(np.concatenate(parts))


def estimation_loss(form: BurstFormat, header: bool = True) -> Values:
    """Factor (N,) by which the fitted κ̂ raises each payload symbol's noise, against κ known; first order.

    E|κ̂_k - κ_k|² = N0 (1/n + (k - k̄)² / (2 Σ_i (k_i - k̄)²)) over the n known places k_i: gain and phase each
    take 1/(2n), the slope of the phase the rest (the CRB, Rife and Boorstyn, IEEE Trans. IT, 1974). The
    payload is not among them, so that the errors add: the factor is one more, for a symbol of unit energy.
    Where there is no drift, a curvature q_k (of unit norm over the places) is followed by chance and adds
    q_k² E[z²; z² > t] / 2, z normal, t = SIGNIFICANT. In the mean over the default payload: 0.08 dB.
    """
    from scipy.special import ndtr

    at = known_places(form, header)
    distance = form.payload_at - at.mean()
    linear = 1 + 1 / at.size + distance**2 / (2 * np.sum((at - at.mean()) ** 2))
    root = np.sqrt(SIGNIFICANT)
    chance = 2 * (root * np.exp(-SIGNIFICANT / 2) / np.sqrt(2 * np.pi) + ndtr(-root))
    return np.asarray(linear + _bend(at, form.payload_at) ** 2 * chance / 2)


def _bend(places: Values, at: Values) -> Values:
    """The parabola that is orthogonal to 1 and k over `places` and of unit norm there, at `at`."""
    line = np.vander(places / places[-1], 2)
    fit = np.linalg.lstsq(line, (places / places[-1]) ** 2, rcond=None)[0]
    inside, wanted = ((x / places[-1]) ** 2 - np.vander(x / places[-1], 2) @ fit for x in (places, at))
    return np.asarray(wanted / np.linalg.norm(inside))


def silent(form: BurstFormat, start: float, length: int) -> Values:
    """Samples of a window of `length` that lie in the guard before or behind a burst: (n,) indices."""
    return np.concatenate([np.arange(low, high) for low, high in _silences(form, start, length)])


def _silences(form: BurstFormat, start: float, length: int) -> list[tuple[int, int]]:
    """First sample, and the one behind the last, of the guard before a burst and of that behind it."""
    tail = form.pulse.delay + MARGIN
    end = (form.symbols - 1) * form.samples_per_symbol
    before = (start - form.slot + end + tail, start - tail)
    behind = (start + end + tail, start + form.slot - tail)
    spans = ((max(ceil(a), 0), min(floor(b), length)) for a, b in (before, behind))
    return [(low, max(low, high)) for low, high in spans]


def silence(form: BurstFormat, window: Values, start: float) -> tuple[int, float]:
    """How many samples of a window (L,) lie in the guards, and their mean power, 0 of none."""
    parts = [window[low:high] for low, high in _silences(form, start, window.size)]
    count = sum(part.size for part in parts)
    return count, sum(float(np.vdot(part, part).real) for part in parts) / max(count, 1)


@dataclass(frozen=True)
class _Phasor:
    """κ e^{j2π(δk + γk²/2)}: what the receiver takes the channel to be at symbol k."""

    gain: complex
    delta: float = 0.0
    curve: float = 0.0

    def turn_plain(self, at: Values) -> Values:
        """As `turn`, in NumPy."""
        return np.asarray(np.exp(2j * np.pi * at * (self.delta + self.curve * at / 2)))

    def turn(self, at: Values, gain: complex = 1.0) -> Values:
        """gain e^{j2π(δk + γk²/2)} at the places `at` (n,)."""
        out = np.empty((at.size, 2))
        _kernels().channel(out, at.astype(np.float64), gain.real, gain.imag, self.delta, self.curve)
        return out.view(np.complex128)[:, 0]

    def at(self, at: Values) -> Values:
        """The channel at the places `at`."""
        return self.turn(at, self.gain)


class _Fitter:
    """Maximum likelihood of κ, δ and, where it is significant, γ for known symbols at fixed places."""

    def __init__(self, form: BurstFormat, header: bool) -> None:
        self.places = known_places(form, header)
        self.grid = np.arange(-TURNS, TURNS + STEP / 2, STEP) / form.symbols
        self.bank = np.exp(-2j * np.pi * np.outer(self.grid, self.places)).astype(np.complex64)
        powers = np.stack([self.places, self.places**2 / 2])
        self.basis = 2 * np.pi * (powers - powers.mean(axis=1, keepdims=True))
        self.steps = [np.ascontiguousarray(np.linalg.pinv(self.basis[:n].T)) for n in (1, 2)]
        self.bend = _bend(self.places, self.places)
        self._at = self.places.astype(np.float64)
        self._planes = np.ascontiguousarray(np.stack([self.bank.real.T, self.bank.imag.T]), np.float64)

    def fit(self, values: Values) -> _Phasor:
        """From v_i = y_i / x_i at the places, (n,): δ of the grid, Fisher scoring of δ, then of δ and γ."""
        parts = np.asarray(values, np.complex128).view(np.float64).reshape(-1, 2)
        coarse = np.empty(self.grid.size)
        _kernels().power(coarse, parts, self._planes)
        found = np.array([0, 0, self.grid[coarse.argmax()], 0])
        _kernels().fit(found, parts, self._at, *self.steps, self.bend, SIGNIFICANT, SCORINGS)
        real, imaginary, delta, curve = found.tolist()
        return _Phasor(complex(real, imaginary), delta, curve)

    def fit_plain(self, values: Values) -> _Phasor:
        """As `fit`, step by step."""
        coefficients = np.array([self.grid[np.argmax(np.abs(self.bank @ values))], 0.0])
        gain, angle = self._settle(values, coefficients, 1)
        if gain and not self._straight(values, gain, coefficients, angle):
            gain, _ = self._settle(values, coefficients, 2)
        return _Phasor(gain, *coefficients.tolist())

    def _settle(self, values: Values, coefficients: Values, count: int) -> tuple[complex, Values]:
        """Score the first `count` coefficients, in place; κ and the values' phase errors."""
        for _ in range(SCORINGS):
            coefficients[:count] += self.steps[count - 1] @ self._errors(values, coefficients)[1]
        return self._errors(values, coefficients)

    def _errors(self, values: Values, coefficients: Values) -> tuple[complex, Values]:
        """κ, and the phase errors Im(v_i κ*)/|κ|² that are left."""
        turned = values * _Phasor(1, *coefficients.tolist()).turn_plain(self.places).conj()
        gain = complex(turned.mean())
        return gain, np.imag(turned * np.conj(gain)) / max(abs(gain) ** 2, 1e-30)

    def _straight(self, values: Values, gain: complex, coefficients: Values, angle: Values) -> bool:
        """Whether the curvature is no more than noise: its square over its variance is χ² of one degree."""
        turned = values * _Phasor(1, *coefficients.tolist()).turn_plain(self.places).conj()
        error = np.mean(np.abs(turned - gain) ** 2)
        return bool((self.bend @ angle) ** 2 * 2 * abs(gain) ** 2 <= SIGNIFICANT * error)


class BurstReceiver:
    """Receives bursts of one format.

    `cfo_correction` and `phase_tracking` exist to be switched off where their worth is to be shown: without
    the first the samples keep their frequency offset, without the second κ̂ is that of the preamble, frozen.
    """

    def __init__(self, form: BurstFormat, cfo_correction: bool = True, phase_tracking: bool = True) -> None:
        self.form = form
        self.cfo_correction = cfo_correction
        self.phase_tracking = phase_tracking
        self._fitters = {header: _Fitter(form, header) for header in (False, True)}
        self._places = known_places(form)
        """Of all known symbols; those of the header come last."""
        self._before = form.preamble.size + form.phase_pilots.size
        """How many of them stand outside the header."""
        self._undo = 1 / np.concatenate([form.preamble, form.phase_pilots])
        self._matched = form.orthogonal.conj() * (form.antennas / form.orthogonal.shape[1])

    def receive(self, window: Values, sync: Sync, noise: float | None = None) -> CommBurst:
        """The burst at `sync` in the window (L,) complex64; `noise`: power per sample, measured if None.

        The noise is measured in the guard; where the window holds too little of it, on the known symbols.
        Raises UserError for another shape, samples that are not finite, or a noise that is not positive.
        """
        form = self.form
        if window.ndim != 1:
            raise UserError(f"a window of the receiver must have the shape (samples,), not {window.shape}")
        if not np.isfinite(np.vdot(window, window).real):
            raise UserError(
                "the window contains values that are not finite numbers; look at the radio's samples"
            )
        if noise is not None and not 0 < noise < np.inf:
            raise UserError(f"the noise power must be above 0, not {noise:g}")
        cfo = sync.cfo if self.cfo_correction else 0.0
        y = form.pulse.sample(self._turned(window, cfo, sync.start), sync.start, form.symbols)

        known = y[self._places]
        values = known[: self._before] * self._undo
        phasor = self._track(values, False)
        received = known[self._before :]
        header = headers.decode(received, phasor.at(form.header_at))
        if header is not None:  # its symbols are their own inverse
            values = np.concatenate([values, received * headers.encode(*header)])
            phasor = self._track(values, True)

        if noise is None:
            noise = self._noise(window, sync.start, values, phasor)
        scale = 1 / sqrt(noise)
        payload, csi = scale * y[form.payload_at], phasor.turn(form.payload_at, scale * phasor.gain)
        pilots = y[form.orthogonal_at] * phasor.turn(form.orthogonal_at, scale).conj()
        channel = self._matched @ pilots
        middle = phasor.delta + phasor.curve * form.symbols / 2
        return CommBurst(
            payload=payload.astype(np.complex64, copy=False),
            csi=csi.astype(np.complex64),
            channel=channel.astype(np.complex64),
            header=header,
            noise=noise,
            snr=float(abs(scale * phasor.gain) ** 2),
            cfo=cfo + middle / form.samples_per_symbol,
            start=sync.start,
            order=form.order,
        )

    def _turned(self, window: Values, cfo: float, start: float) -> Values:
        """The window without its carrier offset; complex64 runs through the compiled kernel."""
        if window.dtype != np.complex64:
            return np.asarray(window * np.exp(-2j * np.pi * cfo * (np.arange(window.size) - start)))
        rows = np.empty((window.size, 2), np.float32)
        samples = np.ascontiguousarray(window).view(np.float32)[None]
        _bursts().rotate(rows, samples, np.array([[1, 0]], np.float32), cfo, start)
        return np.asarray(rows.view(np.complex64)[:, 0])

    def _track(self, values: Values, header: bool) -> _Phasor:
        """The channel from known symbols; without tracking the preamble's κ alone (it comes first)."""
        if self.phase_tracking:
            return self._fitters[header].fit(values)
        return _Phasor(complex(values[: self.form.preamble.size].mean()))

    def _noise(self, window: Values, start: float, values: Values, phasor: _Phasor) -> float:
        """Power per sample in the guard, or that of the residual of the known symbols."""
        count, power = silence(self.form, window, start)
        if count < LEAST_SILENCE:
            longer = values.size == self._fitters[True].places.size
            power = float(np.mean(np.abs(values - phasor.at(self._fitters[longer].places)) ** 2))
        return max(power, float(np.finfo(np.float32).tiny))
