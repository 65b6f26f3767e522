"""Missed detections, false alarms and angle error."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Flags, Real
from isac_models.scenario import Scenario
from isac_models.statistics import RateCounter, SquaredErrorCounter


class SensingMetrics(Block):
    """Streaming P_md, P_fa and the angle RMSE given a detected target, with 95 % intervals.

    The intervals count independent blocks of `coherence` snapshots. ``result()["counters"]`` holds
    what `merge` needs to join runs.

    consumes: present (n,) bool, angle (n,) float32, detected (n,) bool, estimated_angle (n,) float32
    """

    consumes = {"present": Flags(), "angle": Real(), "detected": Flags(), "estimated_angle": Real()}

    def __init__(self, scenario: Scenario, name: str | None = None) -> None:
        super().__init__(name)
        self.scenario = scenario
        self.missed = RateCounter(coherence=scenario.coherence)
        self.false_alarms = RateCounter(coherence=scenario.coherence)
        self.angle_error = SquaredErrorCounter(coherence=scenario.coherence)

    def work(
        self, present: np.ndarray, angle: np.ndarray, detected: np.ndarray, estimated_angle: np.ndarray
    ) -> None:
        """Count one frame."""
        hit = present & detected
        targets, hits = int(np.count_nonzero(present)), int(np.count_nonzero(hit))
        self.missed.add(targets - hits, targets)
        self.false_alarms.add(int(np.count_nonzero(detected)) - hits, len(present) - targets)
        self.angle_error.add(estimated_angle[hit] - angle[hit])

    def merge(self, result: dict[str, Any]) -> None:
        """Add the counts of another run's `result()`."""
        counters = result["counters"]
        self.missed = self.missed.merge(RateCounter.from_dict(counters["p_md"]))
        self.false_alarms = self.false_alarms.merge(RateCounter.from_dict(counters["p_fa"]))
        self.angle_error = self.angle_error.merge(SquaredErrorCounter.from_dict(counters["rmse_rad"]))

    def result(self) -> dict[str, Any]:
        """Rates and RMSE, their intervals, and the counts behind them."""
        p_md, p_fa, rmse = self.missed.interval(), self.false_alarms.interval(), self.angle_error.interval()
        return {
            "p_md": self.missed.rate,
            "p_md_low": p_md[0],
            "p_md_high": p_md[1],
            "p_fa": self.false_alarms.rate,
            "p_fa_low": p_fa[0],
            "p_fa_high": p_fa[1],
            "rmse_rad": self.angle_error.rmse,
            "rmse_rad_low": rmse[0],
            "rmse_rad_high": rmse[1],
            "counters": {
                "p_md": self.missed.to_dict(),
                "p_fa": self.false_alarms.to_dict(),
                "rmse_rad": self.angle_error.to_dict(),
            },
        }
