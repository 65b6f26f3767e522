"""A bounded queue of complex samples."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


class SampleQueue:
    """Samples of one channel, in pieces, first in first out; `size` of them wait."""

    def __init__(self) -> None:
        self._pieces: deque[Values] = deque()
        self.size = 0

    def push(self, samples: Values) -> None:
        """Append samples (n,) complex64; they are kept, not copied."""
        if samples.size:
            self._pieces.append(samples)
            self.size += samples.size

    def push_back(self, samples: Values) -> None:
        """Put samples that were pulled last back to the front."""
        if samples.size:
            self._pieces.appendleft(samples)
            self.size += samples.size

    def pull(self, most: int) -> Values:
        """The oldest samples, at most `most`."""
        taken: list[Values] = []
        missing = min(most, self.size)
        self.size -= missing
        while missing:
            piece = self._pieces.popleft()
            if piece.size > missing:
                self._pieces.appendleft(piece[missing:])
                piece = piece[:missing]
            taken.append(piece)
            missing -= piece.size
        if len(taken) == 1:
            return taken[0]
        return np.concatenate(taken) if taken else np.zeros(0, np.complex64)

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        self.size = 0
