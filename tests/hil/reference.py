"""What the link in one process makes of the same targets and channels: the reference for the radio's loss.

The front end tells which coherence blocks it drew; here the same presence, angles and gains meet fresh
noise, without any radio in between: eq. (1) and (2) for the true hardware, ideal synchronisation, leakage
and chains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

from isac_models.array import hardware
from isac_models.constellation import Constellation
from isac_models.scenario import Scenario

Values = NDArray[Any]


@dataclass(frozen=True)
class Truth:
    """Coherence blocks, each (b,): presence t, angles θ and ϑ (rad), gains α and β."""

    present: Values
    angle: Values
    gain: Values
    user_angle: Values
    user_gain: Values

    def rows(self, which: Any) -> Truth:
        """Some of the blocks."""
        return Truth(*(getattr(self, one.name)[which] for one in fields(self)))


@dataclass(frozen=True)
class Sensed:
    """Per coherence block (b,): share of snapshots detected, mean square angle error of those (NaN: none)."""

    detected: Values
    square_error: Values


def sense(scenario: Scenario, truth: Truth, beam: Values, detector: Any, loss_db: float, seed: int) -> Sensed:
    """Detections of y_r = t α a(θ) a(θ)ᵀ v s + n with the noise raised by `loss_db`, N snapshots a block.

    The detector's threshold stays that of N0: the signal is lowered instead of raising the noise.
    """
    random = np.random.default_rng(seed)
    array = hardware(scenario)
    points = Constellation(scenario.order).points
    n, k = scenario.coherence, scenario.antennas
    detected, error = np.zeros(truth.present.size), np.full(truth.present.size, np.nan)
    for b in range(truth.present.size):
        noise = random.standard_normal((n, 2 * k)).astype(np.float32).view(np.complex64)
        echo = noise * np.float32(np.sqrt(scenario.noise_power / 2))
        if truth.present[b]:
            forward = array.transmit.steering(truth.angle[b]) @ beam * truth.gain[b]
            s = points[random.integers(scenario.order, size=n)] * forward * 10 ** (-loss_db / 20)
            echo += (s[:, None] * array.receive.steering(truth.angle[b])).astype(np.complex64)
        found = detector.work(echo=echo)
        hits = found["detected"]
        detected[b] = hits.mean()
        if hits.any():
            error[b] = np.mean((found["estimated_angle"][hits] - truth.angle[b]) ** 2)
    return Sensed(detected, error)


def symbol_errors(
    scenario: Scenario, truth: Truth, beam: Values, loss_db: float, estimation: float
) -> Values:
    """Probability of a wrong QPSK symbol in each block (b,): 1 - (1 - Q(√γ))², γ behind estimated CSI.

    γ = |κ|²/N0 lowered by `loss_db`, and by the factor `estimation` that κ̂ costs.
    """
    steering = hardware(scenario).transmit.steering(truth.user_angle, np.complex128)
    snr = np.abs(truth.user_gain * (steering @ beam)) ** 2 / scenario.noise_power
    snr = snr / estimation * 10 ** (-loss_db / 10)
    q = 0.5 * erfc(np.sqrt(snr / 2))
    return np.asarray(1 - (1 - q) ** 2)


def five_sigma(values: Values) -> tuple[float, float]:
    """Mean over independent blocks and five standard errors of it; NaN left out."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()), float(5 * kept.std(ddof=1) / np.sqrt(kept.size))


def loss(measured: Values, predicted: Callable[[float], Values]) -> tuple[float, float]:
    """The loss in dB at which the model predicts the mean rate that was measured, and five standard errors.

    measured: rates by block (b,); predicted: those of the model with so much loss. Between half decibels the
    mean is taken for linear.
    """
    grid = np.arange(-1.0, 2.01, 0.5)
    excess = np.array([np.mean(measured - predicted(each)) for each in grid])
    assert excess[0] > 0 > excess[-1], f"a loss beyond {grid[0]:g} … {grid[-1]:g} dB"
    at = int(np.searchsorted(-excess, 0))  # it falls with the loss
    slope = (excess[at] - excess[at - 1]) / (grid[at] - grid[at - 1])
    estimate = grid[at] - excess[at] / slope
    return float(estimate), five_sigma(measured - predicted(estimate))[1] / abs(float(slope))


def stratified(values: Values, truth: Truth, scenario: Scenario) -> tuple[float, float]:
    """As `five_sigma`, for values of blocks with a target (b,), whose gains and angles the scenario draws.

    Where |α|² (exponential) and θ (uniform) are known to fall into each of 10 by 5 cells equally often, the
    mean over cells has less variance: post-stratification (Cochran, Sampling Techniques, 3rd ed., 5A.9).
    """
    low, high = scenario.target_sector
    amplitude = -np.expm1(-(np.abs(truth.gain) ** 2) / scenario.radar_gain)
    level = np.minimum((10 * amplitude).astype(int), 9)
    place = np.clip((5 * (truth.angle - low) / (high - low)).astype(int), 0, 4)
    cells = [values[(level == i) & (place == j)] for i in range(10) for j in range(5)]
    assert min(cell.size for cell in cells) > 1, "more blocks are needed"
    mean = np.mean([cell.mean() for cell in cells])
    variance = np.sum([cell.var(ddof=1) / cell.size for cell in cells]) / len(cells) ** 2
    return float(mean), float(5 * np.sqrt(variance))
