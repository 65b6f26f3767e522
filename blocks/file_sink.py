"""The receiving end of a file over bursts that may be lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from blocks.runtime import Block, Count, Field, Flags
from blocks.runtime.output import check_writable
from isac_models.atomic import write_atomically
from isac_models.coding.repeat import Receiver, Timing
from isac_models.waveform import header
from isac_models.waveform.burst_format import BurstFormat


class FileSink(Block):
    """Puts a file together, says over the port `report` what is missing, and writes it when it is whole.

    consumes: content (b, B) uint8, intact (b,) bool, number (b,) int64 (-1: unknown), flags (b,) uint8,
    time (b,) int64 and start (b,) float64, which say the slot of a burst
    publishes: report (`isac_models.coding.repeat`)

    Raises UserError where `out` cannot be written.
    """

    consumes = {
        "content": Field("uint8", ("content_bytes",)),
        "intact": Flags(),
        "number": Count(),
        "flags": Field("uint8"),
        "time": Count(),
        "start": Field("float64"),
    }
    publishes = ("report",)

    def __init__(
        self,
        layout: BurstFormat,
        out: str | Path | None = None,
        timing: Timing | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if out is not None:
            check_writable(str(out))
        self.format, self._out, self._timing = layout, out, timing
        self._size = layout.payload_bytes - header.CRC_BYTES
        self.dimensions = {"content_bytes": self._size}

    def start(self) -> None:
        """Nothing has come."""
        self._receiver = Receiver(self._size, self._timing)
        self._written: str | None = None

    def work(
        self,
        content: np.ndarray,
        intact: np.ndarray,
        number: np.ndarray,
        flags: np.ndarray,
        time: np.ndarray,
        start: np.ndarray,
    ) -> None:
        """Take what every slot brought, and report where it is time to."""
        for b in range(len(number)):
            slot = round(float(time[b] + start[b] - self.format.pulse.delay) / self.format.slot)
            slot = max(slot, 0)
            known = int(number[b]) if number[b] >= 0 else None
            data = content[b].tobytes() if intact[b] and known is not None else None
            self._receiver.push(slot, known, int(flags[b]), data)
            report = self._receiver.report(slot)
            if report is not None:
                self.publish("report", report)

    def finish(self) -> None:
        """Write the file, if all of it came."""
        whole = self._receiver.content()
        if whole is not None and self._out is not None:
            write_atomically(self._out, whole)
            self._written = str(self._out)

    def result(self) -> dict[str, Any]:
        """Whether the file is there as it was sent, its bytes, and what was lost and recovered on the way."""
        if not hasattr(self, "_receiver"):
            return {}
        intact = self._receiver.content() is not None
        return {**self._receiver.statistics(), "intact": intact, "out": self._written}
