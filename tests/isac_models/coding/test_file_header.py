"""The header of a file, untrusted ones above all."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac_models.coding.file_header import FIXED, HEADER_BYTES, MAX_NAME, DamagedHeader, FileHeader, safe_name
from isac_models.errors import UserError

HEADER = FileHeader.of("picture.png", b"content", 191, 64, 4)
LIMIT = 1000


def sealed(body: bytes) -> bytes:
    """A header with a right checksum, whatever it says."""
    return (body + struct.pack(">I", zlib.crc32(body))).ljust(HEADER_BYTES, b"\0")


def fixed(
    version: int = 1, data: int = 191, parity: int = 64, depth: int = 1, length: int = 7, name: int = 0
) -> bytes:
    return FIXED.pack(b"ISAF", version, data, parity, depth, length, b"d" * 32, name)


def test_a_header_comes_back() -> None:
    assert HEADER.digest == hashlib.sha256(b"content").digest()
    assert len(HEADER.pack()) == HEADER_BYTES
    assert FileHeader.unpack(HEADER.pack(), LIMIT) == HEADER


def test_the_longest_name_fits() -> None:
    header = dataclasses.replace(HEADER, name="ü" * 500)
    assert FileHeader.unpack(header.pack(), LIMIT).name == "ü" * (MAX_NAME // 2)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("../..", "received"),
        ("", "received"),
        (".bashrc", "bashrc"),
        ("a\0b\n\x1b[31m.png", "ab[31m.png"),
        ("photo of März.png", "photo of März.png"),
        ("C:stream", "Cstream"),
        ("x\ud800y", "xy"),
    ],
)
def test_names_are_made_safe(given: str, kept: str) -> None:
    assert safe_name(given) == kept


@given(st.text(max_size=400))
def test_no_name_leaves_its_folder(name: str) -> None:
    safe = safe_name(name)
    assert safe not in ("", ".", "..")
    assert not set(safe) & set("/\\\0")
    assert len(safe.encode()) <= MAX_NAME
    assert safe_name(safe) == safe


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (sealed(fixed(version=2)), "version 2"),
        (sealed(fixed(length=2**63)), "the limit is 1000"),
        (sealed(fixed(length=LIMIT + 1)), "the limit is 1000"),
        (sealed(fixed(data=0)), "a code that is none"),
        (sealed(fixed(data=255, parity=1)), "a code that is none"),
        (sealed(fixed(depth=0)), "a code that is none"),
        (sealed(fixed(depth=65)), "a code that is none"),
    ],
)
def test_headers_that_cannot_be_followed_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        FileHeader.unpack(data, LIMIT)
    assert not isinstance(caught.value, DamagedHeader)


@given(st.binary(max_size=HEADER_BYTES) | st.binary(min_size=4).map(lambda tail: b"ISAF" + tail))
def test_any_bytes_are_no_header(data: bytes) -> None:
    with pytest.raises(DamagedHeader):
        FileHeader.unpack(data, LIMIT)


@given(place=st.integers(0, FIXED.size + len("picture.png") + 3), flip=st.integers(1, 255))
def test_every_changed_byte_is_noticed(place: int, flip: int) -> None:
    data = bytearray(HEADER.pack())
    data[place] ^= flip
    with pytest.raises(DamagedHeader):
        FileHeader.unpack(bytes(data), LIMIT)
