"""What is queued to be sent, on the axis of ticks: bursts with silence between them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blocks.radio.interface import Event, EventKind, RadioError, RadioTimeout


@dataclass(frozen=True)
class _Segment:
    """Samples (channels, n) from tick `start` on, of the burst that began at `burst`."""

    start: int
    samples: np.ndarray
    burst: int
    last: bool

    @property
    def end(self) -> int:
        """The tick behind the last sample."""
        return self.start + int(self.samples.shape[1])


class Timeline:
    """The queue of a transmitter that counts its own ticks. Not safe for threads: the caller locks."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.end = 0
        """The tick behind the last sample that was queued."""
        self._segments: deque[_Segment] = deque()
        self._burst: int | None = None  # first tick of the burst that has not ended
        self._skip = False  # the rest of a burst that was late
        self._starved = False

    def put(
        self, samples: np.ndarray, time: int | None, now: int, start_of_burst: bool, end_of_burst: bool
    ) -> Event | None:
        """Queue samples (channels, n) for `time`, or behind what was queued last; `now` may still be sent.

        Returns the LATE event of a burst whose time has passed. Raises RadioError for a time that is taken.
        """
        if start_of_burst:
            self._burst, self._skip, self._starved = None, False, False
        if self._skip:
            self._skip = not end_of_burst
            return None
        if time is not None and time < now:
            self._skip, self._burst = not end_of_burst, None
            return Event(EventKind.LATE, time, samples.shape[1], f"tick {now} had been reached")
        if time is not None and time < self.end:
            raise RadioError(
                f"send: tick {time} is taken by what was queued before, up to tick {self.end}: "
                "queue bursts in order, without overlap"
            )
        start = max(self.end, now) if time is None else time
        burst = start if self._burst is None else self._burst
        self._segments.append(_Segment(start, samples.copy(), burst, end_of_burst))
        self.end = start + samples.shape[1]
        self._burst, self._starved = None if end_of_burst else burst, False
        return None

    def read(self, start: int, stop: int, channel: int | None = None) -> np.ndarray:
        """Samples of the ticks start … stop - 1, with silence: (n,) of a channel, (channels, n) of all."""
        rows = slice(None) if channel is None else channel
        shape = (stop - start,) if channel is not None else (self.channels, stop - start)
        out = np.zeros(shape, np.complex64)
        for segment in self._segments:
            low, high = max(start, segment.start), min(stop, segment.end)
            if segment.start >= stop:
                break
            if low < high:
                part = segment.samples[rows, low - segment.start : high - segment.start]
                out[..., low - start : high - start] = part
        return out

    def release(self, now: int) -> list[Event]:
        """Forget what lies before tick `now`, which has left; returns BURST_ACK and UNDERFLOW events."""
        events = []
        while self._segments and self._segments[0].end <= now:
            segment = self._segments.popleft()
            if segment.last:
                events.append(Event(EventKind.BURST_ACK, segment.burst))
        if self._burst is not None and not self._starved and now > self.end:
            self._starved = True
            events.append(Event(EventKind.UNDERFLOW, self.end, detail="the burst did not go on in time"))
        return events

    def forget(self, now: int) -> list[Event]:
        """Drop every burst of which something was to leave before `now` and no longer can, all of it.

        Returns a LATE event for each.
        """
        late: dict[int, Event] = {}
        while self._segments and (self._segments[0].start < now or self._segments[0].burst in late):
            segment = self._segments.popleft()
            late[segment.burst] = Event(EventKind.LATE, segment.burst, detail="lost with the connection")
        # The ticks of what was dropped are free again.
        self.end = self._segments[-1].end if self._segments else min(self.end, now)
        if self._burst is not None and (self._burst in late or not self._segments):
            # What is still to come of it is too late, too, where all that came before has left.
            late[self._burst] = Event(EventKind.LATE, self._burst, detail="lost with the connection")
            self._burst, self._skip = None, True
        return list(late.values())

    def waiting(self, now: int) -> int:
        """Ticks from `now` to the end of what is queued."""
        return max(self.end - now, 0)


def await_room(lock: threading.Condition, ready: Callable[[], bool], queue: int, timeout: float) -> None:
    """Wait, with the lock held, until a queue of so many samples is `ready` to take more.

    Raises RadioTimeout where that takes longer than `timeout` seconds.
    """
    if not lock.wait_for(ready, timeout):
        raise RadioTimeout(
            f"send: the queue of {queue} samples stayed full for {timeout:g} s: receive, so that time goes on"
        )
