"""A radio in process: the scenario's target and receiver behind a front end with every impairment."""

from __future__ import annotations

import threading
import time as clock
from collections import deque

import numpy as np

from blocks.radio.alignment import Alignment
from blocks.radio.interface import (
    Capabilities,
    Event,
    EventKind,
    RadioError,
    RadioTimeout,
    Received,
    check_samples,
)
from blocks.radio.sim_channel import SCENES, SimChannel, Truth
from blocks.radio.software import SoftwareRadio
from blocks.radio.timeline import Timeline, await_room
from isac_models.impairments import Impairments
from isac_models.scenario import Scenario
from isac_models.waveform.burst_format import BurstFormat

MOST_EVENTS = 10_000


class SimRadio(SoftwareRadio):
    """K transmit channels; receive channels 0 … K-1 are the array, channel K is the remote receiver.

    Time is virtual and goes on with `recv`, a slot at a time: how a stream is cut into calls changes no
    sample. Noise, target and channel are drawn by `seed`, the same ones for the coherence block of slot m as
    the blocks of the link draw for block m. The channel changes with slots, tick 0 begins one.

    `queue`: ticks that may wait to be sent. Raises RadioError for options that cannot be.
    """

    def __init__(
        self,
        scenario: Scenario | None = None,
        impairments: Impairments | None = None,
        burst_format: BurstFormat | None = None,
        *,
        seed: int = 0,
        scene: str = "scenario",
        rate: float = 1e6,
        frequency: float = 0.0,
        queue: int = 1 << 17,
    ) -> None:
        self.scenario = Scenario() if scenario is None else scenario
        antennas = self.scenario.antennas
        self.impairments = Impairments.none(antennas) if impairments is None else impairments
        if self.impairments.transmit.size != antennas:
            raise RadioError(f"the impairments must be those of {antennas} antennas, as the scenario has")
        if burst_format is None:
            burst_format = BurstFormat(antennas=antennas, order=self.scenario.order)
        if queue < 1:
            raise RadioError(f"queue must be at least 1, not {queue}")
        self._channel = SimChannel(self.scenario, self.impairments, burst_format, seed)
        self.device = f"sim:{seed}"
        self.capabilities = Capabilities(
            timestamps=True,
            events=frozenset(EventKind) - {EventKind.SEQUENCE_GAP},
            tx_channels=antennas,
            rx_channels=antennas + 1,
            phase_coherent=True,
            virtual_time=True,
            lead=self._channel.lead,
        )
        super().__init__(rate, frequency)
        self._lock = threading.Condition()
        self._timeline, self._alignment = Timeline(antennas), Alignment(antennas + 1)
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._lost: deque[tuple[int, int]] = deque()  # what overflows are going to take, without overlap
        # What array and user have received and the other not yet: (number of the first sample, samples).
        self._ahead: tuple[deque[tuple[int, np.ndarray]], ...] = (deque(), deque())
        self._silent: list[tuple[int, int]] = []  # what an underflow is going to silence
        self._late: list[tuple[int, int]] = []
        self._queue, self._closed = queue, False
        self.scene(scene)

    # What only a simulation can tell or do ------------------------------------------------------

    def truth(self, first_tick: int, ticks: int) -> Truth:
        """What there was in the slots that the transmit ticks first_tick … first_tick + ticks - 1 touch."""
        # Without the lock, which a step of time holds for long: draws are a function of the slot's number.
        return self._channel.truth(first_tick, ticks)

    def scene(self, name: str) -> int:
        """Choose what is sent through from the next slot on that has not begun; returns its first tick.

        "scenario": target and receiver as drawn. "calibration": no target and no fading, a reflector at
        boresight instead. "loopback": receive channel r is transmit channel r mod K, and nothing else.
        Raises RadioError for another name.
        """
        if name not in SCENES:
            raise RadioError(f"there is no scene {name!r}: choose one of {', '.join(SCENES)}")
        with self._lock:
            return self._channel.set_scene(name)

    def inject(self, kind: EventKind, first: int, count: int) -> None:
        """Make ticks first … first + count - 1 suffer: OVERFLOW loses what is received there, UNDERFLOW
        silences what is sent, LATE refuses every burst that is to begin there. What several overflows take
        is their union, each tick told once.

        Raises RadioError for ticks that have passed, and for other kinds.
        """
        with self._lock:
            if count < 1 or first < self._channel.fixed:
                raise RadioError(
                    f"inject: count must be at least 1 and first from {self._channel.fixed} on, which is next"
                )
            if kind == EventKind.OVERFLOW:
                self._lost = _union([*self._lost, (first, first + count)])
            elif kind == EventKind.UNDERFLOW:
                self._silent.append((first, first + count))
            elif kind == EventKind.LATE:
                self._late.append((first, first + count))
            else:
                raise RadioError(f"inject: {kind} cannot be injected: overflow, underflow and late can")

    # What every radio does ----------------------------------------------------------------------

    def events(self) -> list[Event]:
        """What has happened since the last call, oldest first; at most the last MOST_EVENTS."""
        with self._lock:
            found = list(self._events)
            self._events.clear()
            return found

    def now(self) -> int:
        """The first tick that can still be sent at."""
        return self._channel.fixed

    def close(self) -> None:
        """Nothing is open, but nothing works any more. May be called twice."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def send(
        self, samples: np.ndarray, time: int | None, start_of_burst: bool, end_of_burst: bool, timeout: float
    ) -> None:
        """See `Transmitter.send`."""
        check_samples(samples, self.capabilities.tx_channels)
        n = samples.shape[1]
        with self._lock:
            await_room(self._lock, lambda: self._closed or self._has_room(n), self._queue, timeout)
            self._check_open()
            now = self._channel.fixed
            if time is not None and any(low <= time < high for low, high in self._late):
                now = time + 1  # as if it had been reached
            late = self._timeline.put(samples, time, now, start_of_burst, end_of_burst)
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
            while True:
                self._check_open()
                if not self._alignment.receiving:
                    raise RadioError("recv: nothing is being received: call start() first")
                found = self._alignment.take(most)
                if found is not None:
                    return found
                if clock.monotonic() >= deadline:
                    raise RadioTimeout(
                        f"recv: after {timeout:g} s time has come to tick {self._channel.time}"
                    )
                self._step()
                self._lock.notify_all()

    def stop(self) -> None:
        """See `Receiver.stop`."""
        with self._lock:
            self._alignment.receiving = False

    # What is called with the lock held ----------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise RadioError(f"{self.device} is closed: open the radio again")

    def _has_room(self, n: int) -> bool:
        waiting = self._timeline.waiting(self._channel.fixed)
        return not waiting or waiting + n <= self._queue

    def _step(self) -> None:
        """Let time go on by a slot."""
        first, last = self._channel.fixed, self._channel.next_fixed()
        sent = self._timeline.read(first, last)
        self._events.extend(self._timeline.release(last))
        for low, high in self._silent:
            if low < last and high > first:
                sent[:, max(low - first, 0) : high - first] = 0
            if first <= low < last:
                self._events.append(Event(EventKind.UNDERFLOW, low, high - low, "injected"))
        array, user = self._channel.step(sent)
        self._ahead[0].append((self._channel.array_first, array))
        self._ahead[1].append((self._channel.user_first, user[None]))
        # A user's clock of its own makes the user lag or lead: a loss begins once both have come to it.
        reached = min(self._channel.time, self._channel.user_first + user.size)
        while self._lost and self._lost[0][0] < reached:
            self._lose(*self._lost.popleft())
        self._push(reached)

    def _lose(self, low: int, high: int) -> None:
        """Keep what was received up to tick `low`, and nothing until `high`."""
        self._push(low)
        low = max(low, self._alignment.held(0))  # what a loss that is under way takes has been told
        if low < high:
            self._events.append(Event(EventKind.OVERFLOW, low, high - low, "injected"))
            self._alignment.restart(high)

    def _push(self, stop: int) -> None:
        """Align what was received before tick `stop`, but for what is lost."""
        antennas = self.scenario.antennas
        for queue, channels in zip(self._ahead, (range(antennas), [antennas]), strict=True):
            while queue and queue[0][0] < stop:
                first, samples = queue.popleft()
                if first + samples.shape[1] > stop:
                    queue.appendleft((stop, samples[:, stop - first :]))
                for channel, row in zip(channels, samples, strict=True):
                    held = self._alignment.held(channel)
                    self._alignment.push(channel, row[max(held - first, 0) : stop - first])


def _union(intervals: list[tuple[int, int]]) -> deque[tuple[int, int]]:
    """The same ticks as intervals in order that neither overlap nor touch."""
    union: deque[tuple[int, int]] = deque()
    for low, high in sorted(intervals):
        if union and low <= union[-1][1]:
            first, last = union.pop()
            union.append((first, max(last, high)))
        else:
            union.append((low, high))
    return union
