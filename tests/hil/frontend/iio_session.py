"""One client of the IIO daemon: commands of libiio's network protocol as lines, and their answers."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time as clock
from typing import Protocol

import numpy as np

from tests.hil.frontend.iio_ad9361 import OVERFLOW, RX, TX, UNDERFLOW, Ad9361, Attribute, Device, Refused
from tests.hil.frontend.iio_converters import PIECE, Converters, decode, encode

MOST_LINE, MOST_VALUE, MOST_BYTES, MOST_SAMPLES = 1024, 1 << 16, 1 << 26, 1 << 22
TICK = 0.2  # seconds after which a waiting thread looks whether it is to stop
PATIENCE = 10.0
"""Seconds in which a client has to send or take what was promised."""


class Context:
    """What a context remembers between its connections. Its chip is at `rate` samples/s after power-up."""

    def __init__(self, index: int, converters: Converters, rate: float) -> None:
        self.index, self.converters, self.rate = index, converters, rate
        self._lacking: dict[tuple[str, int], float] = {}  # gains of channels that the engine has not
        self.reset()

    def reset(self) -> None:
        """As after power-up."""
        self.chip = Ad9361(f"virtual-{self.index}", self)
        self.xml = self.chip.xml().encode()
        self.patience = 2.5
        self.spoil = ""
        self.kernel_buffers = {TX: 4, RX: 4}

    def gain(self, direction: str, place: int) -> float:
        """Gain of a channel in dB."""
        channel = 2 * self.index + place
        if channel < self._count(direction):
            return self.converters.engine.gain(direction, channel)
        return self._lacking.get((direction, place), 0.0)

    def set_gain(self, direction: str, place: int, gain: float) -> None:
        """Set it."""
        channel = 2 * self.index + place
        if channel < self._count(direction):
            self.converters.engine.set_gain(direction, channel, gain)
        else:
            self._lacking[direction, place] = gain

    def _count(self, direction: str) -> int:
        engine = self.converters.engine
        return engine.tx_channels if direction == "tx" else engine.rx_channels

    def retune(self) -> None:
        """A carrier has changed."""
        self.converters.engine.retune()

    def status(self, device: str, clear: int) -> int:
        """Read, then clear, the status register of a converter."""
        output = device == TX
        bit = UNDERFLOW if output else OVERFLOW
        return bit if self.converters.status(output, self.index, clear & bit) else 0


class _Opened:
    """A device that a connection has opened."""

    def __init__(self, output: bool, samples: int, columns: list[int]) -> None:
        self.output, self.samples, self.columns = output, samples, columns
        self.frame = 2 * len(columns)
        self.mask = f"{sum(1 << c for c in columns):08x}\n".encode()


class _Gone(Exception):
    """The connection has ended, or has to."""


class Host(Protocol):
    """What a session knows of the server."""

    def stall(self) -> float:
        """Seconds that an answer has to wait."""

    def forget(self, session: Session) -> None:
        """A session has ended."""


class Session(threading.Thread):
    """Serves one client."""

    def __init__(self, host: Host, context: Context, peer: socket.socket) -> None:
        super().__init__(name=f"iio-{context.index}", daemon=True)
        self._host, self._context, self._socket = host, context, peer
        self._converters = context.converters
        self._buffer = b""
        self._opened: dict[str, _Opened] = {}
        self._closing = threading.Event()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def hang_up(self) -> None:
        """End the connection from another thread."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Answer commands until the client leaves."""
        try:
            while self._answer(self._line()):
                pass
        except (_Gone, OSError):
            pass
        finally:
            for name in list(self._opened):
                self._close(name)
            self._socket.close()
            self._host.forget(self)

    # Bytes ------------------------------------------------------------------------------------

    def _more(self, deadline: float | None) -> None:
        while True:
            if self._closing.is_set() or (deadline is not None and clock.monotonic() > deadline):
                raise _Gone
            self._socket.settimeout(TICK)
            with contextlib.suppress(TimeoutError):
                received = self._socket.recv(1 << 16)
                if not received:
                    raise _Gone
                self._buffer += received
                return

    def _line(self) -> bytes:
        while b"\n" not in self._buffer[:MOST_LINE]:
            if len(self._buffer) >= MOST_LINE:
                self._number(-errno.EINVAL)
                raise _Gone
            self._more(None)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.strip()

    def _exactly(self, n: int) -> bytes:
        parts, missing, deadline = [], n, clock.monotonic() + PATIENCE
        while True:
            part, self._buffer = self._buffer[:missing], self._buffer[missing:]
            parts.append(part)
            missing -= len(part)
            if not missing:
                return b"".join(parts)
            self._more(deadline)

    def _send(self, data: bytes) -> None:
        while (left := self._host.stall()) > 0:
            if self._closing.wait(min(left, TICK)):
                raise _Gone
        self._socket.settimeout(PATIENCE)
        self._socket.sendall(data)

    def _number(self, value: int, data: bytes = b"") -> None:
        self._send(b"%d\n" % value + data)

    # Commands ---------------------------------------------------------------------------------

    def _answer(self, line: bytes) -> bool:
        words = line.decode("ascii", "replace").split()
        if not words:
            return True
        command, arguments = words[0].upper(), words[1:]
        if command == "EXIT":
            return False
        handler = getattr(self, f"_do_{command.lower()}", None) if command.isalpha() else None
        try:
            if handler is None:
                raise Refused(errno.EINVAL)
            handler(arguments)
        except Refused as refused:
            self._number(-refused.number)
        return True

    def _do_version(self, arguments: list[str]) -> None:
        self._send(b"0.24.virtual\n")

    def _do_print(self, arguments: list[str]) -> None:
        self._number(len(self._context.xml), self._context.xml + b"\n")

    def _do_timeout(self, arguments: list[str]) -> None:
        (milliseconds,) = integers(arguments, 1, 3_600_000)
        self._context.patience = milliseconds / 1000 or 3600
        self._number(0)

    def _do_gettrig(self, arguments: list[str]) -> None:
        self._device(arguments, 1)
        raise Refused(errno.ENOENT)

    def _do_settrig(self, arguments: list[str]) -> None:
        self._device(arguments, 2)
        raise Refused(errno.ENOENT)

    def _do_set(self, arguments: list[str]) -> None:
        device = self._device(arguments, 3)
        if len(arguments) != 3 or arguments[1].upper() != "BUFFERS_COUNT" or not device.streamed:
            raise Refused(errno.EINVAL)
        (count,) = integers(arguments[2:], 1, 64)
        if not count:
            raise Refused(errno.EINVAL)
        self._context.kernel_buffers[device.id] = count
        self._number(0)

    def _do_open(self, arguments: list[str]) -> None:
        device = self._device(arguments, 4)
        if not 3 <= len(arguments) <= 4 or (arguments[3:] and arguments[3].upper() != "CYCLIC"):
            raise Refused(errno.EINVAL)
        (samples,) = integers(arguments[1:2], 1, MOST_SAMPLES)
        try:
            mask = int(arguments[2], 16) if len(arguments[2]) == 8 else 0
        except ValueError:
            mask = 0
        if not samples or not 0 < mask < 1 << device.streamed:
            raise Refused(errno.EINVAL)
        if device.id in self._opened:
            raise Refused(errno.EBUSY)
        output, cyclic = device.id == TX, len(arguments) == 4
        capacity = samples * (1 if cyclic else self._context.kernel_buffers[device.id])
        if not self._converters.open(output, self._context.index, self, capacity, cyclic, 0.5):
            raise Refused(errno.EBUSY)
        columns = [c for c in range(device.streamed) if mask >> c & 1]
        self._opened[device.id] = _Opened(output, samples, columns)
        self._number(0)

    def _do_close(self, arguments: list[str]) -> None:
        device = self._device(arguments, 1)
        if device.id not in self._opened:
            raise Refused(errno.ENXIO)
        self._close(device.id)
        self._number(0)

    def _close(self, name: str) -> None:
        self._converters.close(self._opened.pop(name).output, self._context.index, self)

    def _do_read(self, arguments: list[str]) -> None:
        attribute = self._attribute(arguments)
        data = attribute.read().encode() + b"\0"
        self._number(len(data), data + b"\n")

    def _do_write(self, arguments: list[str]) -> None:
        (length,) = integers(arguments[-1:], 1, MOST_BYTES)
        if length > MOST_VALUE:
            self._number(-errno.E2BIG)
            raise _Gone
        data = self._exactly(length)
        attribute = self._attribute(arguments[:-1])
        attribute.write(data.decode("ascii", "replace").strip("\0\n\r "))
        self._number(length)

    def _do_readbuf(self, arguments: list[str]) -> None:
        opened, length = self._streaming(arguments, output=False)
        left = length // opened.frame
        spoil, self._context.spoil = self._context.spoil, ""
        if spoil == "garbage":
            self._send(b"\xff\xfe no number at all\n")
            raise _Gone
        if not left:
            self._number(0)
        head = opened.mask
        while left:
            n = min(left, PIECE)
            data = self._received(opened, n)
            if spoil == "half":
                self._number(len(data) // 2 - 1, head + data[: len(data) // 2 - 1] + b"0\n")
                return
            self._number(len(data), head + data)
            left, head = left - n, b""

    def _received(self, opened: _Opened, n: int) -> bytes:
        return encode(self._converters.read(self._context.index, n))[:, opened.columns].tobytes()

    def _do_writebuf(self, arguments: list[str]) -> None:
        try:
            opened, length = self._streaming(arguments, output=True)
        except Refused as refused:
            self._number(-refused.number)
            raise _Gone from None  # whether the data follow all the same cannot be known
        self._number(0)
        data = self._exactly(length)
        if length % opened.frame or not length:
            raise Refused(errno.EINVAL)
        given = np.frombuffer(data, "<i2").reshape(-1, len(opened.columns))
        codes = np.zeros((given.shape[0], 4), "<i2")
        codes[:, opened.columns] = given
        if not self._converters.push(self._context.index, decode(codes), self._context.patience):
            raise Refused(errno.ETIMEDOUT)
        self._number(length)

    # What commands name -----------------------------------------------------------------------

    def _device(self, arguments: list[str], most: int) -> Device:
        if not 1 <= len(arguments) <= most:
            raise Refused(errno.EINVAL)
        return self._context.chip.find(arguments[0])

    def _streaming(self, arguments: list[str], output: bool) -> tuple[_Opened, int]:
        device = self._device(arguments, 2)
        (length,) = integers(arguments[1:], 1, MOST_BYTES)
        opened = self._opened.get(device.id)
        if opened is None or opened.output != output:
            raise Refused(errno.EBADF)
        return opened, length

    def _attribute(self, arguments: list[str]) -> Attribute:
        device = self._device(arguments, 4)
        rest = arguments[1:]
        kind = rest[0].upper() if rest else ""
        attributes = device.attributes
        if kind in ("DEBUG", "BUFFER"):
            attributes = device.debug if kind == "DEBUG" else device.buffer
            rest = rest[1:]
        elif kind in ("INPUT", "OUTPUT"):
            found = [
                each
                for each in device.channels
                if rest[1:2] in ([each.id], [each.name]) and each.output == (kind == "OUTPUT")
            ]
            if not found:
                raise Refused(errno.ENXIO)
            attributes, rest = found[0].attributes, rest[2:]
        if len(rest) != 1:
            raise Refused(errno.EINVAL)
        if rest[0] not in attributes:
            raise Refused(errno.ENOENT)
        return attributes[rest[0]]


def integers(words: list[str], count: int, most: int) -> list[int]:
    """Whole numbers from 0 to `most`. Raises Refused."""
    if len(words) != count or any(
        not word.isascii() or not word.isdigit() or len(word) > 10 for word in words
    ):
        raise Refused(errno.EINVAL)
    found = [int(word) for word in words]
    if any(value > most for value in found):
        raise Refused(errno.EINVAL)
    return found
