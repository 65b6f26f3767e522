"""Monte Carlo evaluation of the link without sockets; its program is `isac_models.evaluate`.

The draws are those of the flowgraph of the same seed, so both count the same errors. Memory does not grow
with the number of snapshots, and neither batches nor worker processes change a count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.artifact import Artifact
from isac_models.constellation import Constellation
from isac_models.detection import Detection, Estimator, MatchedFilter
from isac_models.draws import SnapshotRandom
from isac_models.errors import UserError
from isac_models.methods import METHODS, System, build_system
from isac_models.propagation import CHANNEL_STREAM, TARGET_STREAM, MisoModel, Target, TargetModel, precode
from isac_models.scenario import Scenario
from isac_models.tally import Tally

__all__ = ["METHODS", "Evaluation", "Link", "Outcome", "System", "build_system", "evaluate"]

Values = NDArray[Any]

MESSAGE_STREAM = "message_source"
"""Stream key of the messages, the name of the flowgraph's source."""
BATCH = 8192
"""Snapshots computed together, few enough to stay in the second-level cache."""
CHUNK = 8 * BATCH
"""Snapshots between two looks at the stopping rule, and the unit of work of a worker process."""


@dataclass(frozen=True)
class Outcome:
    """What became of n snapshots: messages sent and decided (n,), the targets and what was found of them."""

    message: Values
    decided: Values
    target: Target
    found: Detection


class Link:
    """The whole link, as plain function calls on batches of snapshots."""

    def __init__(self, scenario: Scenario, system: System, seed: int) -> None:
        self.scenario = scenario
        self.detector = system.detector
        self.beam = system.beam.astype(np.complex64)
        self.constellation = Constellation(scenario.order)
        self.encoder = system.encoder or self.constellation
        self.demodulator = system.demodulator or self.constellation
        self.target = TargetModel(scenario)
        self.channel = MisoModel(scenario)
        self.message_random = SnapshotRandom(seed, MESSAGE_STREAM)
        self.target_random = SnapshotRandom(seed, TARGET_STREAM)
        self.channel_random = SnapshotRandom(seed, CHANNEL_STREAM)

    def measure(self, start: int, count: int) -> Tally:
        """Errors of snapshots start … start + count - 1."""
        tally = Tally.empty(self.scenario)
        for outcome in self.outcomes(start, count):
            self.add(tally, outcome)
        return tally

    def outcomes(self, start: int, count: int) -> Iterator[Outcome]:
        """What becomes of snapshots start … start + count - 1, up to BATCH of them at a time."""
        for first in range(start, start + count, BATCH):
            yield self._batch(first, min(BATCH, start + count - first))

    def add(self, tally: Tally, outcome: Outcome) -> None:
        """Count the errors of some snapshots."""
        target, found = outcome.target, outcome.found
        tally.sensing.add(target.present, target.angle, found.detected, found.angle)
        tally.communication.add(self.constellation, outcome.message, outcome.decided)

    def _batch(self, start: int, count: int) -> Outcome:
        message = self.message_random.integers(0, start, count, self.scenario.order)
        symbol = self.encoder.encode(message)
        transmitted = precode(symbol, self.beam)
        echo, target = self.target.observe(transmitted, self.target_random, start)
        found = self.detector.detect(echo)
        received, csi = self.channel.observe(transmitted, symbol, self.channel_random, start)
        return Outcome(message, self.demodulator.decide(received, csi), target, found)


