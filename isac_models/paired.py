"""Several methods on the same messages, targets and noise: each one's errors, and what sets them apart.

The draws are those of `monte_carlo.evaluate` and of the flowgraph of the same seed. RMSE given detection is
confounded with detection, since a detector that misses the weak targets errs less on the rest. So methods are
also compared on the snapshots where both of them find the target.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np

from isac_models.errors import UserError
from isac_models.methods import System
from isac_models.monte_carlo import CHUNK, Link, Outcome
from isac_models.pairing import PairedErrors, PairedRate
from isac_models.scenario import Scenario
from isac_models.tally import Tally

Pair = tuple[str, str]


@dataclass
class PairTally:
    """What two methods did on the same snapshots, in the order of their names in the pair."""

    ser: PairedRate
    p_md: PairedRate
    p_fa: PairedRate
    rmse_rad: PairedErrors
    """On the present targets that both have found."""

    @classmethod
    def empty(cls, scenario: Scenario) -> PairTally:
        """Nothing counted yet; what counts as independent is that of `SensingTally`."""
        low, high = scenario.target_sector
        block = scenario.coherence
        return cls(
            PairedRate(coherence=block),
            PairedRate(coherence=block),
            PairedRate(),
            PairedErrors(coherence=block, limit=high - low),
        )

    def add(self, first: Outcome, second: Outcome) -> None:
        """Count snapshots that both have seen."""
        present, angle = first.target.present, first.target.angle
        one, two = first.found, second.found
        self.ser.add(first.decided != first.message, second.decided != second.message)
        self.p_md.add(~one.detected, ~two.detected, present)
        self.p_fa.add(one.detected, two.detected, ~present)
        hit = present & one.detected & two.detected
        self.rmse_rad.add(one.angle[hit] - angle[hit], two.angle[hit] - angle[hit])

    def merge(self, other: PairTally) -> PairTally:
        """The counts of two separate runs together."""
        return PairTally(
            self.ser.merge(other.ser),
            self.p_md.merge(other.p_md),
            self.p_fa.merge(other.p_fa),
            self.rmse_rad.merge(other.rmse_rad),
        )

    def swapped(self) -> PairTally:
        """With the methods in the other order."""
        return PairTally(
            self.ser.swapped(), self.p_md.swapped(), self.p_fa.swapped(), self.rmse_rad.swapped()
        )

    def to_dict(self) -> dict[str, Any]:
        """Ratios and differences, first method to second, the first's RMSE on common snapshots; for JSON."""
        values: dict[str, float] = {}
        counters = {}
        for key in ("ser", "p_md", "p_fa", "rmse_rad"):
            counter: PairedRate | PairedErrors = getattr(self, key)
            counters[key] = asdict(counter)
            values |= counter.ratio().to_dict(f"{key}_ratio")
            values |= counter.difference().to_dict(f"{key}_difference")
        common = self.rmse_rad.first_rmse
        values |= {"common": common.count, "common_rmse_rad": common.rmse}
        values["common_rmse_rad_low"], values["common_rmse_rad_high"] = common.interval()
        finite = {key: value if math.isfinite(value) else None for key, value in values.items()}
        return {**finite, "counters": counters}


@dataclass
class PairedTally:
    """Counts of each method and of each pair of them, first names first."""

    methods: dict[str, Tally]
    pairs: dict[Pair, PairTally]

    @classmethod
    def empty(cls, scenario: Scenario, names: list[str]) -> PairedTally:
        """Nothing counted yet."""
        return cls(
            {name: Tally.empty(scenario) for name in names},
            {pair: PairTally.empty(scenario) for pair in combinations(names, 2)},
        )

    def merge(self, other: PairedTally) -> PairedTally:
        """The counts of two separate runs together."""
        return PairedTally(
            {name: tally.merge(other.methods[name]) for name, tally in self.methods.items()},
            {names: pair.merge(other.pairs[names]) for names, pair in self.pairs.items()},
        )

    @property
    def snapshots(self) -> int:
        """Snapshots that every method has seen."""
        return next(iter(self.methods.values())).snapshots


