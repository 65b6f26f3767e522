"""Where the messages arrive: the received file."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from blocks.runtime import Block, Symbols
from blocks.runtime.output import AtomicFile, check_writable
from blocks.runtime.payload import SymbolUnpacker
from blocks.runtime.picture import Picture
from isac_models.constellation import Constellation
from isac_models.scenario import Scenario


class MessageSink(Block):
    """Turns decided messages back into the bytes that were sent, and counts the wrong ones.

    `out` is the file to write ("-" for standard output): it appears when the stream has ended, whole
    and with the sent length, and until then whatever was there stays. A picture is written in the
    format its name ends in, PNG otherwise. `preview` keeps a small copy of a sent and received
    picture in the result. Random messages are ignored. A picture is held until it is complete, anything
    else goes to disk as it arrives.

    consumes: decided (n,) uint8, message (n,) uint8

    Raises UserError where `out` cannot be written.
    """

    consumes = {"decided": Symbols(), "message": Symbols()}

    def __init__(
        self, scenario: Scenario, out: str | None = None, preview: bool = False, name: str | None = None
    ) -> None:
        super().__init__(name)
        if out is not None:
            check_writable(out)
        self.scenario = scenario
        self._out = out
        self._preview = preview
        self._bits = Constellation(scenario.order).bits
        self._expected: int | None = None  # bytes of the payload, where the stream has said it
        self._picture: Picture | None = None
        self._bytes = 0
        self._differ = 0
        self._done: dict[str, Any] = {}
        self._started = False

    def start(self) -> None:
        """Open what is written to until the end of the stream."""
        self._received = SymbolUnpacker(self._bits)
        self._sent = SymbolUnpacker(self._bits)
        self._checksum = hashlib.sha256()
        self._file = None if self._out is None else AtomicFile(self._out)
        self._pixels: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._started = True

    def work(self, decided: np.ndarray, message: np.ndarray) -> None:
        """Take one frame's share of the payload."""
        if not self._started:
            self.start()
        if self._bytes == 0:
            self._read_tags()
        if self._expected is not None and self._bytes >= self._expected:
            return
        received, sent = self._received.push(decided), self._sent.push(message)
        if self._expected is not None:
            received, sent = (data[: self._expected - self._bytes] for data in (received, sent))
        self._bytes += len(received)
        self._differ += int(
            np.count_nonzero(np.frombuffer(received, np.uint8) != np.frombuffer(sent, np.uint8))
        )
        self._checksum.update(received)
        if self._picture is not None:
            if self._preview:
                self._pixels[0].extend(sent)
            self._pixels[1].extend(received)
        elif self._file is not None:
            self._file.file.write(received)

    def finish(self) -> None:
        """Write the received file, and compare its checksum with the sent one."""
        if not self._started:
            self.start()
        self._read_tags()
        sent = self.tags.get("payload_sha256")
        received = self._checksum.hexdigest()
        intact = self._differ == 0 and self._bytes == self._expected and sent in (received, None)
        self._done = {"sha256": received, "sha256_sent": sent, "intact": intact}
        if self._picture is not None and self._preview:
            self._done["preview"] = [self._small(self._picture, pixels) for pixels in self._pixels]
        if self._file is not None:
            if self._picture is not None:
                self._picture.save(bytes(self._pixels[1]), self._file.file, self._out or "")
            self._file.commit()
            self._file = None

    def abort(self) -> None:
        """Forget what was received; what was at `out` before stays."""
        if self._started and self._file is not None:
            self._file.discard()
            self._file = None

    def result(self) -> dict[str, Any]:
        """Bytes received, how many differ from the sent ones, and at the end whether all is intact."""
        return {"payload_bytes": self._bytes, "bytes_differ": self._differ, **self._done}

    def _read_tags(self) -> None:
        """What the stream says of its payload; without a word, every message belongs to it."""
        length = self.tags.get("payload_bytes")
        if isinstance(length, int):
            self._expected = length
        if "picture" in self.tags and self._picture is None:
            picture = Picture.from_tag(self.tags["picture"])
            if picture.length == self._expected and self._bytes == 0:
                self._picture = picture

    def _small(self, picture: Picture, pixels: bytearray) -> dict[str, Any]:
        """At most 256 pixels a side, as plain values."""
        from PIL.Image import Resampling

        image = picture.image(bytes(pixels)).convert("RGB")
        image.thumbnail((256, 256), resample=Resampling.NEAREST)
        return {"width": image.width, "height": image.height, "rgb": image.tobytes()}
