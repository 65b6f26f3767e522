"""Symbol decision by a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blocks.runtime import Block, Signal, Symbols
from isac_models.artifact import Artifact, fitting
from isac_models.neural_system import neural_system
from isac_models.scenario import Scenario


class NeuralDemodulator(Block):
    """The communication receiver that was learned for ω_r = ρ (Table I), with known CSI.

    `artifact`: a trained model, its shipped name or its file; None takes the shipped one that fits best.

    consumes: received (n,) complex64, csi (n,) complex64
    produces: decided (n,) uint8

    Raises UserError for an artifact that does not fit and for a ρ that it was not trained for. Warns
    (ArtifactWarning) where the scenario lies outside what was trained on.
    """

    consumes = {"received": Signal(), "csi": Signal()}
    produces = {"decided": Symbols()}
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
        self._receiver = neural_system(self.artifact, scenario, rho).demodulator

    def work(self, received: np.ndarray, csi: np.ndarray) -> dict[str, np.ndarray]:
        """The most likely message of every snapshot."""
        return {"decided": self._receiver.decide(received, csi)}
