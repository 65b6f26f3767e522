"""The error counts of a run of the link, mergeable across chunks, processes and runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isac_models.constellation import Constellation
from isac_models.scenario import Scenario
from isac_models.statistics import RateCounter, SquaredErrorCounter

Counter = RateCounter | SquaredErrorCounter
STOPPING = ("ser", "p_md", "rmse_rad")
"""The rates whose intervals a stopping rule looks at."""


class Counters:
    """Named counters, the fields of a dataclass, that merge, report and travel together."""

    def counters(self) -> dict[str, Counter]:
        """Every counter under the name of its rate."""
        return {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]

    def merge(self, other: Self) -> Self:
        """The counts of two separate runs together. Raises ValueError when their coherence differs."""
        theirs = other.counters()
        return type(self)(**{key: mine.merge(theirs[key]) for key, mine in self.counters().items()})  # type: ignore[arg-type]

    def rates(self) -> dict[str, float]:
        """Every rate and the RMSE with the ends of their 95 % intervals; NaN where nothing was counted."""
        values = {}
        for key, counter in self.counters().items():
            values[key] = counter.rmse if isinstance(counter, SquaredErrorCounter) else counter.rate
            values[f"{key}_low"], values[f"{key}_high"] = counter.interval()
        return values

    def to_dict(self) -> dict[str, dict[str, float]]:
        """The counts as plain numbers, from which `from_dict` makes the counters again."""
        return {key: dict(counter.to_dict()) for key, counter in self.counters().items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Mapping[str, Any]]) -> Self:
        """The counters that `to_dict` described."""
        kinds = {"rmse_rad": SquaredErrorCounter}
        return cls(**{key: kinds.get(key, RateCounter).from_dict(value) for key, value in values.items()})


@dataclass
class CommunicationTally(Counters):
    """Symbol and bit errors. Intervals count blocks of `coherence` snapshots, a symbol's bits as one."""

    ser: RateCounter
    ber: RateCounter

    @classmethod
    def empty(cls, scenario: Scenario) -> Self:
        """Nothing counted yet."""
        block, bits = scenario.coherence, Constellation(scenario.order).bits
        return cls(RateCounter(coherence=block), RateCounter(coherence=block * bits))

    def add(self, constellation: Constellation, message: NDArray[Any], decided: NDArray[Any]) -> None:
        """Count symbol and bit errors of messages (n,) against decisions (n,)."""
        self.ser.add(int(np.count_nonzero(decided != message)), message.size)
        self.ber.add(constellation.bit_errors(message, decided), message.size * constellation.bits)


@dataclass
class SensingTally(Counters):
    """Missed targets, false alarms, and the angle errors (rad) of the targets found.

    Targets of one block of `coherence` snapshots share their gain and angle, so P_md and RMSE count
    blocks; noise is drawn for every snapshot, so false alarms count snapshots.
    """

    p_md: RateCounter
    p_fa: RateCounter
    rmse_rad: SquaredErrorCounter

    @classmethod
    def empty(cls, scenario: Scenario) -> Self:
        """Nothing counted yet. Targets and their estimates lie inside the sector, which limits the error."""
        low, high = scenario.target_sector
        block = scenario.coherence
        errors = SquaredErrorCounter(coherence=block, limit=high - low)
        return cls(RateCounter(coherence=block), RateCounter(), errors)

    def add(
        self, present: NDArray[Any], angle: NDArray[Any], detected: NDArray[Any], estimate: NDArray[Any]
    ) -> None:
        """Count one batch, each (n,): presence, true angle (rad), decision, estimated angle (rad)."""
        hit = present & detected
        targets, hits = int(np.count_nonzero(present)), int(np.count_nonzero(hit))
        self.p_md.add(targets - hits, targets)
        self.p_fa.add(int(np.count_nonzero(detected)) - hits, hit.size - targets)
        self.rmse_rad.add(estimate[hit] - angle[hit])


@dataclass
class Tally:
    """Both halves of the link."""

    communication: CommunicationTally
    sensing: SensingTally

    @classmethod
    def empty(cls, scenario: Scenario) -> Tally:
        """Nothing counted yet."""
        return cls(CommunicationTally.empty(scenario), SensingTally.empty(scenario))

    @property
    def snapshots(self) -> int:
        """Snapshots counted."""
        return self.communication.ser.trials

    def merge(self, other: Tally) -> Tally:
        """The counts of two separate runs together."""
        return Tally(self.communication.merge(other.communication), self.sensing.merge(other.sensing))

    def rates(self) -> dict[str, float]:
        """Every rate and the RMSE with the ends of their 95 % intervals; NaN where nothing was counted."""
        return {**self.communication.rates(), **self.sensing.rates()}

    def precise(self, share: float) -> bool:
        """Whether the 95 % intervals of SER, P_md and RMSE have half widths below that share of the value."""
        values = self.rates()
        return all(
            (values[f"{key}_high"] - values[f"{key}_low"]) / 2 < share * values[key] for key in STOPPING
        )

    def to_dict(self) -> dict[str, dict[str, float]]:
        """The counts as plain numbers, from which the counters can be made again and merged."""
        return {**self.communication.to_dict(), **self.sensing.to_dict()}
