"""The pipe between two message ports: values out of band, in order, kept until the reader has taken them.

As on an edge of frames the writer binds, the reader connects and introduces itself with the edge's
token. The reader acknowledges what its block has taken. The writer holds at most MAX_UNREAD messages that
are not: memory is bounded, and who publishes more is told. What a connection loses is sent again after
the reader's next introduction.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from blocks.runtime.frame import (
    ACK,
    HELLO,
    LEFT,
    MAX_HEADER,
    MAX_SEQUENCE,
    MAX_VALUE,
    MESSAGE,
    MalformedFrame,
    check_integer,
    decode_header,
    encode_header,
)
from blocks.runtime.transport import MAX_AT_ONCE, Pipes, check_introduction, offer, receive

MAX_UNREAD = 1024  # messages of one writer that one reader has not taken
REPEAT_SECONDS = 1.0  # silence after which a reader in another process says again what it wants


class MessageOutlet:
    """The writer's end of one message edge.

    What is sent after `end` or after the reader has left is dropped.
    """

    def __init__(self, pipes: Pipes, name: str, token: bytes, endpoint: str) -> None:
        self.name, self.token = name, token
        self.malformed = 0
        self.left = False
        self._next = self._late = self._untaken = 0
        self._ended = False
        self._remote = not endpoint.startswith("inproc:")
        self._reader: bytes | None = None
        self._kept: deque[tuple[int, bytes]] = deque()
        self._largest = len(encode_header(HELLO, name, token, MAX_SEQUENCE))
        self.socket, self.endpoint = pipes.listen(endpoint, MAX_HEADER, alone=not self._remote)

    @property
    def connected(self) -> bool:
        """Whether a reader has introduced itself."""
        return self._reader is not None

    @property
    def full(self) -> bool:
        """Whether the reader has left as many messages untaken as are kept for it."""
        return len(self._kept) >= MAX_UNREAD

    @property
    def published(self) -> int:
        """Messages sent."""
        return self._next + self._late

    @property
    def dropped(self) -> int:
        """Of the messages sent those that the reader had not taken when it left."""
        return self._untaken + self._late

    def send(self, value: bytes) -> None:
        """Send a value that `encode_value` has made, and keep it until taken. Call only when not `full`."""
        if self.left or self._ended:
            self._late += 1
        else:
            self._keep(encode_header(MESSAGE, self._next, value))
            self._next += 1

    def end(self) -> None:
        """Tell the reader that nothing more will come."""
        if not self.left:
            self._keep(encode_header(MESSAGE, self._next))
        self._ended = True

    def _keep(self, message: bytes) -> None:
        self._kept.append((self._next, message))
        self._transmit(message)

    def _transmit(self, message: bytes) -> None:
        if self._reader is not None:
            offer(self.socket, *([self._reader] if self._remote else []), message)

    def pump(self) -> None:
        """Take in what the reader has sent up, at most MAX_AT_ONCE messages; malformed ones are counted."""
        for _ in range(MAX_AT_ONCE):
            parts = receive(self.socket)
            if parts is None:
                return
            try:
                self._accept(parts)
            except MalformedFrame:
                self.malformed += 1

    def _accept(self, parts: Sequence[bytes]) -> None:
        if len(parts) != 1 + self._remote:
            raise MalformedFrame("a reader sends one part")
        if len(parts[-1]) > self._largest:
            raise MalformedFrame("longer than an introduction")
        reader = parts[0] if self._remote else b""
        kind, values = decode_header(parts[-1])
        if kind == HELLO and len(values) == 3:
            wanted = check_introduction(values, self.name, self.token)
            self._reader = reader
            for sequence, message in self._kept:
                if sequence >= wanted:
                    self._transmit(message)
        elif kind in (ACK, LEFT) and len(values) == 1 and reader == self._reader:
            self._forget(check_integer(values[0], "sequence"))
            if kind == LEFT:
                self.left = True
                self._untaken = max(0, self._next - values[0])
                self._kept.clear()
        else:
            raise MalformedFrame("not a message of this edge's reader")

    def _forget(self, sequence: int) -> None:
        """Let go of every message before `sequence`."""
        while self._kept and self._kept[0][0] < sequence:
            self._kept.popleft()

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


class MessageInlet:
    """The reader's end of one message edge.

    `taken` counts what its block has been given; `ended` says that nothing comes after what has come.
    """

    def __init__(self, pipes: Pipes, name: str, token: bytes, endpoint: str) -> None:
        self.name, self.token = name, token
        self.malformed = self.taken = 0
        self.ended = False
        self._wanted = 0
        self._gap = self._left = False
        self._remote = not endpoint.startswith("inproc:")
        self.socket = pipes.dial(endpoint, MAX_HEADER, alone=not self._remote)
        self._introduce()

    def _introduce(self) -> None:
        """Say who this is, and everything that the writer may not have heard of it."""
        self._heard = time.monotonic()
        wanted = MAX_SEQUENCE if self._left else self._wanted
        offer(self.socket, encode_header(HELLO, self.name, self.token, wanted))
        if self._wanted or self._left:
            offer(self.socket, encode_header(LEFT if self._left else ACK, self.taken))

    def sweep(self) -> list[bytes]:
        """The values that have come since the last call, in order; at most MAX_AT_ONCE messages are read.

        What breaks the format is counted and dropped, what comes twice is dropped; where something is
        missing, the writer is asked for it. They count as unread until `taken` has been raised.
        """
        values: list[bytes] = []
        for _ in range(MAX_AT_ONCE):
            parts = receive(self.socket)
            if parts is None:
                break
            self._heard = time.monotonic()
            try:
                sequence, value = self._decode(parts)
            except MalformedFrame:
                self.malformed += 1
                continue
            if sequence == self._wanted:
                self._wanted, self._gap = sequence + 1, False
                if value is None:
                    self.ended = True
                else:
                    values.append(value)
            elif sequence > self._wanted and not self._gap:
                self._gap = True
                self._introduce()
        return values

    def _decode(self, parts: Sequence[bytes]) -> tuple[int, bytes | None]:
        """Number and value of a message; no value: the end."""
        if len(parts) != 1:
            raise MalformedFrame("a message has one part")
        kind, values = decode_header(parts[0])
        if kind != MESSAGE or len(values) not in (1, 2):
            raise MalformedFrame("not a message of a port")
        sequence = check_integer(values[0], "sequence")
        if len(values) == 1:
            return sequence, None
        if not isinstance(values[1], bytes) or len(values[1]) > MAX_VALUE:
            raise MalformedFrame(f"a value is at most {MAX_VALUE} bytes of msgpack")
        if self.ended or sequence - self.taken >= MAX_UNREAD:
            raise MalformedFrame(f"more than {MAX_UNREAD} messages unread")
        return sequence, values[1]

    def acknowledge(self) -> None:
        """Tell the writer how many messages have been taken."""
        offer(self.socket, encode_header(ACK, self.taken))

    def tend(self) -> None:
        """After some silence say everything again: a word that was lost would keep the writer waiting."""
        if self._remote and time.monotonic() - self._heard > REPEAT_SECONDS:
            self._introduce()

    def leave(self) -> None:
        """Tell the writer that nothing more is taken."""
        self._left = True
        self._introduce()

    def close(self) -> None:
        """Close the socket; the last word lingers for LINGER_MS."""
        self.socket.close()
