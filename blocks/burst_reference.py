"""Which burst was received, and what it carried: for error rates beside the transmitter."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Count, Field, Signal, Symbols
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.sent import SentBursts


class BurstReference(Block):
    """Puts the sent messages beside the received symbols, and takes bursts apart into snapshots.

    A burst whose header cannot be read is recognised by its time. Windows in which nothing was sent, and
    bursts that have lost samples, are left out and counted.

    consumes: payload, csi (b, N) complex64, number, time, lost, slip (b,) int64, start (b,) float64
    produces, a snapshot on the first axis: received (n,), csi (n,) complex64, message (n,) uint8
    subscribes: sent, from a RadioTransmit; unsent, from a RadioReceive
    """

    consumes = {
        "payload": Signal("payload_symbols"),
        "csi": Signal("payload_symbols"),
        "number": Count(),
        "time": Count(),
        "start": Field("float64"),
        "lost": Count(),
        "slip": Count(),
    }
    produces = {"received": Signal(), "csi": Signal(), "message": Symbols()}
    subscribes = ("sent", "unsent")
    reframes = True

    def __init__(self, layout: BurstFormat, offset: float = 0.0, name: str | None = None) -> None:
        super().__init__(name)
        self.format, self._offset = layout, offset
        self.dimensions = {"payload_symbols": layout.payload}

    def start(self) -> None:
        """Nothing is known."""
        self._sent = SentBursts(self.format.slot, self._offset)
        self._matched = self._unknown = self._touched = 0

    def work(
        self,
        payload: np.ndarray,
        csi: np.ndarray,
        number: np.ndarray,
        time: np.ndarray,
        start: np.ndarray,
        lost: np.ndarray,
        slip: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """The snapshots of the bursts that are known."""
        keep, messages = [], []
        for b in range(len(number)):
            if slip is not None and slip[b]:
                self._sent.doubt()
            received = float(time[b] + start[b] - self.format.pulse.delay)
            burst = self._sent.find(received, None if number[b] < 0 else int(number[b]), self.messages)
            if burst is None:
                self._unknown += 1
            elif lost[b]:
                self._touched += 1
            else:
                keep.append(b)
                messages.append(burst.message)
        self._matched += len(keep)
        return {
            "received": payload[keep].reshape(-1),
            "csi": csi[keep].reshape(-1),
            "message": np.concatenate([np.zeros(0, np.uint8), *messages]),
        }

    def listen(self) -> None:
        """No burst was found, which is no reason to leave unread what was sent."""
        self._sent.listen(self.messages)

    def result(self) -> dict[str, Any]:
        """Bursts recognised, windows without one, bursts left out for lost samples, and their delay."""
        if not hasattr(self, "_sent"):
            return {}
        return {
            "bursts": self._matched,
            "empty_windows": self._unknown,
            "bursts_left_out": self._touched,
            "snapshots_lost": self._touched * self.format.payload,
            "delay_samples": float(self._sent.offset),
        }
