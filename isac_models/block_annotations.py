"""Where targets were and were found, one annotation a coherence block, in bounded number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


class BlockAnnotator:
    """Annotations of consecutive coherence blocks from a stream of snapshots, cut anywhere.

    Each says where its block starts and how long it is, whether a target was present and at which angle
    (radians) where that is known, and, where decisions are given, in how many snapshots one was detected and
    the mean of the estimated angles there. Of blocks that were bursts it says that, and at which tick the
    burst was sent. The first `limit` blocks are kept, of those after them only the number: a stream
    of any length takes bounded memory.
    """

    def __init__(self, coherence: int, limit: int) -> None:
        self.coherence, self.limit = coherence, limit
        self._kept: list[dict[str, Any]] = []
        self._sums: list[float] = []
        self._first: int | None = None
        self._end = 0

    @property
    def blocks(self) -> int:
        """Blocks seen, the first and the last one maybe in part."""
        if self._first is None:
            return 0
        return -(-self._end // self.coherence) - self._first // self.coherence

    @property
    def left_out(self) -> int:
        """Blocks without an annotation."""
        return self.blocks - len(self._kept)

    def add(
        self,
        position: int,
        count: int,
        *,
        present: Values | None = None,
        angle: Values | None = None,
        detected: Values | None = None,
        estimate: Values | None = None,
        tick: Values | None = None,
    ) -> None:
        """Take `count` snapshots from `position` on, what is known of each in an array (n,).

        Presence and true angle, decision and estimate come in pairs or not at all; `tick`: when the burst of
        the snapshot was sent.
        """
        n = count
        if self._first is None:
            self._first = position
        self._end = position + n
        start = 0
        while start < n:
            number = (position + start) // self.coherence - self._first // self.coherence
            stop = min(n, start + self.coherence - (position + start) % self.coherence)
            if number >= self.limit:
                return
            if number == len(self._kept):
                truth = None if present is None or angle is None else (present[start], angle[start])
                sent = None if tick is None else int(tick[start])
                self._kept.append(_begun(position + start, truth, sent, estimate is not None))
                self._sums.append(0.0)
            block = self._kept[number]
            block["sample_count"] += stop - start
            if detected is not None and estimate is not None:
                found = detected[start:stop]
                block["detections"] += int(np.count_nonzero(found))
                self._sums[number] += float(np.sum(estimate[start:stop][found], dtype=np.float64))
            start = stop

    def annotations(self) -> list[dict[str, Any]]:
        """The kept ones in order: sample_start, sample_count, label, and what `add` was told."""
        done = []
        for block, total in zip(self._kept, self._sums, strict=True):
            mean = {"estimated_angle": total / block["detections"]} if block.get("detections") else {}
            done.append({**block, **mean})
        return done


def _begun(start: int, truth: tuple[Any, Any] | None, tick: int | None, decided: bool) -> dict[str, Any]:
    """The annotation of a block of which no snapshot has been counted."""
    words = [] if tick is None else ["burst"]
    block: dict[str, Any] = {"sample_start": start, "sample_count": 0}
    if truth is not None:
        words.append("target" if truth[0] else "no target")
        block["present"] = bool(truth[0])
        if truth[0]:
            block["angle"] = float(truth[1])
    if tick is not None:
        block["tick"] = tick
    if decided:
        block["detections"] = 0
    return {**block, "label": ", ".join(words) or "block"}
