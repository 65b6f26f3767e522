"""Target detection and angle estimation with a learned array."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blocks.runtime import Block, Flags, Real, Signal
from isac_models.artifact import Artifact, fitting
from isac_models.detection import Estimator, MatchedFilter
from isac_models.scenario import Scenario


class LearnedDetector(Block):
    """Sector-limited matched filter (14) with the learned A, the angle as its softmax mean, eq. (13).

    The threshold is calibrated for this A to the asked P_fa. `estimator`: see `MatchedFilter`. `artifact`: a
    trained model, its shipped name or its file; None takes the shipped one that fits best.

    consumes: echo (n, antennas) complex64
    produces: detected (n,) bool, estimated_angle (n,) float32 in radians, statistic (n,) float32

    Raises UserError for an artifact that does not fit and for an unknown estimator. Warns (ArtifactWarning)
    where the scenario lies outside what was trained on.
    """

    consumes = {"echo": Signal("antennas")}
    produces = {"detected": Flags(), "estimated_angle": Real(), "statistic": Real()}
    replicable = True

    def __init__(
        self,
        scenario: Scenario,
        estimator: Estimator = "softmax",
        artifact: Artifact | str | Path | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.scenario = scenario
        self.artifact = fitting(artifact, "model-driven", scenario)
        self.estimator = estimator
        self.parameters = {"estimator": estimator, "artifact": self.artifact.sha256}
        self.matched_filter = MatchedFilter(scenario, self.artifact.dictionary, estimator)
        self.threshold = self.matched_filter.threshold

    def work(self, echo: np.ndarray) -> dict[str, np.ndarray]:
        """The decision, the angle and the statistic behind it."""
        found = self.matched_filter.detect(echo)
        return {"detected": found.detected, "estimated_angle": found.angle, "statistic": found.statistic}
