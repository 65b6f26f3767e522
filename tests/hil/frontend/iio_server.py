"""A small IIO daemon: libiio's network protocol around a virtual front end.

The protocol of libiio 0.x (iiod/lexer.l, iiod/parser.y, iiod/ops.c and iiod-client.c of v0.24): a command is
a line of text, the answer a line with a number, negative for an errno, and behind it as many bytes as it
promises. A context is an AD9361 with two transmit and two receive channels, and has a port of its own;
`Server` offers as many contexts as its channels need. A client is not trusted: lines, values and buffers are
bounded, and one that sends something else is answered with EINVAL, or put out where its stream cannot be
followed any more.

Time is virtual: see iio_converters.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time as clock

from tests.hil.frontend.iio_converters import Converters, Engine
from tests.hil.frontend.iio_session import PATIENCE, Context, Session

DEFAULT_ADDRESS = "iio:127.0.0.1:0"
PORT = 30431
MOST_SESSIONS = 64
FAULTS: dict[str, frozenset[str]] = {
    "drop": frozenset({"samples", "at", "context", "told"}),
    "overflow": frozenset({"samples", "at", "context"}),
    "underflow": frozenset({"samples", "context"}),
    "stall": frozenset({"seconds"}),
    "silence": frozenset({"seconds"}),
    "garbage": frozenset({"context"}),
    "half": frozenset({"context"}),
    "close": frozenset(),
    "restart": frozenset({"seconds"}),
    "unlock": frozenset({"context"}),
}
"""What can go wrong here, and its details. drop, overflow: `samples` received ones are lost, from tick `at`
on, which the status register tells, but for a drop with `told` 0. underflow: the transmitters are silent for
`samples`. stall, silence: no answer for `seconds`. garbage, half: the next answer to READBUF is no number, or
ends within a sample. close: all connections are cut. restart: so they are, and settings and time forgotten;
away for `seconds`. unlock: the clock. Without `context` (or `channel`, one of its receive channels): all."""
DEFAULTS = {"samples": 1000.0, "seconds": 0.2}


class Server:
    """`run` serves contexts at `address`, iio:HOST or iio:HOST:PORT: consecutive ports, or any for port 0.

    Context k has transmit channels 2k, 2k + 1 of the engine and receive channels 2k, 2k + 1; one that the
    engine lacks is silent. `pace`: ticks/s that time is held back to (None: none). `fifo`: ticks that wait
    for a context that reads more slowly than the others. `grid`: where no stream is open, the next one begins
    at a multiple of so many ticks, so that a client that opens its streams anew, and counts on in such
    multiples, still meets the engine's blocks. When the last client has left, the engine is rewound.

    Raises ValueError for an address that cannot be, OSError for one that cannot be had.
    """

    def __init__(
        self,
        engine: Engine,
        address: str = DEFAULT_ADDRESS,
        pace: float | None = None,
        fifo: int = 1 << 17,
        grid: int | None = None,
    ) -> None:
        settings = getattr(engine, "settings", None)
        count = (max(engine.tx_channels, engine.rx_channels) + 1) // 2
        grid = int(getattr(settings, "block", 1280)) if grid is None else grid
        self.converters = Converters(engine, count, fifo, grid, pace or 0.0)
        rate = float(getattr(settings, "rate", 30.72e6))
        self.contexts = [Context(k, self.converters, rate) for k in range(count)]
        host, _, port = address.removeprefix("iio:").partition(":")
        first = int(port) if port.isascii() and port.isdigit() else PORT
        if not host or (port and not port.isdigit()) or first + count > 65536:
            raise ValueError(f"address {address!r}: write iio:HOST or iio:HOST:PORT")
        self._lock = threading.Lock()
        self._sessions: set[Session] = set()
        self._cutting = False  # connections end because they are cut, not because clients have left
        self._stalled_until = self._away_until = 0.0
        self._listeners: list[socket.socket] = []
        self._places = [(host, first + k if first else 0) for k in range(count)]
        self._listen()

    @property
    def addresses(self) -> list[str]:
        """The URIs of the contexts."""
        return [f"ip:{host}:{port}" for host, port in self._places]

    @property
    def problems(self) -> dict[str, int]:
        """Received samples that were lost, and how often there was nothing to transmit within a stream."""
        return {"lost": sum(self.lost), "underflows": sum(self.underflows)}

    @property
    def lost(self) -> list[int]:
        """Received samples that each context has lost."""
        return [receiver.lost for receiver in self.converters.rx]

    @property
    def underflows(self) -> list[int]:
        """How often each context had nothing to transmit in the middle of a stream."""
        return [transmitter.underflows for transmitter in self.converters.tx]

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set."""
        try:
            while not stop.is_set():
                away = clock.monotonic() < self._away_until
                if away:
                    self._close_listeners()
                elif not self._listeners:
                    self._listen()
                self._accept(stop)
        finally:
            self._close_listeners()
            self._hang_up()

    def inject(self, kind: str, **details: float) -> None:
        """Make something go wrong: see FAULTS. Raises ValueError, one line, for what cannot be."""
        values = self._fault(kind, details)
        samples, context = int(values["samples"]), values.get("context")
        chosen = self.contexts if context is None else [self.contexts[int(context)]]
        if kind in ("drop", "overflow"):
            at, told = values.get("at"), bool(values.get("told", 1))
            for each in chosen:
                self.converters.lose(samples, each.index, told, None if at is None else int(at))
        elif kind == "underflow":
            for each in chosen:
                self.converters.starve(samples, each.index)
        elif kind in ("stall", "silence"):
            self._stalled_until = clock.monotonic() + values["seconds"]
        elif kind in ("garbage", "half"):
            for each in chosen:
                each.spoil = kind
        elif kind == "unlock":
            for each in chosen:
                each.chip.locked = False
        elif kind == "close":
            self._hang_up()
        else:
            self._away_until = clock.monotonic() + (values["seconds"] if "seconds" in details else 0)
            self._hang_up()
            self.converters.rewind()
            self.converters.engine.restart()
            for each in self.contexts:
                each.reset()

    def _fault(self, kind: str, details: dict[str, float]) -> dict[str, float]:
        """Details of a fault, checked, with what is not given."""
        if kind not in FAULTS:
            known = ", ".join(FAULTS)
            raise ValueError(f"over IIO a fault must be one of {known}, not {str(kind)[:40]!r}")
        values = {**DEFAULTS}
        for name, value in details.items():
            if type(value) not in (int, float) or not 0 <= value <= 1 << 53:
                raise ValueError(f"fault {kind}: {name[:40]} must be a number from 0 on")
            if name == "channel" and "context" in FAULTS[kind]:
                name, value = "context", value // 2
            if name not in FAULTS[kind]:
                raise ValueError(f"fault {kind}: unknown detail {name[:40]!r}")
            values[name] = value
        if values.get("context", 0) >= len(self.contexts) or values["seconds"] > 3600:
            raise ValueError(f"fault {kind}: there is no such context, or that is too long")
        return values

    def stall(self) -> float:
        """Seconds that an answer has to wait."""
        return self._stalled_until - clock.monotonic()

    def forget(self, session: Session) -> None:
        """A session has ended."""
        with self._lock:
            self._sessions.discard(session)
            if not self._sessions and not self._cutting:
                self.converters.rewind()

    def _listen(self) -> None:
        for k, place in enumerate(self._places):
            listener = socket.create_server(place, backlog=16)
            listener.setblocking(False)
            self._listeners.append(listener)
            self._places[k] = (place[0], listener.getsockname()[1])

    def _close_listeners(self) -> None:
        while self._listeners:
            self._listeners.pop().close()

    def _accept(self, stop: threading.Event) -> None:
        listeners = list(self._listeners)
        if not listeners:
            stop.wait(0.01)
            return
        with selectors.DefaultSelector() as selector:
            for k, listener in enumerate(listeners):
                selector.register(listener, selectors.EVENT_READ, k)
            ready = selector.select(0.05)
        for key, _ in ready:
            with contextlib.suppress(OSError):
                peer, _ = listeners[key.data].accept()
                self._admit(peer, self.contexts[key.data])

    def _admit(self, peer: socket.socket, context: Context) -> None:
        with self._lock:
            if len(self._sessions) >= MOST_SESSIONS or clock.monotonic() < self._away_until:
                peer.close()
                return
            session = Session(self, context, peer)
            self._sessions.add(session)
            session.start()

    def _hang_up(self) -> None:
        with self._lock:
            self._cutting = True
            sessions = list(self._sessions)
        for session in sessions:
            session.hang_up()
        for session in sessions:
            session.join(PATIENCE)
        self._cutting = False
