"""Pictures as raw pixels, so that symbol errors show as pixels and not as a broken file."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from isac_models.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}
EXACT = ("1", "P", "PA", "LA")  # become one of CHANNELS without a change
MAX_PIXELS = 50_000_000
# Decoders that are plain raster formats; nothing that runs another program or a page description.
READS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP")
WRITES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".bmp": "BMP",
    ".ppm": "PPM",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}


@dataclass(frozen=True)
class Picture:
    """Geometry of raw pixels: rows top to bottom, pixels left to right, channels interleaved, 8 bits each."""

    mode: str
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.mode not in CHANNELS:
            raise UserError(f"picture mode {self.mode!r} is not one of {', '.join(CHANNELS)}")
        if not (self.width > 0 and self.height > 0 and self.width * self.height <= MAX_PIXELS):
            raise UserError(
                f"a picture of {self.width} x {self.height} pixels: at most {MAX_PIXELS:,} are allowed"
            )

    @property
    def length(self) -> int:
        """Bytes of pixels."""
        return self.width * self.height * CHANNELS[self.mode]

    def to_tag(self) -> list[Any]:
        """The geometry as it travels beside the stream."""
        return [self.mode, self.width, self.height]

    @classmethod
    def from_tag(cls, tag: Any) -> Picture:
        """The geometry from a tag; UserError unless it is one."""
        if not (isinstance(tag, list | tuple) and len(tag) == 3 and all(type(v) is int for v in tag[1:])):
            raise UserError("the stream's picture tag is not [mode, width, height]")
        return cls(str(tag[0]), tag[1], tag[2])

    def image(self, pixels: bytes) -> Image.Image:
        """The Pillow image of `pixels`; missing ones are black."""
        from PIL import Image

        whole = pixels[: self.length].ljust(self.length, b"\0")
        return Image.frombytes(self.mode, (self.width, self.height), whole)

    def save(self, pixels: bytes, out: IO[bytes], path: str) -> None:
        """Write `pixels` in the format that `path` ends in, PNG where it names none."""
        kind = WRITES.get(os.path.splitext(path)[1].lower(), "PNG")
        image = self.image(pixels)
        if image.mode == "RGBA" and kind in ("JPEG", "PPM", "BMP"):
            image = image.convert("RGB")
        image.save(out, format=kind)


def decode_picture(file: IO[bytes], path: str) -> tuple[Picture, bytes] | None:
    """Geometry and raw pixels of the picture in `file`, or None when it holds no picture.

    Palettes become RGB (RGBA where transparent), orientation tags are applied,
    of an animation the first picture is taken.
    Raises UserError for a broken or oversized picture, and for pixels that 8 bits do not keep exactly.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=READS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UserError(
                        f"cannot send {path}: a picture of {image.width} x {image.height} pixels, "
                        f"at most {MAX_PIXELS:,} are allowed; --as-bytes sends the file itself"
                    )
                image.load()
                plain = _plain(ImageOps.exif_transpose(image), path)
        except UnidentifiedImageError:
            return None
        except (UserError, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise UserError(
                f"cannot send {path}: more than {MAX_PIXELS:,} pixels; --as-bytes sends the file itself"
            ) from error
        except Exception as error:  # decoders raise many kinds on broken input
            raise UserError(
                f"cannot send {path}: broken picture ({_one_line(error)}); --as-bytes sends the file itself"
            ) from error
    return Picture(plain.mode, plain.width, plain.height), plain.tobytes()


def _plain(image: Image.Image, path: str) -> Image.Image:
    """`image` in one of the modes of CHANNELS."""
    if image.mode in CHANNELS:
        return image
    if image.mode not in EXACT:
        raise UserError(
            f"cannot send {path} as a picture: 8 bits do not keep its {image.mode} pixels exactly; "
            "--as-bytes sends the file itself"
        )
    if image.mode == "1":
        return image.convert("L")
    transparent = image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
