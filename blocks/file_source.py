"""A file over bursts that may be lost: Reed–Solomon, and repeats of what the receiver names."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import Any

import numpy as np

from blocks.runtime import Count, Field, Source, Symbols
from isac_models.coding.file_code import LARGEST, FileEncoder
from isac_models.coding.layout import FileCode
from isac_models.coding.repeat import BurstFlag, Sender, Timing
from isac_models.errors import UserError
from isac_models.waveform import header
from isac_models.waveform.burst_format import BurstFormat

AHEAD = 16
"""Bursts that may be on their way to the radio: what is further ahead makes every repeat wait."""
AT_ONCE = 4
"""Bursts of a frame."""
WAIT_SECONDS = 0.1


class FileSource(Source):
    """The messages of a file's bursts, N to a burst, with the number and flags of their header.

    A burst holds its bytes and a CRC-32, most significant bit first. Reports from a `FileSink` say what is
    missing (`isac_models.coding.repeat`); where there is nothing to send yet, bursts flagged FILL keep time.

    produces: message (n,) uint8, burst_number (n,) int64, burst_flags (n,) uint8; n a multiple of N
    subscribes: report, from a FileSink; sent, from a RadioTransmit, for the slots that reports speak of

    Raises UserError for a file that cannot be read or is too large.
    """

    produces = {"message": Symbols(), "burst_number": Count(), "burst_flags": Field("uint8")}
    subscribes = ("report", "sent")

    def __init__(
        self,
        layout: BurstFormat,
        file: str | Path,
        code: FileCode | None = None,
        timing: Timing | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.format = layout
        try:
            size = Path(file).stat().st_size
            if size > LARGEST:
                raise UserError(f"{file} has {size} bytes, at most {LARGEST} are sent")
            content = Path(file).read_bytes()
        except OSError as error:
            raise UserError(f"{file}: {error.strerror or error}") from None
        code = code or FileCode(size=layout.payload_bytes - header.CRC_BYTES)
        self._encoder, self._timing = FileEncoder(Path(file).name, content, code), timing
        self._shifts = np.arange(8 - layout.bits, -1, -layout.bits, dtype=np.uint8)

    def start(self) -> None:
        """Begin with the first burst."""
        self._sender = Sender(self._encoder, self._timing)
        self._made = self._fills = 0
        self._slots: list[int] = []  # of the air, that the bursts so far were sent in

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        """The next bursts, or None when the receiver has the file or the transfer has failed."""
        self._hear(0.0)
        while self._made - len(self._slots) >= AHEAD and not self.stopping:
            self._hear(WAIT_SECONDS)
        bursts = []
        while len(bursts) < min(AT_ONCE, max(1, count // self.format.payload)):
            burst = self._sender.next(self._made)
            if self._sender.finished:
                break
            if burst is None:
                self._fills += 1
                bursts.append(self._messages(0, BurstFlag.FILL, self._encoder.payload(0)))
            else:
                bursts.append(self._messages(burst.number, burst.flags, burst.payload))
            self._made += 1
        if not bursts:
            return None
        return {key: np.concatenate([burst[key] for burst in bursts]) for key in self.produces}

    def _hear(self, seconds: float) -> None:
        """Take in what was sent, and what the receiver reports."""
        for told in self.messages("sent", seconds):
            if "time" in told:
                self._slots.append(int(told["time"]) // self.format.slot)
        for report in self.messages("report"):
            if isinstance(report, dict):
                heard = report.get("slot")
                if isinstance(heard, int):
                    # The receiver counts slots of the air, the sender its own bursts.
                    report["slot"] = bisect_right(self._slots, heard) - 1
                self._sender.receive(report, self._made)

    def _messages(self, number: int, flags: int, payload: bytes) -> dict[str, np.ndarray]:
        data = np.frombuffer(header.protect(payload), np.uint8)
        n, mask = self.format.payload, (1 << self.format.bits) - 1
        message = np.zeros(n, np.uint8)
        symbols = (data[:, None] >> self._shifts & mask).reshape(-1)
        message[: symbols.size] = symbols
        return {
            "message": message,
            "burst_number": np.full(n, number, np.int64),
            "burst_flags": np.full(n, int(flags), np.uint8),
        }

    def result(self) -> dict[str, Any]:
        """Bursts, repeats, bursts that kept time, and file bits a slot until it had arrived."""
        if not hasattr(self, "_sender"):
            return {}
        return {**self._sender.statistics(), "fills": self._fills}
