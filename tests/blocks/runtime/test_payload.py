"""Payloads: bytes to messages and back."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.runtime.payload import Payload, StreamPayload, SymbolUnpacker, open_payload, pack_symbols
from blocks.runtime.picture import Picture
from isac_models.errors import UserError

BITS = st.sampled_from([2, 4, 6, 8])
ASSET = Path(__file__).parents[3] / "flowgraphs" / "assets" / "hopper.png"


def test_bits_go_most_significant_first() -> None:
    assert pack_symbols(b"\x1b", 0, 4, 2).tolist() == [0, 1, 2, 3]
    assert pack_symbols(b"\xf0", 0, 2, 6).tolist() == [0b111100, 0b000000]
    assert pack_symbols(b"\xf0", 4, 2, 2).tolist() == [0, 0]


@given(st.binary(min_size=1, max_size=200), BITS, st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_any_cut_of_the_messages_gives_the_bytes_back(data: bytes, bits: int, cuts: list[int]) -> None:
    count = -(-len(data) * 8 // bits)
    symbols = pack_symbols(data, 0, count, bits)
    assert symbols.max(initial=0) < 1 << bits
    unpacker, received, start = SymbolUnpacker(bits), b"", 0
    while start < count:
        step = cuts[start % len(cuts)]
        received += unpacker.push(symbols[start : start + step])
        start += step
    assert received == data


@given(st.binary(min_size=1, max_size=100), BITS, st.integers(1, 50))
def test_messages_depend_on_their_position_only(data: bytes, bits: int, frame: int) -> None:
    payload = in_memory(data)
    count = payload.symbols(bits)
    whole = pack_symbols(data, 0, count, bits)
    pieces = [payload.messages(s, min(frame, count - s), bits) for s in range(0, count, frame)]
    assert np.array_equal(np.concatenate(pieces), whole)
    assert payload.last_tags()["payload_sha256"] == hashlib.sha256(data).hexdigest()


@given(st.binary(max_size=200), BITS, st.integers(1, 50))
def test_a_pipe_gives_the_same_messages_as_a_file(data: bytes, bits: int, frame: int) -> None:
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    payload = piped(reader)
    pieces = []
    while len(piece := payload.messages(frame, bits)):
        pieces.append(piece)
    payload.close()
    expected = pack_symbols(data, 0, -(-len(data) * 8 // bits), bits)
    assert np.array_equal(np.concatenate([np.zeros(0, np.uint8), *pieces]), expected)
    assert all(len(piece) == frame for piece in pieces[:-1])
    assert payload.last_tags() == {
        "payload_kind": "stream",
        "payload_bytes": len(data),
        "payload_sha256": hashlib.sha256(data).hexdigest(),
    }


def test_a_file_is_read_in_pieces_and_checksummed_on_the_way(tmp_path: Path) -> None:
    data = np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    payload = open_payload(str(path))
    assert isinstance(payload, Payload)
    assert payload.first_tags() == {"payload_kind": "file", "payload_bytes": 5000}
    unpacker = SymbolUnpacker(6)
    received = b"".join(
        unpacker.push(payload.messages(s, min(101, 6667 - s), 6)) for s in range(0, 6667, 101)
    )
    assert received == data
    assert payload.last_tags()["payload_sha256"] == hashlib.sha256(data).hexdigest()
    payload.close()


def test_the_checksum_is_right_after_a_start_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(range(256)) * 4)
    payload = open_payload(str(path))
    assert isinstance(payload, Payload)
    payload.messages(2000, 100, 2)
    assert payload.last_tags()["payload_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    payload.close()


def test_a_file_that_shrinks_meanwhile_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(1000))
    payload = open_payload(str(path))
    assert isinstance(payload, Payload)
    path.write_bytes(bytes(10))
    with pytest.raises(OSError, match="became shorter"):
        payload.messages(0, 4000, 2)
    payload.close()


def test_a_picture_goes_as_pixels_unless_its_bytes_are_asked_for() -> None:
    pixels, raw = open_payload(str(ASSET)), open_payload(str(ASSET), as_bytes=True)
    assert pixels.first_tags() == {
        "payload_kind": "picture",
        "payload_bytes": 128 * 128 * 3,
        "picture": ["RGB", 128, 128],
    }
    assert raw.first_tags() == {"payload_kind": "file", "payload_bytes": ASSET.stat().st_size}


def test_a_named_pipe_is_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    payload = open_payload(str(path))
    assert isinstance(payload, StreamPayload)
    payload.close()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "no such file"),
        ("empty", "the file is empty"),
        (".", "it is a directory"),
        ("file/inside", "Not a directory"),
        ("broken.png", "broken picture"),
        ("nul\0", "null byte"),
    ],
)
def test_what_cannot_be_sent_is_said_at_once(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "broken.png").write_bytes(ASSET.read_bytes()[:5000])
    with pytest.raises(UserError, match=reason) as caught:
        open_payload(f"{tmp_path}/{name}")
    assert "\n" not in str(caught.value)


def test_a_device_is_refused() -> None:
    with pytest.raises(UserError, match="device"):
        open_payload("/dev/zero")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read anything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "locked"
    path.write_bytes(b"secret")
    path.chmod(0)
    with pytest.raises(UserError, match="Permission denied"):
        open_payload(str(path))


def in_memory(data: bytes) -> Payload:
    """A payload of any bytes: the pixels of a picture one row high."""
    return Payload("pixels", len(data), Picture("L", len(data), 1), data)


def piped(descriptor: int) -> StreamPayload:
    """A stream payload over an open pipe."""
    payload = StreamPayload("pipe")
    payload._descriptor = descriptor
    return payload
