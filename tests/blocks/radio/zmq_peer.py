"""The other side of a ZeroMQ radio, in a thread: plain REQ and REP sockets with a loop between them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence

import zmq

Tamper = Callable[[int, bytes], list[bytes] | None]
"""From channel and samples to the parts that are sent instead; None: no answer at all."""


class Peer:
    """REP sockets bound for the radio's receive channels, REQ sockets connected to its transmit channels.

    Receive channel r is given transmit channel r mod n. `hold` samples are held back for ever, replies have
    at most `lengths[r]` samples. Without transmit channels there is silence. With `kind` ROUTER a request
    may be left unanswered, and the next one is taken all the same.
    """

    def __init__(
        self,
        receive_channels: int,
        *,
        hold: int = 0,
        lengths: Sequence[int] = (),
        request: bytes = b"\xff",
        tamper: Tamper | None = None,
        addresses: Sequence[str] = (),
        kind: int = zmq.REP,
    ) -> None:
        self._context = zmq.Context()
        self._reps: list[zmq.Socket[bytes]] = []
        self._reqs: list[zmq.Socket[bytes]] = []
        self._buffers: list[bytes] = []
        self._waiting: dict[int, list[bytes]] = {}  # with the envelope of a ROUTER
        self.hold, self.lengths, self.request, self.tamper = hold, lengths, request, tamper
        self.requests: list[bytes] = []
        self.replies: list[int] = []  # samples in each that the radio sent
        for c in range(receive_channels):
            rep = self._socket(kind)
            rep.bind(addresses[c] if addresses else "tcp://127.0.0.1:*")
            self._reps.append(rep)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def addresses(self) -> list[str]:
        """Where the receive channels connect to."""
        return [str(rep.getsockopt_string(zmq.LAST_ENDPOINT)).rstrip("\0") for rep in self._reps]

    def start(self, tx_addresses: Sequence[str]) -> Peer:
        """Connect to the transmit channels and begin."""
        for address in tx_addresses:
            req = self._socket(zmq.REQ)
            req.connect(address)
            self._reqs.append(req)
        self._buffers = [b""] * max(len(self._reqs), 1)
        self._given = [0] * len(self._reps)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Vanish."""
        self._stop.set()
        if self._thread.ident:
            self._thread.join()
        for each in (*self._reps, *self._reqs):
            each.close(0)
        self._context.term()

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        each = self._context.socket(kind)
        each.setsockopt(zmq.LINGER, 0)
        return each

    def _serve(self) -> None:
        poller = zmq.Poller()
        for each in (*self._reps, *self._reqs):
            poller.register(each, zmq.POLLIN)
        for req in self._reqs:
            req.send(self.request)
        while not self._stop.is_set():
            ready = dict(poller.poll(20))
            for channel, req in enumerate(self._reqs):
                if req in ready:
                    samples = req.recv()
                    self.replies.append(len(samples) // 8)
                    self._buffers[channel] += samples
                    req.send(self.request)
            for channel, rep in enumerate(self._reps):
                if rep in ready:
                    *envelope, request = rep.recv_multipart()
                    self.requests.append(request)
                    self._waiting[channel] = envelope
            for channel in list(self._waiting):
                self._reply(channel)

    def _reply(self, channel: int) -> None:
        if self._reqs:
            stream = self._buffers[channel % len(self._reqs)]
            stop = len(stream) - 8 * self.hold
        else:
            stop = self._given[channel] + 8000
            stream = bytes(stop)
        if self.lengths:
            stop = min(stop, self._given[channel] + 8 * self.lengths[channel % len(self.lengths)])
        if stop <= self._given[channel]:
            return
        envelope = self._waiting.pop(channel)
        part = stream[self._given[channel] : stop]
        self._given[channel] = stop
        parts = [part] if self.tamper is None else self.tamper(channel, part)
        if parts is not None:
            with contextlib.suppress(zmq.Again):
                self._reps[channel].send_multipart([*envelope, *parts], zmq.DONTWAIT)
