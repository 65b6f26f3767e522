"""Bursts on their way out, so that what a device tells about one is told with the tick it was meant for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from blocks.radio.interface import Event, EventKind
from blocks.radio.soapy_device import CORRUPTION, TIME_ERROR, UNDERFLOW, Result


@dataclass(eq=False)
class Burst:
    """Its first tick and the one behind its last; `whole` once its end was handed over, `late` once told."""

    start: int | None
    end: int | None
    whole: bool = False
    late: bool = False


class Bursts:
    """What was handed over and not heard of since; `events` are appended to. Not safe for threads."""

    def __init__(self, events: deque[Event]) -> None:
        self._events = events
        self._waiting: deque[Burst] = deque(maxlen=10_000)
        self._skip = False
        self.end = 0
        """The tick behind what was sent last, as far as it is known."""

    @property
    def open(self) -> bool:
        """Whether the last burst has not ended."""
        return bool(self._waiting) and not self._waiting[-1].whole

    def begin(self, time: int | None, n: int, start_of_burst: bool, end_of_burst: bool) -> Burst:
        """`n` samples are handed over for a tick, or behind the last ones."""
        if start_of_burst or not self.open:
            self._waiting.append(Burst(time, time))
        burst = self._waiting[-1]
        begin = burst.end if time is None else time
        burst.end = None if begin is None else begin + n
        burst.whole = end_of_burst
        self.end = max(self.end, burst.end or 0)
        return burst

    def skips(self, start_of_burst: bool, end_of_burst: bool) -> bool:
        """Whether what is handed over is the rest of a burst that was late, unknown to the device."""
        skip = self._skip and not start_of_burst
        self._skip = skip and not end_of_burst
        return skip

    def missed(self, time: int) -> None:
        """The last burst was for a tick before the device's time began: it is not handed on."""
        self._skip = self.open
        burst = self._waiting.pop()
        n = 0 if burst.end is None else burst.end - time
        self.end = max((each.end or 0 for each in self._waiting), default=0)
        self._events.append(Event(EventKind.LATE, time, n))

    def cut(self, burst: Burst, missing: int, over: bool) -> bool:
        """The last samples of the last burst were not taken; `over`: none were. False if it was late."""
        if burst.late or burst not in self._waiting:
            return False
        if burst.end is not None:
            if burst.end == self.end:
                self.end -= missing
            burst.end -= missing
        burst.whole = False
        if over:
            self._waiting.remove(burst)
        return True

    def hear(self, found: Result, tick: int | None) -> bool:
        """Take one answer of readStreamStatus; False for one that tells of nothing.

        Where every channel answers (SoapyUHD does), the first one's counts.
        """
        again = bool(found.channels) and not found.channels & 1
        if again and (found.code == TIME_ERROR or (found.code >= 0 and found.ended)):
            return True
        if found.code == TIME_ERROR:
            self.late(tick)
        elif found.code == UNDERFLOW:
            self._events.append(Event(EventKind.UNDERFLOW, tick))
        elif found.code == CORRUPTION:
            self._events.append(Event(EventKind.SEQUENCE_GAP, tick, 0, "samples to transmit got lost"))
        elif found.code >= 0 and found.ended:
            self.acknowledged(tick)
        return bool(found.code >= 0 or found.code in (TIME_ERROR, UNDERFLOW, CORRUPTION))

    def late(self, tick: int | None) -> None:
        """A burst came after its time, which is `tick` or about it."""
        exact = [burst for burst in self._waiting if tick is not None and burst.start == tick]
        burst = exact[0] if exact else (self._waiting[0] if self._waiting else None)
        time = tick if burst is None else burst.start
        n = 0 if burst is None or burst.start is None or burst.end is None else burst.end - burst.start
        if burst is not None:
            burst.late = True
            self._remove(burst)
        self.end = max((each.end or 0 for each in self._waiting), default=0)
        self._events.append(Event(EventKind.LATE, time, n))

    def acknowledged(self, tick: int | None) -> None:
        """A burst has left; a device says so with the tick of its end or later, or without a time."""
        done = [b for b in self._waiting if tick is not None and b.end is not None and b.end <= tick]
        burst = done[-1] if done else (self._waiting[0] if self._waiting else None)
        if burst is not None:
            while self._waiting[0] is not burst:
                self._waiting.popleft()  # nothing was told about it
            self._remove(burst)
        self._events.append(Event(EventKind.BURST_ACK, None if burst is None else burst.start))

    def forget(self, now: int) -> None:
        """The device has lost what it was given; time goes on at `now`. What is still to come is skipped."""
        self._skip = self._skip or self.open
        for burst in self._waiting:
            burst.late = True
            self._events.append(Event(EventKind.LATE, burst.start, 0, "lost with the device"))
        self._waiting.clear()
        self.end = min(self.end, now)

    def _remove(self, burst: Burst) -> None:
        if burst.whole:
            self._waiting.remove(burst)
        else:  # its rest is still to come, and is dropped by the device
            burst.start = burst.end = None
