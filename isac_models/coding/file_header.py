"""What goes ahead of a file: its name, length and checksum, and the code that protects it."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

from isac_models.coding.reed_solomon import LONGEST
from isac_models.errors import UserError

MAGIC, VERSION = b"ISAF", 1
FIXED = struct.Struct(
    ">4sBBBBQ32sB"
)  # magic, version, data, parity, depth, length, SHA-256, bytes of the name
HEADER_BYTES = 256
MAX_NAME = HEADER_BYTES - FIXED.size - 4  # bytes of UTF-8; a CRC-32 ends the header
DEEPEST = 64
NAMELESS = "received"


class DamagedHeader(UserError):
    """Bytes that are no header: some of them must be wrong."""


@dataclass(frozen=True)
class FileHeader:
    """A file of `length` bytes, its SHA-256 `digest`, and its code: `data` + `parity` bursts, `depth` deep.

    `name` is a plain file name without any folder: see `safe_name`.
    """

    name: str
    length: int
    digest: bytes
    data: int
    parity: int
    depth: int

    @classmethod
    def of(cls, name: str, content: bytes, data: int, parity: int, depth: int) -> FileHeader:
        """The header of a file."""
        return cls(safe_name(name), len(content), hashlib.sha256(content).digest(), data, parity, depth)

    def pack(self) -> bytes:
        """HEADER_BYTES bytes: the fields, the name, a CRC-32, zeros."""
        name = safe_name(self.name).encode()
        body = FIXED.pack(
            MAGIC, VERSION, self.data, self.parity, self.depth, self.length, self.digest, len(name)
        )
        body += name
        return (body + struct.pack(">I", zlib.crc32(body))).ljust(HEADER_BYTES, b"\0")

    @classmethod
    def unpack(cls, data: bytes, limit: int) -> FileHeader:
        """The header that `pack` wrote, from untrusted bytes; its name made safe.

        Raises DamagedHeader for bytes that are none, UserError for one that cannot be followed, such as
        a file of more than `limit` bytes.
        """
        if len(data) < HEADER_BYTES or data[:4] != MAGIC:
            raise DamagedHeader("what was received does not begin with the header of a file")
        _, version, k, parity, depth, length, digest, size = FIXED.unpack_from(data)
        end = FIXED.size + size
        if size > MAX_NAME or struct.unpack_from(">I", data, end)[0] != zlib.crc32(data[:end]):
            raise DamagedHeader("the header of the file is damaged")
        if version != VERSION:
            raise UserError(f"the file is sent in version {version} of the format, {VERSION} is known here")
        if not (k >= 1 and k + parity <= LONGEST and 1 <= depth <= DEEPEST):
            raise UserError(f"the header of the file asks for a code that is none ({k} + {parity}, {depth})")
        if length > limit:
            raise UserError(f"the file has {length} bytes, the limit is {limit}")
        name = safe_name(data[FIXED.size : end].decode("utf-8", "replace"))
        return cls(name, length, digest, k, parity, depth)


def safe_name(name: str) -> str:
    """`name` without folders, unprintable characters and leading dots, MAX_NAME bytes of UTF-8 at most.

    What is left can name a file in a folder of the receiver's choice; "received" where nothing is left.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(each for each in last if each.isprintable() and each not in ':*?"<>|')
    kept = kept.encode("utf-8", "ignore")[:MAX_NAME].decode("utf-8", "ignore")
    return kept.lstrip(". ").rstrip(" ") or NAMELESS
