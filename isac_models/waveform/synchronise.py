"""When a burst began and how far the oscillators are apart: from the preamble alone.

Window y_c[n] = h_c s(n - τ) e^{j2πνn} + w_c[n], c = 1 … C: channels of one clock and one oscillator, with
unknown gains h_c and noise powers. s(t) = Σ_k z_k g(t - kT) is the preamble, τ the `start`, ν the `cfo`.

1. The eight repeats give the place coarsely, and ν: the phase of Σ_c Σ_n y_c*[n] y_c[n + 16 T] over their
   length, modulo 1 / (16 T) (near the ends of that range both aliases are pursued).
2. The Zadoff–Chu sequence of 63 is looked for around it. It decides whether there was a burst.
3. ν by the periodogram of y s* over the whole preamble, then τ and ν by Fisher scoring of the joint
   likelihood.

False alarms. Let T_c be the share of y_c's energy, over the n samples of the 63, that lies along the known
signal. In white Gaussian noise of any power T_c ~ Beta(1, n - 1), so -(n - 1) ln(1 - T_c) is Exp(1) and the
metric Λ = -(n - 1) Σ_c ln(1 - T_c) is Gamma(C, 1), exactly. Step 1 has looked at other samples, so that the
maximum over B places exceeds λ with at most B Q(C, λ) = `false_alarm`, Q the regularised upper incomplete
gamma function. Places half a symbol apart are nearly independent, so that little is lost to that bound.
It holds for noise: a strong burst that begins inside the searched samples, but later than the last start
asked for, is no noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.errors import UserError
from isac_models.waveform.burst_format import SHORT, SHORT_REPEATS, BurstFormat

Values = NDArray[Any]

FRACTIONS = 64
"""Templates are kept for this many fractions of a sample."""
CUT = 3
"""Symbols at the preamble's end that are left out: the pulses of the unknown pilots reach into them."""
REACH = 64
"""Samples to either side of the coarse place that are searched for the 63."""
BLOCK, BINS = 16, 128
"""Periodogram of the fine frequency: samples a block, bins over 1 / BLOCK."""
CFO_REACH = 0.006
"""Cycles per sample by which the coarse frequency may be wrong."""
STEPS = 6
FEW = 16
"""Places up to which the 63 is looked for one by one, not by Fourier transforms."""
ROOM = 32
"""Samples to either side of a preamble that is followed, for what the fit may move."""


@cache
def _kernels() -> ModuleType:
    from isac_models.kernels import preamble  # here, because it imports numba

    return preamble


@dataclass(frozen=True)
class Sync:
    """Where a burst stands in its window.

    start: samples, with fraction, from the window's first sample to the centre of symbol 0 (sample
    `pulse.delay` of BurstFormat.modulate). cfo: cycles per sample. metric: Λ, Gamma(C, 1) in noise.
    detected: Λ above the threshold.
    """

    start: float
    cfo: float
    metric: float
    detected: bool


@dataclass(frozen=True)
class _Template:
    """Preamble at a fraction of a sample: s and, orthogonal to it, the directions of τ and ν, conjugate."""

    first: int
    """Place of the first sample relative to the whole part of the start."""
    columns: Values
    """(n, 3) complex64: s*/‖s‖, then D_τ*, D_ν*."""
    energy: float
    inverse: Values
    """Of Re DᴴD, (2, 2): the information per unit of 2 |h|²/N0."""


def _directions(form: BurstFormat, fraction: float) -> tuple[Values, Values]:
    """s and ∂s/∂τ at the start `fraction`, with both tails: (samples,) from -pulse.delay on."""
    from scipy.signal import upfirdn

    pulse, step = form.pulse, 1e-3
    taps = pulse.taps(-fraction)
    slope = (pulse.taps(-fraction - step) - pulse.taps(-fraction + step)) / (2 * step)
    both = (upfirdn(h, form.preamble, up=form.samples_per_symbol) for h in (taps, slope))
    return tuple(np.asarray(x) for x in both)  # type: ignore[return-value]


def _orthogonal(s: Values, s_tau: Values) -> Values:
    """(n, 2): ∂/∂τ and ∂/∂ν of s, without their parts along s (which the unknown gain takes)."""
    n = np.arange(s.size)
    d = np.stack([s_tau, 2j * np.pi * (n - n.mean()) * s], axis=1)
    return np.asarray(d - np.outer(s, s.conj() @ d) / np.vdot(s, s).real)


