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

PORT = 30431
MOST_SESSIONS = 64
KINDS = ("drop", "overflow", "underflow", "stall", "garbage", "half", "close", "restart", "unlock")


class Server:
    """`run` serves contexts at `address`, "HOST" or "HOST:PORT": consecutive ports, or any for port 0.

    `engine.process(samples (tx_channels, n)) -> (rx_channels, n)`, complex64. Context k has transmit channels
    2k, 2k + 1 and receive channels 2k, 2k + 1; one that the engine lacks is silent. `fifo`: ticks that wait
    for a context that reads more slowly than the others. `grid`: where no stream is open, the next one begins
    at a multiple of so many ticks of the engine, so that a client that opens its streams anew, and counts on
    in such multiples, still meets the engine's slots.

    Raises OSError for an address that cannot be had.
    """

    def __init__(
        self,
        engine: Engine,
        address: str = "127.0.0.1:0",
        tx_channels: int = 16,
        rx_channels: int = 17,
        fifo: int = 1 << 17,
        grid: int = 1280,
    ) -> None:
        count = (max(tx_channels, rx_channels) + 1) // 2
        self.converters = Converters(engine, tx_channels, rx_channels, count, fifo, grid)
        self.contexts = [Context(k, self.converters) for k in range(count)]
        host, _, port = address.partition(":")
        self._lock = threading.Lock()
        self._sessions: set[Session] = set()
        self._stalled_until = self._away_until = 0.0
        self._listeners: list[socket.socket] = []
        first = int(port) if port else PORT
        ports = [first + k if first else 0 for k in range(count)]
        self._places = [(host, each) for each in ports]
        self._listen()

    @property
    def addresses(self) -> list[str]:
        """The URIs of the contexts."""
        return [f"ip:{host}:{port}" for host, port in self._places]

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
        """Make something go wrong: drop and overflow (samples; at, a tick; context; told=0 hides a drop from
        the status register), underflow (samples; context), stall (seconds), garbage and half (context; in its
        next answer to READBUF), close, restart (seconds away), unlock (context). No context: all of them.

        Raises ValueError for another kind.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
        context = int(details["context"]) if "context" in details else None
        chosen = self.contexts if context is None else [self.contexts[context]]
        if kind in ("drop", "overflow"):
            told = kind == "overflow" or bool(details.get("told", 1))
            at = int(details["at"]) if "at" in details else None
            self.converters.lose(int(details["samples"]), context, told, at)
        elif kind == "underflow":
            self.converters.starve(int(details["samples"]), context)
        elif kind == "stall":
            self._stalled_until = clock.monotonic() + details["seconds"]
        elif kind in ("garbage", "half"):
            for each in chosen:
                each.spoil = kind
        elif kind == "unlock":
            for each in chosen:
                each.chip.locked = False
        elif kind == "close":
            self._hang_up()
        else:
            self._away_until = clock.monotonic() + details.get("seconds", 0.0)
            self._hang_up()
            for each in self.contexts:
                each.reset()

    def stall(self) -> float:
        """Seconds that an answer has to wait."""
        return self._stalled_until - clock.monotonic()

    def forget(self, session: Session) -> None:
        """A session has ended."""
        with self._lock:
            self._sessions.discard(session)

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
            sessions = list(self._sessions)
        for session in sessions:
            session.hang_up()
        for session in sessions:
            session.join(PATIENCE)
