"""Missed detections, false alarms and angle error."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Flags, Real
from isac_models.scenario import Scenario
from isac_models.tally import SensingTally


class SensingMetrics(Block):
    """Streaming P_md, P_fa and the angle RMSE given a detected target, with 95 % intervals.

    The intervals count what is independent (see `SensingTally`). ``result()["counters"]`` holds
    what `merge` needs to join runs.

    consumes: present (n,) bool, angle (n,) float32, detected (n,) bool, estimated_angle (n,) float32
    """

    consumes = {"present": Flags(), "angle": Real(), "detected": Flags(), "estimated_angle": Real()}

    def __init__(self, scenario: Scenario, name: str | None = None) -> None:
        super().__init__(name)
        self.scenario = scenario
        self.tally = SensingTally.empty(scenario)

    def start(self) -> None:
        """Count from nothing: a second run of a graph repeats the draws of the first."""
        self.tally = SensingTally.empty(self.scenario)

    def work(
        self, present: np.ndarray, angle: np.ndarray, detected: np.ndarray, estimated_angle: np.ndarray
    ) -> None:
        """Count one frame."""
        self.tally.add(present, angle, detected, estimated_angle)

    def merge(self, result: dict[str, Any]) -> None:
        """Add the counts of another run's `result()`."""
        self.tally = self.tally.merge(SensingTally.from_dict(result["counters"]))

    def result(self) -> dict[str, Any]:
        """Rates and RMSE, their intervals, and the counts behind them."""
        return {**self.tally.rates(), "counters": self.tally.to_dict()}
