"""What stood in front of the radar: known in a laboratory only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from blocks.runtime import Block, Count, Flags, Real


class SceneTruth(Block):
    """Puts the target's presence and angle beside every snapshot, as a virtual front end tells them.

    `truth` is asked once a burst with the tick at which it was sent; it returns whether a target was
    present and its angle (rad). No receiver needs this block: it stands where metrics are wanted.

    consumes: transmit_time (n,) int64
    produces: present (n,) bool, angle (n,) float32 in radians
    """

    consumes = {"transmit_time": Count()}
    produces = {"present": Flags(), "angle": Real()}

    def __init__(self, truth: Callable[[int], tuple[bool, float]], name: str | None = None) -> None:
        super().__init__(name)
        self._truth = truth

    def work(self, transmit_time: np.ndarray) -> dict[str, np.ndarray]:
        """Presence and angle of every snapshot."""
        times, index = np.unique(transmit_time, return_inverse=True)
        known = [self._truth(int(time)) for time in times]
        present = np.array([one[0] for one in known], bool)
        angle = np.array([one[1] for one in known], np.float32)
        return {"present": present[index], "angle": angle[index]}
