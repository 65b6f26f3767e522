"""Target detection and angle estimation."""

from __future__ import annotations

import numpy as np

from blocks.runtime import Block, Flags, Real, Signal
from isac_models.detection import Estimator, MatchedFilter
from isac_models.methods import true_steering
from isac_models.scenario import Scenario


class Detector(Block):
    """Sector-limited matched filter, eq. (7)-(8): max |a(θ_i)ᴴ y| against a threshold of the asked P_fa.

    `estimator` names how the angle is read, "argmax" in the baseline (see `MatchedFilter`). The steering
    vectors a(θ_i) are the nominal array's, with `known_array` the true one's.

    consumes: echo (n, antennas) complex64
    produces: detected (n,) bool, estimated_angle (n,) float32 in radians, statistic (n,) float32
    """

    consumes = {"echo": Signal("antennas")}
    produces = {"detected": Flags(), "estimated_angle": Real(), "statistic": Real()}
    replicable = True

    def __init__(
        self,
        scenario: Scenario,
        estimator: Estimator = "argmax",
        known_array: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.scenario = scenario
        self.estimator = estimator
        self.parameters = {"estimator": estimator, "known_array": known_array}
        matrix = true_steering(scenario) if known_array else None
        self.matched_filter = MatchedFilter(scenario, matrix, estimator)
        self.threshold = self.matched_filter.threshold

    def work(self, echo: np.ndarray) -> dict[str, np.ndarray]:
        """The decision, the angle and the statistic behind it."""
        found = self.matched_filter.detect(echo)
        return {"detected": found.detected, "estimated_angle": found.angle, "statistic": found.statistic}
