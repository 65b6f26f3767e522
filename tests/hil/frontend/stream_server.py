"""A stream of timed samples over a socket: what the SoapySDR driver of tests/hil/soapy_driver speaks.

Everything is little-endian. A message is u32 length of what follows its first 9 bytes, u32 number, u8 kind,
and a body; its answer the same with the same number, and a status in the place of the kind: 0 ok, 1 refused
(the body is a line of text), 2 overflow, 3 time error, 4 full, 5 stale. Ticks are i64, -1 for none. A
client has two connections, so that neither waits for the other: the first is the session, which is the only
one while it lasts; the second reads.

    kind              body                                       body of the answer
    1 hello           "ISAC", u16 version (1), u16 0, u64 0      u64 session, u16 tx, u16 rx channels,
                                                                 f64 rate, and the least and greatest
                                                                 f64 rate, gain and frequency
    2 reader          "ISAC", u16 version, u16 0, u64 session    -
    3 time            -                                          i64 tick
    4 rate            f64 samples/s                              f64 actual
    5 gain            u8 rx, u8 channel, f64 dB, u8 set          f64 actual
    6 frequency       u8 rx, u8 channel, f64 Hz, u8 set          f64 actual
    7 clock source    UTF-8, or nothing to ask                   UTF-8
    8 time source     UTF-8, or nothing to ask                   UTF-8
    9 locked          -                                          u8
    10 write          i64 tick, u8 end of burst, u32 n,          -
                      samples (tx, n) complex64
    11 event          -                                          nothing, or u8 kind (0 acknowledged, 1 late,
                                                                 2 underflow), i64 tick
    12 start          i64 tick, u64 n (0: until stopped)         u32 generation
    13 stop           -                                          -
    14 read           u32 generation, u32 most                   i64 tick, u8 end, u32 n,
    (of the reader)                                              samples (rx, n) complex64
    15 bye            -                                          -

An answer to read never goes across lost samples: the next one's tick tells how many there were. No sample at
all means: not yet. A client is not trusted: whoever sends what cannot be followed is put out.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import threading
import time as clock
from pathlib import Path
from typing import Any

from tests.hil.frontend.stream_device import MOST_LOSSES, MOST_TICK, Engine, Loss, StreamDevice
from tests.hil.frontend.stream_session import PATIENCE, TICK, Connection

DEFAULT_ADDRESS = "stream:127.0.0.1:5510"
MOST_CONNECTIONS = 16
LATEST = 0.1  # seconds that paced time may fall behind before it is given up to catch up
LIMITS = {"samples": 1 << 30, "seconds": 3600.0, "at": MOST_TICK, "count": 1 << 20, "size": 1 << 28}
DEFAULTS: dict[str, float] = {"samples": 1000, "seconds": 0.2, "at": -1, "count": 1, "size": 4099}
KINDS = ("drop", "overflow", "late", "stall", "garbage", "half", "huge", "nan", "close", "restart", "unlock")


class Server:
    """`run` serves `engine` at `address`: [stream:][tcp://]HOST:PORT (0: any port) or [stream:]unix:PATH.

    `engine.process(samples (tx_channels, n)) -> (rx_channels, n)`, complex64, `engine.time` the ticks
    processed. What it has of `tx_channels`, `rx_channels`, `set_gain`, `gain`, `retune`, `restart` and
    `settings.rate` is used. `pace` (ticks/s) holds virtual time back to real time.
    `queue`: samples of a channel that may wait to be transmitted.

    Raises ValueError for another address, OSError for one that cannot be had.
    """

    def __init__(self, engine: Engine, address: str, pace: float | None = None, queue: int = 1 << 17) -> None:
        self.engine, self.pace = engine, pace
        tx, rx = (int(getattr(engine, f"{d}_channels", n)) for d, n in (("tx", 16), ("rx", 17)))
        self.device = StreamDevice(engine, tx, rx, queue)
        self.problems: dict[str, int] = {}
        """What came in and was refused, counted by reason."""
        self._lock = threading.Lock()
        self._place = _place(address)
        self._connections: set[Connection] = set()
        self.session = 0
        self.stalled_until = self._away_until = 0.0
        self._paced_from: float | None = None
        self.spoil: str | None = None
        self.spoil_size = 0
        self.stopped = threading.Event()
        self._listener: socket.socket | None = None
        self._listen()

    @property
    def addresses(self) -> list[str]:
        """The one address that clients use: HOST:PORT or unix:PATH."""
        return [f"unix:{self._place}" if isinstance(self._place, str) else "{}:{}".format(*self._place)]

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set, then close everything."""
        try:
            while not stop.is_set():
                listener = self._listener
                if listener is None:
                    if clock.monotonic() >= self._away_until:
                        self._listen()
                    else:
                        stop.wait(TICK)
                else:
                    with contextlib.suppress(OSError, ValueError):  # a restart may have closed it meanwhile
                        if select.select([listener], [], [], TICK)[0]:
                            self._admit(listener.accept()[0])
        finally:
            self.stopped.set()
            self._close_listener()
            self._hang_up()

    def inject(self, kind: str, **details: Any) -> None:
        """Make something go wrong; numbers not given have defaults.

        drop, overflow: `samples` of all receive channels lost from tick `at` on (default: the next), told as
        an overflow or by the ticks alone. late: the next `count` timed bursts. stall: nothing is answered for
        `seconds`. garbage, half, huge: the next answer to read is `size` random bytes, three bytes too long,
        or promises more than there is. nan: `samples` in the next one. close: all connections. restart: as
        after a power cut, away for `seconds`. unlock: the reference clock.

        Raises ValueError for what cannot be.
        """
        if kind not in KINDS:
            raise ValueError(f"fault must be one of {', '.join(KINDS)}, not {str(kind)[:40]!r}")
        values = dict(DEFAULTS)
        for key, value in details.items():
            if key not in values:
                raise ValueError(f"fault {kind}: unknown detail {key[:40]!r}")
            if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= LIMITS[key]:
                raise ValueError(f"fault {kind}: {key} must be a number from 0 to {LIMITS[key]:g}")
            values[key] = value
        with self.device.lock:
            self._order(kind, values)
        if kind == "restart":
            self._away_until = clock.monotonic() + (details.get("seconds", 0.0))
            self._close_listener()
        if kind in ("restart", "close"):
            self._hang_up()
        if kind == "restart":
            with self.device.lock:
                if hasattr(self.engine, "restart"):
                    self.engine.restart()
                self.device.reset()
                self._paced_from = None

    def _order(self, kind: str, values: dict[str, float]) -> None:
        device = self.device
        if kind in ("drop", "overflow"):
            if len(device.losses) >= MOST_LOSSES:
                raise ValueError("too many losses are ordered already")
            at = int(values["at"])
            device.losses.append(Loss(None if at < 0 else at, int(values["samples"]), kind == "overflow"))
        elif kind == "late":
            device.hurried += int(values["count"])
        elif kind == "nan":
            device.spoiled = int(values["samples"])
        elif kind == "unlock":
            device.locked = False
        elif kind == "stall":
            self.stalled_until = clock.monotonic() + values["seconds"]
        elif kind in ("garbage", "half", "huge"):
            self.spoil, self.spoil_size = kind, int(values["size"])

    def refuse(self, reason: str) -> None:
        """Count a problem."""
        with self._lock:
            self.problems[reason] = self.problems.get(reason, 0) + 1

    # Time that is paced -----------------------------------------------------------------------

    def due(self, most: int) -> int:
        """How many of `most` ticks may pass now."""
        if self.pace is None:
            return most
        now, time = clock.monotonic(), self.device.time
        if self._paced_from is None or (now - self._paced_from - LATEST) * self.pace > time + most:
            self._paced_from = now - time / self.pace
        return max(min(most, int((now - self._paced_from) * self.pace) - time), 0)

    # Connections ------------------------------------------------------------------------------

    def _listen(self) -> None:
        if isinstance(self._place, str):
            with contextlib.suppress(FileNotFoundError):
                if Path(self._place).is_socket():
                    os.unlink(self._place)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listener.bind(self._place)
            except OSError:
                listener.close()
                raise
            listener.listen(8)
        else:
            listener = socket.create_server(self._place, backlog=8)
            self._place = (self._place[0], listener.getsockname()[1])
        listener.setblocking(False)
        self._listener = listener

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
            if isinstance(self._place, str):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._place)

    def _admit(self, peer: socket.socket) -> None:
        with self._lock:
            if len(self._connections) >= MOST_CONNECTIONS:
                peer.close()
                return
            connection = Connection(self, peer)
            connection.start()  # before it is seen: whoever hangs up waits for its thread
            self._connections.add(connection)

    def _hang_up(self) -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.hang_up()
        for connection in connections:
            connection.join(PATIENCE)

    def forget(self, connection: Connection) -> None:
        """A connection has ended; with that of a session, the session."""
        with self._lock:
            self._connections.discard(connection)
        self.end(connection)

    def end(self, connection: Connection) -> None:
        """A session ends, if this connection is one."""
        with self.device.lock:
            if connection.session and connection.session == self.session and not connection.reads:
                self.session = 0
                self.device.hang_up()


def _place(address: str) -> str | tuple[str, int]:
    base = address.removeprefix("stream:")
    if base.startswith("unix:") and 0 < len(base.removeprefix("unix:")) < 100:
        return base.removeprefix("unix:")
    host, _, port = base.removeprefix("tcp://").rpartition(":")
    if not host or not port.isdecimal() or int(port[:6]) > 65535:
        raise ValueError(f"address {address!r}: give stream:HOST:PORT or stream:unix:PATH, under 100 letters")
    return host, int(port)
