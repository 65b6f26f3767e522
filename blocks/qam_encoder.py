"""Gray-mapped square QAM."""

from __future__ import annotations

import numpy as np

from blocks.runtime import Block, Signal, Symbols
from isac_models.constellation import Constellation
from isac_models.scenario import Scenario


class QamEncoder(Block):
    """Symbols s(m) of unit mean energy.

    consumes: message (n,) uint8
    produces: symbol (n,) complex64
    """

    consumes = {"message": Symbols()}
    produces = {"symbol": Signal()}
    replicable = True

    def __init__(self, scenario: Scenario, name: str | None = None) -> None:
        super().__init__(name)
        self.scenario = scenario
        self.constellation = Constellation(scenario.order)

    def work(self, message: np.ndarray) -> dict[str, np.ndarray]:
        """s(m) for every message."""
        return {"symbol": self.constellation.encode(message)}
