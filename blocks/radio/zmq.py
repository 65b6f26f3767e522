"""A radio over ZeroMQ as srsRAN and GNU Radio speak it: raw complex64 on request, a socket for each channel.

The protocol, as its sources have it:

- srsRAN 4G (lib/src/phy/rf/rf_zmq_imp_tx.c, rf_zmq_imp_rx.c) and srsRAN Project
  (lib/radio/zmq/radio_zmq_tx_channel.cpp): the transmitter binds a REP, the receiver connects a REQ and sends
  one byte, 0xFF, which is not looked at; the answer is any number of cf_t, without a header.
- GNU Radio (gr-zeromq/lib/req_source_impl.cc, rep_sink_impl.cc): the request is a uint32 in the machine's
  order, the largest number of items that the receiver wants now; a rep_sink answers with as many at most, and
  a request of under four bytes with whatever it has, which is how both dialects meet.

There is no timestamp on the wire, no event and no way to tell that a sample was lost: ticks are counted.
"""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Sequence
from typing import Literal

import numpy as np

from blocks.radio.interface import (
    TIMEOUT,
    Capabilities,
    Event,
    EventKind,
    RadioError,
    RadioTimeout,
    Received,
    check_samples,
)
from blocks.radio.software import SoftwareRadio
from blocks.radio.timeline import await_room
from blocks.radio.zmq_ports import MOST_SAMPLES, Ports
from blocks.radio.zmq_session import Session

Dialect = Literal["srsran", "gnuradio"]
DIALECTS = ("srsran", "gnuradio")


