"""Recordings: the frames of a stream in a file (docs/recording.md describes the format).

A file is a preamble and a row of records, each with its own length and checksum, the first one
describing the stream, the last one closing it. A recording that was cut off loses the record at the
cut and nothing else.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from blocks.runtime.frame import DTYPES, Frame, decode_parts, unpack
from blocks.runtime.port import Field
from isac_models.errors import UserError

MAGIC = b"\x89ISACREC"
VERSION = 1
PREAMBLE = struct.Struct("<8sHHI")  # magic, version, reserved, reserved
RECORD = struct.Struct("<4sIQQ")  # kind, CRC-32 of the body, snapshots, bytes of the body
PARTS = struct.Struct("<I")
HEAD, FRAME, DONE = b"HEAD", b"FRAM", b"DONE"

MAX_DESCRIPTION = 1 << 20
MAX_FRAME = (1 << 30) + (1 << 20)
MAX_PARTS = 128


@dataclass
class Recording:
    """A recording opened for reading; every length is checked before a byte is allocated.

    `fields` name → Field, `about` the run (scenario, seed, …), `tags` of the end of the stream,
    `complete` False for a run that was stopped, `salvaged` True where the end is missing or damaged.
    Raises UserError for a missing file, one that is no recording, and, unless `salvage`, one whose
    end is missing.
    """

    path: str
    salvage: bool = False
    fields: dict[str, Field] = field(init=False, default_factory=dict)
    about: dict[str, Any] = field(init=False, default_factory=dict)
    tags: dict[str, Any] = field(init=False, default_factory=dict)
    complete: bool = field(init=False, default=False)
    salvaged: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._file: IO[bytes] | None = None
        offsets: list[int] = []
        ends: list[int] = []
        try:
            closed = self._scan(offsets, ends)
        except OSError as error:
            raise UserError(f"cannot read recording {self.path}: {error.strerror}") from error
        finally:
            self.close()
        self._offsets = np.array(offsets, dtype=np.int64)
        self._ends = np.cumsum(np.array(ends, dtype=np.int64))
        if closed and not self.salvage:
            return
        whole = self.frames
        self._drop_damaged_tail()
        if not self.salvage:
            hint = "; --salvage plays those" if self.frames else ""
            raise UserError(
                f"recording {self.path} is cut off after {self.frames} whole frames "
                f"({self.snapshots} snapshots){hint}"
            )
        if not closed or self.frames < whole:
            self.salvaged, self.complete, self.tags = True, False, {}

    @property
    def frames(self) -> int:
        """Whole frames in the file."""
        return len(self._offsets)

    @property
    def snapshots(self) -> int:
        """Snapshots in the whole frames."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def frame_at(self, position: int) -> tuple[int, int]:
        """Number of the frame that holds snapshot `position`, and the snapshot's place in it."""
        number = int(np.searchsorted(self._ends, position, side="right"))
        return number, position - (int(self._ends[number - 1]) if number else 0)

    def read(self, number: int) -> Frame:
        """Frame `number`. Raises ValueError where it is damaged."""
        if self._file is None:
            self._file = open(self.path, "rb")  # noqa: SIM115  (read frame by frame, closed by close)
        self._file.seek(int(self._offsets[number]))
        try:
            _, body = self._record(os.fstat(self._file.fileno()).st_size)
            frame = decode_parts(_parts(body))
            if frame.count != int(self._ends[number]) - (int(self._ends[number - 1]) if number else 0):
                raise ValueError("its number of snapshots is not the recorded one")
        except ValueError as error:
            hint = "; --salvage plays the frames before it" if number else ""
            raise ValueError(f"recording {self.path}: frame {number} is damaged ({error}){hint}") from error
        if {name: _field(a.dtype.str, list(a.shape[1:])) for name, a in frame.arrays.items()} != self.fields:
            raise ValueError(f"recording {self.path}: frame {number} does not hold the described fields")
        return frame

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _drop_damaged_tail(self) -> None:
        """Keep the frames before the first damaged one: where the end is missing, the tail is suspect."""
        for number in range(self.frames):
            try:
                self.read(number)
            except ValueError:
                self._offsets, self._ends = self._offsets[:number], self._ends[:number]
                break
        self.close()

    def _scan(self, offsets: list[int], counts: list[int]) -> bool:
        """Walk over the records without reading frames; True when the closing record is there."""
        self._file = open(self.path, "rb")  # noqa: SIM115  (closed by close)
        size = os.fstat(self._file.fileno()).st_size
        start = self._file.read(PREAMBLE.size)
        if len(start) < PREAMBLE.size or not start.startswith(MAGIC):
            raise UserError(f"{self.path} is not a recording")
        version = PREAMBLE.unpack(start)[1]
        if version != VERSION:
            raise UserError(
                f"recording {self.path} has format version {version}, this program reads {VERSION}"
            )
        try:
            self._describe(size)
        except ValueError as error:
            raise UserError(f"recording {self.path} is damaged: {error}") from error
        for kind, count, offset in self._walk(size):
            if kind == DONE:
                self._file.seek(offset)
                return self._finish(size)
            offsets.append(offset)
            counts.append(count)
        return False

    def _walk(self, size: int) -> Iterator[tuple[bytes, int, int]]:
        """Kind, snapshots and place of each whole record from here on."""
        assert self._file is not None
        while True:
            offset = self._file.tell()
            header = self._file.read(RECORD.size)
            if len(header) < RECORD.size:
                return
            kind, _, count, length = RECORD.unpack(header)
            if kind not in (FRAME, DONE) or length > size - self._file.tell() or count > length:
                return
            yield kind, count, offset
            self._file.seek(offset + RECORD.size + length)

    def _describe(self, size: int) -> None:
        kind, body = self._record(size, MAX_DESCRIPTION)
        head = unpack(body, MAX_DESCRIPTION) if kind == HEAD else None
        if not isinstance(head, dict) or not isinstance(head.get("fields"), dict):
            raise ValueError("its description is missing")
        for name, described in head["fields"].items():
            if not (isinstance(name, str) and isinstance(described, list) and len(described) == 2):
                raise ValueError("its description is malformed")
            self.fields[name] = _field(described[0], described[1])
        about = head.get("about")
        self.about = about if isinstance(about, dict) else {}

    def _finish(self, size: int) -> bool:
        try:
            done = unpack(self._record(size, MAX_DESCRIPTION)[1], MAX_DESCRIPTION)
        except ValueError:
            return False
        if isinstance(done, dict):
            self.complete = done.get("complete") is True
            self.tags = done["tags"] if isinstance(done.get("tags"), dict) else {}
        return isinstance(done, dict)

    def _record(self, size: int, limit: int = MAX_FRAME) -> tuple[bytes, memoryview]:
        """The record at the file's position, checked."""
        assert self._file is not None
        header = self._file.read(RECORD.size)
        if len(header) < RECORD.size:
            raise ValueError("it ends inside a record")
        kind, checksum, _, length = RECORD.unpack(header)
        if length > min(limit, size - self._file.tell()):
            raise ValueError(f"a record of {length} bytes does not fit")
        body = bytearray(length)
        if self._file.readinto(body) != length:  # type: ignore[attr-defined]
            raise ValueError("it ends inside a record")
        if zlib.crc32(body) != checksum:
            raise ValueError("checksum mismatch")
        return kind, memoryview(body)


def _parts(body: memoryview) -> list[memoryview]:
    """The parts of a frame's wire form, cut out of the record's body without copying."""
    if len(body) < PARTS.size:
        raise ValueError("no parts")
    (count,) = PARTS.unpack_from(body)
    offset = PARTS.size + 8 * count
    if count > MAX_PARTS or offset > len(body):
        raise ValueError(f"{count} parts do not fit")
    lengths = struct.unpack_from(f"<{count}Q", body, PARTS.size)
    if offset + sum(lengths) != len(body):
        raise ValueError("its parts do not fill the record")
    parts = []
    for length in lengths:
        parts.append(body[offset : offset + length])
        offset += length
    return parts


def _field(code: Any, shape: Any) -> Field:
    """A Field of a described dtype and shape; ValueError unless both are plain."""
    if not isinstance(code, str) or code not in DTYPES or not isinstance(shape, list) or len(shape) > 7:
        raise ValueError("its description is malformed")
    if not all(type(size) is int and 0 <= size <= MAX_FRAME for size in shape):
        raise ValueError("its description is malformed")
    return Field(DTYPES[code].name, tuple(shape))
