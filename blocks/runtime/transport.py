"""ZeroMQ pipes: the one place that touches sockets. An edge carries frames down, acknowledgements up.

Every edge is a socket pair of its own: the writer binds a ROUTER, its one reader connects a DEALER.
The reader introduces itself with the edge's token and the sequence it wants next; the writer then
sends at most `window` frames beyond the last acknowledgement and keeps each until acknowledged, so
that a reader that reconnects is sent what it has not taken.
"""

from __future__ import annotations

import contextlib
import hmac
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from blocks.runtime.frame import (
    ACK,
    HELLO,
    LOCAL,
    MAX_BYTES,
    MAX_HEADER,
    MAX_SEQUENCE,
    Frame,
    MalformedFrame,
    check_integer,
    decode_header,
    decode_parts,
    encode_header,
    encode_parts,
    only,
)
from isac_models.errors import UserError

LINGER_MS = 500
POLL_SECONDS = 0.05  # how late a thread that waits may notice that the graph stops
MAX_WAITING = 1000  # messages of one peer that a server has not read
MAX_WAITING_BYTES = 64 << 20  # of them, if each is as large as it may be
MAX_AT_ONCE = 64  # messages that a server reads before its thread looks at other things again


class Pipes:
    """The ZeroMQ context of one process, and the keys its tcp sockets use (None: no encryption)."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.keys = None if certificate is None else read_certificate(certificate)
        self.context = zmq.Context()
        self._authenticator: ThreadAuthenticator | None = None
        if self.keys is not None:
            self._authenticator = ThreadAuthenticator(self.context)
            self._authenticator.start()
            self._authenticator.configure_curve_callback("*", _OneKey(self.keys[0]))

    def _socket(self, kind: int, endpoint: str, largest: int, server: bool) -> zmq.Socket[bytes]:
        """An unconnected socket, encrypted on tcp. Credit bounds what is in flight, not a high-water mark.

        A peer that sends a part of more than `largest` bytes is cut off, one that floods a server waits.
        """
        socket = self.context.socket(kind)
        socket.set_hwm(0)
        if server:
            socket.setsockopt(zmq.RCVHWM, max(1, min(MAX_WAITING, MAX_WAITING_BYTES // largest)))
        socket.setsockopt(zmq.LINGER, LINGER_MS)
        socket.setsockopt(zmq.RCVTIMEO, round(1000 * POLL_SECONDS))
        socket.setsockopt(zmq.MAXMSGSIZE, largest)
        if endpoint.startswith("tcp:"):
            socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
            if self.keys is not None:
                public, secret = self.keys
                socket.curve_publickey, socket.curve_secretkey = public, secret
                if server:
                    socket.curve_server = True
                else:
                    socket.curve_serverkey = public
        return socket

    def dial(self, endpoint: str, largest: int, alone: bool = False) -> zmq.Socket[bytes]:
        """A socket connected to one that listens, taking message parts of at most `largest` bytes."""
        socket = self._socket(zmq.PAIR if alone else zmq.DEALER, endpoint, largest, server=False)
        socket.connect(endpoint)
        return socket

    def listen(
        self, endpoint: str, largest: int, alone: bool = False, unread: int = 0
    ) -> tuple[zmq.Socket[bytes], str]:
        """A bound socket that knows its peers apart, and the endpoint that they connect to.

        A tcp port may be ``*`` or ``low-high``; message parts may have at most `largest` bytes. `alone`
        makes both ends a PAIR, for the one peer that an edge inside a process has. A peer that has left
        `unread` messages unread is sent no more (0: whatever it leaves).
        """
        socket = self._socket(zmq.PAIR if alone else zmq.ROUTER, endpoint, largest, server=True)
        socket.setsockopt(zmq.SNDHWM, unread)
        for candidate in _candidates(endpoint):
            try:
                socket.bind(candidate)
            except zmq.ZMQError as error:
                if error.errno == zmq.EADDRINUSE and "-" in endpoint.rpartition(":")[2]:
                    continue
                socket.close(0)
                if error.errno == zmq.EADDRINUSE:
                    raise UserError(
                        f"{candidate} is in use by another program: choose another port"
                    ) from None
                raise UserError(f"cannot listen on {candidate}: {error.strerror}") from None
            bound = socket.getsockopt(zmq.LAST_ENDPOINT)
            assert isinstance(bound, bytes)
            return socket, bound.rstrip(b"\0").decode()
        socket.close(0)
        raise UserError(f"every port of {endpoint} is in use by another program: choose other ports")

    def close(self, wait: bool = True) -> None:
        """Close the context; every socket must have been closed, or be closed by its thread later.

        It is gone when the last lingering message is, which a peer that hangs can delay: a thread
        of its own waits for that, the caller for at most LINGER_MS, and not at all without `wait`.
        """
        if self._authenticator is not None:
            self._authenticator.stop()
        closer = threading.Thread(target=self.context.term, name="zmq-term", daemon=True)
        closer.start()
        closer.join(LINGER_MS / 1000 if wait else 0.0)


def offer(socket: zmq.Socket[bytes], *parts: bytes) -> None:
    """Send a message, unless that would block: the peer is gone then, and nobody waits for it."""
    with contextlib.suppress(zmq.Again):
        socket.send_multipart(parts, zmq.DONTWAIT)


class _OneKey:
    """ZAP check that admits the graph's own public key alone."""

    def __init__(self, public: bytes) -> None:
        self.public = public

    def callback(self, domain: str, key: bytes) -> bool:
        return hmac.compare_digest(key, self.public)


