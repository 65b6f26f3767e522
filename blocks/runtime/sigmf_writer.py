"""Writing the samples and the metadata of a SigMF recording, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from blocks.runtime.output import AtomicFile
from blocks.runtime.sigmf_meta import DATA, META, base_of, make_meta

DATATYPES = {"cf32_le": np.dtype("<c8"), "rf32_le": np.dtype("<f4")}


class SigmfWriter:
    """Streams samples (n, channels) into a temporary file beside the recording, and hashes them on the way.

    `prepare` completes it with its metadata, `commit` of all recordings that belong together shows them.
    Nothing but the hash, the metadata and one frame is held in memory.
    """

    def __init__(self, path: str, channels: int, datatype: str = "cf32_le") -> None:
        self.path, self.channels, self.datatype = path, channels, datatype
        self.samples = 0
        self._dtype = DATATYPES[datatype]
        self._hash = hashlib.sha512()
        base = base_of(os.path.realpath(path))
        self._paths = (base + DATA, base + META)
        self._data = AtomicFile(self._paths[0])
        self._meta: AtomicFile | None = None

    @property
    def checksum(self) -> str:
        """SHA-512 of the samples so far, in hexadecimal digits."""
        return self._hash.hexdigest()

    def write(self, samples: np.ndarray) -> None:
        """Append samples (n, channels), or (n,) of one channel, interleaved as SigMF asks."""
        block = np.ascontiguousarray(samples, dtype=self._dtype).reshape(len(samples), self.channels)
        raw = block.reshape(-1).view(np.uint8).data
        self._hash.update(raw)
        self._data.file.write(raw)
        self.samples += len(block)

    def prepare(
        self,
        more: Mapping[str, Any],
        captures: list[dict[str, Any]] | None = None,
        annotations: list[dict[str, Any]] | None = None,
    ) -> None:
        """Write the metadata, checksum included, beside their place. Raises ValueError for invalid ones."""
        fields = {**more, "core:sha512": self.checksum, "isac:samples": self.samples}
        data = make_meta(self.datatype, self.channels, fields, captures or [], annotations or [])
        self._data.file.flush()
        self._meta = AtomicFile(self._paths[1])
        self._meta.file.write(data)
        self._meta.file.flush()

    def discard(self) -> None:
        """Forget everything; a recording of this name that was there before stays."""
        self._data.discard()
        if self._meta is not None:
            self._meta.discard()


def commit(writers: Sequence[SigmfWriter], retired: Sequence[str] = ()) -> None:
    """Show recordings that belong together; the first one is the one that is opened, and appears last.

    Its old metadata go first, and with them the metadata files in `retired`: no moment shows the
    metadata of one recording beside the samples of another.
    """
    for path in (writers[0]._paths[1], *retired):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    for writer in reversed(writers):
        writer._data.commit()
        assert writer._meta is not None
        writer._meta.commit()