@dataclass(frozen=True)
class Evaluation:
    """One evaluated point: what was asked, what was counted, what theory says."""

    scenario: Scenario
    method: str
    rho: float
    phi: float
    estimator: str
    known_array: bool
    seed: int
    system: System
    tally: Tally
    seconds: float
    rel_ci: float | None
    interrupted: bool
    theory: dict[str, float | None] | None

    @property
    def rel_ci_reached(self) -> bool | None:
        """Whether every interval was as narrow as asked; None when nothing was asked."""
        return None if self.rel_ci is None else self.tally.precise(self.rel_ci)

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the keys of the JSON output; None where there is no value."""
        threshold, artifact = self.system.detector.threshold, self.system.artifact
        values = {
            "scenario": self.scenario.to_dict(),
            "method": self.method,
            "rho": self.rho,
            "phi": self.phi,
            "estimator": self.estimator,
            "known_array": self.known_array,
            "artifact": None if artifact is None else artifact.identity,
            "seed": self.seed,
            "snapshots": self.tally.snapshots,
            **self.tally.rates(),
            "counters": self.tally.to_dict(),
            "threshold": threshold.amplitude,
            "threshold_relative_error": threshold.relative_error,
            "theory": self.theory,
            "rel_ci": self.rel_ci,
            "rel_ci_reached": self.rel_ci_reached,
            "interrupted": self.interrupted,
            "seconds": self.seconds,
            "snapshots_per_second": self.tally.snapshots / self.seconds if self.seconds > 0 else 0.0,
        }
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in values.items()
        }


def evaluate(
    scenario: Scenario,
    *,
    method: str = "baseline",
    rho: float = 0.5,
    phi: float = 0.0,
    estimator: Estimator | None = None,
    known_array: bool = False,
    artifact: Artifact | str | Path | None = None,
    snapshots: int = 1_000_000,
    rel_ci: float | None = None,
    seed: int = 1,
    workers: int = 1,
    theory: bool = True,
    progress: Callable[[Tally, float], None] | None = None,
) -> Evaluation:
    """Measure SER, BER, P_md, P_fa and the angle RMSE of a method on a scenario.

    With `rel_ci` the run ends at the first multiple of CHUNK snapshots where the 95 % intervals of SER, P_md
    and RMSE all have a half width below that share of the value, at `snapshots` at the latest. (Stopping on
    the data makes intervals a little too short; with `rel_ci` below 0.1 that is negligible.)

    `estimator` None is the method's own: argmax of the baseline, softmax of the learned one. `artifact`: the
    trained model of the methods learned and neural, its shipped name or file; None takes the shipped one that
    fits best. Where the scenario lies outside its training, an ArtifactWarning says so.

    `known_array`: transmitter and receiver know the true arrays instead of the nominal ones. `progress` is
    called with the counts so far and the seconds since the start. Ctrl-C ends the run early: what was
    measured comes back, marked `interrupted`. `workers` above 1 starts processes afresh, so that the calling
    script needs an ``if __name__ == "__main__"``.

    Raises UserError for an unknown method or estimator, a choice that the method does not have, an artifact
    that does not fit, and for numbers out of range.
    """
    if snapshots < 1 or workers < 1 or seed < 0:
        raise UserError("snapshots and workers must be at least 1 and the seed at least 0")
    if rel_ci is not None and not 0 < rel_ci < 1:
        raise UserError(f"rel_ci must be between 0 and 1, not {rel_ci}")
    system = build_system(
        scenario, method, rho=rho, phi=phi, estimator=estimator, known_array=known_array, artifact=artifact
    )
    link = Link(scenario, system, seed)
    link.measure(0, 1)  # calibrates the threshold and loads the kernels, outside the measured time
    total, interrupted = Tally.empty(scenario), False
    start = time.perf_counter()
    results = _chunks(link, snapshots, workers)
    try:
        for tally in results:
            total = total.merge(tally)
            if progress is not None:
                progress(total, time.perf_counter() - start)
            if rel_ci is not None and total.precise(rel_ci):
                break
    except KeyboardInterrupt:
        interrupted = True
    finally:
        results.close()
    seconds = time.perf_counter() - start
    expected = None
    if theory and not interrupted:
        from isac_models.theory import link_theory

        points = None if system.encoder is None else system.points(scenario)
        matched_filter = system.detector if isinstance(system.detector, MatchedFilter) else None
        expected = link_theory(scenario, system.beam, matched_filter, points)
    return Evaluation(
        scenario, method, rho, phi, system.detector.estimator, known_array, seed, system, total, seconds,
        rel_ci, interrupted, expected,
    )  # fmt: skip


def _chunks(link: Link, snapshots: int, workers: int) -> Generator[Tally]:
    """The tallies of consecutive chunks, in order."""
    starts = range(0, snapshots, CHUNK)
    if workers == 1 or len(starts) == 1:
        for start in starts:
            yield link.measure(start, min(CHUNK, snapshots - start))
        return
    from isac_models.workers import ordered

    yield from ordered(link.measure, ((start, min(CHUNK, snapshots - start)) for start in starts), workers)
