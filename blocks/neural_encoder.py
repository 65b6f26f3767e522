"""Symbols from a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blocks.runtime import Block, Signal, Symbols
from isac_models.artifact import Artifact, fitting
from isac_models.neural_system import neural_system
from isac_models.scenario import Scenario


class NeuralEncoder(Block):
    """The constellation s(m) that was learned for ω_r = ρ (Table I), of unit mean energy.

    `artifact`: a trained model, its shipped name or its file; None takes the shipped one that fits best.

    consumes: message (n,) uint8
    produces: symbol (n,) complex64

    Raises UserError for an artifact that does not fit and for a ρ that it was not trained for. Warns
    (ArtifactWarning) where the scenario lies outside what was trained on.
    """

    consumes = {"message": Symbols()}
    produces = {"symbol": Signal()}
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
        self.constellation = neural_system(self.artifact, scenario, rho).encoder

    def work(self, message: np.ndarray) -> dict[str, np.ndarray]:
        """s(m) for every message."""
        return {"symbol": self.constellation.encode(message)}
