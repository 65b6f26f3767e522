"""The way to the communication receiver, simulated."""

from __future__ import annotations

import numpy as np

from blocks.runtime import Block, Signal
from isac_models.propagation import MisoModel
from isac_models.scenario import Scenario


class MisoChannel(Block):
    """y_c = β a(ϑ)ᵀ x + n and the CSI κ = β a(ϑ)ᵀ v, eq. (2), with Rayleigh β and ϑ in the comm sector.

    consumes: transmitted (n, antennas) complex64, symbol (n,) complex64
    produces: received (n,) complex64, csi (n,) complex64
    """

    consumes = {"transmitted": Signal("antennas"), "symbol": Signal()}
    produces = {"received": Signal(), "csi": Signal()}
    replicable = True

    def __init__(self, scenario: Scenario, name: str | None = None, stream_key: str | None = None) -> None:
        super().__init__(name, stream_key)
        self.scenario = scenario
        self._model = MisoModel(scenario)

    def work(self, transmitted: np.ndarray, symbol: np.ndarray) -> dict[str, np.ndarray]:
        """What the receiver gets, and its channel state information."""
        received, csi = self._model.observe(transmitted, symbol, self.random, self.position)
        return {"received": received, "csi": csi}
