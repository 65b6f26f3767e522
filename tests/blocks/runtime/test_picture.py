"""Pictures as raw pixels."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blocks.runtime.picture import CHANNELS, Picture, decode_picture
from isac_models.errors import UserError

ASSET = Path(__file__).parents[3] / "flowgraphs" / "assets" / "hopper.png"


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    file.seek(0)
    return file


@pytest.mark.parametrize("mode", sorted(CHANNELS))
def test_pixels_survive_the_way_there_and_back(mode: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, 7 * 5 * CHANNELS[mode], dtype=np.uint8).tobytes()
    decoded = decode_picture(encoded(Image.frombytes(mode, (7, 5), pixels)), "x.png")
    assert decoded == (Picture(mode, 7, 5), pixels)
    out = io.BytesIO()
    decoded[0].save(pixels, out, "out.png")
    out.seek(0)
    assert decode_picture(out, "out.png") == decoded


@pytest.mark.parametrize(("mode", "expected"), [("1", "L"), ("P", "RGB"), ("LA", "RGBA")])
def test_other_modes_become_plain_ones(mode: str, expected: str) -> None:
    decoded = decode_picture(encoded(Image.new(mode, (4, 3))), "x")
    assert decoded is not None
    assert decoded[0] == Picture(expected, 4, 3)
    assert len(decoded[1]) == decoded[0].length


@pytest.mark.parametrize("mode", ["I;16", "CMYK", "F"])
def test_pixels_that_would_change_are_refused(mode: str) -> None:
    with pytest.raises(UserError, match=f"{mode} pixels exactly.*--as-bytes"):
        decode_picture(encoded(Image.new(mode, (4, 3)), "TIFF"), "x")


def test_the_orientation_tag_is_applied() -> None:
    image = Image.new("RGB", (4, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    decoded = decode_picture(encoded(image, "JPEG", exif=exif), "x.jpg")
    assert decoded is not None
    assert (decoded[0].width, decoded[0].height) == (2, 4)


def test_anything_else_is_no_picture() -> None:
    assert decode_picture(io.BytesIO(b"%PDF-1.4 not a raster picture"), "x.pdf") is None


def test_a_truncated_picture_is_one_clear_line() -> None:
    whole = ASSET.read_bytes()
    with pytest.raises(UserError, match="--as-bytes") as caught:
        decode_picture(io.BytesIO(whole[: len(whole) // 2]), "half.png")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", [8_000, 15_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    with pytest.raises(UserError, match="pixels"):
        decode_picture(io.BytesIO(bomb), "bomb.png")


@pytest.mark.parametrize(
    "tag",
    [
        None,
        [],
        ["RGB", 1],
        ["RGB", 1, 2.0],
        ["RGB", True, 2],
        ["CMYK", 1, 1],
        ["L", 0, 1],
        ["L", 1 << 20, 1 << 20],
    ],
)
def test_a_bad_geometry_tag_is_refused(tag: object) -> None:
    with pytest.raises(UserError):
        Picture.from_tag(tag)


def test_missing_pixels_are_black() -> None:
    assert Picture("L", 2, 2).image(b"\xff").tobytes() == b"\xff\0\0\0"


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.bmp", "x.ppm", "x.tiff", "x.webp", "x", "x.data"])
def test_every_format_takes_every_mode(name: str) -> None:
    for mode, channels in CHANNELS.items():
        out = io.BytesIO()
        Picture(mode, 3, 2).save(bytes(6 * channels), out, name)
        with Image.open(out) as image:
            assert image.size == (3, 2)
