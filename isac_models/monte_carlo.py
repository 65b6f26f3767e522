"""Monte Carlo evaluation of the link without sockets; its program is `isac_models.evaluate`.

The draws are those of the flowgraph of the same seed, so both count the same errors. Memory does not grow
with the number of snapshots, and neither batches nor worker processes change a count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.array import hardware, steering_matrix
from isac_models.beamforming import baseline_beam
from isac_models.constellation import Constellation
from isac_models.detection import Estimator, MatchedFilter
from isac_models.draws import SnapshotRandom
from isac_models.errors import UserError
from isac_models.grid import angle_grid
from isac_models.propagation import CHANNEL_STREAM, TARGET_STREAM, MisoModel, TargetModel, precode
from isac_models.scenario import Scenario
from isac_models.tally import Tally

MESSAGE_STREAM = "message_source"
"""Stream key of the messages, the name of the flowgraph's source."""
BATCH = 8192
"""Snapshots computed together, few enough to stay in the second-level cache."""
CHUNK = 8 * BATCH
"""Snapshots between two looks at the stopping rule, and the unit of work of a worker process."""


@dataclass(frozen=True)
class System:
    """What a method decides: the transmit beam v (K,) and the radar receiver."""

    beam: NDArray[Any]
    matched_filter: MatchedFilter


def baseline(scenario: Scenario, rho: float, phi: float, estimator: Estimator, known_array: bool) -> System:
    """Least-squares beams (3)-(5) and matched filter (7)-(8), for the nominal array or for the true one."""
    if not known_array:
        return System(baseline_beam(scenario, rho, phi), MatchedFilter(scenario, estimator=estimator))
    true = hardware(scenario)
    matrix = steering_matrix(true.receive, angle_grid(scenario.grid_size))
    return System(
        baseline_beam(scenario, rho, phi, true.transmit), MatchedFilter(scenario, matrix, estimator)
    )


Method = Callable[[Scenario, float, float, Estimator, bool], System]
METHODS: dict[str, Method] = {"baseline": baseline}


class Link:
    """The whole link, as plain function calls on batches of snapshots."""

    def __init__(self, scenario: Scenario, system: System, seed: int) -> None:
        self.scenario = scenario
        self.matched_filter = system.matched_filter
        self.beam = system.beam.astype(np.complex64)
        self.constellation = Constellation(scenario.order)
        self.target = TargetModel(scenario)
        self.channel = MisoModel(scenario)
        self.message_random = SnapshotRandom(seed, MESSAGE_STREAM)
        self.target_random = SnapshotRandom(seed, TARGET_STREAM)
        self.channel_random = SnapshotRandom(seed, CHANNEL_STREAM)

    def measure(self, start: int, count: int) -> Tally:
        """Errors of snapshots start … start + count - 1."""
        tally = Tally.empty(self.scenario)
        for first in range(start, start + count, BATCH):
            self._batch(tally, first, min(BATCH, start + count - first))
        return tally

    def _batch(self, tally: Tally, start: int, count: int) -> None:
        message = self.message_random.integers(0, start, count, self.scenario.order)
        symbol = self.constellation.encode(message)
        transmitted = precode(symbol, self.beam)
        echo, target = self.target.observe(transmitted, self.target_random, start)
        found = self.matched_filter.detect(echo)
        tally.sensing.add(target.present, target.angle, found.detected, found.angle)
        received, csi = self.channel.observe(transmitted, symbol, self.channel_random, start)
        decided = self.constellation.decide(received, csi)
        tally.communication.add(self.constellation, message, decided)


@dataclass(frozen=True)
class Evaluation:
    """One evaluated point: what was asked, what was counted, what theory says."""

    scenario: Scenario
    method: str
    rho: float
    phi: float
    estimator: Estimator
    known_array: bool
    seed: int
    system: System
    tally: Tally
    seconds: float
    rel_ci: float | None
    interrupted: bool
    theory: dict[str, float] | None

    @property
    def rel_ci_reached(self) -> bool | None:
        """Whether every interval was as narrow as asked; None when nothing was asked."""
        return None if self.rel_ci is None else self.tally.precise(self.rel_ci)

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the keys of the JSON output; None where there is no value."""
        threshold = self.system.matched_filter.threshold
        values = {
            "scenario": self.scenario.to_dict(),
            "method": self.method,
            "rho": self.rho,
            "phi": self.phi,
            "estimator": self.estimator,
            "known_array": self.known_array,
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
    estimator: Estimator = "argmax",
    known_array: bool = False,
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

    `known_array`: transmitter and receiver know the true arrays instead of the nominal ones. `progress` is
    called with the counts so far and the seconds since the start. Ctrl-C ends the run early: what was
    measured comes back, marked `interrupted`. `workers` above 1 starts processes afresh, so that the calling
    script needs an ``if __name__ == "__main__"``.

    Raises UserError for an unknown method or estimator, and for numbers out of range.
    """
    if method not in METHODS:
        raise UserError(f"unknown method {method!r}: there is {', '.join(METHODS)}")
    if snapshots < 1 or workers < 1 or seed < 0:
        raise UserError("snapshots and workers must be at least 1 and the seed at least 0")
    if rel_ci is not None and not 0 < rel_ci < 1:
        raise UserError(f"rel_ci must be between 0 and 1, not {rel_ci}")
    system = METHODS[method](scenario, rho, phi, estimator, known_array)
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

        expected = link_theory(scenario, system.beam, system.matched_filter)
    return Evaluation(
        scenario, method, rho, phi, estimator, known_array, seed, system, total, seconds, rel_ci, interrupted,
        expected,
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
