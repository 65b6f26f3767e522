"""Ratios of two methods' figures with their 95 % intervals, from the rows of a study."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

from isac_models.pairing import QUANTILE, Estimate
from isac_models.sweeps.tables import Row

Metric = Literal["p_md", "rmse_rad", "ser"]
METRICS: tuple[Metric, ...] = ("p_md", "rmse_rad", "ser")

KNEE = 1.2
"""Between curves, symbol error rates above this many times the least one are compared: nearer to it a curve
is so steep that a symbol error rate says nothing about the other figure."""


def excess(ratio: Estimate) -> float:
    """The larger of the upper bounds of a ratio and of its inverse."""
    return max(ratio.high, 1 / ratio.low if ratio.low > 0 else math.inf)


def paired(rows: Sequence[Row], metric: Metric, first: str, second: str, value: float) -> Estimate | None:
    """Ratio of two contenders of a study on the same draws, at a value of its axis; None if not measured."""
    for name, other, turned in ((first, second, False), (second, first, True)):
        for row in rows:
            if row["name"] == name and row["value"] == value and other in row["versus"]:
                ratio = _known(row["versus"][other][metric])
                if ratio is not None:
                    return _inverse(ratio) if turned else ratio
    return None


def worst(rows: Sequence[Row], metric: Metric, first: str, second: str) -> Estimate | None:
    """Of the ratios over all of the axis, the one that is or may be farthest from 1."""
    values = sorted({row["value"] for row in rows})
    ratios = (paired(rows, metric, first, second, value) for value in values)
    return max((ratio for ratio in ratios if ratio is not None), key=excess, default=None)


def independent(first: Row | None, second: Row | None, metric: Metric) -> Estimate | None:
    """Ratio of two rows of separate runs."""
    if first is None or second is None or not (first[metric] and second[metric]):
        return None
    error = math.hypot(_relative(first, metric), _relative(second, metric))
    return Estimate.of_ratio(first[metric] / second[metric], error)


def at_equal_ser(rows: Sequence[Row], metric: Metric, first: str, second: str) -> Estimate | None:
    """Of the ratios of the curves at equal symbol error rates, the one that may be farthest from 1.

    Taken at the points of the first, with the second interpolated linearly in logarithms; for methods that
    trade off differently. None when the curves do not overlap above the knee.
    """
    mine, theirs = (
        [row for row in rows if row["name"] == name and row["ser"] and row[metric]]
        for name in (first, second)
    )
    theirs.sort(key=lambda row: row["ser"])
    if not mine or len(theirs) < 2:
        return None
    least = KNEE * max(min(row["ser"] for row in each) for each in (mine, theirs))
    found = []
    for row in mine:
        for before, after in itertools.pairwise(theirs):
            if least <= row["ser"] and before["ser"] < row["ser"] <= after["ser"]:
                found.append(_interpolated(row, before, after, metric))
    return max(found, key=excess, default=None)


def _interpolated(row: Row, before: Row, after: Row, metric: Metric) -> Estimate:
    steps = [math.log(after[key] / before[key]) for key in ("ser", metric)]
    slope = steps[1] / steps[0]
    reference = before[metric] * math.exp(slope * math.log(row["ser"] / before["ser"]))
    others = [max(_relative(each, key) for each in (before, after)) for key in (metric, "ser")]
    error = math.hypot(_relative(row, metric), others[0], slope * _relative(row, "ser"), slope * others[1])
    return Estimate.of_ratio(row[metric] / reference, error)


def _relative(row: Row, metric: Metric | str) -> float:
    """Relative standard error of a figure; infinite where its interval is open."""
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    if low is None or high is None:
        return math.inf
    return float((high - low) / (2 * QUANTILE * row[metric]))


def _known(values: dict[str, float | None]) -> Estimate | None:
    """The ratio as a point's result has it, None for one without a value."""
    ratio, error = values["ratio"], values["error"]
    return None if ratio is None or error is None else Estimate.of_ratio(ratio, error / ratio)


def _inverse(ratio: Estimate) -> Estimate:
    return Estimate.of_ratio(1 / ratio.value, ratio.error / ratio.value)