def read_certificate(path: Path) -> tuple[bytes, bytes]:
    """(public, secret) CURVE keys of a certificate file; UserError when it holds none."""
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no CURVE certificate can be read ({error})") from None
    if secret is None:
        raise UserError(f"{path}: holds no secret key; name the .key_secret file")
    return public, secret


def create_certificate(folder: Path, name: str) -> Path:
    """A new CURVE key pair ``name.key_secret`` (owner-readable) in `folder`; returns its path."""
    public, secret = zmq.auth.create_certificates(folder, name)
    Path(public).unlink()
    Path(secret).chmod(0o600)
    return Path(secret)


def _candidates(endpoint: str) -> list[str]:
    """The endpoints to try in turn: one, or one for each port of a range ``low-high``."""
    head, _, port = endpoint.rpartition(":")
    if endpoint.startswith("tcp:") and "-" in port:
        low, high = (int(text) for text in port.split("-"))
        return [f"{head}:{number}" for number in range(low, high + 1)]
    return [endpoint]


_SHELVES: dict[bytes, dict[int, Frame]] = {}
"""Frames under way inside this process, by edge token: their pipe carries the sequence number alone."""


def receive(socket: zmq.Socket[bytes], wait: bool = False, copy: bool = True) -> list[Any] | None:
    """The next message, waiting for it at most POLL_SECONDS or not at all; None when none came."""
    try:
        return socket.recv_multipart(0 if wait else zmq.DONTWAIT, copy)
    except zmq.Again:
        return None


def await_any(sockets: Sequence[zmq.Socket[bytes]], seconds: float) -> None:
    """Wait until one of the sockets has a message, at most `seconds`."""
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    poller.poll(max(0, round(1000 * seconds)))


def check_introduction(values: Sequence[Any], name: str, token: bytes) -> int:
    """The next sequence that a reader of edge `name` wants, or MalformedFrame if it is no reader of it."""
    edge, shown, wanted = values
    if edge != name or not isinstance(shown, bytes) or not hmac.compare_digest(shown, token):
        raise MalformedFrame("a reader of another edge")
    return check_integer(wanted, "next sequence")


class Outlet:
    """The writer's end of one edge. Inside a process frames are handed over by reference."""

    def __init__(self, pipes: Pipes, name: str, token: bytes, endpoint: str, window: int) -> None:
        self.name, self.token, self.window = name, token, window
        self.malformed = 0
        self._reader: bytes | None = None
        self._kept: deque[tuple[int, list[Any]]] = deque()
        self._remote = not endpoint.startswith("inproc:")
        self.socket, self.endpoint = pipes.listen(endpoint, MAX_HEADER, alone=not self._remote)
        self._largest = len(encode_header(HELLO, name, token, MAX_SEQUENCE))
        self._shelf: dict[int, Frame] = {}
        if not self._remote:
            _SHELVES[token] = self._shelf

    @property
    def ready(self) -> bool:
        """Whether a reader is there and credit is left for one more frame."""
        return self._reader is not None and len(self._kept) < self.window

    @property
    def connected(self) -> bool:
        """Whether a reader has introduced itself."""
        return self._reader is not None

    @property
    def settled(self) -> bool:
        """Whether everything sent has been acknowledged."""
        return not self._kept

    def send(self, frame: Frame, fields: Sequence[str]) -> None:
        """Send the named fields of a frame and keep them until acknowledged. Call only when `ready`."""
        if self._remote:
            for name in fields:
                if name not in frame.raw and name in frame.arrays:
                    frame.raw[name] = _shared_part(frame.arrays[name])
            parts = encode_parts(frame, fields)
        else:
            self._shelf[frame.sequence] = only(frame, fields)
            parts = [encode_header(LOCAL, frame.sequence)]
        self._kept.append((frame.sequence, parts))
        self._transmit(parts)

    def _transmit(self, parts: list[Any]) -> None:
        if not self._remote:
            offer(self.socket, parts[0])
            return
        assert self._reader is not None
        self.socket.send(self._reader, zmq.SNDMORE)
        for part in parts[:-1]:
            self.socket.send(part, zmq.SNDMORE, copy=False)
        self.socket.send(parts[-1], copy=False)

    def pump(self, wait: bool = False) -> bool:
        """Take in what the reader has sent up, and say whether the outlet is ready.

        What breaks the format is counted and dropped. `wait` for the first message, at most POLL_SECONDS.
        A call reads at most MAX_AT_ONCE messages: whoever floods the outlet does not hold its thread.
        """
        for number in range(MAX_AT_ONCE):
            message = receive(self.socket, wait and not number)
            if message is None:
                break
            try:
                self._accept(message)
            except MalformedFrame:
                self.malformed += 1
        return self.ready

    def _accept(self, message: Sequence[bytes]) -> None:
        if len(message) != 1 + self._remote:
            raise MalformedFrame("a reader sends one part")
        reader, header = message if self._remote else (b"", *message)
        if len(header) > self._largest:
            raise MalformedFrame("longer than an introduction")
        kind, values = decode_header(header)
        if kind == HELLO and len(values) == 3:
            wanted = check_introduction(values, self.name, self.token)
            again = self._reader is not None
            self._reader = reader
            self._forget(wanted)
            if again:
                for _, parts in self._kept:
                    self._transmit(parts)
        elif kind == ACK and len(values) == 1 and reader == self._reader:
            self._forget(check_integer(values[0], "acknowledged sequence"))
        else:
            raise MalformedFrame("not a message of this edge's reader")

    def _forget(self, sequence: int) -> None:
        """Drop every kept message before `sequence`."""
        while self._kept and self._kept[0][0] < sequence:
            self._shelf.pop(self._kept.popleft()[0], None)

    def close(self) -> None:
        """Close the socket.

        What is unsent lingers until the peer is gone: libzmq asserts in its session when a lingering
        multipart message is cut off between two parts, so a time limit here could end the process.
        """
        _SHELVES.pop(self.token, None)
        self.socket.close(-1 if self._remote else 0)


