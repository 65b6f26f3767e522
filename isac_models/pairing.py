"""Two methods on the same snapshots: ratios and differences of their error rates and RMSE, with intervals.

Methods that see the same noise err on much the same snapshots, so their ratio is known far better than either
rate. Intervals are those of the delta method on the paired counts: of the logarithm for a ratio, so that
swapping the methods inverts it. `coherence` consecutive snapshots share one draw of the channel: intervals
count trials / coherence, as in `statistics`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isac_models.statistics import SquaredErrorCounter

Values = NDArray[Any]

QUANTILE = statistics.NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Estimate:
    """A value, the ends of its 95 % interval, and its standard error; NaN where nothing is known."""

    value: float
    low: float
    high: float
    error: float

    @classmethod
    def of_ratio(cls, value: float, relative_error: float) -> Self:
        """A positive ratio by the standard error of its logarithm."""
        factor = math.exp(QUANTILE * relative_error)
        return cls(value, value / factor, value * factor, value * relative_error)

    @classmethod
    def of_difference(cls, value: float, error: float) -> Self:
        """A difference by its standard error."""
        return cls(value, value - QUANTILE * error, value + QUANTILE * error, error)

    @classmethod
    def unknown(cls, low: float, high: float) -> Self:
        """No value: it may be anything from `low` to `high`."""
        return cls(math.nan, low, high, math.nan)

    def to_dict(self, key: str) -> dict[str, float]:
        """The numbers under `key`, `key`_low, `key`_high and `key`_error."""
        return {key: self.value, f"{key}_low": self.low, f"{key}_high": self.high, f"{key}_error": self.error}


def mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of values measured independently, over fixed conditions such as impairment seeds.

    Raises ValueError for none.
    """
    if not estimates:
        raise ValueError("no estimates to take the mean of")
    mean = math.fsum(each.value for each in estimates) / len(estimates)
    error = math.sqrt(math.fsum(each.error**2 for each in estimates)) / len(estimates)
    return Estimate.of_difference(mean, error)


@dataclass
class PairedRate:
    """Events of two methods in the same trials: of the first, of the second, and of both at once."""

    first: int = 0
    second: int = 0
    both: int = 0
    trials: int = 0
    coherence: int = 1

    def add(self, first: Values, second: Values, among: Values | None = None) -> None:
        """Count events (n,) bool of both methods in the trials where `among` (n,) holds, or in all."""
        if among is not None:
            first, second = first & among, second & among
        self.first += int(np.count_nonzero(first))
        self.second += int(np.count_nonzero(second))
        self.both += int(np.count_nonzero(first & second))
        self.trials += first.size if among is None else int(np.count_nonzero(among))

    def merge(self, other: PairedRate) -> PairedRate:
        """The counts of two separate runs together. Raises ValueError when their coherence differs."""
        return PairedRate(**_added(self, other))

    def swapped(self) -> PairedRate:
        """With the methods in the other order."""
        return PairedRate(self.second, self.first, self.both, self.trials, self.coherence)

    @property
    def _discordant(self) -> int:
        """Trials in which one method erred and the other did not.

        At least one independent one is counted: two methods that agreed so far may still differ.
        """
        return max(self.first + self.second - 2 * self.both, self.coherence)

    def ratio(self) -> Estimate:
        """First rate over second. Var ln = (p₁ + p₂ - 2p₁₂)/(n p₁ p₂); unknown when either has no event."""
        if not (self.first and self.second):
            return Estimate.unknown(0.0, math.inf)
        variance = self._discordant * self.coherence / (self.first * self.second)
        return Estimate.of_ratio(self.first / self.second, math.sqrt(variance))

    def difference(self) -> Estimate:
        """First rate minus second. Var = (p₁ + p₂ - 2p₁₂ - (p₁ - p₂)²)/n."""
        if not self.trials:
            return Estimate.unknown(-1.0, 1.0)
        value = (self.first - self.second) / self.trials
        variance = max(0.0, self._discordant / self.trials - value**2) * self.coherence / self.trials
        return Estimate.of_difference(value, math.sqrt(variance))


@dataclass
class PairedErrors:
    """Errors e₁, e₂ of two methods on the same snapshots, as Σe₁², Σe₂², Σe₁⁴, Σe₂⁴ and Σe₁²e₂².

    `limit`: the largest |e| there can be, for the intervals of either RMSE; 0 when it is not known.
    """

    count: int = 0
    first: float = 0.0
    second: float = 0.0
    first_fourth: float = 0.0
    second_fourth: float = 0.0
    cross: float = 0.0
    coherence: int = 1
    limit: float = 0.0

    def add(self, first: Values, second: Values) -> None:
        """Take in the errors of both methods, each (n,)."""
        one, two = (np.square(np.asarray(errors, np.float64)) for errors in (first, second))
        self.count += one.size
        self.first += float(one.sum())
        self.second += float(two.sum())
        self.first_fourth += float(one @ one)
        self.second_fourth += float(two @ two)
        self.cross += float(one @ two)

    def merge(self, other: PairedErrors) -> PairedErrors:
        """The errors of two separate runs together. Raises ValueError when their coherence differs."""
        return PairedErrors(**{**_added(self, other), "limit": max(self.limit, other.limit)})

    def swapped(self) -> PairedErrors:
        """With the methods in the other order."""
        return PairedErrors(
            self.count,
            self.second,
            self.first,
            self.second_fourth,
            self.first_fourth,
            self.cross,
            self.coherence,
            self.limit,
        )

    @property
    def first_rmse(self) -> SquaredErrorCounter:
        """The errors of the first method alone."""
        return SquaredErrorCounter(self.count, self.first, self.first_fourth, self.coherence, self.limit)

    def ratio(self) -> Estimate:
        """First RMSE over second.

        Var ln = (E e₁⁴/(E e₁²)² + E e₂⁴/(E e₂²)² - 2 E e₁²e₂²/(E e₁² E e₂²))/4n, unknown without errors.
        """
        if self.count < 2 or not (self.first and self.second):
            return Estimate.unknown(0.0, math.inf)
        spread = (
            self.first_fourth / self.first**2
            + self.second_fourth / self.second**2
            - 2 * self.cross / (self.first * self.second)
        )
        error = math.sqrt(max(0.0, spread) * self.coherence / 4)
        return Estimate.of_ratio(math.sqrt(self.first / self.second), error)

    def difference(self) -> Estimate:
        """First RMSE minus second, r₁ - r₂, by the gradient of √ at both mean squares."""
        if self.count < 2 or not (self.first and self.second):
            return Estimate.unknown(-math.inf, math.inf)
        n = self.count
        one, two = math.sqrt(self.first / n), math.sqrt(self.second / n)
        variance = (
            (self.first_fourth / n - one**4) / (4 * one**2)
            + (self.second_fourth / n - two**4) / (4 * two**2)
            - (self.cross / n - one**2 * two**2) / (2 * one * two)
        )
        return Estimate.of_difference(one - two, math.sqrt(max(0.0, variance) * self.coherence / n))


def _added(one: Any, other: Any) -> dict[str, Any]:
    """Every count of two counters of one class together."""
    if one.coherence != other.coherence:
        raise ValueError(f"runs of coherence {one.coherence} and {other.coherence} cannot be merged")
    theirs: Mapping[str, Any] = asdict(other)
    return {**{key: value + theirs[key] for key, value in asdict(one).items()}, "coherence": one.coherence}
