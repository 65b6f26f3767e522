"""The other side of srsRAN's ZeroMQ radio: one port a channel, raw complex64, time is what was exchanged.

Who transmits binds REP, who receives connects REQ and asks with one byte 0xFF; the reply holds any number of
samples. GNU Radio's REQ asks with a count of 4 bytes and gets at most that many.
"""

from __future__ import annotations

import contextlib
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import zmq
from zmq.utils.monitor import recv_monitor_message

from tests.hil.frontend.addresses import expand
from tests.hil.frontend.engine import FrontEnd
from tests.hil.frontend.faults import Fault, FaultQueue, check, spoil
from tests.hil.frontend.fifo import SampleQueue
from tests.hil.frontend.settings import SettingsError

REQUEST = b"\xff"
MOST_WAITING = 1 << 16
"""Samples of a channel that wait in either direction before nothing more is asked for."""
MOST_AT_ONCE = 1 << 14
"""Samples of a channel worked or sent at once."""
MOST_BYTES = 1 << 24
"""The longest reply that is taken; whoever sends more is cut off."""
MOST_REQUESTS = 16
"""Requests of one receive channel that may wait; more are dropped."""
LOUDEST = 1e3
"""|re|, |im| beyond which samples are taken for garbage; full scale is 1."""
POLL_MS = 50
PACE_MS = 2
"""Paced time moves in pieces of at least this."""
LATEST_SECONDS = 0.1
"""How far paced time may fall behind before it is given up to catch up: the other side made us wait."""


