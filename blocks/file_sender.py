"""A file over bursts, with repetition of what the receiver names."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from blocks.runtime import Source, Symbols
from blocks.runtime.file_bursts import read_file
from isac_models.coding.file_code import FileEncoder
from isac_models.coding.layout import FileCode
from isac_models.coding.packet import PacketFormat
from isac_models.coding.repeat import Burst, BurstFlag, Sender, Timing
from isac_models.constellation import Constellation
from isac_models.errors import UserError
from isac_models.scenario import Scenario


class FileSender(Source):
    """Sends a file burst by burst until a `FileReceiver` has it, repeating the bursts that it names.

    A burst has `payload` snapshots and takes a slot; slots are counted from the beginning of the stream, as
    the numbers in the bursts' headers are. A slot without anything to send waits up to `wait` seconds for a
    report, then goes out filled. `bursts` leave in a frame at most: what is in a frame is sent before a
    report can change it.

    The stream ends when the receiver has the file, or the transfer has failed (see
    `isac_models.coding.repeat`).

    produces: message (n,) uint8, n a multiple of `payload`
    subscribes: report

    Raises UserError for a file that cannot be read, and a code that cannot be.
    """

    produces = {"message": Symbols()}
    subscribes = ("report",)

    def __init__(
        self,
        scenario: Scenario,
        file: str,
        payload: int,
        data: int = 191,
        parity: int = 64,
        depth: int = 1,
        timing: Timing | None = None,
        bursts: int = 8,
        wait: float = 0.05,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if bursts < 1:
            raise UserError(f"bursts must be at least 1, not {bursts}")
        self.scenario, self._timing, self._bursts, self._wait = scenario, timing, bursts, wait
        self._packets = PacketFormat(payload, Constellation(scenario.order).bits)
        code = FileCode(self._packets.size, data, parity, depth)
        self._encoder = FileEncoder(os.path.basename(file), read_file(file), code)
        self.start()

    def start(self) -> None:
        """Nothing has been sent."""
        self._sender = Sender(self._encoder, self._timing)
        self._fills = 0

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        """The bursts of the next slots, as many as fit into `count` snapshots."""
        length = self._packets.symbols
        if count < length:
            raise UserError(f"frames of {count} snapshots hold no burst: use at least {length}")
        first, sender = self.position // length, self._sender
        self._hear(first, 0.0)
        messages: list[np.ndarray] = []
        for slot in range(first, first + min(self._bursts, count // length)):
            burst = sender.next(slot)
            if burst is None and not messages:
                self._hear(slot, self._wait)
                burst = sender.next(slot)
            if sender.finished:
                break
            if burst is None:
                self._fills += 1
                burst = Burst(0, BurstFlag.FILL, bytes(self._packets.size))
            messages.append(self._packets.messages(burst.number, burst.flags, burst.payload))
        return {"message": np.concatenate(messages)} if messages else None

    def result(self) -> dict[str, Any]:
        """State and reason, bursts, repeats, fills, slots, and file bits a slot."""
        return {
            "file_bytes": len(self._encoder.content),
            "fills": self._fills,
            **self._sender.statistics(),
        }

    def _hear(self, slot: int, seconds: float) -> None:
        for report in self.messages("report", seconds):
            if isinstance(report, dict):
                self._sender.receive(report, slot)