class Inlet:
    """The reader's end of one edge."""

    def __init__(
        self, pipes: Pipes, name: str, token: bytes, endpoint: str, window: int, wanted: int = 0
    ) -> None:
        self.name, self.token = name, token
        self.lost = self.repeated = self.malformed = 0
        self.remote = not endpoint.startswith("inproc:")
        self._gap: int | None = None  # the first frame that came when an earlier one was expected
        self._batch = max(1, window // 4)
        self._unacknowledged = 0
        self.socket = pipes.dial(endpoint, MAX_BYTES, alone=not self.remote)
        self.ask(wanted)

    @property
    def gap(self) -> bool:
        """Whether frames are missing that the writer has been asked for."""
        return self._gap is not None

    def ask(self, wanted: int) -> None:
        """Introduce this reader; the writer sends what it keeps from sequence `wanted` on."""
        offer(self.socket, encode_header(HELLO, self.name, self.token, wanted))

    def _take(self, wait: bool) -> Frame | None:
        """The next well-formed frame, or None; malformed messages are counted and dropped."""
        while (message := receive(self.socket, wait, copy=not self.remote)) is not None:
            try:
                return self._decode(message)
            except MalformedFrame:
                # A writer that stops early takes its frames with it.
                if self.remote or self.token in _SHELVES:
                    self.malformed += 1
        return None

    def _decode(self, message: list[Any]) -> Frame:
        if self.remote:
            frame = decode_parts([part.buffer for part in message])
            frame.raw = dict(zip(frame.arrays, message[1:], strict=True))
            return frame
        kind, values = decode_header(message[0])
        if kind != LOCAL or len(values) != 1 or len(message) != 1:
            raise MalformedFrame("not a frame of this process")
        held = _SHELVES.get(self.token, {}).get(check_integer(values[0], "sequence"))
        if held is None:
            raise MalformedFrame("a frame that the writer does not hold")
        return only(held, list(held.arrays))

    def receive(self, expected: int, stride: int = 1, wait: bool = False) -> Frame | None:
        """The frame with sequence `expected` (or the end of stream), or None when it is not there yet.

        Repeated frames are counted and dropped. After a gap the writer is asked to send again. What
        comes then begins with the oldest frame it still keeps: those before that one (every
        `stride`-th) are counted in `lost` and skipped. `wait` for a message, at most POLL_SECONDS.
        """
        while (frame := self._take(wait)) is not None:
            if frame.sequence < expected and not frame.end:
                self.repeated += 1
                continue
            missing = max(0, -(-(frame.sequence - expected) // stride))
            if missing and self._gap is None:
                self._gap = frame.sequence
                self.ask(expected)
                continue
            if missing and self._gap is not None and frame.sequence > self._gap:
                continue  # was under way when the writer was asked, and comes again
            self.lost += missing
            self._gap = None
            return frame
        return None

    def acknowledge(self, sequence: int, now: bool = False) -> None:
        """Everything before `sequence` is done with; sent up in batches, or at once if `now`."""
        self._unacknowledged += 1
        if now or self._unacknowledged >= self._batch:
            offer(self.socket, encode_header(ACK, sequence))
            self._unacknowledged = 0

    def close(self) -> None:
        """Close the socket; the last acknowledgement lingers for LINGER_MS."""
        self.socket.close()


def _shared_part(array: np.ndarray) -> Any:
    """A message part that refers to `array` without copying it and can go to several outlets."""
    if not array.nbytes:
        return b""
    return zmq.Frame(np.asarray(array, array.dtype.newbyteorder("<"), order="C"), copy=False, track=False)
