"""A file as bursts that may be lost, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from isac_models.coding.file_header import HEADER_BYTES, DamagedHeader, FileHeader
from isac_models.coding.layout import FileCode, Layout
from isac_models.errors import UserError

LARGEST = 64 << 20
"""Bytes of a file that a receiver takes unless told otherwise."""
WAITING = 4096  # bursts kept before the header is known


class FileEncoder:
    """The bursts of a file: `payload(number)` for 0 … `total` - 1, encoded block by block when asked for.

    Raises UserError for a file that is too large.
    """

    def __init__(self, name: str, content: bytes, code: FileCode | None = None) -> None:
        self.code = code or FileCode()
        self.content = content
        self.layout = Layout(self.code, len(content))
        self.header = FileHeader.of(name, content, self.code.data, self.code.parity, self.code.depth)
        self._encoded: dict[int, np.ndarray] = {}

    @property
    def total(self) -> int:
        """Bursts in all."""
        return self.layout.total

    def payload(self, number: int) -> bytes:
        """The `size` bytes of the burst `number`."""
        block, symbol = self.layout.place(number)
        if block not in self._encoded:
            if len(self._encoded) > 2 * self.code.depth:
                self._encoded.pop(next(iter(self._encoded)))
            self._encoded[block] = self.layout.reed_solomon(block).encode(self._rows(block))
        return bytes(self._encoded[block][symbol])

    def payloads(self) -> Iterator[bytes]:
        """All of them in order."""
        return (self.payload(number) for number in range(self.total))

    def _rows(self, block: int) -> np.ndarray:
        rows, size = self.layout.data(block), self.code.size
        if block == 0:
            raw = self.header.pack()
        else:
            first = self.layout.first_byte(block)
            raw = self.content[first : first + rows * size]
        return np.frombuffer(raw.ljust(rows * size, b"\0"), np.uint8).reshape(rows, size)


@dataclass
class Progress:
    """What became of the bursts that a decoder was given."""

    received: int = 0
    """Bursts with a payload."""
    lost: int = 0
    """Bursts known to be lost."""
    repeated: int = 0
    """Bursts that were there already, or no longer needed."""
    refused: int = 0
    """Bursts with a number or size that cannot be, or beyond what is kept."""
    recovered: int = 0
    """Data bursts that never came and were decoded from parity."""
    conflicts: int = 0
    """Times that a block could not be decoded because bursts in it were wrong."""


@dataclass
class _Block:
    """A block that is not decoded yet."""

    symbols: dict[int, bytes] = field(default_factory=dict)
    needed: int = 0


class FileDecoder:
    """Takes bursts in any order until the file is complete.

    Of the format, only the bytes of a burst are known beforehand, the rest is in the header. Nothing that is
    received takes more memory than what has been received, `limit` bounds the file. With `window`, bursts of
    groups further than that behind the first undecoded one are not kept.
    """

    def __init__(self, size: int = 60, limit: int = LARGEST, window: int | None = None) -> None:
        self._start = FileCode(size=size)
        self.limit, self.window = limit, window
        self.layout = Layout(self._start, 0)
        self.header: FileHeader | None = None
        self.refused = ""
        """Why no file can be received, if none can."""
        self.progress = Progress()
        self._open: dict[int, _Block] = {}
        self._decoded: dict[int, bytes] = {}
        self._waiting: dict[int, bytes] = {}
        self.first_open = 0
        """The first block that is not decoded."""

    @property
    def complete(self) -> bool:
        """Whether every block is decoded."""
        return self.header is not None and self.first_open == self.layout.blocks

    def push(self, number: int | None, payload: bytes | None) -> None:
        """Take the burst `number`; None where it, or even its number, was lost."""
        if number is None or payload is None:
            self.progress.lost += 1
            return
        if number < 0 or len(payload) != self._start.size or self.refused:
            self.progress.refused += 1
            return
        self.progress.received += 1
        if self.header is None and number >= self.layout.total:
            self._wait(number, payload)
        else:
            self._take(number, payload)

    def content(self) -> bytes | None:
        """The file, None where it is not complete or not the one that was sent."""
        if not self.complete or self.header is None:
            return None
        whole = b"".join(self._decoded[block] for block in range(1, self.layout.blocks))
        whole = whole[: self.header.length]
        return whole if hashlib.sha256(whole).digest() == self.header.digest else None

    def needed(self, block: int) -> int:
        """Further bursts of a block that it takes to decode it."""
        if block in self._decoded:
            return 0
        found = self._open.get(block)
        return self.layout.data(block) if found is None else found.needed

    def missing(self, groups: int | None = None, spare: float = 0.0) -> list[int]:
        """Numbers of the bursts needed to decode what is not decoded, as few of every block as will do.

        Of the first `groups` groups only, where given; `spare` adds that share for those lost again.
        Before the header is decoded, nothing but its own bursts is known to be missing.
        """
        found = []
        last = self.layout.groups if groups is None else min(groups, self.layout.groups)
        for group in range(self.layout.group(min(self.first_open, self.layout.blocks - 1)), last):
            for block in self.layout.blocks_of(group):
                asked = -(-int(self.needed(block) * (1000 + 1000 * spare)) // 1000)
                there = self._open[block].symbols if block in self._open else {}
                absent = (s for s in range(self.layout.bursts(block)) if s not in there)
                if asked:
                    found += [
                        self.layout.number(block, s) for s, _ in zip(absent, range(asked), strict=False)
                    ]
        return sorted(found)

    def _wait(self, number: int, payload: bytes) -> None:
        """Keep a burst until the header says what it is."""
        if number in self._waiting:
            self.progress.repeated += 1
        elif len(self._waiting) < WAITING:
            self._waiting[number] = payload
        else:
            self.progress.refused += 1

    def _take(self, number: int, payload: bytes) -> None:
        if number >= self.layout.total:
            self.progress.refused += 1
            return
        block, symbol = self.layout.place(number)
        if self.window is not None and self.layout.group(block) > self.window + self.layout.group(
            min(self.first_open, self.layout.blocks - 1)
        ):
            self.progress.refused += 1
            return
        if block not in self._open and block not in self._decoded:
            self._open[block] = _Block(needed=self.layout.data(block))
        if block in self._decoded or symbol in self._open[block].symbols:
            self.progress.repeated += 1
            return
        one = self._open[block]
        one.symbols[symbol] = payload
        one.needed -= 1
        if one.needed <= 0:
            self._decode(block)

    def _decode(self, block: int) -> None:
        one, data = self._open[block], self.layout.data(block)
        places = list(one.symbols)
        symbols = np.frombuffer(b"".join(one.symbols.values()), np.uint8).reshape(len(places), -1)
        rows = self.layout.reed_solomon(block).decode(places, symbols)
        if rows is not None and block == 0 and not self._begin(rows.tobytes()):
            rows = None
        if rows is None:
            if self.refused:
                return
            # Something that passed its checksum is wrong. Two more bursts find and mend one wrong one.
            self.progress.conflicts += 1
            if len(places) + 2 > self.layout.bursts(block):
                one.symbols.clear()
                one.needed = data
            else:
                one.needed = 2
            return
        self.progress.recovered += sum(symbol not in one.symbols for symbol in range(data))
        self._decoded[block] = rows.tobytes()
        del self._open[block]
        while self.first_open in self._decoded:
            self.first_open += 1
        if block == 0:
            waiting, self._waiting = self._waiting, {}
            for number, payload in waiting.items():
                self._take(number, payload)

    def _begin(self, raw: bytes) -> bool:
        """Read the header; whether it is one that can be followed."""
        try:
            header = FileHeader.unpack(raw[:HEADER_BYTES], self.limit)
            code = FileCode(self._start.size, header.data, header.parity, header.depth)
            self.layout = Layout(code, header.length)
        except DamagedHeader:
            return False
        except UserError as error:
            self.refused = str(error)
            return False
        self.header = header
        return True


def encode(content: bytes, name: str = "", code: FileCode | None = None) -> list[bytes]:
    """Every burst of a file, in order: `size` bytes each, the last data of a block filled with zeros."""
    return list(FileEncoder(name, content, code).payloads())
