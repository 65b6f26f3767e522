"""The target and the way to it and back, simulated."""

from __future__ import annotations

import numpy as np

from blocks.runtime import Block, Flags, Real, Signal
from isac_models.propagation import TargetModel
from isac_models.scenario import Scenario


class TargetReflector(Block):
    """y_r = t α a(θ) a(θ)ᵀ x + n, eq. (1): t present or not, Swerling-1 α, θ in the target sector.

    consumes: transmitted (n, antennas) complex64
    produces: echo (n, antennas) complex64, and the truth: present (n,) bool, angle (n,) float32 in radians
    """

    consumes = {"transmitted": Signal("antennas")}
    produces = {"echo": Signal("antennas"), "present": Flags(), "angle": Real()}
    replicable = True

    def __init__(self, scenario: Scenario, name: str | None = None, stream_key: str | None = None) -> None:
        super().__init__(name, stream_key)
        self.scenario = scenario
        self._model = TargetModel(scenario)

    def work(self, transmitted: np.ndarray) -> dict[str, np.ndarray]:
        """What the radar receiver gets, and the truth behind it."""
        echo, target = self._model.observe(transmitted, self.random, self.position)
        return {"echo": echo, "present": target.present, "angle": target.angle}
