"""Sector-limited matched filter, eqs. (7) and (8), its threshold under H0, and the softmax angle (13)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from isac_models.array import nominal_array, steering_matrix
from isac_models.calibration import Threshold, calibrate_threshold
from isac_models.errors import UserError
from isac_models.grid import angle_grid, sector_mask
from isac_models.scenario import Scenario

__all__ = ["Detection", "Estimator", "MatchedFilter", "Threshold", "calibrate_threshold"]

Values = NDArray[Any]
Estimator = Literal["argmax", "interpolated", "softmax"]

LAYOUT: tuple[Literal["C"], Literal["A"]] = ("C", "A")
"""Contiguous and aligned, as the kernels take arrays."""
PADDING = 4
"""The kernels take steering vectors padded with zeros to a multiple of this many elements."""


@cache
def _kernels() -> ModuleType:
    from isac_models.kernels import matched_filter  # here, because it imports numba

    return matched_filter


@dataclass(frozen=True)
class Detection:
    """What the radar receiver found, each (n,): detected, angle θ̂ (rad), statistic max |aᴴy|.

    The angle is given for snapshots without a detection too.
    """

    detected: Values
    angle: Values
    statistic: Values


class MatchedFilter:
    """Correlates echoes with the steering vectors of the grid points inside the target sector.

    `matrix` (K, N): steering vectors of the scenario's angle grid as the receiver knows them; None takes the
    nominal array's. `estimator`: `argmax`, eq. (8); `interpolated`, the same between grid points, the vertex
    of the parabola through |aᴴy|² at the largest and its neighbours; or `softmax`, the mean of eq. (13).

    Raises UserError for a matrix of another shape or with values that are not finite, or another estimator.
    """

    def __init__(
        self, scenario: Scenario, matrix: Values | None = None, estimator: Estimator = "argmax"
    ) -> None:
        if estimator not in get_args(Estimator):
            raise UserError(f"estimator {estimator!r}: choose one of {', '.join(get_args(Estimator))}")
        grid = angle_grid(scenario.grid_size)
        if matrix is None:
            matrix = steering_matrix(nominal_array(scenario), grid)
        if matrix.shape != (scenario.antennas, scenario.grid_size):
            raise UserError(
                f"steering matrix of shape {matrix.shape}: the scenario needs "
                f"({scenario.antennas}, {scenario.grid_size}) (antennas, grid_size)"
            )
        if not np.isfinite(matrix).all():
            raise UserError("steering matrix: every value must be finite")
        self.scenario = scenario
        self.estimator: Estimator = estimator
        mask = sector_mask(grid, scenario.target_sector)
        self.columns: Values = matrix[:, mask].astype(np.complex128)
        """Steering vectors inside the sector: (K, G)."""
        self.angles: Values = grid[mask]
        """Their angles in radians: (G,)."""
        self.outside = int(grid.size - self.angles.size)
        """Number of grid points outside the sector, which enter (13) with exponent 0."""
        self.outside_sum = float(grid[~mask].sum())
        """Sum of their angles in radians."""
        padded = np.zeros((-(-scenario.antennas // PADDING) * PADDING, self.angles.size), np.complex64)
        padded[: scenario.antennas] = self.columns
        self._real = np.ascontiguousarray(padded.real)
        self._imaginary = np.ascontiguousarray(padded.imag)
        self._angles = self.angles.astype(np.float32)
        _kernels()  # loaded now, so that no stream waits for it and processes made later inherit it

    @cached_property
    def threshold(self) -> Threshold:
        """Level of the statistic that noise alone passes with the scenario's false-alarm probability."""
        return calibrate_threshold(self.columns, self.scenario.noise_power, self.scenario.false_alarm)

    def detect(self, echo: Values) -> Detection:
        """Decision and angle of each echo (n, K); complex64 runs through the kernels."""
        power, angle = self._compiled(echo) if echo.dtype == np.complex64 else self._plain(echo)
        statistic = np.sqrt(power)
        return Detection(statistic > self.threshold.amplitude, angle, statistic)

    def _compiled(self, echo: Values) -> tuple[Values, Values]:
        """Largest |aᴴy|² and angle estimate of each row, float32."""
        rows = np.require(echo, requirements=LAYOUT).view(np.float32)
        power = np.empty(len(rows), np.float32)
        if self.estimator != "softmax":
            index = np.empty(len(rows), np.int32)
            _kernels().maximum(power, index, rows, self._real, self._imaginary)
            if self.estimator == "argmax":
                return power, self._angles.take(index)
            place = np.empty(len(rows), np.float32)
            _kernels().interpolate(place, index, rows, self._real, self._imaginary)
            return power, self._between(place)
        angle = np.empty(len(rows), np.float32)
        _kernels().softmax_mean(
            power, angle, rows, self._real, self._imaginary, self._angles, self.outside, self.outside_sum
        )
        return power, angle

    def _plain(self, echo: Values) -> tuple[Values, Values]:
        """The same in the precision of the echo: max |aᴴy|² (7), its place (8), or the mean (13)."""
        correlation = echo @ self.columns.conj().astype(echo.dtype)
        power = correlation.real**2 + correlation.imag**2
        largest = power.max(axis=1)
        angles = self.angles.astype(power.dtype)
        if self.estimator == "argmax":
            return largest, angles[power.argmax(axis=1)]
        if self.estimator == "interpolated":
            return largest, self._between(_vertex(power))
        peak = np.sqrt(largest)
        inside = np.exp(np.sqrt(power) - peak[:, None])
        elsewhere = np.exp(-peak)
        total = inside.sum(axis=1) + self.outside * elsewhere
        return largest, (inside @ angles + self.outside_sum * elsewhere) / total

    def _between(self, place: Values) -> Values:
        """Angles at fractional columns (n,): the grid is uniform."""
        step = (self.angles[-1] - self.angles[0]) / max(self.angles.size - 1, 1)
        angles: Values = (self.angles[0] + step * place.astype(np.float64)).astype(place.dtype)
        return angles


def _vertex(power: Values) -> Values:
    """Fractional column (n,): vertex of the parabola around the largest of each row of |aᴴy|² (n, G)."""
    best = power.argmax(axis=1)
    last = power.shape[1] - 1
    if last < 2:
        only: Values = best.astype(power.dtype)
        return only
    middle = np.clip(best, 1, last - 1)
    left, centre, right = (np.take_along_axis(power, (middle + i)[:, None], 1)[:, 0] for i in (-1, 0, 1))
    bend = left - 2 * centre + right
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = np.where(bend < 0, middle + 0.5 * (left - right) / bend, best)
    nearest: Values = np.clip(np.clip(vertex, best - 0.5, best + 0.5), 0, last).astype(power.dtype)
    return nearest
