"""Messages to send: random ones, a file, a picture, or standard input."""

from __future__ import annotations

import numpy as np

from blocks.runtime import Source, Symbols
from blocks.runtime.payload import StreamPayload, open_payload
from isac_models.constellation import Constellation
from isac_models.errors import UserError
from isac_models.scenario import Scenario


class MessageSource(Source):
    """Message indices m in 0 … M-1.

    With `file`, its bits (most significant first, log2 M a message, zeros past the end) go first; a
    picture goes as raw pixels unless `as_bytes`, "-" is standard input. With `snapshots`, uniformly
    random messages follow up to that number. Length, checksum and kind travel as tags (see
    `blocks.runtime.payload`). Every frame depends on its position only, so that a restarted source
    repeats it exactly; standard input is the exception.

    produces: message (n,) uint8

    Raises UserError for a missing, empty or unreadable file, a directory, a broken picture, and for
    fewer `snapshots` than the file needs.
    """

    produces = {"message": Symbols()}

    def __init__(
        self,
        scenario: Scenario,
        snapshots: int | None = None,
        file: str | None = None,
        as_bytes: bool = False,
        name: str | None = None,
        stream_key: str | None = None,
    ) -> None:
        super().__init__(name, stream_key)
        self.scenario = scenario
        self._bits = Constellation(scenario.order).bits
        self._payload = None if file is None else open_payload(file, as_bytes)
        if snapshots is None and self._payload is None:
            raise UserError("a message source needs a number of snapshots or a file")
        if isinstance(self._payload, StreamPayload):
            if snapshots is not None:
                raise UserError(f"the length of {file} is known at its end only: leave the snapshots out")
            self._sent, self._total = 0, 0
        else:
            self._sent = 0 if self._payload is None else self._payload.symbols(self._bits)
            self._total = self._sent if snapshots is None else snapshots
        if self._total < self._sent:
            raise UserError(
                f"{file} needs {self._sent} snapshots at {self._bits} bits each, {self._total} were given"
            )

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        """Up to `count` messages from `position` on."""
        message = self._stream(count) if isinstance(self._payload, StreamPayload) else self._messages(count)
        if len(message) == 0:
            self.emit(**self._tags(last=True))
            return None
        if self.position == 0:
            self.emit(**self._tags(last=False))
        return {"message": message}

    def finish(self) -> None:
        """Close the file."""
        if self._payload is not None:
            self._payload.close()

    def abort(self) -> None:
        """Close the file."""
        self.finish()

    def _messages(self, count: int) -> np.ndarray:
        """The file's messages, then random ones."""
        start = self.position
        end = min(start + count, self._total)
        split = min(max(start, self._sent), end)
        pieces = []
        if start < split and self._payload is not None:
            assert not isinstance(self._payload, StreamPayload)
            pieces.append(self._payload.messages(start, split - start, self._bits))
        if split < end:
            pieces.append(self.random.integers(0, split, end - split, self.scenario.order))
        if not pieces:
            return np.zeros(0, dtype=np.uint8)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _stream(self, count: int) -> np.ndarray:
        assert isinstance(self._payload, StreamPayload)
        return self._payload.messages(count, self._bits)

    def _tags(self, last: bool) -> dict[str, object]:
        if self._payload is None:
            return {"payload_kind": "random", "payload_bytes": 0}
        return self._payload.last_tags() if last else self._payload.first_tags()
