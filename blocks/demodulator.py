"""Symbol decision."""

from __future__ import annotations

import numpy as np

from blocks.runtime import Block, Signal, Symbols
from isac_models.constellation import Constellation
from isac_models.scenario import Scenario


class Demodulator(Block):
    """Maximum-likelihood decision with known CSI: argmin over m of |y_c - κ s(m)|².

    consumes: received (n,) complex64, csi (n,) complex64
    produces: decided (n,) uint8
    """

    consumes = {"received": Signal(), "csi": Signal()}
    produces = {"decided": Symbols()}
    replicable = True

    def __init__(self, scenario: Scenario, name: str | None = None) -> None:
        super().__init__(name)
        self.scenario = scenario
        self.constellation = Constellation(scenario.order)

    def work(self, received: np.ndarray, csi: np.ndarray) -> dict[str, np.ndarray]:
        """The most likely message of every snapshot."""
        return {"decided": self.constellation.decide(received, csi)}
