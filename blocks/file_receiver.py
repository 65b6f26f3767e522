"""Where a file arrives whole: what is missing is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Count, Signal
from blocks.runtime.file_bursts import BurstParser, write_file
from blocks.runtime.output import check_writable
from isac_models.coding.file_code import LARGEST
from isac_models.coding.packet import PacketFormat
from isac_models.coding.repeat import Receiver, Timing
from isac_models.constellation import Constellation
from isac_models.scenario import Scenario

NUMBERS = 1 << 24
MOST_LOST = 10_000
"""Slots between two bursts that are counted as lost."""


class FileReceiver(Block):
    """Receives the file that a `FileSender` sends, and reports over a message port what it lacks.

    The number in a burst's header is its slot; it goes round after 2²⁴. A burst without a readable number is
    taken for one of the slot after the last one. The file appears at `out` at the end of the stream, if it
    is whole; the name that it was sent under is reported and used for nothing. `limit` bytes are taken.

    consumes, a burst on the first axis: payload (b, N) and csi (b, N) complex64, number (b,) int64, -1 where
    the header was not readable
    publishes: report

    Raises UserError where `out` cannot be written.
    """

    consumes = {
        "payload": Signal("payload_symbols"),
        "csi": Signal("payload_symbols"),
        "number": Count(),
    }
    publishes = ("report",)

    def __init__(
        self,
        scenario: Scenario,
        payload: int,
        out: str | None = None,
        timing: Timing | None = None,
        limit: int = LARGEST,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if out is not None:
            check_writable(out)
        self.scenario, self._out, self._limit, self._timing = scenario, out, limit, timing
        self.dimensions = {"payload_symbols": payload}
        constellation = Constellation(scenario.order)
        self._packets = PacketFormat(payload, constellation.bits)
        self._parse = BurstParser(self._packets, constellation)
        self.start()

    def start(self) -> None:
        """Nothing has been received."""
        self._receiver = Receiver(self._packets.size, self._timing, self._limit)
        self._slot = -1
        self._done: dict[str, Any] = {}

    def work(self, payload: np.ndarray, csi: np.ndarray, number: np.ndarray) -> None:
        """Take some bursts, and report what is due."""
        for symbols, channel, count in zip(payload, csi, number, strict=True):
            packet = self._parse(symbols, channel)
            # Noise has a readable header once in 2¹⁶ times: only a whole packet may move time by a leap.
            slot = self._slot_of(int(count)) if packet else self._slot + 1
            for between in range(self._slot + 1, min(slot, self._slot + MOST_LOST)):
                self._receiver.push(between)
            self._slot = slot
            self._receiver.push(slot, *(packet or ()))
            report = self._receiver.report(self._slot)
            if report is not None:
                self.publish("report", report)

    def finish(self) -> None:
        """Write the file, if it is whole."""
        content = self._receiver.content()
        self._done = {"intact": content is not None, "written": write_file(self._out, content)}

    def result(self) -> dict[str, Any]:
        """Whether the file is intact, its name and length, and what became of the bursts."""
        statistics = self._receiver.statistics()
        return {
            "intact": None,
            "file_name": self._receiver.name or None,
            "payload_bytes": statistics.pop("bytes"),
            **statistics,
            **self._done,
        }

    def _slot_of(self, number: int) -> int:
        """The slot that a 24-bit number stands for: the one ahead of the last; none lies far behind it."""
        if number < 0:
            return self._slot + 1
        ahead = (number - self._slot) % NUMBERS
        return self._slot + ahead if ahead < NUMBERS // 2 else self._slot
