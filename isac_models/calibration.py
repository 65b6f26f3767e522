"""The threshold of a matched filter for a false-alarm probability, from the noise model alone.

Under H0 the outputs z = Aᴴn, n ~ CN(0, N0 I), are correlated Gaussians, and P(max |z_g|² > u) has no closed
form. It is estimated by importance sampling of the maximum (Naiman and Priebe, "Computing scan statistic p
values using importance sampling", JCGS 10, 2001): draw one column i with probability q_i, draw |z_i|² above
u, draw the rest conditioned on z_i. With P_g = P(|z_g|² > u) = exp(-u / (N0 ‖a_g‖²)), the weight
1 / Σ_g q_g 1{|z_g|² > u} / P_g has the wanted probability as its mean. Its relative error does not grow as
the probability falls, so 10⁻⁹ costs what 10⁻² does. Two refinements cut its variance twelvefold: the length
of the noise vector is integrated out (given its direction, every exceedance is a tail of one Gamma law, which
takes the place of the indicators), and q is fitted on a pilot sample to the least variance.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]

RELATIVE_ERROR = 9e-4
"""Asked standard error of the false-alarm probability, relative to it."""
CHUNK = 4096
MOST_CHUNKS = 400
PILOT = -1
"""Number of the chunk that locates the level and fits q; the estimate itself never uses it."""
FITTING_STEPS = 50
DEFENSIVE = 0.1
"""Share of the unfitted q that is kept: it bounds the variance (Hesterberg, Technometrics 37, 1995)."""
NEGLIGIBLE = 1e-12
"""Columns that exceed the level this much more rarely than the strongest are left out."""
TABLE_POINTS = 4096
_known: dict[bytes, Threshold] = {}


@dataclass(frozen=True)
class Threshold:
    """A level on the statistic: the amplitude max |aᴴy| of a matched filter, the logit of a network.

    `relative_error` is the standard error of the false-alarm probability that it gives, relative to it.
    """

    amplitude: float
    false_alarm: float
    relative_error: float


def calibrate_threshold(matrix: Values, noise_power: float, false_alarm: float) -> Threshold:
    """The (1 - P_fa) quantile of max_g |a_gᴴ n|, n ~ CN(0, N0 I), for the columns a_g of matrix (K, G).

    Deterministic, and remembered within the process. Exact for a single column: √(-N0 ‖a‖² ln P_fa).

    Raises ValueError for a probability outside (0, 1), a noise power that is not positive, or a matrix that
    is not two-dimensional or has only zeros.
    """
    matrix = np.ascontiguousarray(matrix, np.complex128)
    if not 0 < false_alarm < 1:
        raise ValueError(f"false-alarm probability {false_alarm} must be inside (0, 1)")
    if not 0 < noise_power < math.inf:
        raise ValueError(f"noise power {noise_power} must be positive")
    if matrix.ndim != 2 or not matrix.any():
        raise ValueError("the matrix must be (antennas, columns) with a column that is not zero")
    description = repr((matrix.shape, noise_power, false_alarm)).encode()
    content = hashlib.blake2b(description + matrix.tobytes()).digest()
    if content not in _known:
        _known[content] = _solve(_Maximum(matrix, noise_power), false_alarm)
    return _known[content]


def false_alarm_probability(matrix: Values, noise_power: float, amplitude: float) -> tuple[float, float]:
    """P(max_g |a_gᴴ n| > amplitude) and its standard error, by the same importance sampling."""
    log_probability, error = _Maximum(np.asarray(matrix, np.complex128), noise_power).exceedance(amplitude**2)
    probability = math.exp(log_probability)
    return probability, error * probability


def _solve(maximum: _Maximum, false_alarm: float) -> Threshold:
    """Root of ln P(u) = ln P_fa: regula falsi on the pilot, then one Newton step with the whole sample."""
    target = math.log(false_alarm)
    low, high = maximum.bracket(target)
    if high - low < 1e-12 * high:  # one column: both bounds are exact
        return Threshold(math.sqrt(low), false_alarm, 0.0)

    def excess(level: float) -> float:
        return maximum.pilot_log_mean(level) - target

    below, above = excess(low), excess(high)
    level = low if below <= 0 else high
    for step in range(30):
        if below <= 0 or above >= 0:  # a bound is the root, to within the pilot's error
            break
        # A halving now and then moves the end that regula falsi leaves standing.
        level = low + (high - low) * (0.5 if step % 3 == 2 else below / (below - above))
        found = excess(level)
        if abs(found) < 1e-3 * (1 - false_alarm):
            break
        low, below, high, above = (level, found, high, above) if found > 0 else (low, below, level, found)
    slope = (excess(1.01 * level) - excess(0.99 * level)) / (0.02 * level)
    log_probability, error = maximum.exceedance(level)
    return Threshold(math.sqrt(level - (log_probability - target) / slope), false_alarm, error)


@dataclass(frozen=True)
class _Sample:
    """Random numbers of one chunk, used for every level alike so that estimates move smoothly with it."""

    noise: Values
    """Whitened noise CN(0, I): (CHUNK, rank)."""
    position: Values
    """Which column, as a place in [0, 1): (CHUNK,)."""
    exponential: Values
    phasor: Values


class _Maximum:
    """Largest of the powers |z_g|² of the correlated Gaussians z = Aᴴn."""

    def __init__(self, matrix: Values, noise_power: float) -> None:
        # Only the span of the columns matters, and on a dense grid it is much smaller than K or G.
        _, singular, right = np.linalg.svd(matrix[:, matrix.any(axis=0)], full_matrices=False)
        self.rank = int((singular > 1e-7 * singular[0]).sum())
        self.mixing: Values = math.sqrt(noise_power) * singular[: self.rank, None] * right[: self.rank]
        """z_g = Σ_r ε_r conj(mixing_rg) with ε ~ CN(0, I): (rank, G)."""
        self.power: Values = (np.abs(self.mixing) ** 2).sum(axis=0)
        """E|z_g|²: (G,)."""

    def bracket(self, log_probability: float) -> tuple[float, float]:
        """Levels of at least and at most that probability, from max P_g ≤ P ≤ ΣP_g ≤ G max P_g."""
        strongest = float(self.power.max())
        return -strongest * log_probability, strongest * (math.log(self.power.size) - log_probability)

    def exceedance(self, level: float) -> tuple[float, float]:
        """ln P(max > level) and the standard error of P relative to it."""
        proposal = self._fitted(level)
        count, total, squares = 0, 0.0, 0.0
        for chunk in itertools.count():
            tails, largest = self._tails(level, proposal, self._sample(chunk))
            weights = largest / (tails @ proposal)
            count += weights.size
            total += float(weights.sum())
            squares += float((weights**2).sum())
            mean = total / count
            error = math.sqrt(max(0.0, squares / count - mean**2) / count) / mean
            if error <= RELATIVE_ERROR or chunk == MOST_CHUNKS:
                return math.log(mean) - level / float(self.power.max()), error
        raise AssertionError("unreachable: the chunks are counted")

    def pilot_log_mean(self, level: float) -> float:
        """ln P(max > level) from the pilot alone: a smooth function of the level."""
        single = self._single(level)
        proposal = single / single.sum()
        tails, largest = self._tails(level, proposal, self._pilot)
        return math.log(float(np.mean(largest / (tails @ proposal)))) - level / float(self.power.max())

    def _single(self, level: float) -> Values:
        """P_g relative to the largest of them, without the negligible: (G,)."""
        relative = np.exp(level / self.power.max() - level / self.power)
        return np.where(relative > NEGLIGIBLE, relative, 0.0)

    def _fitted(self, level: float) -> Values:
        """Column probabilities q of least variance on the pilot (multiplicative, so they stay positive)."""
        single = self._single(level)
        initial = single / single.sum()
        tails, largest = self._tails(level, initial, self._pilot)
        weights = largest**2 / (tails @ initial)
        fitted = initial
        for _ in range(FITTING_STEPS):
            fitted = fitted * np.sqrt((weights / (tails @ fitted) ** 2) @ tails)
            fitted /= fitted.sum()
        return np.asarray((1 - DEFENSIVE) * fitted + DEFENSIVE * initial)

    @cached_property
    def _pilot(self) -> _Sample:
        return self._sample(PILOT)

    def _sample(self, chunk: int) -> _Sample:
        generator = np.random.Generator(np.random.SFC64([20010607, chunk + 1]))
        noise = generator.standard_normal((CHUNK, 2 * self.rank), np.float32).view(np.complex64)
        return _Sample(
            noise=noise * np.float32(math.sqrt(0.5)),
            # One place from each of CHUNK equal intervals: less variance than free ones.
            position=(np.arange(CHUNK) + generator.random(CHUNK)) / CHUNK,
            exponential=generator.standard_exponential(CHUNK),
            phasor=np.exp(2j * np.pi * generator.random(CHUNK)),
        )

    def _tails(self, level: float, proposal: Values, sample: _Sample) -> tuple[Values, Values]:
        """Given the direction of each noise vector: P(|z_g|² > level) / P_g (CHUNK, G), and the largest of
        these probabilities relative to max P_g (CHUNK,)."""
        cumulative = np.cumsum(proposal)
        column = np.searchsorted(cumulative, sample.position * cumulative[-1], "right")
        column = np.minimum(column, proposal.size - 1)
        steering = self.mixing.T[column].astype(np.complex64)
        wanted = np.sqrt(level + self.power[column] * sample.exponential) * sample.phasor
        shift = (wanted - (sample.noise * steering.conj()).sum(axis=1)) / self.power[column]
        noise = sample.noise + steering * shift.astype(np.complex64)[:, None]
        outputs = noise @ self.mixing.conj().astype(np.complex64)
        length = noise.real**2 + noise.imag**2
        # |z_g|² = share_g ρ with ρ ~ Gamma(rank, 1) independent of the direction.
        share = outputs.real**2 + outputs.imag**2
        share /= length.sum(axis=1)[:, None]
        probability = self._tail_probability(level, share)
        single = self._single(level)
        relative = np.divide(1.0, single, out=np.zeros_like(single), where=single > 0)
        return probability * relative, probability.max(axis=1)

    def _tail_probability(self, level: float, share: Values) -> Values:
        """P(share ρ > level) relative to max P_g, elementwise, from a table in x = level / share.

        Interpolated linearly, to a few parts in 10⁵ of the value; 0 where it is below e⁻⁶⁰ of the largest.
        """
        nearest = level / float(self.power.max())
        span = self.rank + 12 * math.sqrt(self.rank) + 60
        table = np.exp(
            _log_gamma_tail(self.rank, np.linspace(nearest, nearest + span, TABLE_POINTS)) + nearest
        )
        table[-1] = 0.0
        with np.errstate(divide="ignore"):
            place = (level / share - nearest) * ((TABLE_POINTS - 1) / span)
        np.clip(place, 0, TABLE_POINTS - 1, out=place)
        below = np.minimum(place.astype(np.int32), TABLE_POINTS - 2)
        place -= below
        values: Values = table.take(below)
        values += np.diff(table).take(below) * place
        return values


def _log_gamma_tail(shape: int, x: Values) -> Values:
    """ln P(Gamma(shape, 1) > x) = -x + ln Σ_{j<shape} xʲ/j! for a whole shape."""
    log_terms = np.array([-math.lgamma(j + 1) for j in range(shape)]) + np.log(x)[:, None] * np.arange(shape)
    largest = log_terms.max(axis=1)
    return np.asarray(largest + np.log(np.exp(log_terms - largest[:, None]).sum(axis=1)) - x)
