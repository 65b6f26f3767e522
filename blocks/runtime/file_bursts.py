"""What the blocks that carry files in bursts have in common."""

from __future__ import annotations

import os
import stat

import numpy as np

from blocks.runtime.output import AtomicFile
from isac_models.coding.file_code import LARGEST
from isac_models.coding.packet import PacketFormat
from isac_models.constellation import Constellation
from isac_models.errors import UserError


def read_file(path: str, limit: int = LARGEST) -> bytes:
    """The bytes of a file. Raises UserError for one that cannot be read, is not regular, or is too large."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"cannot send {path}: it is not a regular file")
        if status.st_size > limit:
            raise UserError(f"cannot send {path}: {status.st_size} bytes, the limit is {limit}")
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError as error:
        raise UserError(f"cannot send {path}: {error.strerror}") from error


class BurstParser:
    """Decides the symbols of bursts, and reads the packets in them."""

    def __init__(self, layout: PacketFormat, constellation: Constellation) -> None:
        self._layout, self._constellation = layout, constellation

    def __call__(self, payload: np.ndarray, csi: np.ndarray) -> tuple[int, int, bytes] | None:
        """(number, flags, data) of payload symbols (N,) with their CSI (N,); None for a damaged packet."""
        return self._layout.parse(self._constellation.decide(payload, csi))


def write_file(path: str | None, content: bytes | None) -> str | None:
    """Write a file that has arrived whole, and return where; without content or path nothing is written."""
    if path is None or content is None:
        return None
    out = AtomicFile(path)
    try:
        out.file.write(content)
        out.commit()
    except BaseException:
        out.discard()
        raise
    return path
