"""Writing recordings (docs/recording.md describes the format; `recording` reads it)."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from blocks.runtime.frame import Frame, encode_parts, pack
from blocks.runtime.recording import DONE, FRAME, HEAD, MAGIC, PARTS, PREAMBLE, RECORD, VERSION

SUFFIX = ".partial"


class RecordingWriter:
    """Writes a recording as ``path + ".partial"`` and renames it over `path` when it is complete.

    Until then a recording already at `path` stays; after an early end the partial one is kept.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)
        self.partial = self.path + SUFFIX
        self.frames = 0
        self.snapshots = 0
        self._file: IO[bytes] = open(self.partial, "wb")  # noqa: SIM115  (closed by close)
        self._file.write(PREAMBLE.pack(MAGIC, VERSION, 0, 0))

    def describe(self, fields: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
        """Write the first record: each field's dtype and shape, and what `about` says of the run."""
        described = {name: [a.dtype.newbyteorder("<").str, list(a.shape[1:])] for name, a in fields.items()}
        self._write(HEAD, 0, [pack({"fields": described, "about": dict(about)})])

    def write(self, frame: Frame) -> None:
        """Append one frame."""
        parts = [_bytes(part) for part in encode_parts(frame)]
        lengths = struct.pack(f"<{len(parts)}Q", *(len(part) for part in parts))
        self._write(FRAME, frame.count, [PARTS.pack(len(parts)), lengths, *parts])
        self.frames += 1
        self.snapshots += frame.count

    def close(self, tags: Mapping[str, Any], complete: bool) -> str:
        """Write the last record and return where the recording lies: `path` if `complete`."""
        done = {"frames": self.frames, "snapshots": self.snapshots, "complete": complete, "tags": dict(tags)}
        self._write(DONE, 0, [pack(done)])
        self._file.close()
        if complete:
            os.replace(self.partial, self.path)
        return self.path if complete else self.partial

    def _write(self, kind: bytes, snapshots: int, body: list[Any]) -> None:
        checksum = 0
        for part in body:
            checksum = zlib.crc32(part, checksum)
        self._file.write(RECORD.pack(kind, checksum, snapshots, sum(len(part) for part in body)))
        for part in body:
            self._file.write(part)


def _bytes(part: Any) -> Any:
    """`part` as plain bytes without a copy."""
    if isinstance(part, np.ndarray):
        return np.ascontiguousarray(part).reshape(-1).view(np.uint8)
    return memoryview(part)
