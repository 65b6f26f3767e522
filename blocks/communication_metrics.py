"""Symbol and bit error rates."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Symbols
from isac_models.constellation import Constellation
from isac_models.scenario import Scenario
from isac_models.statistics import RateCounter


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
        self.symbols = RateCounter(coherence=scenario.coherence)
        self.bits = RateCounter(coherence=scenario.coherence * self.constellation.bits)

    def work(self, decided: np.ndarray, message: np.ndarray) -> None:
        """Count the errors of one frame."""
        self.symbols.add(int(np.count_nonzero(decided != message)), len(message))
        self.bits.add(self.constellation.bit_errors(message, decided), len(message) * self.constellation.bits)

    def merge(self, result: dict[str, Any]) -> None:
        """Add the counts of another run's `result()`."""
        self.symbols = self.symbols.merge(RateCounter.from_dict(result["counters"]["ser"]))
        self.bits = self.bits.merge(RateCounter.from_dict(result["counters"]["ber"]))

    def result(self) -> dict[str, Any]:
        """Rates, their intervals, and the counts behind them."""
        ser, ber = self.symbols.interval(), self.bits.interval()
        return {
            "ser": self.symbols.rate,
            "ser_low": ser[0],
            "ser_high": ser[1],
            "ber": self.bits.rate,
            "ber_low": ber[0],
            "ber_high": ber[1],
            "counters": {"ser": self.symbols.to_dict(), "ber": self.bits.to_dict()},
        }
