"""How often a target was detected, where nobody knows the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Flags


class DetectionCounter(Block):
    """Counts the snapshots in which a target was detected.

    consumes: detected (n,) bool
    """

    consumes = {"detected": Flags()}

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.start()

    def start(self) -> None:
        """Count from nothing."""
        self._snapshots = self._detections = 0

    def work(self, detected: np.ndarray) -> None:
        """Count one frame."""
        self._snapshots += len(detected)
        self._detections += int(np.count_nonzero(detected))

    def result(self) -> dict[str, Any]:
        """Detections, the snapshots they are out of, and their share."""
        share = self._detections / self._snapshots if self._snapshots else None
        return {"detections": self._detections, "of_snapshots": self._snapshots, "detected_share": share}
