"""What the paper says of its figures (Sec. V-B to V-D), tested on what was measured.

A claim is a set of checks, each on the ratio of one method's figure to another's on the same draws, with its
95 % interval. The ratio of the RMSE is that on the snapshots where both methods find the target: given
detection alone, a detector that finds fewer weak targets would look more precise. A claim holds when all of
its checks pass, holds partly when some do, and is undecided when none does but an interval reaches to where
it should be. Over several hardware
seeds the mean of the ratios is tested, with the interval of that mean for these very seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from isac_models.pairing import Estimate, mean_estimate
from isac_models.sweeps.ratios import Metric, between, independent, paired, worst
from isac_models.sweeps.tables import Row

COINCIDE = 1.10
"""Two figures coincide when the 95 % upper bound of their ratio, either way round, is at most this."""

Wanted = Literal["coincide", "lower", "higher", "not higher", "at most 1.10"]
Where = Literal["end", "all", "equal P_md", "equal RMSE", "without impairment"]
Outcome = Literal["yes", "no", "undecided"]
"""Whether all of an interval is where it should be, none of it, or some."""
Verdict = Literal[
    "holds", "holds as far as measured", "holds partly", "undecided", "does not hold", "not tested"
]
Setting = tuple[str, int]
"""Impairment and hardware seed."""
Measured = Mapping[str, Mapping[Setting, Sequence[Row]]]
"""The rows of every study on every hardware."""

LIMITS: Mapping[Wanted, tuple[float, float]] = {
    "coincide": (1 / COINCIDE, COINCIDE),
    "lower": (0.0, math.nextafter(1.0, 0.0)),
    "higher": (math.nextafter(1.0, 2.0), math.inf),
    "not higher": (0.0, 1.0),
    "at most 1.10": (0.0, COINCIDE),
}
"""Where a ratio's whole interval should lie."""
WANTED: Mapping[Wanted, str] = {
    "coincide": f"{1 / COINCIDE:.2f} … {COINCIDE:.2f}",
    "lower": "< 1",
    "higher": "> 1",
    "not higher": "≤ 1",
    "at most 1.10": f"≤ {COINCIDE:.2f}",
}
ENDS: Mapping[Metric, float] = {"p_md": 1.0, "rmse_rad": 1.0, "ser": 0.0}
"""The ρ or ω_r that serves a figure alone, where methods that trade off differently can be compared."""
EQUAL: Mapping[Where, Metric] = {"equal P_md": "p_md", "equal RMSE": "rmse_rad"}
IDEAL: Setting = ("none", 1)


@dataclass(frozen=True)
class Check:
    """The ratio of `first` to `second` in a study, and where its interval should lie.

    `where`: at the ρ that serves the metric alone ("end"), the worst over all ρ ("all"), of the symbol error
    rates the worst at equal P_md or RMSE, or of the study `figure` to fig3 at the end ("without impairment").
    """

    figure: str
    metric: Metric
    first: str
    second: str
    wanted: Wanted
    where: Where = "end"

    def measure(self, measured: Measured, setting: Setting) -> Estimate | None:
        """The ratio on one hardware, None when it was not measured."""
        own = IDEAL if self.figure == "fig3" else setting
        rows = measured.get(self.figure, {}).get(own, ())
        if self.where == "end":
            return paired(rows, self.metric, self.first, self.second, ENDS[self.metric])
        if self.where == "all":
            return worst(rows, self.metric, self.first, self.second)
        if self.where in EQUAL:
            return between(rows, EQUAL[self.where], self.first, self.second)
        ideal = measured.get("fig3", {}).get(IDEAL, ())
        at = ENDS[self.metric]
        first, second = (
            next((row for row in each if row["name"] == name and row["value"] == at), None)
            for each, name in ((rows, self.first), (ideal, self.second))
        )
        return independent(first, second, self.metric)

    def outcome(self, ratio: Estimate) -> Outcome:
        """Whether the ratio is where it should be."""
        low, high = LIMITS[self.wanted]
        if low <= ratio.low and ratio.high <= high:
            return "yes"
        return "no" if ratio.high < low or high < ratio.low else "undecided"


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, how it is read here, and its checks."""

    section: str
    sentence: str
    checks: tuple[Check, ...]
    reading: str = ""

    @property
    def figures(self) -> set[str]:
        """The studies that it is tested on."""
        return {check.figure for check in self.checks}


@dataclass(frozen=True)
class Finding:
    """A check on every hardware of one kind: the ratios by seed, their mean, and whether that passes."""

    check: Check
    by_seed: Mapping[int, Estimate]
    mean: Estimate | None

    @property
    def outcome(self) -> Outcome | None:
        """Of the mean; None when nothing was measured."""
        return None if self.mean is None else self.check.outcome(self.mean)

    @property
    def seeds_passed(self) -> list[int]:
        """The seeds on which the check passes by itself."""
        return [seed for seed, ratio in self.by_seed.items() if self.check.outcome(ratio) == "yes"]


@dataclass(frozen=True)
class Judgement:
    """A claim on one kind of impairment."""

    claim: Claim
    impairment: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """On the means over the seeds."""
        return verdict([finding.outcome for finding in self.findings])

    def verdict_of(self, seed: int) -> Verdict:
        """On one hardware alone."""
        ratios = [(finding.check, finding.by_seed.get(seed)) for finding in self.findings]
        return verdict([None if ratio is None else check.outcome(ratio) for check, ratio in ratios])


def verdict(outcomes: Sequence[Outcome | None]) -> Verdict:
    """All checks pass, some, or none of those that were measured."""
    known = [each for each in outcomes if each is not None]
    if not known:
        return "not tested"
    if all(each == "yes" for each in known):
        return "holds" if len(known) == len(outcomes) else "holds as far as measured"
    if "yes" in known:
        return "holds partly"
    return "undecided" if "undecided" in known else "does not hold"


def judge(claims: Sequence[Claim], measured: Measured) -> list[Judgement]:
    """Every claim on every kind of impairment that was measured."""
    settings = sorted({each for of in measured.values() for each in of if each != IDEAL})
    kinds = list(dict.fromkeys(impairment for impairment, _ in settings))
    judgements = []
    for claim in claims:
        ideal = all(check.figure == "fig3" for check in claim.checks)
        for kind in ["none"] if ideal else kinds:
            seeds = [1] if ideal else [seed for impairment, seed in settings if impairment == kind]
            findings = []
            for check in claim.checks:
                ratios = {seed: check.measure(measured, (kind, seed)) for seed in seeds}
                known = {seed: ratio for seed, ratio in ratios.items() if ratio is not None}
                findings.append(Finding(check, known, mean_estimate(list(known.values())) if known else None))
            judgements.append(Judgement(claim, kind, tuple(findings)))
    return judgements
