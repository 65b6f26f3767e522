"""A burst's payload as the messages of its snapshots: number, flags, data, CRC-32, scrambled.

    | number 3 | flags 1 | data `size` | CRC-32 4 |      bytes, most significant first

The number stands in the payload, under its checksum: the number in the burst's own header then counts slots.
All of it is exclusive-ored with a fixed sequence, so that no file makes a burst of equal symbols.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.coding.layout import LEAST_SIZE, NUMBERS
from isac_models.errors import UserError

AHEAD, BEHIND = 4, 4


@dataclass(frozen=True)
class PacketFormat:
    """Packets of `symbols` messages of `bits` bits each; what is left of the last byte is zero.

    Raises UserError for bursts that are too short.
    """

    symbols: int
    bits: int

    def __post_init__(self) -> None:
        if self.size < LEAST_SIZE:
            least = -(-8 * (AHEAD + LEAST_SIZE + BEHIND) // self.bits)
            raise UserError(f"bursts of {self.symbols} payload symbols cannot carry a file: {least} or more")

    @property
    def size(self) -> int:
        """Bytes of a file in a burst."""
        return self.symbols * self.bits // 8 - AHEAD - BEHIND

    def messages(self, number: int, flags: int, data: bytes) -> NDArray[np.uint8]:
        """The messages (symbols,) of a packet. Raises ValueError for what does not fit."""
        if not 0 <= number < NUMBERS or not 0 <= flags < 256 or len(data) != self.size:
            raise ValueError(f"a packet takes a 24-bit number, 8 flags and {self.size} bytes")
        body = number.to_bytes(3, "big") + bytes([flags]) + data
        whole = np.frombuffer(body + zlib.crc32(body).to_bytes(BEHIND, "big"), np.uint8) ^ self._scramble
        string = np.zeros(self.symbols * self.bits, np.uint8)
        string[: 8 * len(whole)] = np.unpackbits(whole)
        padded = np.zeros((self.symbols, 8), np.uint8)
        padded[:, 8 - self.bits :] = string.reshape(self.symbols, self.bits)
        return np.packbits(padded, axis=1)[:, 0]

    def parse(self, decided: NDArray[Any]) -> tuple[int, int, bytes] | None:
        """(number, flags, data) of decided messages (symbols,), None where the checksum fails."""
        string = np.unpackbits(np.asarray(decided, np.uint8)[:, None], axis=1)[:, 8 - self.bits :].reshape(-1)
        whole = np.packbits(string[: 8 * len(self._scramble)]) ^ self._scramble
        body, checksum = whole[:-BEHIND].tobytes(), whole[-BEHIND:].tobytes()
        if zlib.crc32(body) != int.from_bytes(checksum, "big"):
            return None
        return int.from_bytes(body[:3], "big"), body[3], body[AHEAD:]

    @cached_property
    def _scramble(self) -> NDArray[np.uint8]:
        length = AHEAD + self.size + BEHIND
        return np.frombuffer(hashlib.shake_256(b"isac burst").digest(length), np.uint8)