class PairedLinks:
    """One link for each system, all with the same draws."""

    def __init__(self, scenario: Scenario, systems: Mapping[str, System], seed: int) -> None:
        self.scenario = scenario
        self.links = {name: Link(scenario, system, seed) for name, system in systems.items()}

    def measure(self, start: int, count: int) -> PairedTally:
        """Errors of snapshots start … start + count - 1."""
        tally = PairedTally.empty(self.scenario, list(self.links))
        # A draw depends on its index alone: every link makes the same ones again.
        for batch in zip(*(link.outcomes(start, count) for link in self.links.values()), strict=True):
            outcomes = dict(zip(self.links, batch, strict=True))
            for name, link in self.links.items():
                link.add(tally.methods[name], outcomes[name])
            for (first, second), pair in tally.pairs.items():
                pair.add(outcomes[first], outcomes[second])
        return tally


@dataclass(frozen=True)
class Paired:
    """What was compared, and what was counted."""

    scenario: Scenario
    seed: int
    systems: Mapping[str, System]
    tally: PairedTally
    seconds: float
    interrupted: bool

    @property
    def snapshots(self) -> int:
        """Snapshots that every method has seen."""
        return self.tally.snapshots

    def pair(self, first: str, second: str) -> PairTally:
        """What two methods did on the same snapshots, in this order. Raises KeyError for another name."""
        if (first, second) in self.tally.pairs:
            return self.tally.pairs[first, second]
        return self.tally.pairs[second, first].swapped()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `methods` by name, `pairs` by first and second name; None for no value."""
        methods = {}
        for name, tally in self.tally.methods.items():
            system = self.systems[name]
            rates = {key: rate if math.isfinite(rate) else None for key, rate in tally.rates().items()}
            methods[name] = {
                **rates,
                "counters": tally.to_dict(),
                "estimator": system.detector.estimator,
                "threshold": system.detector.threshold.amplitude,
                "artifact": None if system.artifact is None else system.artifact.identity,
            }
        pairs: dict[str, dict[str, Any]] = {name: {} for name in methods}
        for first, second in permutations(methods, 2):
            pairs[first][second] = self.pair(first, second).to_dict()
        return {
            "scenario": self.scenario.to_dict(),
            "seed": self.seed,
            "snapshots": self.snapshots,
            "methods": methods,
            "pairs": pairs,
            "interrupted": self.interrupted,
            "seconds": self.seconds,
        }


def evaluate_paired(
    scenario: Scenario,
    systems: Mapping[str, System],
    snapshots: int = 1_000_000,
    seed: int = 1,
    workers: int = 1,
    progress: Callable[[PairedTally, float], None] | None = None,
) -> Paired:
    """Measure systems, by name, on the same messages, targets and noise of a scenario.

    The physics is that of `scenario`; a system may have been made for another grid. Memory does not grow with
    the number of snapshots, and neither batches nor `workers` change a count. `progress` is called with the
    counts so far and the seconds since the start. Ctrl-C ends the run early: what was measured comes back,
    marked `interrupted`.

    Raises UserError for no system, a beam of another number of antennas, and numbers out of range.
    """
    if not systems:
        raise UserError("name at least one system to measure")
    if snapshots < 1 or workers < 1 or seed < 0:
        raise UserError("snapshots and workers must be at least 1 and the seed at least 0")
    for name, system in systems.items():
        if np.shape(system.beam) != (scenario.antennas,):
            raise UserError(
                f"{name}: a beam of {np.size(system.beam)} elements for {scenario.antennas} antennas"
            )
    links = PairedLinks(scenario, systems, seed)
    links.measure(0, 1)  # calibrates the thresholds and loads the kernels, outside the measured time
    total, interrupted = PairedTally.empty(scenario, list(systems)), False
    start = time.perf_counter()
    results = _chunks(links, snapshots, workers)
    try:
        for tally in results:
            total = total.merge(tally)
            if progress is not None:
                progress(total, time.perf_counter() - start)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        results.close()
    return Paired(scenario, seed, dict(systems), total, time.perf_counter() - start, interrupted)


def _chunks(links: PairedLinks, snapshots: int, workers: int) -> Generator[PairedTally]:
    """The tallies of consecutive chunks, in order."""
    cut = ((start, min(CHUNK, snapshots - start)) for start in range(0, snapshots, CHUNK))
    if workers == 1 or snapshots <= CHUNK:
        for start, count in cut:
            yield links.measure(start, count)
        return
    from isac_models.workers import ordered

    yield from ordered(links.measure, cut, workers)