@lru_cache(maxsize=4 * FRACTIONS)
def _template(form: BurstFormat, index: int) -> _Template:
    """Template at the fraction index / FRACTIONS, up to the symbols that are left out."""
    last = form.pulse.delay + (form.preamble.size - 1 - CUT) * form.samples_per_symbol + 1
    s, s_tau = (x[:last] for x in _directions(form, index / FRACTIONS))
    d = _orthogonal(s, s_tau)
    energy = float(np.vdot(s, s).real)
    columns = np.column_stack([s / np.sqrt(energy), d]).conj().astype(np.complex64)
    return _Template(-form.pulse.delay, columns, energy, np.linalg.inv(np.real(d.conj().T @ d)))


@lru_cache(maxsize=16)
def _long(form: BurstFormat, size: int) -> tuple[int, int, Values]:
    """The 63: its first sample relative to the start, its samples n, its spectrum s* of `size` bins."""
    from scipy import fft

    s = _long_wave(form)
    first = SHORT * SHORT_REPEATS * form.samples_per_symbol
    return first, s.size, fft.fft(s.conj(), size).conj().astype(np.complex64)


@lru_cache(maxsize=16)
def _long_wave(form: BurstFormat) -> Values:
    """The samples of the 63, conjugate, of unit norm: (n,) complex64."""
    o = form.samples_per_symbol
    first = SHORT * SHORT_REPEATS * o
    n = (form.preamble.size - 1 - CUT) * o - first + 1
    s = _directions(form, 0.0)[0][form.pulse.delay + first :][:n]
    return np.asarray((s / np.linalg.norm(s)).conj().astype(np.complex64))


def _fisher(form: BurstFormat) -> Values:
    """Re DᴴD of the whole preamble for (τ, ν), the gain eliminated."""
    d = _orthogonal(*_directions(form, 0.0))
    return np.real(d.conj().T @ d)


def crb_delay(form: BurstFormat, snr: float) -> float:
    """Cramér–Rao bound of the delay in samples², frequency and gains unknown too.

    `snr`: Σ_c |h_c|² / N0_c, energy per symbol over noise power. [F⁻¹]_ττ / (2 snr) with F = Re DᴴD, D the
    derivatives of the signal without their part along it (Kay, Estimation Theory, eq. (15.52), the gain
    eliminated). Without the coupling to frequency 1 / F_ττ is O² / (P (2π)² (1/12 + β² (1/4 - 2/π²))): the
    mean square bandwidth of a raised-cosine spectrum.
    """
    return float(np.linalg.inv(_fisher(form))[0, 0] / (2 * snr))


def crb_cfo(form: BurstFormat, snr: float) -> float:
    """Cramér–Rao bound of the frequency in (cycles per sample)², delay and gains unknown too.

    As crb_delay. Without the coupling to the delay, and but for the pulse's own length, it is
    6 / ((2π)² snr O² P (P² - 1)): Rife and Boorstyn, IEEE Trans. IT, 1974.
    """
    return float(np.linalg.inv(_fisher(form))[1, 1] / (2 * snr))


def _rotate(samples: Values, cfo: float) -> Values:
    """samples · e^{-j2π cfo n}, complex64."""
    n = np.arange(samples.shape[-1])
    return np.asarray(samples * np.exp(-2j * np.pi * cfo * n).astype(np.complex64))


def _shaped(window: Values) -> None:
    """UserError unless this is a window."""
    if window.ndim != 2 or 0 in window.shape:
        raise UserError(f"a window must have the shape (channels, samples), not {window.shape}")


def _checked(window: Values, low: int = 0, high: int | None = None) -> Values:
    """Samples low … high - 1 of the window as (C, L) complex64 of unit mean power per channel.

    What is silent stays zero. The channels lie side by side in memory, as the kernels take them.
    """
    beside = window.dtype == np.complex64 and window.T.flags.c_contiguous
    samples = np.ascontiguousarray(window.T if beside else window, np.complex64).view(np.float32)
    count = len(range(*slice(low, high).indices(window.shape[1])))
    rows, power = np.empty((count, 2 * len(window)), np.float32), np.empty(len(window))
    apply = _kernels().level_rows if beside else _kernels().level
    apply(rows, power, samples, low)
    finite = np.isfinite(power.sum()) and (count == window.shape[1] or np.isfinite(samples.sum()))
    if not finite:
        raise UserError("the window contains values that are not finite numbers; look at the radio's samples")
    return rows.view(np.complex64).T


def _rows(y: Values) -> Values:
    """Samples (C, L) as the kernels take them, (L, 2C) float32."""
    return np.ascontiguousarray(y.T).view(np.float32)


