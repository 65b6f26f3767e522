"""The transmit beam from a learned array."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blocks.runtime import Block, Signal
from isac_models.artifact import Artifact, fitting
from isac_models.methods import learned_beam
from isac_models.propagation import precode
from isac_models.scenario import Scenario


class LearnedPrecoder(Block):
    """x = v s with the ISAC beam v of eq. (3)-(5) for the learned A: ρ to sensing, 1 - ρ to communication.

    `artifact`: a trained model, its shipped name or its file; None takes the shipped one that fits best.

    consumes: symbol (n,) complex64
    produces: transmitted (n, antennas) complex64

    Raises UserError for an artifact that does not fit, ρ outside [0, 1] and beams that cancel. Warns
    (ArtifactWarning) where the scenario lies outside what was trained on.
    """

    consumes = {"symbol": Signal()}
    produces = {"transmitted": Signal("antennas")}
    replicable = True

    def __init__(
        self,
        scenario: Scenario,
        rho: float = 0.5,
        phi: float = 0.0,
        artifact: Artifact | str | Path | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.scenario = scenario
        self.artifact = fitting(artifact, "model-driven", scenario)
        self.parameters = {"rho": float(rho), "phi": float(phi), "artifact": self.artifact.sha256}
        self.beam = learned_beam(scenario, self.artifact, rho, phi)
        self._row = self.beam.astype(np.complex64)

    def work(self, symbol: np.ndarray) -> dict[str, np.ndarray]:
        """x (n, antennas) for every symbol."""
        return {"transmitted": precode(symbol, self._row)}
