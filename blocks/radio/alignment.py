"""Channels that arrive in pieces of different lengths, put side by side by counting samples."""

from __future__ import annotations

from collections import deque

import numpy as np

from blocks.radio.interface import Flag, RadioError, Received


class Alignment:
    """A FIFO for each channel; sample number n of every channel belongs to the same tick.

    Not safe for threads: the caller locks.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.tick = 0
        """The tick of the next sample that can be taken."""
        self._queues: list[deque[np.ndarray]] = [deque() for _ in range(channels)]
        self._base = 0
        self._held = np.zeros(channels, np.int64)
        self._finished: deque[Received] = deque()  # of before a restart
        self._expected: int | None = None
        self._stop: int | None = None
        self.receiving = False
        """Whether a reception is on."""

    def start(self, time: int | None, n: int | None) -> None:
        """Begin a reception at tick `time` (None: the next), of `n` samples (None: without end)."""
        if n is not None and n < 1:
            raise RadioError(f"start: n must be at least 1, not {n}")
        if time is not None and time < self.tick:
            raise RadioError(f"start: tick {time} has passed, the next is {self.tick}: choose a later one")
        self._expected = self.tick if time is None else time
        self._stop = None if n is None else self._expected + n
        self.receiving = True

    def push(self, channel: int, samples: np.ndarray) -> None:
        """Append samples (n,) complex64 to a channel."""
        if samples.size:
            self._queues[channel].append(samples)
            self._held[channel] += samples.size

    def held(self, channel: int) -> int:
        """The tick behind the last sample of a channel."""
        return self._base + int(self._held[channel])

    def shortest(self) -> int:
        """The channel that all others wait for."""
        return int(self._held.argmin())

    def restart(self, tick: int) -> None:
        """Samples that follow are numbered from `tick` on, without relation to those before.

        What every channel has received is kept, the rest is lost.
        """
        if common := self._common():
            samples = self._pop(common)
            self._finished.append(Received(samples, self._base - common))
        for queue in self._queues:
            queue.clear()
        self._held[:] = 0
        self._base = tick
        if not self._finished:
            self.tick = tick

    def take(self, most: int) -> Received | None:
        """The next samples of the reception, at most `most`, or None. A gap is told by the ticks.

        Raises RadioError when all that was asked for fell into a gap.
        """
        while self.receiving and (found := self._next(most)) is not None:
            assert self._expected is not None  # start() has set it
            time, samples = found.time, found.samples
            if skip := min(max(self._expected - time, 0), samples.shape[1]):
                time, samples = time + skip, samples[:, skip:]
            if self._stop is not None and time >= self._stop:
                self._unread(Received(samples, time))
                self.receiving = False
                raise RadioError(f"the samples up to tick {self._stop} were lost: start the reception again")
            if not samples.shape[1]:
                continue
            if self._stop is not None and (over := time + samples.shape[1] - self._stop) > 0:
                keep = samples.shape[1] - over
                self._unread(Received(samples[:, keep:], time + keep))
                samples = samples[:, :keep]
            flags = Flag.GAP if time > self._expected else Flag.NONE
            self._expected = time + samples.shape[1]
            if self._expected == self._stop:
                self.receiving = False
                flags |= Flag.END
            return Received(samples, time, flags)
        return None

    def _common(self) -> int:
        return int(self._held.min()) if self.channels else 0

    def _next(self, most: int) -> Received | None:
        """Up to `most` samples of whatever comes next."""
        if self._finished:
            first = self._finished.popleft()
            if first.samples.shape[1] > most:
                self._finished.appendleft(Received(first.samples[:, most:], first.time + most))
                first = Received(first.samples[:, :most], first.time)
            self.tick = self._finished[0].time if self._finished else self._base
            return first
        count = min(self._common(), most)
        if not count:
            return None
        found = Received(self._pop(count), self._base - count)
        self.tick = self._base
        return found

    def _unread(self, rest: Received) -> None:
        if rest.samples.shape[1]:
            self._finished.appendleft(rest)
            self.tick = rest.time

    def _pop(self, count: int) -> np.ndarray:
        """The first `count` samples of every channel."""
        out = np.empty((self.channels, count), np.complex64)
        for channel, queue in enumerate(self._queues):
            done = 0
            while done < count:
                piece = queue.popleft()
                used = min(piece.size, count - done)
                out[channel, done : done + used] = piece[:used]
                if used < piece.size:
                    queue.appendleft(piece[used:])
                done += used
        self._held -= count
        self._base += count
        return out