def _coarse(y: Values, form: BurstFormat, low: int, high: int) -> tuple[int, float]:
    """Place and frequency at which the window repeats itself most: (start, cfo modulo 1 / (16 T))."""
    lag = SHORT * form.samples_per_symbol
    span = (SHORT_REPEATS - 1) * lag
    part = y[:, low : high + span + lag]
    product = np.einsum("cn,cn->n", part[:, :-lag].conj(), part[:, lag:])
    power = np.einsum("cn,cn->n", part.real, part.real) + np.einsum("cn,cn->n", part.imag, part.imag)
    p = np.concatenate([[0], np.cumsum(product, dtype=np.complex128)])
    r = np.concatenate([[0], np.cumsum(power, dtype=np.float64)])
    count = min(high - low + 1, p.size - span)
    alike = p[span : span + count] - p[:count]
    energy = (r[span : span + count] - r[:count] + r[span + lag :][:count] - r[lag : lag + count]) / 2
    place = int(np.argmax(np.abs(alike) / (energy + 1e-9 * r[-1] + 1e-30)))
    return low + place, float(np.angle(alike[place]) / (2 * np.pi * lag))


def _look(y: Values, form: BurstFormat, low: int, high: int, cfo: float) -> tuple[int, float]:
    """The place from low to high where the 63 fits best, and the metric there."""
    if high - low >= FEW:
        return _look_plain(y, form, low, high, cfo)
    found = np.empty(2)
    first = low + SHORT * SHORT_REPEATS * form.samples_per_symbol
    column = _long_wave(form).view(np.float32).reshape(-1, 2)
    _kernels().look(found, _rows(y), first, high - low + 1, column, cfo)
    return low + int(found[0]), float(found[1])


def _look_plain(y: Values, form: BurstFormat, low: int, high: int, cfo: float) -> tuple[int, float]:
    """The same by Fourier transforms, which are the faster the more places there are."""
    from scipy import fft

    offset = SHORT * SHORT_REPEATS * form.samples_per_symbol
    n = _long(form, 1)[1]
    part = y[:, low + offset : high + offset + n]
    size = fft.next_fast_len(part.shape[1])
    spectrum = fft.fft(_rotate(part, cfo), size, axis=1)
    along = fft.ifft(spectrum * _long(form, size)[2], axis=1)[:, : high - low + 1]
    energy = np.zeros((y.shape[0], part.shape[1] + 1))
    np.cumsum(part.real**2 + part.imag**2, axis=1, out=energy[:, 1:])
    total = energy[:, n:] - energy[:, :-n]
    share = np.divide(along.real**2 + along.imag**2, total, out=np.zeros_like(total), where=total > 1e-12)
    metric = -(n - 1) * np.sum(np.log1p(-np.minimum(share, 1 - 1e-9)), axis=0)
    best = int(np.argmax(metric))
    return low + best, float(metric[best])


def _segment(y: Values, first: int, length: int) -> Values:
    """y[:, first : first + length], zero outside the window."""
    part = y[:, max(first, 0) : max(first + length, 0)]
    short = length - part.shape[1]
    return part if not short else np.pad(part, ((0, 0), (max(-first, 0), short - max(-first, 0))))


def _step_plain(y: Values, template: _Template, first: int, cfo: float) -> tuple[float, float, float]:
    """One step of Fisher scoring: changes of τ and ν, and Σ_c |ĥ_c|²/σ̂_c²."""
    n = template.columns.shape[0]
    part = _segment(y, first, n)
    along = _rotate(part, cfo) @ template.columns
    strength = np.abs(along[:, 0].astype(np.complex128)) ** 2
    noise = (np.sum(part.real**2 + part.imag**2, axis=1) - strength) / (n - 1)
    weight = 1 / np.maximum(noise, 1e-9 * (noise.max() + strength.max() / n) + 1e-30)
    gain = float(weight @ strength) / template.energy
    slope = np.real((weight * along[:, 0].conj()) @ along[:, 1:]) / np.sqrt(template.energy)
    change = template.inverse @ slope / (gain + 1e-30)
    return float(change[0]), float(change[1]), gain


def _step(y: Values, template: _Template, first: int, cfo: float) -> tuple[float, float, float]:
    """As `_step_plain`, through the compiled kernels."""
    change, columns = np.empty(3), template.columns.view(np.float32)
    _kernels().step(change, _rows(y), first, columns, cfo, template.energy, template.inverse)
    late, turn, gain = change.tolist()
    return late, turn, gain


def _turn_plain(y: Values, template: _Template, first: int, cfo: float, offsets: Values) -> float:
    """Which of the offsets, added to ν, has most of the periodogram's power."""
    matched = _rotate(_segment(y, first, template.columns.shape[0]), cfo) * template.columns[:, 0]
    blocks = np.pad(matched, ((0, 0), (0, -matched.shape[1] % BLOCK))).reshape(len(y), -1, BLOCK).sum(axis=2)
    turns = np.exp(-2j * np.pi * BLOCK * np.outer(np.arange(blocks.shape[1]), offsets))
    return float(offsets[np.argmax(np.sum(np.abs(blocks @ turns) ** 2, axis=0))])


