"""A radio over libiio: AD9361 front ends (Pluto, FMCOMMS2 and their like), two channels each way a context.

IIO streams carry samples and nothing else: no timestamps, no bursts. Ticks are therefore counted from the
start of both streams, and silence is sent between bursts. On real hardware the first sample transmitted and
the first one received do not belong to the same instant: the offset is unknown, though constant until a
stream breaks, and so is that between contexts, unless they share clock and start. A preamble finds it.

What breaks a stream - samples lost as the converters' status registers tell, a connection lost, an answer too
late or of another length - ends the session: both streams of all contexts begin anew, and ticks go on from a
later multiple of the chunk in both directions, so that the gap is seen. How much was lost nobody can tell.
"""

from __future__ import annotations

import threading
import time as clock
from collections import deque
from collections.abc import Sequence

import numpy as np

from blocks.radio.alignment import Alignment
from blocks.radio.iio_array import IioArray
from blocks.radio.iio_settings import IioSettings
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
from blocks.radio.timeline import Timeline, await_room

MOST_EVENTS = 10_000
RETRY = 0.1  # seconds between attempts to reach a context that is gone


class IioRadio(IioSettings):
    """The `contexts` (URIs, with commas or as a list, or pyadi-iio devices), side by side as one radio.

    Channels are counted through: 2k and 2k + 1 belong to context k. `tx_channels`, `rx_channels`: how many
    are used (None: all). A context's carriers and its rate are those of both its channels.

    Samples travel in chunks of `chunk` ticks, transmitted ones `ahead` ticks before received ones. Both go on
    while a `recv` waits; with real hardware recv has to be called again in time (the kernel holds `buffers`
    chunks), and the end of a reception ends the session. What is to be sent at tick t has to be queued before
    `recv` returns tick t - `ahead`. `queue`: ticks that may wait to be sent. `timeout`: seconds for every
    wait of libiio. `phase_coherent`: whether the contexts share clock, carriers and start, which nobody but
    the user knows. `virtual_time`: None asks the contexts.

    Raises RadioError for options that cannot be, and contexts that cannot be reached or used.
    """

    def __init__(
        self,
        contexts: str | Sequence[object],
        *,
        tx_channels: int | None = None,
        rx_channels: int | None = None,
        chunk: int = 5120,
        ahead: int | None = None,
        queue: int = 1 << 17,
        buffers: int = 4,
        timeout: float = TIMEOUT,
        phase_coherent: bool = False,
        virtual_time: bool | None = None,
    ) -> None:
        named = contexts.split(",") if isinstance(contexts, str) else contexts
        uris = [getattr(each, "uri", each) for each in named]
        if not uris or not all(isinstance(uri, str) and uri for uri in uris):
            raise RadioError("contexts is a list of URIs such as ip:192.168.2.1, or of pyadi-iio devices")
        self._ahead = -(-(2 * chunk if ahead is None else ahead) // max(chunk, 1)) * chunk
        if not 64 <= chunk <= 1 << 20 or self._ahead < chunk or not 1 <= buffers <= 64:
            raise RadioError(
                f"chunk {chunk} must be from 64 to {1 << 20}, ahead at least chunk, buffers 1 to 64"
            )
        if not (queue >= 1 and timeout > 0):
            raise RadioError("queue and timeout must be positive")
        if rx_channels is not None and rx_channels < 1:
            raise RadioError("an iio radio needs receive channels: they are what its ticks are counted by")
        self._chunk, self._queue, self._buffers, self._timeout = chunk, queue, buffers, timeout
        super().__init__(IioArray([str(uri) for uri in uris], timeout, tx_channels, rx_channels))
        tx, rx, told = self._array.tx_channels, self._array.rx_channels, self._array.tells
        kinds = {EventKind.LATE, EventKind.SEQUENCE_GAP, EventKind.BURST_ACK}
        self.capabilities = Capabilities(
            timestamps=False,
            events=frozenset(kinds | ({EventKind.OVERFLOW, EventKind.UNDERFLOW} if told else set())),
            tx_channels=tx,
            rx_channels=rx,
            phase_coherent=phase_coherent,
            virtual_time=self._array.virtual_time if virtual_time is None else virtual_time,
            lead=self._ahead,
            emulated={
                "timestamps": "samples are counted from the start of both streams, whose offset on hardware "
                "is unknown, and constant until a stream breaks",
                "timed_transmit": "silence is sent until the tick of a burst",
                "late": "the tick of a burst is compared with what has been handed over",
                "burst_ack": "as many samples have been received as were sent up to the burst's end",
                "sequence_gap": "a stream that broke, not lost samples as such",
                **({} if told else {"overflow": "never reported: the device has no register access"}),
            },
        )
        self._timeline, self._alignment = Timeline(tx), Alignment(rx)
        self._lock = threading.Condition()
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._acknowledged: deque[tuple[int, Event]] = deque()  # and the tick when they have left for sure
        self._sent = 0
        self._trouble = ""  # why there is no session
        self._failure: Exception | None = None  # what has ended the thread, and should not have
        self._streaming = False
        self._renew = True  # the streams have to be opened
        self._waiters = 0
        self._hungry = False  # somebody waits, and what there is is not enough
        self._thread = threading.Thread(target=self._serve, name="iio-radio", daemon=True)
        self._thread.start()

    # What a user calls -------------------------------------------------------------------------

    def events(self) -> list[Event]:
        """What has happened since the last call, oldest first; at most the last MOST_EVENTS."""
        with self._lock:
            found = list(self._events)
            self._events.clear()
            return found

    def now(self) -> int:
        """The next tick to be handed over to be sent; without transmit channels the next to be received."""
        with self._lock:
            return self._now()

    def close(self) -> None:
        """Stop both streams and end the thread. May be called twice."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        if self._thread.is_alive():
            self._thread.join(RETRY)
            if self._thread.is_alive():
                self._array.cancel()
                self._thread.join(2 * self._timeout)

    def send(
        self, samples: np.ndarray, time: int | None, start_of_burst: bool, end_of_burst: bool, timeout: float
    ) -> None:
        """See `Transmitter.send`."""
        check_samples(samples, self.capabilities.tx_channels)
        n = samples.shape[1]
        with self._lock:
            await_room(self._lock, lambda: self._closing or self._has_room(n), self._queue, timeout)
            self._check_open()
            late = self._timeline.put(samples, time, self._now(), start_of_burst, end_of_burst)
            if late is not None:
                self._events.append(late)

    def start(self, time: int | None, n: int | None) -> None:
        """See `Receiver.start`."""
        with self._lock:
            self._check_open()
            self._alignment.start(time, n)

    def recv(self, most: int, timeout: float) -> Received:
        """See `Receiver.recv`."""
        if most < 1:
            raise RadioError(f"recv: most must be at least 1, not {most}")
        deadline = clock.monotonic() + timeout
        with self._lock:
            self._waiters += 1
            try:
                while True:
                    self._check_open()
                    found = self._alignment.take(most)
                    if found is not None:
                        self._rest()
                        return found
                    if not self._alignment.receiving:
                        raise RadioError("recv: nothing is being received: call start() first")
                    left = deadline - clock.monotonic()
                    if left <= 0:
                        why = self._trouble or "the contexts give nothing"
                        raise RadioTimeout(f"no samples within {timeout:g} s: {why}")
                    self._hungry = True
                    self._lock.notify_all()
                    self._lock.wait(left)
            finally:
                self._waiters -= 1

    def stop(self) -> None:
        """See `Receiver.stop`."""
        with self._lock:
            self._alignment.receiving = False
            self._rest()

    # What is called with the lock held ---------------------------------------------------------

    def _check_open(self) -> None:
        if (error := self._failure) is not None:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise RadioError(f"{self.device} has failed ({said}): open the radio again") from error
        super()._check_open()

    def _now(self) -> int:
        return self._sent if self.capabilities.tx_channels else self._alignment.held(0)

    def _has_room(self, n: int) -> bool:
        waiting = self._timeline.waiting(self._now())
        return not waiting or waiting + n <= self._queue

    def _rest(self) -> None:
        """Real time goes on when nobody receives: the session is over then."""
        if self._streaming and not self._alignment.receiving and not self.capabilities.virtual_time:
            self._begin_anew()

    def _begin_anew(self) -> int:
        """Number what follows from a later tick on; returns how many ticks are skipped."""
        kept = self._alignment.held(0)
        tick = (max(kept, self._sent) // self._chunk + 1) * self._chunk
        late = [
            Event(EventKind.LATE, each.time, detail="lost with the stream") for _, each in self._acknowledged
        ]
        self._acknowledged.clear()
        self._events.extend([*late, *self._timeline.forget(tick)])
        self._alignment.restart(tick)
        self._sent = tick
        self._renew = True
        self._lock.notify_all()
        return tick - kept

    # The thread that moves samples -------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while True:
                with self._lock:
                    self._lock.wait_for(lambda: self._closing or (self._hungry and self._waiters))
                    if self._closing:
                        return
                try:
                    self._cycle()
                    self._trouble = ""
                except RadioError as error:
                    self._break(str(error))
        except Exception as error:  # noqa: BLE001 - nobody waits for this thread: who calls next is told
            with self._lock:
                if not self._closing:
                    self._failure = error
        finally:
            with self._lock:
                self._closing = True
                self._lock.notify_all()
            try:
                self._array.close_streams(broken=bool(self._trouble or self._failure))
            finally:
                self._array.close()

    def _break(self, why: str) -> None:
        """The streams have ended by themselves: wait a little, then try again."""
        self._array.close_streams(broken=True)
        with self._lock:
            if not self._renew and not self._closing:  # else this session is known to be over
                kept = self._alignment.held(0)
                if self._trouble and self._sent == kept:
                    self._renew = True  # it failed before it moved a sample: nothing was lost again
                else:
                    self._events.append(Event(EventKind.SEQUENCE_GAP, kept, self._begin_anew(), why))
            self._trouble = why
            self._lock.wait_for(lambda: self._closing, RETRY)

    def _cycle(self) -> None:
        """Hand over what is to be sent, take what was received."""
        if self._trouble:
            self._array.reopen()
        with self._lock:
            renew, self._renew = self._renew, False
        if renew:
            self._array.close_streams(broken=False)
            if self.capabilities.tx_channels:
                self._array.open_transmit(self._chunk, self._ahead // self._chunk + 1)
        while self._transmit():
            pass
        if renew:
            self._array.open_receive(self._chunk, self._buffers)
            self._streaming = True
        levels = self._array.refill()
        overflown, starved = self._array.overflown(), self._array.starved()
        with self._lock:
            self._hungry = False
            self._lock.notify_all()
            if self._renew:
                return  # these are samples of a session that has ended meanwhile
            for kind, uris in ((EventKind.OVERFLOW, overflown), (EventKind.UNDERFLOW, starved)):
                if uris:
                    detail = f"{', '.join(uris)}: how many samples is unknown, the streams begin anew"
                    self._events.append(Event(kind, self._alignment.held(0), 0, detail))
            if overflown or starved:
                self._begin_anew()
                return
            for channel, row in enumerate(levels):
                self._alignment.push(channel, row)
            while self._acknowledged and self._acknowledged[0][0] <= self._alignment.held(0):
                self._events.append(self._acknowledged.popleft()[1])

    def _transmit(self) -> bool:
        """Hand over a chunk, if one is due."""
        with self._lock:
            start, stop = self._sent, self._sent + self._chunk
            if self._renew or not self.capabilities.tx_channels:
                return False
            if stop > self._alignment.held(0) + self._ahead:
                return False
            levels = self._timeline.read(start, stop)
            self._sent = stop
            for event in self._timeline.release(stop):
                if event.kind == EventKind.BURST_ACK:
                    self._acknowledged.append((stop, event))
                else:
                    self._events.append(event)
            self._lock.notify_all()
        self._array.push(levels)
        return True
