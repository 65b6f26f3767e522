"""Target detection and angle estimation by networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blocks.runtime import Block, Flags, Real, Signal
from isac_models.artifact import Artifact, fitting
from isac_models.neural_system import neural_system
from isac_models.scenario import Scenario


class NeuralDetector(Block):
    """Presence and angle networks that were learned for ω_r = ρ (Table I), given the target's sector.

    The statistic is the presence network's logit, and its threshold has the asked P_fa, found by samples of
    noise. `artifact`: a trained model, its shipped name or its file; None: the shipped one that fits best.

    consumes: echo (n, antennas) complex64
    produces: detected (n,) bool, estimated_angle (n,) float32 in radians, statistic (n,) float32

    Raises UserError for an artifact that does not fit and for a ρ that it was not trained for. Warns
    (ArtifactWarning) where the scenario lies outside what was trained on.
    """

    consumes = {"echo": Signal("antennas")}
    produces = {"detected": Flags(), "estimated_angle": Real(), "statistic": Real()}
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
        self._receiver = neural_system(self.artifact, scenario, rho).detector
        self.estimator = self._receiver.estimator
        self.threshold = self._receiver.threshold

    def work(self, echo: np.ndarray) -> dict[str, np.ndarray]:
        """The decision, the angle and the logit behind it."""
        found = self._receiver.detect(echo)
        return {"detected": found.detected, "estimated_angle": found.angle, "statistic": found.statistic}