def _turn(y: Values, template: _Template, first: int, cfo: float, offsets: Values) -> float:
    """As `_turn_plain`, through the compiled kernel."""
    power = np.empty(offsets.size)
    _kernels().periodogram(power, _rows(y), first, template.columns.view(np.float32), cfo, offsets)
    return float(offsets[int(np.argmax(power))])


@lru_cache(maxsize=4)
def _offsets(reach: float) -> Values:
    """Frequencies of the periodogram within ±reach, from zero on."""
    offsets = np.fft.fftfreq(BINS) / BLOCK
    return np.asarray(offsets[np.abs(offsets) <= reach])


def _fit(y: Values, form: BurstFormat, start: float, cfo: float, reach: float) -> tuple[float, float, float]:
    """Maximum of the likelihood near (start, cfo ± reach): (start, cfo, Σ_c |ĥ_c|²/σ̂_c²)."""
    gain = 0.0
    for step in range(STEPS):
        index = round(start * FRACTIONS)
        whole, fraction = divmod(index, FRACTIONS)
        template = _template(form, fraction)
        first = whole + template.first
        if step == 0:
            cfo += _turn(y, template, first, cfo, _offsets(reach))
        late, turn, gain = _step(y, template, first, cfo)
        start = index / FRACTIONS + min(max(late, -0.5), 0.5)
        cfo += min(max(turn, -1e-3), 1e-3)
        if step and abs(late) < 1 / FRACTIONS and abs(turn) < 1e-5:
            break
    return start, cfo, gain


@lru_cache(maxsize=64)
def _threshold(channels: int, cells: int, false_alarm: float) -> float:
    """λ with cells · Q(C, λ) = false_alarm."""
    from scipy.special import gammainccinv

    return float(gammainccinv(channels, false_alarm / cells))


def _limits(window: Values, form: BurstFormat, low: int, high: int | None) -> tuple[int, int]:
    """The starts that can be searched: the preamble's centres lie in the window."""
    most = window.shape[1] - 1 - (form.preamble.size - 1) * form.samples_per_symbol
    last = most if high is None else min(high, most)
    first = max(low, 0)
    if last < first:
        raise UserError(
            f"a window of {window.shape[1]} samples holds no preamble that starts from "
            f"{low} to {last if high is None else high}; it must be longer"
        )
    return first, last


def synchronise(
    window: Values, form: BurstFormat, false_alarm: float = 1e-6, low: int = 0, high: int | None = None
) -> Sync:
    """Find a burst whose symbol 0 lies from `low` to `high` in the window (C, L) complex64.

    `high` None: as late as the window lets. Of bursts that follow each other one is sure to be whole in
    slot + 2 preamble.size samples of the format; fewer may hold no whole preamble. The CFO may be up to
    1 / (2 · 16 T), ±0.0156 cycles per sample. Both at two samples a symbol. Raises UserError for
    a window that is too short, of another shape or not finite.
    """
    _shaped(window)
    y = _checked(window)
    low, high = _limits(y, form, low, high)
    coarse, cfo = _coarse(y, form, low, high)
    first, last = max(low, coarse - REACH), min(high, coarse + REACH)
    period = 1 / (SHORT * form.samples_per_symbol)
    aliases = [cfo]
    if abs(cfo) > 0.4 * period:
        aliases.append(cfo - np.copysign(period, cfo))
    found = []
    for alias in aliases:
        place, metric = _look(y, form, first, last, alias)
        found.append((*_fit(y, form, place, alias, CFO_REACH), metric))
    start, cfo, _, metric = max(found, key=lambda one: one[2])
    threshold = _threshold(len(y), len(aliases) * (last - first + 1), false_alarm)
    return Sync(start, cfo, metric, metric > threshold)


def refine(window: Values, form: BurstFormat, sync: Sync, false_alarm: float = 1e-6, reach: int = 2) -> Sync:
    """Track: the burst is expected at sync.start ± `reach` samples with sync.cfo; as synchronise else.

    Without detection the prediction is returned with detected=False.
    """
    _shaped(window)
    expected = round(sync.start)
    low, high = _limits(window, form, expected - reach, expected + reach)
    first = max(low - form.pulse.delay - ROOM, 0)
    y = _checked(window, first, high + form.preamble.size * form.samples_per_symbol + ROOM)
    place, metric = _look(y, form, low - first, high - first, sync.cfo)
    if metric <= _threshold(len(y), high - low + 1, false_alarm):
        return Sync(sync.start, sync.cfo, metric, False)
    start, cfo, _ = _fit(y, form, place, sync.cfo, 0.002)
    return Sync(start + first, cfo, metric, True)
