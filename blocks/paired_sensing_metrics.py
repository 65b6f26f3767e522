"""Several detectors compared on the same targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from blocks.runtime import Block, Field, Flags, Real
from isac_models.errors import UserError
from isac_models.paired_sensing import PairedSensingTally
from isac_models.scenario import Scenario


class PairedSensingMetrics(Block):
    """Streaming angle RMSE on the targets that all `methods` find, and paired differences of P_md and RMSE.

    It joins a branch for every method, under that name, and counts what `PairedSensingTally` does. All
    branches have the same targets where their reflectors share a stream key; work() raises ValueError
    where they have not.

    consumes, for each method m: m_present (n,) bool, m_angle (n,) float32 in radians,
    m_detected (n,) bool, m_estimated_angle (n,) float32 in radians

    Raises UserError for fewer than two methods, or one named twice.
    """

    def __init__(self, scenario: Scenario, methods: Sequence[str], name: str | None = None) -> None:
        super().__init__(name)
        self.scenario = scenario
        self.methods = tuple(methods)
        if len(set(self.methods)) != len(self.methods) or len(self.methods) < 2:
            raise UserError(f"{self.name} compares at least two methods, each named once")
        kinds: dict[str, Field] = {
            "present": Flags(),
            "angle": Real(),
            "detected": Flags(),
            "estimated_angle": Real(),
        }
        self.consumes = {f"{method}_{key}": kind for method in self.methods for key, kind in kinds.items()}
        self.start()

    def start(self) -> None:
        """Count from nothing."""
        self.tally = PairedSensingTally.empty(self.scenario, self.methods)

    def work(self, **fields: np.ndarray) -> None:
        """Count one frame."""
        present, angle, detected, estimate = (
            {method: fields[f"{method}_{key}"] for method in self.methods}
            for key in ("present", "angle", "detected", "estimated_angle")
        )
        first, *others = self.methods
        for other in others:
            if not all(np.array_equal(truth[other], truth[first]) for truth in (present, angle)):
                raise ValueError(
                    f"the targets of branch {other} are not those of branch {first}: "
                    "give their reflectors one stream_key"
                )
        self.tally.add(present[first], angle[first], detected, estimate)

    def merge(self, result: dict[str, Any]) -> None:
        """Add the counts of another run's `result()`."""
        self.tally = self.tally.merge(PairedSensingTally.from_dict(result["counters"]))

    def result(self) -> dict[str, Any]:
        """Number of common targets, RMSE on them by method, pairs of methods, and the counts behind them."""
        return {**self.tally.rates(), "counters": self.tally.to_dict()}
