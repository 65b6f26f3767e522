"""Ratios of two methods' figures with their 95 % intervals, from the rows of a study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from isac_models.pairing import QUANTILE, Estimate
from isac_models.sweeps.tables import Row

Metric = Literal["p_md", "rmse_rad", "ser"]
METRICS: tuple[Metric, ...] = ("p_md", "rmse_rad", "ser")

KNEE = 1.2
"""Between curves, points above this many times the least P_md or RMSE are compared: nearer to it a curve is
so steep that the other figure says nothing about the symbol error rate."""


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


def between(rows: Sequence[Row], at_equal: Metric, first: str, second: str) -> Estimate | None:
    """Of the ratios of the symbol error rates at equal P_md or RMSE, the one that may be farthest from 1.

    For methods that trade off differently, taken at the points of the first; the curve of the second is
    interpolated in logarithms (monotone cubic). None where the curves do not overlap.
    """
    from scipy.interpolate import PchipInterpolator

    mine, theirs = (
        [row for row in rows if row["name"] == name and row["ser"] and row[at_equal]]
        for name in (first, second)
    )
    reference = {math.log(row[at_equal]): row for row in sorted(theirs, key=lambda row: row[at_equal])}
    if not mine or len(reference) < 2:
        return None
    knots = list(reference)
    curve = PchipInterpolator(knots, [math.log(row["ser"]) for row in reference.values()])
    least = math.log(KNEE * max(min(row[at_equal] for row in each) for each in (mine, theirs)))
    found = []
    for row in mine:
        place = math.log(row[at_equal])
        if not least <= place <= knots[-1]:
            continue
        near = [reference[knot] for knot in sorted(knots, key=lambda knot: abs(knot - place))[:2]]
        slope = float(curve(place, 1))
        error = math.hypot(
            _relative(row, "ser"),
            max(_relative(each, "ser") for each in near),
            slope * _relative(row, at_equal),
            slope * max(_relative(each, at_equal) for each in near),
        )
        found.append(Estimate.of_ratio(row["ser"] / math.exp(float(curve(place))), error))
    return max(found, key=excess, default=None)


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
