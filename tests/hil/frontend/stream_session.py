"""A client of stream_server: its messages, checked, and the answers. The protocol stands there."""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
import threading
import time as clock
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from tests.hil.frontend.stream_device import (
    FREQUENCIES,
    GAINS,
    MOST_SAMPLES,
    MOST_TICK,
    OK,
    RATES,
    REFUSED,
    Refused,
    StreamDevice,
)

MAGIC, VERSION = b"ISAC", 1
HEAD, HELLO_BODY, WRITE_BODY = struct.Struct("<IIB"), struct.Struct("<4sHHQ"), struct.Struct("<qBI")
HELLO, READER, TIME, RATE, GAIN, FREQUENCY, CLOCK, TIMING, LOCKED = range(1, 10)
WRITE, EVENT, START, STOP, READ, BYE = range(10, 16)
MOST_BODY = 256
TICK = 0.05  # seconds after which a waiting thread looks whether it is to stop
PATIENCE = 10.0  # seconds in which a client has to send or take what was begun
Answer = tuple[int, bytes]


class Gone(Exception):
    """The client cannot be followed any more, or has left."""


class Serving(Protocol):
    """What a connection needs of the server."""

    device: StreamDevice
    stopped: threading.Event
    stalled_until: float
    session: int
    spoil: str | None
    spoil_size: int

    def refuse(self, reason: str) -> None:
        """Count a problem."""

    def due(self, most: int) -> int:
        """How many of `most` ticks may pass now."""

    def end(self, connection: Connection) -> None:
        """A session ends, if this connection is one."""

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""


