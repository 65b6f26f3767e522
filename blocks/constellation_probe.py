"""A look at the received constellation."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Signal, Symbols


class ConstellationProbe(Block):
    """Keeps the first `points` equalised symbols y_c / κ and the messages sent with them.

    consumes: received (n,) complex64, csi (n,) complex64, message (n,) uint8
    """

    consumes = {"received": Signal(), "csi": Signal(), "message": Symbols()}

    def __init__(self, points: int = 2000, name: str | None = None) -> None:
        super().__init__(name)
        self._points = points
        self.start()

    def start(self) -> None:
        """Collect from nothing."""
        self._left = self._points
        self._symbols: list[np.ndarray] = []
        self._messages: list[np.ndarray] = []

    def work(self, received: np.ndarray, csi: np.ndarray, message: np.ndarray) -> None:
        """Take points from the first frames."""
        if self._left > 0:
            n = self._left
            # Under the smallest normal number κ carries no phase worth a point.
            seen = np.abs(csi[:n]) > np.finfo(np.float32).tiny
            self._symbols.append(received[:n][seen] / csi[:n][seen])
            self._messages.append(message[:n][seen])
            self._left -= len(self._messages[-1])

    def result(self) -> dict[str, Any]:
        """The points as lists: in-phase, quadrature, message."""
        symbols = np.concatenate([np.zeros(0, np.complex64), *self._symbols])
        messages = np.concatenate([np.zeros(0, np.uint8), *self._messages])
        return {"i": symbols.real.tolist(), "q": symbols.imag.tolist(), "message": messages.tolist()}
