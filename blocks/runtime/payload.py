"""Payloads: a file, a picture or a pipe as the messages that cross the link, and back.

Bits go most significant first. With b = log2(M) bits a message, the payload's bit string is cut
into pieces of b bits, the last one filled with zeros. What describes the payload travels in tags:

``payload_kind``    "random" | "file" | "picture" | "stream"
``payload_bytes``   length; on the first frame where it is known, always on the end of the stream
``payload_sha256``  checksum (hex) of the bytes that were sent, on the end of the stream
``picture``         [mode, width, height] of a picture sent as raw pixels, on the first frame
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from typing import IO, Any

import numpy as np

from blocks.runtime.picture import Picture, decode_picture
from isac_models.errors import UserError

STDIN = "-"
CHUNK = 1 << 20


def pack_symbols(data: bytes, skip: int, count: int, bits: int) -> np.ndarray:
    """`count` messages (uint8) of `bits` bits each from `data`, after `skip` bits; zeros past the end."""
    string = np.unpackbits(np.frombuffer(data, dtype=np.uint8))[skip : skip + count * bits]
    padded = np.zeros(count * bits, dtype=np.uint8)
    padded[: len(string)] = string
    return np.packbits(padded.reshape(count, bits), axis=1)[:, 0] >> (8 - bits)


class SymbolUnpacker:
    """Messages back to bytes, frame by frame; bits that fill no byte yet wait for the next frame."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._waiting = np.zeros(0, dtype=np.uint8)

    def push(self, symbols: np.ndarray) -> bytes:
        """The whole bytes that `symbols` (n,) complete."""
        string = np.unpackbits(symbols[:, np.newaxis], axis=1)[:, 8 - self._bits :].reshape(-1)
        if len(self._waiting):
            string = np.concatenate([self._waiting, string])
        whole = len(string) // 8 * 8
        self._waiting = string[whole:]
        return np.packbits(string[:whole]).tobytes()


class Payload:
    """Bytes of known length, read at any offset: a file on disk or a picture's pixels.

    The file is read piece by piece, never held. `length` is in bytes.
    """

    def __init__(self, path: str, length: int, picture: Picture | None = None, pixels: bytes = b"") -> None:
        self.length = length
        self._path = path
        self._picture = picture
        self._pixels = pixels
        self._file: IO[bytes] | None = None
        self._hash: Any = None
        self._hashed = 0

    def symbols(self, bits: int) -> int:
        """How many messages of `bits` bits carry the payload."""
        return -(-self.length * 8 // bits)

    def messages(self, start: int, count: int, bits: int) -> np.ndarray:
        """Messages number `start` to `start + count`, uint8 (count,)."""
        first = start * bits // 8
        last = min(self.length, -(-(start + count) * bits // 8))
        return pack_symbols(self.read(first, last - first), start * bits - first * 8, count, bits)

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`. Raises OSError where the file no longer holds them."""
        if self._picture is not None:
            data = self._pixels[offset : offset + count]
        else:
            if self._file is None:
                self._file = open(self._path, "rb")  # noqa: SIM115  (read frame by frame, closed by close)
            self._file.seek(offset)
            data = self._file.read(count)
        if len(data) != count:
            raise OSError(f"{self._path} became shorter while it was being sent")
        self._checksum(offset, data)
        return data

    def first_tags(self) -> dict[str, Any]:
        """What is known before the first message."""
        tags: dict[str, Any] = {"payload_bytes": self.length}
        if self._picture is None:
            return {"payload_kind": "file", **tags}
        return {"payload_kind": "picture", **tags, "picture": self._picture.to_tag()}

    def last_tags(self) -> dict[str, Any]:
        """What the end of the stream says."""
        while self._hashed < self.length:  # only after a restart in the middle of the payload
            self.read(self._hashed, min(CHUNK, self.length - self._hashed))
        if self._hash is None:
            self._hash = hashlib.sha256()
        return {**self.first_tags(), "payload_sha256": self._hash.hexdigest()}

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _checksum(self, offset: int, data: bytes) -> None:
        """Extend the running checksum where `data` continues it."""
        if self._hash is None:
            self._hash = hashlib.sha256()
        if offset <= self._hashed < offset + len(data):
            self._hash.update(memoryview(data)[self._hashed - offset :])
            self._hashed = offset + len(data)


class StreamPayload:
    """Bytes from a pipe, read once and in order; their number is known at the end only."""

    def __init__(self, path: str) -> None:
        self._path = path
        # The descriptor is taken at once: a process started later may find its own stdin closed.
        self._descriptor = os.dup(sys.stdin.fileno()) if path == STDIN else -1
        # So are its first bytes: an empty input is refused before anything runs, like an empty file.
        self._first = os.read(self._descriptor, 1 << 16) if path == STDIN else b""
        if path == STDIN and not self._first:
            raise UserError("cannot send standard input: it is empty")
        self._hash: Any = None
        self._length = 0
        self._rest = b""
        self._skip = 0
        self._ended = False

    def messages(self, count: int, bits: int) -> np.ndarray:
        """Up to `count` next messages, uint8; fewer at the end only, none after it."""
        if self._hash is None:
            self._hash = hashlib.sha256()
        need = -(-(self._skip + count * bits) // 8)
        pieces = [self._rest]
        have = len(self._rest)
        while have < need and not self._ended:
            piece = self._first or os.read(self._open(), max(need - have, 1 << 16))
            self._first = b""
            self._ended = not piece
            self._hash.update(piece)
            self._length += len(piece)
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        count = min(count, -(-(8 * len(data) - self._skip) // bits))
        symbols = pack_symbols(data[:need], self._skip, count, bits)
        used = self._skip + count * bits
        self._rest, self._skip = data[used // 8 :], used % 8 if used // 8 < len(data) else 0
        return symbols

    def first_tags(self) -> dict[str, Any]:
        """What is known before the first message."""
        return {"payload_kind": "stream"}

    def last_tags(self) -> dict[str, Any]:
        """What the end of the stream says."""
        checksum = self._hash.hexdigest() if self._hash is not None else hashlib.sha256().hexdigest()
        return {"payload_kind": "stream", "payload_bytes": self._length, "payload_sha256": checksum}

    def close(self) -> None:
        """Let go of the pipe."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        if self._descriptor < 0:
            self._descriptor = os.open(self._path, os.O_RDONLY)
        return self._descriptor


def open_payload(path: str, as_bytes: bool = False) -> Payload | StreamPayload:
    """The payload at `path`: a picture as raw pixels (unless `as_bytes`), any other file as its bytes.

    "-" is standard input; a named pipe is read the same way.
    Raises UserError when the file is missing, empty, unreadable, a directory or a broken picture.
    """
    if path == STDIN:
        try:
            return StreamPayload(path)
        except UserError:
            raise
        except (OSError, ValueError, AttributeError) as error:
            raise UserError("cannot read standard input: it is closed") from error
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise UserError(f"cannot send {path}: it is a directory, name a file")
        if stat.S_ISFIFO(status.st_mode):
            return StreamPayload(path)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"cannot send {path}: it is a device, name a file or - for standard input")
        if status.st_size == 0:
            raise UserError(f"cannot send {path}: the file is empty")
        with open(path, "rb") as file:
            decoded = None if as_bytes else decode_picture(file, path)
    except FileNotFoundError as error:
        raise UserError(f"cannot send {path}: no such file") from error
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"cannot send {path}: {getattr(error, 'strerror', None) or error}") from error
    if decoded is None:
        return Payload(os.path.abspath(path), status.st_size)
    picture, pixels = decoded
    return Payload(path, picture.length, picture, pixels)
