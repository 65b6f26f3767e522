"""Streaming estimates with confidence intervals: rates and root mean squares, mergeable, constant memory.

`coherence` consecutive snapshots share one draw of the channel, so intervals count trials / coherence
independent blocks instead of trials: exact when snapshots of a block agree, conservative otherwise.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Interval = tuple[float, float]


def clopper_pearson(events: float, trials: float, confidence: float = 0.95) -> Interval:
    """Exact (conservative) interval of a probability from `events` in `trials`; (0, 1) without trials.

    Clopper and Pearson, Biometrika 26, 1934. Fractions of a trial are allowed.
    Raises ValueError for a confidence outside (0, 1) or events outside [0, trials].
    """
    from scipy.special import betaincinv

    _check_confidence(confidence)
    if not 0 <= events <= trials:
        raise ValueError(f"{events} events must be from 0 to the {trials} trials")
    tail = (1 - confidence) / 2
    low = float(betaincinv(events, trials - events + 1, tail)) if events > 0 else 0.0
    high = float(betaincinv(events + 1, trials - events, 1 - tail)) if events < trials else 1.0
    return low, high


def root_mean_square_interval(
    count: float, mean_square: float, mean_fourth: float, confidence: float = 0.95, limit: float = 0.0
) -> Interval:
    """Interval of √E[e²] from `count` independent errors with the given sample means of e² and e⁴.

    Central limit theorem on the mean of e², whose variance is (E[e⁴] - E[e²]²)/count; the square roots of
    its ends. (0, inf) for fewer than two errors. With a `limit` that no |e| exceeds, the upper end also
    allows for rare errors that a short run has not met: what `count` draws never showed has, with the
    confidence of that end, a probability below -ln(tail)/count, and adds at most that times limit².
    """
    _check_confidence(confidence)
    if count < 2:
        return 0.0, math.inf
    quantile = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    half = quantile * math.sqrt(max(0.0, mean_fourth - mean_square**2) / count)
    unseen = -math.log((1 - confidence) / 2) / count * limit**2
    return math.sqrt(max(0.0, mean_square - half)), math.sqrt(mean_square + half + unseen)


@dataclass
class RateCounter:
    """Counts `events` among `trials` and gives the rate with its Clopper-Pearson interval."""

    events: int = 0
    trials: int = 0
    coherence: int = 1

    def __post_init__(self) -> None:
        _check_coherence(self.coherence)
        if not 0 <= self.events <= self.trials:
            raise ValueError(f"{self.events} events must be from 0 to the {self.trials} trials")

    def add(self, events: int, trials: int) -> None:
        """Count `events` more in `trials` more.

        Raises ValueError for more events than trials or negative numbers.
        """
        if not 0 <= events <= trials:
            raise ValueError(f"{events} events must be from 0 to the {trials} trials")
        self.events += int(events)
        self.trials += int(trials)

    def merge(self, other: RateCounter) -> RateCounter:
        """The counts of two separate runs together.

        Raises ValueError when their coherence differs.
        """
        _check_same(self.coherence, other.coherence)
        return RateCounter(self.events + other.events, self.trials + other.trials, self.coherence)

    @property
    def rate(self) -> float:
        """events / trials; NaN without trials."""
        return self.events / self.trials if self.trials else math.nan

    def interval(self, confidence: float = 0.95) -> Interval:
        """Clopper-Pearson interval of the rate."""
        return clopper_pearson(self.events / self.coherence, self.trials / self.coherence, confidence)

    def to_dict(self) -> dict[str, int]:
        """Plain numbers, for JSON and for `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RateCounter:
        """The counter that `to_dict` described."""
        return cls(**values)


@dataclass
class SquaredErrorCounter:
    """Accumulates errors e as count, Σe² and Σe⁴, and gives the RMSE with its interval.

    `limit`: the largest |e| there can be, for the interval; 0 when it is not known.
    """

    count: int = 0
    sum_squares: float = 0.0
    sum_fourth: float = 0.0
    coherence: int = 1
    limit: float = 0.0

    def __post_init__(self) -> None:
        _check_coherence(self.coherence)
        if not 0 <= self.limit < math.inf:
            raise ValueError(f"limit {self.limit} must be a finite number from 0")

    def add(self, errors: ArrayLike) -> None:
        """Take in errors of any shape."""
        squares = np.square(np.asarray(errors, np.float64))
        self.count += squares.size
        self.sum_squares += float(squares.sum())
        self.sum_fourth += float(np.square(squares).sum())

    def merge(self, other: SquaredErrorCounter) -> SquaredErrorCounter:
        """The errors of two separate runs together.

        Raises ValueError when their coherence differs.
        """
        _check_same(self.coherence, other.coherence)
        return SquaredErrorCounter(
            self.count + other.count,
            self.sum_squares + other.sum_squares,
            self.sum_fourth + other.sum_fourth,
            self.coherence,
            max(self.limit, other.limit),
        )

    @property
    def rmse(self) -> float:
        """√(Σe²/count); NaN without errors."""
        return math.sqrt(self.sum_squares / self.count) if self.count else math.nan

    def interval(self, confidence: float = 0.95) -> Interval:
        """Interval of the RMSE, see `root_mean_square_interval`."""
        count = max(1, self.count)
        means = self.sum_squares / count, self.sum_fourth / count
        return root_mean_square_interval(self.count / self.coherence, *means, confidence, self.limit)

    def to_dict(self) -> dict[str, float]:
        """Plain numbers, for JSON and for `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SquaredErrorCounter:
        """The counter that `to_dict` described."""
        return cls(**values)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} must be inside (0, 1)")


def _check_coherence(coherence: int) -> None:
    if coherence < 1:
        raise ValueError(f"coherence {coherence} must be at least 1")


def _check_same(coherence: int, other: int) -> None:
    if coherence != other:
        raise ValueError(f"runs of coherence {coherence} and {other} cannot be merged")
