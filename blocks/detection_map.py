"""Where targets were and where they were found."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Flags, Real
from isac_models.scenario import Scenario


class DetectionMap(Block):
    """Histogram of true angle × estimated angle over the detected targets, and of the missed ones' angles.

    `bins` over the target sector, in radians; a sector of one angle is widened by half a degree.

    consumes: present (n,) bool, angle (n,) float32, detected (n,) bool, estimated_angle (n,) float32
    """

    consumes = {"present": Flags(), "angle": Real(), "detected": Flags(), "estimated_angle": Real()}

    def __init__(self, scenario: Scenario, bins: int = 48, name: str | None = None) -> None:
        super().__init__(name)
        self.scenario = scenario
        low, high = scenario.target_sector
        margin = np.radians(0.5) if high - low < 1e-6 else 0.0
        self._edges = np.linspace(low - margin, high + margin, bins + 1)
        self.start()

    def start(self) -> None:
        """Count from nothing."""
        bins = len(self._edges) - 1
        self._found = np.zeros((bins, bins), dtype=np.int64)
        self._missed = np.zeros(bins, dtype=np.int64)

    def work(
        self, present: np.ndarray, angle: np.ndarray, detected: np.ndarray, estimated_angle: np.ndarray
    ) -> None:
        """Count one frame."""
        hit = present & detected
        bins = len(self._missed)
        cells = self._cell(angle[hit]) * bins + self._cell(estimated_angle[hit])
        self._found += np.bincount(cells, minlength=bins * bins).reshape(bins, bins)
        self._missed += np.bincount(self._cell(angle[present & ~detected]), minlength=bins)

    def result(self) -> dict[str, Any]:
        """Bin edges (bins + 1) in radians, found (bins of true angle, bins of estimate), missed (bins)."""
        return {
            "edges": self._edges.tolist(),
            "found": self._found.tolist(),
            "missed": self._missed.tolist(),
        }

    def _cell(self, angle: np.ndarray) -> np.ndarray:
        """Bin of every angle; the sector's rounding and estimates at its edge fall into the outer bins."""
        low, high, bins = self._edges[0], self._edges[-1], len(self._missed)
        cell: np.ndarray = ((angle - low) * (bins / (high - low))).astype(np.int64)
        return cell.clip(0, bins - 1)
