"""The smallest angle error that any estimator can have on the targets that a detector finds.

Given detection, the conditional mean E[θ | y, x] has the least mean squared error, √E[Var(θ | y, x)]. With
α ~ CN(0, σ_r²) integrated out, y ~ CN(0, N0 I + σ_r² |a_tx(θ)ᵀx|² a_rx(θ) a_rx(θ)ᴴ), so up to a constant

    ln p(y | θ, x) = -ln(1 + S(θ)) + S(θ)/(1 + S(θ)) · |a_rx(θ)ᴴy|² / (N0 ‖a_rx‖²),
    S(θ) = ‖a_rx‖² |a_tx(θ)ᵀx|² σ_r²/N0,

with θ uniform on the sector. The posterior is integrated numerically over u = sin θ, in which steering
vectors shift by multiplication: first over the whole sector, then, where the posterior is narrower than the
step, in windows about its peak until it is resolved, whatever the SNR.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isac_models.array import Array, Hardware, hardware
from isac_models.constellation import Constellation

if TYPE_CHECKING:
    from isac_models.detection import MatchedFilter
    from isac_models.scenario import Scenario

Reals = NDArray[np.float64]
Values = NDArray[Any]

STEPS_PER_DEVIATION = 1.5
"""A posterior is resolved when its standard deviation is at least so many steps."""
WINDOW = 12
"""Half the next window in steps: eight standard deviations of what was not resolved."""
WINDOW_STEPS = 256
MOST_WINDOWS = 12
CHUNK = 2048


@dataclass(frozen=True)
class _Posterior:
    """Mean and variance of θ (rad), standard deviation of u, and the peak's u: each (n,)."""

    mean: Reals
    variance: Reals
    deviation: Reals
    peak: Reals


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
    mean, variance = np.empty(len(echo)), np.empty(len(echo))
    for first in range(0, len(echo), CHUNK):
        part = slice(first, first + CHUNK)
        mean[part], variance[part] = _resolved(scenario, arrays, beam, symbol[part], echo[part])
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


def _resolved(
    scenario: Scenario, arrays: Hardware, beam: Values, symbol: Values, echo: Values
) -> tuple[Reals, Reals]:
    """`angle_posterior` of a few snapshots: the whole sector first, then ever smaller windows."""
    low, high = (math.sin(angle) for angle in scenario.target_sector)
    half = (high - low) / 2
    steps = max(64, math.ceil((high - low) * 8 * scenario.antennas))
    posterior = _integrate(scenario, arrays, beam, symbol, echo, np.array([(low + high) / 2]), half, steps)
    mean, variance = posterior.mean, posterior.variance
    rows = np.arange(len(echo))
    for _ in range(MOST_WINDOWS):
        step = 2 * half / steps
        narrow = posterior.deviation < STEPS_PER_DEVIATION * step
        if not narrow.any():
            break
        rows, peak = rows[narrow], posterior.peak[narrow]
        half, steps = WINDOW * step, WINDOW_STEPS
        centre = np.clip(peak, low + half, high - half)  # the window ends where the sector ends
        posterior = _integrate(scenario, arrays, beam, symbol[rows], echo[rows], centre, half, steps)
        mean[rows], variance[rows] = posterior.mean, posterior.variance
    return mean, variance


def _integrate(
    scenario: Scenario,
    arrays: Hardware,
    beam: Values,
    symbol: Values,
    echo: Values,
    centre: Reals,
    half: float,
    steps: int,
) -> _Posterior:
    """Posterior over windows [centre - half, centre + half] of u: centre (n,), or (1,) for all snapshots."""
    edges = np.linspace(-half, half, steps + 1)
    offsets = (edges[:-1] + edges[1:]) / 2
    pattern = _power(arrays.transmit, beam[None], centre, offsets)
    collected = float((np.abs(arrays.receive.response) ** 2).sum())
    snr = (np.abs(symbol) ** 2)[:, None] * pattern * (collected * scenario.radar_gain / scenario.noise_power)
    power = _power(arrays.receive, echo.conj(), centre, offsets)
    log_likelihood = snr / (1 + snr) * power / (scenario.noise_power * collected) - np.log1p(snr)
    peak = log_likelihood.argmax(axis=1)

    # The prior's mass in a step is exact, also where sin θ is flat.
    ends = np.arcsin(np.clip(centre[:, None] + edges, -1, 1))
    weight = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True)) * np.diff(ends, axis=1)
    weight /= weight.sum(axis=1, keepdims=True)
    origin = np.arcsin(centre)  # moments about the centre keep their digits in narrow windows
    angle = (ends[:, :-1] + ends[:, 1:]) / 2 - origin[:, None]
    mean = (weight * angle).sum(axis=1)
    u_mean = weight @ offsets
    return _Posterior(
        mean=origin + mean,
        variance=(weight * (angle - mean[:, None]) ** 2).sum(axis=1),
        deviation=np.sqrt((weight * (offsets - u_mean[:, None]) ** 2).sum(axis=1)),
        peak=centre + offsets[peak],
    )


def _power(array: Array, coefficients: Values, centre: Reals, offsets: Reals) -> Reals:
    """|Σ_k w_k a(u)_k|² at u = centre + offset: w (n, K), centre (n,), offsets (J,) to (n, J)."""
    shifted = coefficients * array.response * np.exp(-2j * np.pi * centre[:, None] * array.positions)
    amplitude = shifted @ np.exp(-2j * np.pi * array.positions[:, None] * offsets)
    return np.asarray(amplitude.real**2 + amplitude.imag**2)
