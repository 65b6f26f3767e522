"""Symbol and bit errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Symbols
from isac_models.constellation import Constellation
from isac_models.scenario import Scenario
from isac_models.tally import CommunicationTally


class CommunicationMetrics(Block):
    """Streaming SER and BER with 95 % intervals, in constant memory.

    The intervals count independent blocks: `coherence` snapshots share one fading draw, and so do the
    bits of a symbol. ``result()["counters"]`` holds what `merge` needs to join runs.

    consumes: decided (n,) uint8, message (n,) uint8
    """

    consumes = {"decided": Symbols(), "message": Symbols()}

    def __init__(self, scenario: Scenario, name: str | None = None) -> None:
        super().__init__(name)
        self.scenario = scenario
        self.constellation = Constellation(scenario.order)
        self.tally = CommunicationTally.empty(scenario)

    def start(self) -> None:
        """Count from nothing: a second run of a graph repeats the draws of the first."""
        self.tally = CommunicationTally.empty(self.scenario)

    def work(self, decided: np.ndarray, message: np.ndarray) -> None:
        """Count the errors of one frame."""
        self.tally.add(self.constellation, message, decided)

    def merge(self, result: dict[str, Any]) -> None:
        """Add the counts of another run's `result()`."""
        self.tally = self.tally.merge(CommunicationTally.from_dict(result["counters"]))

    def result(self) -> dict[str, Any]:
        """Rates, their intervals, and the counts behind them."""
        return {**self.tally.rates(), "counters": self.tally.to_dict()}
