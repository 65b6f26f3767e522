"""The transmit beam from a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blocks.runtime import Block, Signal
from isac_models.artifact import Artifact, fitting
from isac_models.neural_system import neural_system
from isac_models.propagation import precode
from isac_models.scenario import Scenario


class NeuralPrecoder(Block):
    """x = v s with the beam v that was learned for ω_r = ρ (Table I), given both sectors.

    `artifact`: a trained model, its shipped name or its file; None takes the shipped one that fits best.

    consumes: symbol (n,) complex64
    produces: transmitted (n, antennas) complex64

    Raises UserError for an artifact that does not fit and for a ρ that it was not trained for. Warns
    (ArtifactWarning) where the scenario lies outside what was trained on.
    """

    consumes = {"symbol": Signal()}
    produces = {"transmitted": Signal("antennas")}
    replicable = True

    def __init__(
        self,
        scenario: Scenario,
        rho: float = 0.4,
        artifact: Artifact | str | Path | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.scenario = scenario
        self.artifact = fitting(artifact, "neural", scenario)
        self.parameters = {"rho": float(rho), "artifact": self.artifact.sha256}
        self.beam = neural_system(self.artifact, scenario, rho).beam
        self._row = self.beam.astype(np.complex64)

    def work(self, symbol: np.ndarray) -> dict[str, np.ndarray]:
        """x (n, antennas) for every symbol."""
        return {"transmitted": precode(symbol, self._row)}
