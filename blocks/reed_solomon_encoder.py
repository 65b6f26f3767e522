"""A file, coded against lost bursts, as messages."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from blocks.runtime import Source, Symbols
from blocks.runtime.file_bursts import read_file
from isac_models.coding.file_code import FileEncoder
from isac_models.coding.layout import FileCode
from isac_models.coding.packet import PacketFormat
from isac_models.constellation import Constellation
from isac_models.errors import UserError
from isac_models.scenario import Scenario


class ReedSolomonEncoder(Source):
    """Sends a file once, burst after burst of `payload` snapshots, protected by a Reed–Solomon code.

    Every block of `data` bursts is followed by `parity` more, any `parity` of which may be lost; `depth`
    blocks are sent in turns (see `isac_models.coding.layout`). Without a return path; with one,
    `FileSender`. `ReedSolomonDecoder` receives.

    produces: message (n,) uint8, n a multiple of `payload`

    Raises UserError for a file that cannot be read, and a code that cannot be.
    """

    produces = {"message": Symbols()}

    def __init__(
        self,
        scenario: Scenario,
        file: str,
        payload: int,
        data: int = 191,
        parity: int = 64,
        depth: int = 4,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.scenario = scenario
        self._packets = PacketFormat(payload, Constellation(scenario.order).bits)
        code = FileCode(self._packets.size, data, parity, depth)
        self._encoder = FileEncoder(os.path.basename(file), read_file(file), code)

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        """As many whole bursts as fit into `count` snapshots."""
        length = self._packets.symbols
        if count < length:
            raise UserError(f"frames of {count} snapshots hold no burst: use at least {length}")
        first = self.position // length
        numbers = range(first, min(first + count // length, self._encoder.total))
        if not numbers:
            return None
        bursts = [self._packets.messages(number, 0, self._encoder.payload(number)) for number in numbers]
        return {"message": np.concatenate(bursts)}

    def result(self) -> dict[str, Any]:
        """Bytes of the file, and the bursts that carry them."""
        return {"file_bytes": len(self._encoder.content), "bursts": self._encoder.total}
