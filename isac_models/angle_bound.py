"""The smallest angle error that any estimator can have on the targets that a detector finds.

Given detection, the conditional mean E[θ | y, x] has the least mean squared error, √E[Var(θ | y, x)]. With
α ~ CN(0, σ_r²) integrated out, y ~ CN(0, N0 I + σ_r² |a_tx(θ)ᵀx|² a_rx(θ) a_rx(θ)ᴴ), so up to a constant

    ln p(y | θ, x) = -ln(1 + S(θ)) + S(θ)/(1 + S(θ)) · |a_rx(θ)ᴴy|² / (N0 ‖a_rx‖²),
    S(θ) = ‖a_rx‖² |a_tx(θ)ᵀx|² σ_r²/N0,

with θ uniform on the sector. The posterior is integrated numerically: first over the whole sector, in
steps that are fine where S(θ) is steep, as it is about nulls of the beam; then, where it is narrower than the
step, in windows about its peak until it is resolved, whatever the SNR. Windows are uniform in u = sin θ, in
which steering vectors shift by multiplication.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isac_models.array import Array, Hardware, hardware
from isac_models.beamforming import beampattern
from isac_models.constellation import Constellation

if TYPE_CHECKING:
    from isac_models.detection import MatchedFilter
    from isac_models.scenario import Scenario

Reals = NDArray[np.float64]
Values = NDArray[Any]

STEPS_PER_DEVIATION = 1.5
"""A posterior is resolved when its standard deviation is at least so many steps."""
WINDOW = 16
"""Half the next window in steps: more than ten standard deviations of what was not resolved."""
WINDOW_STEPS = 256
SMALLEST_STEP = 1e-13
LARGEST_CHANGE = 0.25
"""Of ln(1 + S) within half a step."""
CHUNK = 2048


@dataclass(frozen=True)
class _Posterior:
    """Mean and variance of θ (rad), standard deviation of u, u of the heaviest step, its width: each (n,)."""

    mean: Reals
    variance: Reals
    deviation: Reals
    peak: Reals
    step: Reals


def angle_rmse_bound(
    scenario: Scenario,
    beam: Values,
    matched_filter: MatchedFilter,
    snapshots: int | None = None,
    generator: np.random.Generator | None = None,
) -> tuple[float, float]:
    """√E[Var(θ | y, x)] in radians over snapshots that `matched_filter` detects, and its standard error.

    Drawn for the true hardware and the beam v (K,). `snapshots` with a target are drawn, by default 32768,
    fewer for large arrays; by default from a fixed seed. NaN, NaN when none of them is detected.
    """
    if scenario.target_sector[0] == scenario.target_sector[1]:
        return 0.0, 0.0
    random = np.random.default_rng(0) if generator is None else generator
    count = min(32768, max(512, 524288 // scenario.antennas)) if snapshots is None else snapshots
    _, symbol, echo = draw_echoes(scenario, beam, random, count)
    detected = matched_filter.detect(echo.astype(np.complex64)).detected
    if not detected.any():
        return math.nan, math.nan
    _, variance = angle_posterior(scenario, beam, symbol[detected], echo[detected])
    rmse = math.sqrt(variance.mean())
    return rmse, float(variance.std() / math.sqrt(variance.size) / (2 * rmse))


def angle_posterior(scenario: Scenario, beam: Values, symbol: Values, echo: Values) -> tuple[Reals, Reals]:
    """Mean and variance of θ (rad, rad²) given a target, symbols (n,) and echoes (n, K), each (n,)."""
    arrays = hardware(scenario)
    edges = _sector_edges(scenario, arrays, beam)
    mean, variance = np.empty(len(echo)), np.empty(len(echo))
    for first in range(0, len(echo), CHUNK):
        part = slice(first, first + CHUNK)
        mean[part], variance[part] = _resolved(scenario, arrays, beam, edges, symbol[part], echo[part])
    return mean, variance


def draw_echoes(
    scenario: Scenario, beam: Values, random: np.random.Generator, count: int
) -> tuple[Reals, Values, Values]:
    """Angles (n,), symbols (n,) and echoes (n, K) of eq. (1) with a target in every snapshot, complex128."""
    arrays = hardware(scenario)

    def normal(shape: tuple[int, ...], variance: float) -> Values:
        return random.standard_normal((*shape, 2)).view(np.complex128)[..., 0] * math.sqrt(variance / 2)

    points = Constellation(scenario.order, np.complex128).points
    symbol = points[random.integers(scenario.order, size=count)]
    angle = random.uniform(*scenario.target_sector, count)
    amplitude = normal((count,), scenario.radar_gain) * symbol
    amplitude *= arrays.transmit.steering(angle, np.complex128) @ beam
    echo = amplitude[:, None] * arrays.receive.steering(angle, np.complex128)
    return angle, symbol, echo + normal((count, scenario.antennas), scenario.noise_power)


def _sector_edges(scenario: Scenario, arrays: Hardware, beam: Values) -> Reals:
    """Angles between the steps over the whole sector, the smallest first: (J + 1,) radians."""
    low, high = scenario.target_sector
    strongest = float((np.abs(Constellation(scenario.order).points) ** 2).max())
    scale = strongest * snr_of_pattern(scenario, arrays)
    edges = np.linspace(low, high, max(256, math.ceil((high - low) * 8 * scenario.antennas)) + 1)
    while True:
        middles = (edges[:-1] + edges[1:]) / 2
        level, middle = (np.log1p(scale * beampattern(beam, arrays.transmit, at)) for at in (edges, middles))
        change = np.maximum(np.abs(middle - level[:-1]), np.abs(level[1:] - middle))
        coarse = (change > LARGEST_CHANGE) & (np.diff(edges) > SMALLEST_STEP)
        if not coarse.any():
            return edges
        edges = np.sort(np.concatenate([edges, middles[coarse]]))


def _resolved(
    scenario: Scenario, arrays: Hardware, beam: Values, edges: Reals, symbol: Values, echo: Values
) -> tuple[Reals, Reals]:
    """`angle_posterior` of a few snapshots: the whole sector first, then ever smaller windows."""
    sector = np.zeros(1), np.sin(edges), np.sin((edges[:-1] + edges[1:]) / 2)
    posterior = _integrate(scenario, arrays, beam, symbol, echo, *sector)
    mean, variance, peak, step = posterior.mean, posterior.variance, posterior.peak, posterior.step
    low, high = float(sector[1][0]), float(sector[1][-1])
    narrow = posterior.deviation < STEPS_PER_DEVIATION * step
    while narrow.any():
        # One window size serves all steps between two powers of two, whatever else is in the batch.
        octave = np.ceil(np.log2(step))
        widest = float(octave[narrow].max())
        rows = np.flatnonzero(narrow & (octave == widest))
        half = min(WINDOW * 2.0**widest, (high - low) / 2)
        centre = np.clip(peak[rows], low + half, high - half)  # no window leaves the sector
        ends = np.linspace(-half, half, WINDOW_STEPS + 1)
        window = centre, ends, (ends[:-1] + ends[1:]) / 2
        posterior = _integrate(scenario, arrays, beam, symbol[rows], echo[rows], *window)
        mean[rows], variance[rows] = posterior.mean, posterior.variance
        peak[rows], step[rows] = posterior.peak, posterior.step
        unresolved = posterior.deviation < STEPS_PER_DEVIATION * posterior.step
        narrow[rows] = unresolved & (posterior.step > SMALLEST_STEP)
    return mean, variance


def _integrate(
    scenario: Scenario,
    arrays: Hardware,
    beam: Values,
    symbol: Values,
    echo: Values,
    centre: Reals,
    edges: Reals,
    offsets: Reals,
) -> _Posterior:
    """Posterior over the steps of u between centre + edges, each evaluated at centre + its offset.

    centre (n,), or (1,) for all snapshots; edges (J + 1,), offsets (J,).
    """
    pattern = _power(arrays.transmit, beam[None], centre, offsets)
    snr = (np.abs(symbol) ** 2)[:, None] * pattern * snr_of_pattern(scenario, arrays)
    power = _power(arrays.receive, echo.conj(), centre, offsets)
    log_likelihood = snr / (1 + snr) * power / (scenario.noise_power * _collected(arrays)) - np.log1p(snr)

    # The prior's mass in a step is exact, also where sin θ is flat.
    ends = np.arcsin(np.clip(centre[:, None] + edges, -1, 1))
    weight = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True)) * np.diff(ends, axis=1)
    weight /= weight.sum(axis=1, keepdims=True)
    origin = np.arcsin(centre)  # moments about the centre keep their digits in narrow windows
    angle = (ends[:, :-1] + ends[:, 1:]) / 2 - origin[:, None]
    mean = (weight * angle).sum(axis=1)
    u_mean = weight @ offsets
    heaviest = weight.argmax(axis=1)
    return _Posterior(
        mean=origin + mean,
        variance=(weight * (angle - mean[:, None]) ** 2).sum(axis=1),
        deviation=np.sqrt((weight * (offsets - u_mean[:, None]) ** 2).sum(axis=1)),
        peak=centre + offsets[heaviest],
        step=np.diff(edges)[heaviest],
    )


def _collected(arrays: Hardware) -> float:
    """‖a_rx‖², the same for all angles."""
    return float((np.abs(arrays.receive.response) ** 2).sum())


def snr_of_pattern(scenario: Scenario, arrays: Hardware) -> float:
    """Radar SNR S = ‖a_rx‖² σ_r² / N0 for a beampattern and a symbol energy of one."""
    return _collected(arrays) * scenario.radar_gain / scenario.noise_power


def _power(array: Array, coefficients: Values, centre: Reals, offsets: Reals) -> Reals:
    """|Σ_k w_k a(u)_k|² at u = centre + offset: w (n, K), centre (n,), offsets (J,) to (n, J)."""
    shifted = coefficients * array.response * np.exp(-2j * np.pi * centre[:, None] * array.positions)
    amplitude = shifted @ np.exp(-2j * np.pi * array.positions[:, None] * offsets)
    return np.asarray(amplitude.real**2 + amplitude.imag**2)
