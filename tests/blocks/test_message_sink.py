"""The message sink: the received file appears whole, at the end, with the sent length."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blocks import MessageSink
from blocks.runtime.payload import pack_symbols
from isac_models.errors import UserError
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("ideal")


def feed(
    sink: MessageSink,
    sent: bytes,
    received: bytes,
    bits: int,
    tags: dict[str, object],
    frame: int = 13,
    extra: int = 0,
) -> None:
    """Send `received` for `sent` through a sink, `extra` random messages behind it, to the end."""
    count = -(-len(sent) * 8 // bits) + extra
    message, decided = pack_symbols(sent, 0, count, bits), pack_symbols(received, 0, count, bits)
    sink.start()
    for position in range(0, count, frame):
        sink.position, sink.tags = position, tags if position == 0 else {}
        part = slice(position, position + frame)
        sink.work(decided=decided[part], message=message[part])
    sink.tags = {**tags, "payload_bytes": len(sent), "payload_sha256": hashlib.sha256(sent).hexdigest()}
    sink.finish()


@pytest.mark.parametrize(("order", "bits"), [(4, 2), (16, 4), (64, 6), (256, 8)])
@pytest.mark.parametrize("known", [True, False])
def test_an_intact_file_arrives(tmp_path: Path, order: int, bits: int, known: bool) -> None:
    data, out = bytes(range(200)), tmp_path / "out.bin"
    sink = MessageSink(SCENARIO.replace(order=order), str(out))
    tags: dict[str, object] = {"payload_kind": "stream"}
    if known:
        tags = {"payload_kind": "file", "payload_bytes": 200}
    feed(sink, data, data, bits, tags, extra=50 if known else 0)
    assert out.read_bytes() == data
    result = sink.result()
    assert (result["payload_bytes"], result["bytes_differ"], result["intact"]) == (200, 0, True)
    assert result["sha256"] == result["sha256_sent"] == hashlib.sha256(data).hexdigest()
    assert os.listdir(tmp_path) == ["out.bin"]


def test_wrong_bytes_are_counted(tmp_path: Path) -> None:
    data = bytes(100)
    received = bytearray(data)
    received[7] = received[99] = 255
    sink = MessageSink(SCENARIO, str(tmp_path / "out.bin"))
    feed(sink, data, bytes(received), 2, {"payload_bytes": 100})
    assert (tmp_path / "out.bin").read_bytes() == received
    assert (sink.result()["bytes_differ"], sink.result()["intact"]) == (2, False)


def test_a_picture_keeps_its_shape_and_its_errors_are_pixels(tmp_path: Path) -> None:
    sent, out = bytes(range(60)), tmp_path / "out.png"
    received = bytearray(sent)
    received[5] ^= 255
    sink = MessageSink(SCENARIO, str(out), preview=True)
    feed(sink, sent, bytes(received), 2, {"payload_bytes": 60, "picture": ["RGB", 5, 4]}, extra=9)
    with Image.open(out) as image:
        assert (image.mode, image.size, image.tobytes()) == ("RGB", (5, 4), bytes(received))
    preview = sink.result()["preview"]
    assert [picture["rgb"] for picture in preview] == [sent, bytes(received)]
    assert (preview[0]["width"], preview[0]["height"]) == (5, 4)


def test_a_large_preview_is_reduced() -> None:
    side = 600
    pixels = bytes(side * side)
    sink = MessageSink(SCENARIO.replace(order=256), preview=True)
    feed(sink, pixels, pixels, 8, {"payload_bytes": side * side, "picture": ["L", side, side]}, frame=50_000)
    assert all(
        picture["width"] <= 256 and len(picture["rgb"]) <= 3 * 256**2 for picture in sink.result()["preview"]
    )


def test_a_geometry_that_does_not_fit_the_length_is_ignored(tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    sink = MessageSink(SCENARIO, str(out))
    feed(sink, b"abc", b"abc", 2, {"payload_bytes": 3, "picture": ["RGB", 5, 4]})
    assert out.read_bytes() == b"abc"


def test_what_was_there_stays_until_the_end_and_after_an_abort(tmp_path: Path) -> None:
    out = tmp_path / "out.bin"
    out.write_bytes(b"before")
    sink = MessageSink(SCENARIO, str(out))
    sink.start()
    sink.tags = {"payload_bytes": 2}
    message = pack_symbols(b"ab", 0, 8, 2)
    sink.work(decided=message, message=message)
    assert out.read_bytes() == b"before"
    sink.abort()
    assert out.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["out.bin"]
    assert sink.result() == {"payload_bytes": 2, "bytes_differ": 0}


def test_random_messages_are_ignored() -> None:
    sink = MessageSink(SCENARIO)
    sink.tags = {"payload_kind": "random", "payload_bytes": 0}
    message = np.zeros(100, np.uint8)
    sink.work(decided=message, message=message)
    sink.finish()
    assert sink.result()["payload_bytes"] == 0


def test_an_output_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="directory"):
        MessageSink(SCENARIO, str(tmp_path))


def test_standard_output_gets_the_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    feed(MessageSink(SCENARIO, "-"), b"hello", b"hello", 2, {"payload_bytes": 5})
    assert capfdbinary.readouterr().out == b"hello"