class Connection(threading.Thread):
    """Answers the client at the other end of `peer` until it leaves, misbehaves, or is put out."""

    def __init__(self, server: Serving, peer: socket.socket) -> None:
        super().__init__(name="stream-connection", daemon=True)
        self._server, self._device, self._peer = server, server.device, peer
        self.session = 0
        self.reads = False
        """Whether this is the reading connection of its session."""
        self._ended = False
        self._orders: dict[int, Callable[[bytes], Answer]] = {
            TIME: lambda body: (OK, struct.pack("<q", self._device.time)),
            RATE: lambda body: self._number(self._device.set_rate(*_unpack("<d", body))),
            GAIN: self._gain,
            FREQUENCY: self._frequency,
            CLOCK: lambda body: self._source("clock", body),
            TIMING: lambda body: self._source("time", body),
            LOCKED: lambda body: (OK, bytes([self._device.locked])),
            WRITE: self._write,
            EVENT: self._event,
            START: self._begin,
            STOP: self._finish,
            BYE: self._bye,
        }

    def hang_up(self) -> None:
        """End it, from another thread."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._peer.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Serve."""
        try:
            self._peer.settimeout(TICK)
            if self._peer.family != socket.AF_UNIX:
                self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                self._one()
        except (Gone, OSError) as error:
            if str(error):
                self._server.refuse(str(error))
        finally:
            self._server.forget(self)
            self._peer.close()

    # Messages ---------------------------------------------------------------------------------

    def _one(self) -> None:
        length, number, kind = HEAD.unpack(self._take(HEAD.size, idle=True))
        samples = MOST_SAMPLES * self._device.tx_channels * 8
        if length > (WRITE_BODY.size + samples if kind == WRITE and self.session else MOST_BODY):
            raise Gone("a message too long")
        body = self._take(length)
        while clock.monotonic() < self._server.stalled_until:
            if self._over():
                raise Gone
            self._server.stopped.wait(TICK)
        try:
            status, answer = self._answer(kind, body)
        except Refused as error:
            self._server.refuse(str(error))
            status, answer = REFUSED, str(error).encode()
        head = HEAD.pack(len(answer), number, status)
        if kind == READ and self._server.spoil:
            head, answer = self._spoiled(number, status, answer)
        self._give(head + answer)

    def _answer(self, kind: int, body: bytes) -> Answer:
        if not self.session:
            return self._hello(kind, body)
        if self.session != self._server.session:
            raise Gone("")  # its session has ended
        if self.reads:
            if kind != READ:
                raise Refused("this connection reads")
            return self._read(body)
        if kind not in self._orders:
            raise Refused("no such request")
        with self._device.lock:
            return self._orders[kind](body)

    def _over(self) -> bool:
        return self._ended or self._server.stopped.is_set()

    def _take(self, size: int, idle: bool = False) -> bytes:
        """The next bytes; before a message begins the client may take its time."""
        data = bytearray(size)
        view, begun = memoryview(data), None if idle else clock.monotonic()
        while view:
            if self._over():
                raise Gone
            try:
                got = self._peer.recv_into(view)
            except TimeoutError:
                if begun is not None and clock.monotonic() - begun > PATIENCE:
                    raise Gone("a message that does not end") from None
                continue
            if not got:
                raise Gone("half a message" if begun is not None and size else "")
            begun, view = begun or clock.monotonic(), view[got:]
        return bytes(data)

    def _give(self, data: bytes) -> None:
        view, begun = memoryview(data), clock.monotonic()
        while view:
            if self._over():
                raise Gone
            try:
                view = view[self._peer.send(view) :]
            except TimeoutError:
                if clock.monotonic() - begun > PATIENCE:
                    raise Gone("an answer that is not taken") from None

    def _spoiled(self, number: int, status: int, answer: bytes) -> tuple[bytes, bytes]:
        """An answer that no radio should give."""
        kind, self._server.spoil = self._server.spoil, None
        if kind == "garbage":
            return b"", np.random.default_rng(0).bytes(self._server.spoil_size)
        extra = b"\0\1\2" if kind == "half" else b""
        length = 0xFFFFFFF0 if kind == "huge" else len(answer) + len(extra)
        return HEAD.pack(length, number, status), answer + extra

    # Requests ---------------------------------------------------------------------------------

    def _hello(self, kind: int, body: bytes) -> Answer:
        magic, version, _, session = _unpack(HELLO_BODY.format, body)
        if magic != MAGIC or version != VERSION or kind not in (HELLO, READER):
            raise Gone("another protocol")
        device, server = self._device, self._server
        with device.lock:
            if kind == READER:
                if not session or session != server.session:
                    raise Refused("no such session")
                self.session, self.reads = session, True
                return OK, b""
            if server.session:
                raise Refused("the device is in use")
            self.session = server.session = secrets.randbelow((1 << 64) - 1) + 1
            ranges = (*RATES, *GAINS, *FREQUENCIES)
            values = (self.session, device.tx_channels, device.rx_channels, device.rate, *ranges)
            return OK, struct.pack("<QHH7d", *values)

    @staticmethod
    def _number(value: float) -> Answer:
        return OK, struct.pack("<d", value)

    def _channel(self, body: bytes) -> tuple[str, int, float, bool]:
        rx, channel, value, change = _unpack("<BBdB", body)
        count = self._device.rx_channels if rx else self._device.tx_channels
        if channel >= count:
            raise Refused(f"no such channel: there are {count}")
        return ("rx" if rx else "tx"), channel, value, bool(change)

    def _gain(self, body: bytes) -> Answer:
        direction, channel, value, change = self._channel(body)
        if change:
            self._device.set_gain(direction, channel, value)
        return self._number(self._device.gains[direction][channel])

    def _frequency(self, body: bytes) -> Answer:
        direction, channel, value, change = self._channel(body)
        if change:
            self._device.set_frequency(direction, channel, value)
        return self._number(self._device.frequencies[direction][channel])

    def _source(self, what: str, body: bytes) -> Answer:
        if body:
            self._device.set_source(what, body.decode("utf-8", "replace"))
        return OK, self._device.sources[what].encode()

    def _write(self, body: bytes) -> Answer:
        tick, end, count = _unpack(WRITE_BODY.format, body[: WRITE_BODY.size])
        data, channels = body[WRITE_BODY.size :], self._device.tx_channels
        if count > MOST_SAMPLES or len(data) != 8 * count * channels or not -1 <= tick <= MOST_TICK:
            raise Refused("write: the number of samples, or the tick, cannot be")
        samples = np.frombuffer(data, "<c8").reshape(channels, count)
        return self._device.write(samples, None if tick < 0 else tick, bool(end)), b""

    def _event(self, body: bytes) -> Answer:
        events = self._device.events
        return OK, struct.pack("<Bq", *events.popleft()) if events else b""

    def _begin(self, body: bytes) -> Answer:
        tick, count = _unpack("<qQ", body)
        if not -1 <= tick <= MOST_TICK or count > MOST_TICK:
            raise Refused("start: the tick, or the number of samples, cannot be")
        status, generation = self._device.start(None if tick < 0 else tick, count)
        return status, struct.pack("<I", generation)

    def _finish(self, body: bytes) -> Answer:
        self._device.stop()
        return OK, b""

    def _bye(self, body: bytes) -> Answer:
        self._server.end(self)
        return OK, b""

    def _read(self, body: bytes) -> Answer:
        generation, most = _unpack("<II", body)
        with self._device.lock:
            due = self._server.due(min(max(most, 1), MOST_SAMPLES))
            if due:
                status, tick, flags, samples = self._device.read(generation, due)
                return status, struct.pack("<qBI", tick, flags, samples.shape[1]) + samples.tobytes()
            tick = self._device.time
        self._server.stopped.wait(TICK / 10)  # paced time has not come so far
        return OK, struct.pack("<qBI", tick, 0, 0)


def _unpack(form: str, body: bytes) -> tuple[Any, ...]:
    try:
        return struct.unpack(form, body)
    except struct.error:
        raise Refused("a body of another length") from None
