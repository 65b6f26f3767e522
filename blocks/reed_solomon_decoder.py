"""Where a coded file arrives."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Signal
from blocks.runtime.file_bursts import BurstParser, write_file
from blocks.runtime.output import check_writable
from isac_models.coding.file_code import LARGEST, FileDecoder
from isac_models.coding.packet import PacketFormat
from isac_models.constellation import Constellation
from isac_models.scenario import Scenario


class ReedSolomonDecoder(Block):
    """Receives the file that a `ReedSolomonEncoder` sends; lost and damaged bursts are erasures.

    The file appears at `out` at the end of the stream, if it is whole and its checksum right; the name that
    it was sent under is reported and used for nothing. `limit` bytes are taken at most.

    consumes, a burst on the first axis: payload (b, N) and csi (b, N) complex64

    Raises UserError where `out` cannot be written.
    """

    consumes = {"payload": Signal("payload_symbols"), "csi": Signal("payload_symbols")}

    def __init__(
        self,
        scenario: Scenario,
        payload: int,
        out: str | None = None,
        limit: int = LARGEST,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if out is not None:
            check_writable(out)
        self.scenario, self._out, self._limit = scenario, out, limit
        self.dimensions = {"payload_symbols": payload}
        constellation = Constellation(scenario.order)
        self._packets = PacketFormat(payload, constellation.bits)
        self._parse = BurstParser(self._packets, constellation)
        self.start()

    def start(self) -> None:
        """Nothing has been received."""
        self._decoder = FileDecoder(self._packets.size, self._limit)
        self._done: dict[str, Any] = {}

    def work(self, payload: np.ndarray, csi: np.ndarray) -> None:
        """Take some bursts."""
        for symbols, channel in zip(payload, csi, strict=True):
            packet = self._parse(symbols, channel)
            if packet is None:
                self._decoder.push(None, None)
            else:
                self._decoder.push(packet[0], packet[2])

    def finish(self) -> None:
        """Write the file, if it is whole."""
        content = self._decoder.content()
        self._done = {"intact": content is not None, "written": write_file(self._out, content)}

    def result(self) -> dict[str, Any]:
        """Whether the file is intact, its name and length, and what became of the bursts."""
        decoder = self._decoder
        header = decoder.header
        return {
            "intact": None,
            "file_name": header.name if header else None,
            "payload_bytes": header.length if header else None,
            "refused": decoder.refused or None,
            "bursts_missing": len(decoder.missing()[:10_000]),
            **{key: value for key, value in vars(decoder.progress).items() if key != "refused"},
            **self._done,
        }