class ZmqServer:
    """Serves an engine over ZeroMQ: connects to `tx_addresses` (K), binds `rx_addresses` (K+1).

    `pace` in ticks a second holds virtual time back to real time. `ask_count` asks as GNU Radio does, for its
    REP sinks. When a transmitting connection closes, the link is taken for gone: all are cut, the engine is
    rewound, and the next link begins at tick 0 with the same hardware.
    Raises SettingsError for addresses of a wrong number or that cannot be had.
    """

    def __init__(
        self,
        engine: FrontEnd,
        tx_addresses: Sequence[str],
        rx_addresses: Sequence[str],
        pace: float | None = None,
        ask_count: bool = False,
    ) -> None:
        if len(tx_addresses) != engine.tx_channels or len(rx_addresses) != engine.rx_channels:
            raise SettingsError(f"{engine.tx_channels} tx and {engine.rx_channels} rx addresses are needed")
        self.engine, self.pace = engine, pace
        self.addresses = {"tx": list(tx_addresses), "rx": list(rx_addresses)}
        self.problems: dict[str, int] = {}
        """What came in and was refused, counted by reason."""
        self._request = struct.pack("<I", MOST_AT_ONCE) if ask_count else REQUEST
        self._faults = FaultQueue()
        self._tx = [SampleQueue() for _ in tx_addresses]
        self._rx = [SampleQueue() for _ in rx_addresses]
        self._silent_until = 0.0
        self._open_all()

    def _open_all(self) -> None:
        """Sockets and the state that goes with them."""
        self._wanted: list[deque[tuple[bytes, int]]] = [deque() for _ in self._rx]
        self._spoiled: list[deque[Fault]] = [deque() for _ in self._rx]
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        self._roles: dict[Any, tuple[str, int]] = {}
        self._sources: list[zmq.Socket[bytes]] = []
        try:
            self._sinks = [self._open(zmq.ROUTER, "rx", i, a) for i, a in enumerate(self.addresses["rx"])]
            self._open_sources()
        except BaseException:
            self._close_all()
            raise

    def _open_sources(self) -> None:
        """Connect to the transmitters; time begins."""
        for queue in (*self._tx, *self._rx):
            queue.clear()
        self._asked: set[int] = set()
        self._connected: set[int] = set()
        self._drop = 0
        self._paced_from: float | None = None
        self._sources = [self._open(zmq.DEALER, "tx", i, a) for i, a in enumerate(self.addresses["tx"])]

    def _close_sources(self) -> None:
        for source in self._sources:
            source.disable_monitor()  # which leaves the monitor's own socket open
        for socket, (role, _) in list(self._roles.items()):
            if role != "rx":
                self._poller.unregister(socket)
                socket.close(0)
                del self._roles[socket]
        self._sources = []

    def _open(self, kind: int, role: str, channel: int, address: str) -> zmq.Socket[bytes]:
        # DEALER and ROUTER speak with REP and REQ, but survive that the other side dies between two messages.
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MOST_BYTES)
        try:
            if kind == zmq.DEALER:
                socket.setsockopt(zmq.RECONNECT_IVL, 50)
                socket.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
                events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
                self._watch(socket.get_monitor_socket(events), "monitor", channel)
                socket.connect(address)
            else:
                socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
                socket.bind(address)
        except zmq.ZMQError as error:
            raise SettingsError(
                f"{role} channel {channel} at {address}: {zmq.strerror(error.errno or 0)}"
            ) from None
        self._watch(socket, role, channel)
        return socket

    def _watch(self, socket: Any, role: str, channel: int) -> None:
        self._roles[socket] = (role, channel)
        self._poller.register(socket, zmq.POLLIN)

    def _close_all(self) -> None:
        self._close_sources()
        self._context.destroy(linger=0)

    def inject(self, kind: str, **details: Any) -> None:
        """Order a fault of `faults.KINDS`. Raises FaultError."""
        self._faults.put(check(kind, details))

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set, then close everything."""
        try:
            while not stop.is_set():
                for fault in self._faults.take():
                    self._begin(fault, stop)
                self._ask()
                busy = self._advance()
                self._answer()
                self._handle([s for s, _ in self._poller.poll(0 if busy else self._patience_ms())])
        finally:
            self._close_all()

    def _handle(self, ready: list[Any]) -> None:
        """What has come in: who came and went first, as no samples may pass from one link to the next."""
        for role, handle in (("monitor", self._event), ("tx", self._take), ("rx", self._note)):
            for socket in ready:
                known = self._roles.get(socket)  # none: closed meanwhile
                if known and known[0] == role:
                    handle(known[1], socket)

    # The side that we receive from -----------------------------------------------------------

    def _ask(self) -> None:
        """Ask every transmitter that is connected and of whom too little waits."""
        for channel in self._connected - self._asked:
            if self._tx[channel].size < MOST_WAITING:
                with contextlib.suppress(zmq.Again):
                    self._sources[channel].send_multipart([b"", self._request], zmq.NOBLOCK)
                    self._asked.add(channel)

    def _take(self, channel: int, socket: zmq.Socket[bytes]) -> None:
        """Samples of a transmitter, once they are known to be some."""
        frames = socket.recv_multipart()
        self._asked.discard(channel)
        if len(frames) != 2 or frames[0]:
            self._refuse("not one message")
        elif len(frames[1]) % 8:
            self._refuse("not whole samples")
        else:
            samples = np.frombuffer(frames[1], "<c8")
            # NaN fails the comparison as well.
            if samples.size and not np.abs(samples.view(np.float32)).max() <= LOUDEST:
                self._refuse("not finite or far beyond full scale")
            else:
                self._tx[channel].push(samples)

    def _refuse(self, reason: str) -> None:
        self.problems[reason] = self.problems.get(reason, 0) + 1

    def _event(self, channel: int, socket: zmq.Socket[bytes]) -> None:
        """A transmitter has come or gone."""
        while socket in self._roles and socket.poll(0):
            if recv_monitor_message(socket)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._connected.add(channel)
            elif channel in self._connected:
                self._close_sources()
                self.engine.rewind()
                self._open_sources()

    # The engine ------------------------------------------------------------------------------

    def _allowed(self) -> int:
        """Ticks that may be worked now."""
        ready = min(queue.size for queue in self._tx)
        room = MOST_WAITING - max(queue.size for queue in self._rx)
        count = max(min(ready, room, MOST_AT_ONCE), 0)
        if self.pace is None or not count:
            return count
        now = time.monotonic()
        if self._paced_from is None:
            self._paced_from = now - self.engine.time / self.pace
        due = int((now - self._paced_from) * self.pace) - self.engine.time
        if due > self.pace * LATEST_SECONDS:
            self._paced_from += (due - count) / self.pace
        return min(count, due) if due >= min(count, self.pace * PACE_MS / 1000) else 0

    def _patience_ms(self) -> int:
        """How long to wait for messages."""
        paced = self.pace is not None and all(queue.size for queue in self._tx)
        return PACE_MS if paced else POLL_MS

    def _advance(self) -> bool:
        """Work what all transmitters have delivered; whether it was anything."""
        count = self._allowed()
        if not count:
            return False
        received = self.engine.process(np.stack([queue.pull(count) for queue in self._tx]))
        lost = min(self._drop, count)
        self._drop -= lost
        for queue, samples in zip(self._rx, received, strict=True):
            queue.push(samples[lost:])
        return True

    # The side that receives from us ----------------------------------------------------------

    def _note(self, channel: int, socket: zmq.Socket[bytes]) -> None:
        """A request of a receiver; it is answered when there are samples."""
        frames = socket.recv_multipart()
        request = frames[2] if len(frames) == 3 and not frames[1] else b""
        if request == REQUEST:
            most = MOST_AT_ONCE
        elif len(request) == 4:
            most = min(max(struct.unpack("<I", request)[0], 1), MOST_AT_ONCE)
        else:
            self._refuse("not a request")
            return
        if len(self._wanted[channel]) < MOST_REQUESTS:
            self._wanted[channel].append((frames[0], most))

    def _answer(self) -> None:
        """Answer every request that can be."""
        if time.monotonic() < self._silent_until:
            return
        for channel, wanted in enumerate(self._wanted):
            queue, spoiled = self._rx[channel], self._spoiled[channel]
            while wanted and (queue.size or spoiled):
                peer, most = wanted.popleft()
                samples = queue.pull(most)
                content = spoil(spoiled[0], samples) if spoiled else samples.tobytes()
                try:
                    self._sinks[channel].send_multipart([peer, b"", content], zmq.NOBLOCK)
                except zmq.ZMQError:  # whoever asked has gone: the samples are the next one's
                    queue.push_back(samples)
                else:
                    if spoiled:
                        spoiled.popleft()

    def _begin(self, fault: Fault, stop: threading.Event) -> None:
        if fault.kind == "drop":
            self._drop += fault.samples
        elif fault.kind == "stall":
            stop.wait(fault.seconds)
        elif fault.kind == "silence":
            self._silent_until = time.monotonic() + fault.seconds
        elif fault.kind == "restart":
            self._close_all()
            self.engine.restart()
            self._open_all()
        else:
            self._spoiled[fault.channel % len(self._spoiled)].append(fault)


class Server(ZmqServer):
    """A ZmqServer at an address.

    ``zmq:tcp://HOST:PORT`` uses K ports from PORT on, bound by the link, and the K+1 next ones, bound here;
    ``zmq:ipc://FOLDER`` uses FOLDER/tx0 … and FOLDER/rx0 …
    """

    def __init__(
        self, engine: FrontEnd, address: str, pace: float | None = None, ask_count: bool = False
    ) -> None:
        tx, rx = expand(address, engine.tx_channels, engine.rx_channels)
        super().__init__(engine, tx, rx, pace, ask_count)