class ZmqRadio(SoftwareRadio):
    """Transmit channels bound at `tx_addresses`, receive channels connected to `rx_addresses`.

    Time is virtual. Once a reception is on, the other side is given samples, at most `chunk` at a time and
    silence where nothing is queued, as far as `ahead` ticks beyond the last sample that `recv` has returned;
    then time stands still. What is to be sent at tick t has to be queued before `recv` returns
    tick t - `ahead`. The other side may hold back up to `ahead` - `chunk` samples (delays, filters): when
    nothing moves for `patience` seconds of a `recv`, `ahead` grows by a chunk, for good if that helps.
    A radio without receive channels sends at the pace at which it is asked.

    When the other side begins anew, or leaves a request unanswered for `retry` seconds of a `recv`, ticks
    go on from a later multiple of `chunk` for both directions: SEQUENCE_GAP, and Flag.GAP on what follows.
    How much was lost in truth, and whether the channels were left aligned, nobody can tell here.

    `dialect`: what the receive channels ask with; requests of both kinds are answered. `queue`: ticks that
    may wait to be sent. `rate` (samples/s) and `frequency` (Hz) are noted down.

    Raises RadioError for options that cannot be, and addresses that cannot be used.
    """

    def __init__(
        self,
        tx_addresses: Sequence[str] = (),
        rx_addresses: Sequence[str] = (),
        *,
        dialect: Dialect = "srsran",
        chunk: int = 1280,
        ahead: int | None = None,
        queue: int = 1 << 17,
        patience: float = 0.5,
        retry: float = 2.0,
        rate: float = 1e6,
        frequency: float = 0.0,
    ) -> None:
        if isinstance(tx_addresses, str) or isinstance(rx_addresses, str):
            raise RadioError("tx_addresses and rx_addresses are lists, an address for each channel")
        if not tx_addresses and not rx_addresses:
            raise RadioError("a zmq radio needs tx_addresses, rx_addresses or both")
        if dialect not in DIALECTS:
            raise RadioError(f"dialect must be one of {', '.join(DIALECTS)}, not {dialect!r}")
        lead = 2 * chunk if ahead is None else ahead
        if not 1 <= chunk <= MOST_SAMPLES or lead < chunk:
            raise RadioError(f"chunk {chunk} must be from 1 to {MOST_SAMPLES}, and ahead at least chunk")
        if not (queue >= 1 and patience > 0 and retry > 0):
            raise RadioError("queue, patience and retry must be positive")
        self._queue = queue
        self._wake_every = min(patience, retry) / 5
        tx, rx = len(tx_addresses), len(rx_addresses)
        self.device = f"zmq:{[*tx_addresses, *rx_addresses][0]}"
        self.capabilities = Capabilities(
            timestamps=False,
            events=frozenset(
                {EventKind.UNDERFLOW, EventKind.LATE, EventKind.SEQUENCE_GAP, EventKind.BURST_ACK}
            ),
            tx_channels=tx,
            rx_channels=rx,
            phase_coherent=True,
            virtual_time=rx > 0,
            lead=lead,
            emulated={
                "timestamps": "samples are counted from the first on, which is tick 0 in both directions",
                "timed_transmit": "silence is sent until the tick of a burst",
                "sequence_gap": "a lost connection or an unanswered request, not lost samples as such",
            },
        )
        super().__init__(rate, frequency)
        self._ports = Ports(tx_addresses, rx_addresses)
        self.tx_addresses, self.rx_addresses = self._ports.tx_addresses, self._ports.rx_addresses
        self._lock = threading.Condition()  # held by whoever touches the session
        self._session = Session(
            self._ports,
            counts=dialect == "gnuradio",
            chunk=chunk,
            ahead=lead,
            patience=patience,
            retry=retry,
        )
        self._waiters, self._closing = 0, False
        self._thread = threading.Thread(target=self._serve, name="zmq-radio", daemon=True)
        self._thread.start()

    # What a user calls -------------------------------------------------------------------------

    def events(self) -> list[Event]:
        """What has happened since the last call, oldest first; at most the last MOST_EVENTS."""
        with self._lock:
            found = list(self._session.events)
            self._session.events.clear()
            return found

    @property
    def ahead(self) -> int:
        """How many ticks sending may lead receiving: as given, plus what the other side has been granted."""
        with self._lock:
            return self._session.ahead

    def now(self) -> int:
        """The next tick to be sent, without transmit channels the next to be received."""
        with self._lock:
            return self._session.now()

    def close(self) -> None:
        """Close all sockets and end the thread. May be called twice."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        self._ports.wake()
        self._thread.join(TIMEOUT)

    def send(
        self, samples: np.ndarray, time: int | None, start_of_burst: bool, end_of_burst: bool, timeout: float
    ) -> None:
        """See `Transmitter.send`."""
        check_samples(samples, self.capabilities.tx_channels)
        n = samples.shape[1]
        with self._lock:
            await_room(self._lock, lambda: self._closing or self._has_room(n), self._queue, timeout)
            self._check_open()
            session = self._session
            late = session.timeline.put(samples, time, session.now(), start_of_burst, end_of_burst)
            if late is not None:
                session.events.append(late)
        self._ports.wake()

    def start(self, time: int | None, n: int | None) -> None:
        """See `Receiver.start`."""
        with self._lock:
            self._check_open()
            if not self.rx_addresses:
                raise RadioError("start: this radio has no receive channels: give it rx_addresses")
            if self._session.fault:
                self._session.reset(self._session.fault)
            self._session.alignment.start(time, n)
        self._ports.wake()

    def recv(self, most: int, timeout: float) -> Received:
        """See `Receiver.recv`."""
        if most < 1:
            raise RadioError(f"recv: most must be at least 1, not {most}")
        deadline = clock.monotonic() + timeout
        with self._lock:
            alignment = self._session.alignment
            if not self._waiters:
                self._session.begin_waiting()
            self._waiters += 1
            self._ports.wake()
            try:
                while True:
                    self._check_open()
                    tick = alignment.tick
                    found = alignment.take(most)
                    if alignment.tick != tick:
                        self._ports.wake()
                    if found is not None:
                        return found
                    if not alignment.receiving:
                        raise RadioError("recv: nothing is being received: call start() first")
                    left = deadline - clock.monotonic()
                    if self._session.broken() or (self._session.fault and left <= 0):
                        raise RadioError(self._session.fault)
                    if left <= 0:
                        raise RadioTimeout(f"no samples within {timeout:g} s: {self._session.suspect()}")
                    self._lock.wait(left)
            finally:
                self._waiters -= 1

    def stop(self) -> None:
        """See `Receiver.stop`."""
        with self._lock:
            self._session.alignment.receiving = False

    def _check_open(self) -> None:
        if self._closing:
            raise RadioError(f"{self.device} is closed: open the radio again")

    def _has_room(self, n: int) -> bool:
        waiting = self._session.timeline.waiting(self._session.all_sent())
        return not waiting or waiting + n <= self._queue

    # The thread that serves the sockets --------------------------------------------------------

    def _serve(self) -> None:
        wait = 0.0
        try:
            while True:
                happenings = self._ports.wait(wait)
                with self._lock:
                    if self._closing:
                        return
                    self._session.take_in(happenings)
                    self._session.serve(self._waiters > 0)
                    self._lock.notify_all()
                    wait = self._wake_every if self._waiters else 1.0
        finally:
            with self._lock:
                self._closing = True
                self._lock.notify_all()
            self._ports.close()
