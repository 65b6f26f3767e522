"""What a ZeroMQ radio knows of the other side: who has asked for what, what came, and how far time may go.

It has neither thread nor lock: whoever calls it sees to that one call comes after the other.
"""

from __future__ import annotations

import time as clock
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from blocks.radio.alignment import Alignment
from blocks.radio.interface import Event, EventKind
from blocks.radio.timeline import Timeline
from blocks.radio.zmq_ports import MOST_SAMPLES, Connected, Happening, Lost, Reply, Request

MOST_EVENTS = 10_000
WINDOW = 1 << 16  # ticks beyond the last that was taken, up to which a channel is asked for more
ANYTHING = 1 << 62


class Sockets(Protocol):
    """What of `Ports` a session uses."""

    tx_addresses: list[str]
    rx_addresses: list[str]

    def answer(self, channel: int, peer: bytes, samples: bytes) -> bool:
        """Send samples to a peer that has asked; False when it is gone."""
        ...

    def request(self, channel: int, body: bytes) -> None:
        """Ask a receive channel's peer for samples."""
        ...

    def reconnect(self) -> None:
        """Close the receive channels and connect them anew."""
        ...


class Session:
    """The state behind a `ZmqRadio`; its parameters are explained there.

    `counts`: ask with the 4-byte count of GNU Radio instead of one byte. `now` gives seconds.
    """

    def __init__(
        self,
        ports: Sockets,
        *,
        counts: bool,
        chunk: int,
        ahead: int,
        patience: float,
        retry: float,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        tx, rx = len(ports.tx_addresses), len(ports.rx_addresses)
        self._ports, self._counts, self._chunk, self.ahead = ports, counts, chunk, ahead
        self._patience, self._retry, self._clock = patience, retry, now
        self.timeline, self.alignment = Timeline(tx), Alignment(rx)
        self.events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self.fault = ""
        """Why reception cannot go on behind what the channel at fault has sent before."""
        self._at_fault: int | None = None
        self._sent = np.zeros(tx, np.int64)  # the tick that each transmit channel is at
        self._asked: dict[int, tuple[bytes, int]] = {}  # peers that wait, and the most they take
        self._peers: dict[int, bytes] = {}  # whom a channel has answered in this session
        self._connected = [False] * rx
        self._outstanding = [False] * rx
        self._oddity = ""  # the last request that was no request
        self._moved = self._came = 0.0  # when anything was exchanged, when all channels went on
        self._proven = ahead  # what was enough so far
        self._reopen = False
        self._used = False  # whether anything was exchanged in this session

    def now(self) -> int:
        """The next tick to be sent, without transmit channels the next to be received."""
        return int(self._sent.max()) if self._sent.size else self.alignment.tick

    def all_sent(self) -> int:
        """The tick up to which every transmit channel has sent."""
        return int(self._sent.min())

    def broken(self) -> bool:
        """Whether a fault is the next thing to come."""
        return self._at_fault is not None and self.alignment.tick >= self.alignment.held(self._at_fault)

    def begin_waiting(self) -> None:
        """Somebody waits from now on: `watch` counts from here."""
        self._moved = self._came = self._clock()

    def take_in(self, happenings: Sequence[Happening]) -> None:
        """Note what happened."""
        for happening in happenings:
            self._take_in(happening)

    def serve(self, waiting: bool) -> None:
        """Answer, ask and reconnect, as far as it is time; `waiting`: somebody is in `recv`."""
        if waiting:
            self._watch()
        if self._reopen:
            self._ports.reconnect()
            self._connected = [False] * len(self._connected)
            self._outstanding = [False] * len(self._connected)
            self._reopen = False
        self._answer()
        self._request()

    def suspect(self) -> str:
        """Who keeps everybody waiting."""
        if False in self._connected:
            channel = self._connected.index(False)
            name = self._receive_name(channel)
            return f"{name} is not connected: start the front end, check address and number of channels"
        if self._oddity:
            return self._oddity
        channel = self.alignment.shortest()
        silent = f"{self._receive_name(channel)} has sent nothing from tick {self.alignment.held(channel)} on"
        heard = {*self._asked, *self._peers}
        never = [c for c in range(len(self._ports.tx_addresses)) if c not in heard]
        if never:
            silent += f", and nobody has asked for samples of {self._transmit_name(never[0])}"
        return silent

    def _receive_name(self, channel: int) -> str:
        return f"receive channel {channel} at {self._ports.rx_addresses[channel]}"

    def _transmit_name(self, channel: int) -> str:
        return f"transmit channel {channel} at {self._ports.tx_addresses[channel]}"

    def reset(self, why: str) -> None:
        """Go on with a new session behind every tick of this one: a gap even if nothing was on its way."""
        held = [self.alignment.held(channel) for channel in range(len(self._connected))]
        tick = (max(self.now(), *held, 0) // self._chunk + 1) * self._chunk
        kept = min(held, default=tick)
        self.events.append(Event(EventKind.SEQUENCE_GAP, kept, tick - kept, why))
        self.events.extend(self.timeline.forget(tick))
        self.alignment.restart(tick)
        self._sent[:] = tick
        self._peers.clear()
        self.fault, self._at_fault, self._oddity = "", None, ""
        self._reopen, self._used = True, False
        self.ahead = self._proven
        self._moved = self._came = self._clock()

    def _limit(self) -> int:
        """The tick up to which samples may be sent now."""
        if not self._connected:
            return ANYTHING
        if not (self.alignment.receiving and all(self._connected)) or self._reopen:
            return 0
        return (self.alignment.tick + self.ahead) // self._chunk * self._chunk

    def _take_in(self, happening: Happening) -> None:
        if isinstance(happening, Request):
            self._take_request(happening)
        elif self._reopen:
            return  # of a socket that is about to be closed
        elif isinstance(happening, Connected):
            self._connected[happening.channel] = True
        elif isinstance(happening, Lost):
            known = self._connected[happening.channel]
            self._connected[happening.channel] = self._outstanding[happening.channel] = False
            if self._used:
                self.reset(f"{self._receive_name(happening.channel)} has lost its connection")
            elif known:
                self._reopen = True  # what it has sent before may still come
        else:
            self._take_reply(happening)

    def _take_request(self, request: Request) -> None:
        """Remember who asks; a stranger on a channel that was in use means that the other side began anew."""
        body = request.parts[1] if len(request.parts) == 2 and not request.parts[0] else None
        count = int.from_bytes(body, "little") if body is not None and len(body) == 4 else MOST_SAMPLES
        if body is None or len(body) not in (1, 4) or not count:
            what = f"{len(request.parts)} parts" if body is None else f"{len(body)} bytes"
            self._oddity = (
                f"{self._transmit_name(request.channel)}: a request of {what} that is neither the byte 0xFF "
                "nor a count of 4 bytes: the other side does not speak the protocol"
            )
            return
        if self._peers.get(request.channel, request.peer) != request.peer:
            self.reset(f"{self._transmit_name(request.channel)} is asked by another peer")
        self._asked[request.channel] = (request.peer, min(count, self._chunk))

    def _take_reply(self, reply: Reply) -> None:
        channel, name = reply.channel, self._receive_name(reply.channel)
        self._outstanding[channel], self._used = False, True
        self._moved = self._clock()
        if channel == self._at_fault:
            return
        found = ""
        if len(reply.parts) != 2 or reply.parts[0]:
            found = f"{name}: a reply in {len(reply.parts)} parts instead of samples alone"
        elif len(reply.parts[1]) % 8:
            found = f"{name}: a reply of {len(reply.parts[1])} bytes is no whole number of complex64"
        elif len(reply.parts[1]) > 8 * MOST_SAMPLES:
            found = f"{name}: a reply of {len(reply.parts[1]) // 8} samples, {MOST_SAMPLES} are allowed"
        else:
            samples = np.frombuffer(reply.parts[1], "<c8")
            if np.isfinite(samples).all():
                slowest = channel == self.alignment.shortest()
                self.alignment.push(channel, samples)
                if slowest and samples.size:
                    self._came, self._proven = self._moved, self.ahead
            else:
                found = f"{name}: a reply with samples that are NaN or infinite"
        if found and self._at_fault is None:
            self.fault, self._at_fault = f"{found}: check the front end, then start() again", channel

    def _answer(self) -> None:
        """Give samples to those who have asked, as far as time may go."""
        limit, moved = self._limit(), False
        for channel, (peer, most) in list(self._asked.items()):
            start = int(self._sent[channel])
            stop = min(start + most, limit)
            if stop <= start:
                continue
            del self._asked[channel]
            samples = self.timeline.read(start, stop, channel)
            if self._ports.answer(channel, peer, samples.astype("<c8", copy=False).tobytes()):
                self._sent[channel], self._peers[channel], moved = stop, peer, True
        if moved:
            self.events.extend(self.timeline.release(int(self._sent.min())))
            self._moved, self._used = self._clock(), True

    def _request(self) -> None:
        """Ask every receive channel that has run low."""
        if not self.alignment.receiving or not all(self._connected):
            return
        upto = self.alignment.tick + self.ahead + WINDOW
        if self._at_fault is not None:
            upto = self.alignment.held(self._at_fault)  # what the others have of the same time
        for channel, outstanding in enumerate(self._outstanding):
            room = upto - self.alignment.held(channel)
            if not outstanding and room > 0:
                body = min(room, WINDOW).to_bytes(4, "little") if self._counts else b"\xff"
                self._ports.request(channel, body)
                self._outstanding[channel] = True

    def _watch(self) -> None:
        """Do something when `recv` waits and nothing moves."""
        if not all(self._connected) or self.fault:
            return
        now, limit = self._clock(), self._limit()
        if now - self._came > self._retry and any(self._outstanding):
            self.reset(f"{self._receive_name(self.alignment.shortest())} has left a request unanswered")
        elif now - self._moved > self._patience and any(self._sent[c] >= limit for c in self._asked):
            self.ahead, self._moved = self.ahead + self._chunk, now
