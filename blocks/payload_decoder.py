"""From received payload symbols to bytes that are right, or known not to be."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Count, Field, Flags, Signal
from isac_models.constellation import Constellation
from isac_models.waveform import header
from isac_models.waveform.burst_format import BurstFormat


class PayloadDecoder(Block):
    """Decides payload symbols, packs their bits (most significant first), checks the CRC-32 behind them.

    consumes: payload (b, N), csi (b, N) complex64
    produces: content (b, B) uint8, what the payload carries without its checksum, intact (b,) bool
    """

    consumes = {"payload": Signal("payload_symbols"), "csi": Signal("payload_symbols"), "lost": Count()}
    produces = {"content": Field("uint8", ("content_bytes",)), "intact": Flags()}

    def __init__(self, layout: BurstFormat, name: str | None = None) -> None:
        super().__init__(name)
        self.format = layout
        self._size = layout.payload_bytes - header.CRC_BYTES
        self.dimensions = {"payload_symbols": layout.payload, "content_bytes": self._size}
        self._constellation = Constellation(layout.order)

    def start(self) -> None:
        """Nothing has come."""
        self._bursts = self._intact = 0

    def work(self, payload: np.ndarray, csi: np.ndarray, lost: np.ndarray) -> dict[str, np.ndarray]:
        """The bytes of every burst."""
        count, bits = len(payload), self.format.bits
        decided = self._constellation.decide(payload.reshape(-1), csi.reshape(-1)).reshape(count, -1)
        shifts = np.arange(bits - 1, -1, -1, dtype=np.uint8)
        stream = (decided[:, :, None] >> shifts & 1).reshape(count, -1)
        packed = np.packbits(stream, axis=1)[:, : self.format.payload_bytes]
        content, intact = np.zeros((count, self._size), np.uint8), np.zeros(count, bool)
        for b in range(count):
            found = header.check(packed[b].tobytes())
            if found is not None and not lost[b]:
                content[b], intact[b] = np.frombuffer(found, np.uint8), True
        self._bursts += count
        self._intact += int(intact.sum())
        return {"content": content, "intact": intact}

    def result(self) -> dict[str, Any]:
        """Payloads, and how many of them are intact."""
        return {"payloads": getattr(self, "_bursts", 0), "intact": getattr(self, "_intact", 0)}
