"""A reception of samples with timestamps: what is missing is found by the ticks and told as what it is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from blocks.radio.interface import Event, EventKind, Flag, RadioError, Received

Samples = np.ndarray[Any, Any]


@dataclass(frozen=True)
class _Cause:
    """Why samples before the next ones may be missing."""

    kind: EventKind
    detail: str


@dataclass(frozen=True)
class _Part:
    samples: Samples
    tick: int
    cause: _Cause | None


class Reception:
    """From what a device gives to what `recv` returns; `events` are appended to. Not safe for threads."""

    def __init__(self, events: deque[Event], grid: int = 1280) -> None:
        self._events, self._grid = events, grid
        self._parts: deque[_Part] = deque()
        self._expected: int | None = None  # tick of the next sample to be returned
        self._stop: int | None = None
        self._count: int | None = None
        self._cause: _Cause | None = None
        self._over = ""
        self._fresh = True
        self._stamped = self._unknown = False
        self._after = 0  # where counting goes on, for a device that does not tell its time
        self.receiving = False
        """Whether a reception is on."""
        self.next: int | None = None
        """The tick of the next sample that the device should give; None: not known before the first."""

    def start(self, time: int | None, n: int | None) -> None:
        """Begin at tick `time` (None: with whatever comes first), `n` samples (None: without end)."""
        for cause in (*(part.cause for part in self._parts), self._cause):
            if cause is not None:  # what came behind it was not asked for any more
                self._events.append(Event(cause.kind, self._expected, 0, cause.detail))
        self._parts.clear()
        self._expected = self.next = time
        self._count = n
        self._stop = None if n is None or time is None else time + n
        self._cause, self._over, self._fresh, self.receiving = None, "", True, True
        self._stamped = self._unknown = False

    def want(self, most: int) -> int:
        """How many of `most` samples the device should be asked for; 0: it has given all."""
        if self._count is None:
            return most
        left = self._count if self._stop is None or self.next is None else self._stop - self.next
        return max(min(most, left), 0)

    def put(self, samples: Samples, tick: int | None) -> None:
        """Take samples (channels, n) of a tick (None: they follow on). What is not finite is lost.

        Behind a loss of unknown length what has no tick is lost too where others had one; where none has,
        ticks go on from a later multiple of `grid`.
        """
        if tick is None and self._unknown and self._stamped:
            return
        first = tick if tick is not None else self._after if self.next is None else self.next
        if tick is None and self._unknown and self._expected is not None:
            first = (first // self._grid + 1) * self._grid
        self._stamped, self._unknown = self._stamped or tick is not None, False
        if self._expected is None:
            self._expected = first
            self._stop = None if self._count is None else first + self._count
        self.next = self._after = first + samples.shape[1]
        for low, high in _finite_runs(samples):
            if low:
                self.blame(EventKind.SEQUENCE_GAP, "the device gave NaN or infinite samples")
            self._parts.append(_Part(samples[:, low:high], first + low, self._cause))
            self._cause = None
            if high < samples.shape[1]:
                self.blame(EventKind.SEQUENCE_GAP, "the device gave NaN or infinite samples")
        if not self._parts and samples.shape[1]:
            self.blame(EventKind.SEQUENCE_GAP, "the device gave NaN or infinite samples")

    def missed(self, kind: EventKind, detail: str) -> None:
        """The device says that it has lost samples behind the last ones, and not how many."""
        self.blame(kind, detail)
        self._unknown = True

    def go_on(self, tick: int) -> None:
        """The device began anew while nobody received: what has no tick is counted from this one on."""
        self._after = tick

    def blame(self, kind: EventKind, detail: str) -> None:
        """Say why samples before the next ones may be missing; the first reason stands."""
        if self._cause is None:
            self._cause = _Cause(kind, detail)

    def end(self, why: str) -> None:
        """The device gives no more."""
        self._over = why

    def resume(self, tick: int, why: str) -> int | None:
        """The device began anew and goes on from `tick`. Returns how many samples it has to give still (None:
        no end); none are left: 0."""
        self.blame(EventKind.SEQUENCE_GAP, why)
        self._after = tick
        if self._expected is None or not self._fresh or tick > self._expected:
            self.next = tick
        if self._count is None:
            return None
        if self._stop is None or self.next is None:
            return self._count
        if self._stop <= self.next:
            self._over = why
        return max(self._stop - self.next, 0)

    def take(self, most: int) -> Received | None:
        """The next samples, at most `most`, or None: the device has to be asked.

        Raises RadioError when nothing is being received, when what was asked for got lost, and when the
        device's time went back.
        """
        if not self.receiving:
            raise RadioError("recv: nothing is being received: call start() first")
        while self._parts:
            part, expected = self._parts[0], self._expected
            assert expected is not None  # put() has set it
            early = expected - part.tick
            if early > 0 and not self._fresh:
                self.receiving = False
                raise RadioError(
                    f"the device's time went back from tick {expected} to {part.tick}: start again"
                )
            if early > 0:
                self._drop(min(early, part.samples.shape[1]))
                continue
            if self._stop is not None and part.tick >= self._stop:
                self._over = self._over or "lost"
                break
            return self._hand_out(part, expected, most)
        if self._over or (self._stop is not None and self.next is not None and self.next >= self._stop):
            self._give_up()
        return None

    def _hand_out(self, part: _Part, expected: int, most: int) -> Received:
        count = min(part.samples.shape[1], most)
        if self._stop is not None:
            count = min(count, self._stop - part.tick)
        self._drop(count)
        gap, flags = part.tick - expected, Flag.NONE
        if gap or part.cause:
            cause = part.cause or _Cause(EventKind.SEQUENCE_GAP, "found by the timestamps")
            self._events.append(Event(cause.kind, expected, gap, cause.detail))
        if gap:
            flags |= Flag.GAP
        self._expected, self._fresh = part.tick + count, False
        if self._expected == self._stop:
            self.receiving = False
            flags |= Flag.END
        return Received(part.samples[:, :count], part.tick, flags)

    def _drop(self, count: int) -> None:
        """Take the first samples of the first part away."""
        part = self._parts.popleft()
        if count < part.samples.shape[1]:
            self._parts.appendleft(_Part(part.samples[:, count:], part.tick + count, None))

    def _give_up(self) -> None:
        self.receiving = False
        if self._stop is None or self._expected is None:
            raise RadioError(f"the reception ended by itself ({self._over}): start it again")
        lost = self._stop - self._expected
        cause = self._cause or _Cause(EventKind.SEQUENCE_GAP, self._over or "found by the timestamps")
        self._events.append(Event(cause.kind, self._expected, lost, cause.detail))
        self._cause = None
        raise RadioError(f"the last {lost} samples, up to tick {self._stop}, were lost: start again")


def _finite_runs(samples: Samples) -> list[tuple[int, int]]:
    """Where all channels are finite: (first, behind the last), in order."""
    count = int(samples.shape[1])
    if not count:
        return []
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(samples.sum()):  # cheap; a sum of the large may overflow, which the next line forgives
            return [(0, count)]
    good = np.isfinite(samples).all(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    return [(int(low), int(high)) for low, high in edges.reshape(-1, 2)]
