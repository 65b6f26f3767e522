"""Converters in virtual time: time goes on where a receiver reads; transmitters play what they were given.

Full scale is 2048 steps of 12 bits: a digital level y is round(2048 y), at most ±2047, in both directions.
Received samples are that number; the transmitter's 16 bits carry it in the upper 12, the lower 4 are ignored.
"""

from __future__ import annotations

import threading
import time as clock
from collections import deque
from typing import Protocol

import numpy as np

STEPS = 2048
LATEST = 0.1  # seconds that paced time may fall behind before it is given up to catch up
PIECE = 1 << 14
"""Most ticks that the engine is asked for at once."""


class Engine(Protocol):
    """What stands between transmitters and receivers: the part of it that is used here."""

    tx_channels: int
    rx_channels: int

    def process(self, samples: np.ndarray) -> np.ndarray:
        """From transmitted (tx_channels, n) complex64 to received (rx_channels, n) complex64."""

    def gain(self, direction: str, channel: int) -> float:
        """Gain of a "tx" or "rx" channel in dB."""

    def set_gain(self, direction: str, channel: int, gain_db: float) -> float:
        """Set it; returns the actual one."""

    def retune(self) -> None:
        """Another carrier."""

    def rewind(self) -> None:
        """Time 0 with the same hardware."""

    def restart(self) -> None:
        """As after a power cut."""


def encode(levels: np.ndarray) -> np.ndarray:
    """Levels (channels, n) complex as steps (n, 2 channels) int16: I and Q side by side. NaN becomes 0."""
    finite = np.nan_to_num(np.ascontiguousarray(levels.T, np.complex64), posinf=1, neginf=-1)
    return np.clip(np.rint(finite.view(np.float32) * STEPS), 1 - STEPS, STEPS - 1).astype("<i2")


def decode(codes: np.ndarray) -> np.ndarray:
    """Codes (n, 2 channels) int16 of the transmitter as levels (channels, n) complex64."""
    floats = (codes >> 4).astype(np.float32) / STEPS
    return np.ascontiguousarray(floats.view(np.complex64).T)


class _Transmitter:
    def __init__(self) -> None:
        self.owner: object = None
        self.cyclic = self.started = False
        self.queue: deque[np.ndarray] = deque()
        self.loop, self.at = np.zeros((2, 0), np.complex64), 0
        self.queued = self.capacity = 0
        self.underflows = 0
        self.flag = False

    @property
    def waiting(self) -> bool:
        """Whether it has been opened, and has had nothing to play so far."""
        return self.owner is not None and not (self.started or self.queued)

    def take(self, n: int) -> np.ndarray:
        """The next n samples (2, n); silence where there are none."""
        if self.cyclic:
            places = (self.at + np.arange(n)) % self.loop.shape[1]
            self.at = (self.at + n) % self.loop.shape[1]
            return self.loop[:, places]
        out = np.zeros((2, n), np.complex64)
        done = 0
        while done < n and self.queue:
            piece = self.queue.popleft()
            used = min(piece.shape[1], n - done)
            out[:, done : done + used] = piece[:, :used]
            if used < piece.shape[1]:
                self.queue.appendleft(piece[:, used:])
            self.queued -= used
            done += used
        if done < n and not self.flag:
            self.flag = True
            self.underflows += 1
        return out


class _Receiver:
    def __init__(self) -> None:
        self.owner: object = None
        self.cursor = 0
        self.lost = 0
        self.flag = False
        self.planned: list[tuple[int, int, bool]] = []  # tick, number, and whether the status tells

    def lose(self, n: int, told: bool = True) -> None:
        """The next n samples are lost."""
        self.cursor += n
        self.lost += n
        self.flag = self.flag or told


class Converters:
    """Converters of `contexts` contexts, two transmitters and two receivers each, around one engine.

    `fifo`: ticks that wait for a context that reads more slowly than the others; what is older is lost.
    `grid`: streams that are opened when none is begin at a multiple of so many ticks. `pace`: ticks/s that
    time is held back to (0: none).
    """

    def __init__(self, engine: Engine, contexts: int, fifo: int, grid: int, pace: float) -> None:
        self.engine, self.fifo, self.grid, self.pace = engine, fifo, grid, pace
        self._due = 0.0
        self.time = 0
        """Ticks that have passed."""
        self.tx = [_Transmitter() for _ in range(contexts)]
        self.rx = [_Receiver() for _ in range(contexts)]
        self._history: deque[tuple[int, np.ndarray]] = deque()
        self._change = threading.Condition()

    def open(
        self, output: bool, context: int, owner: object, capacity: int, cyclic: bool, patience: float
    ) -> bool:
        """Begin to stream; False if somebody else still does after `patience` seconds."""
        side = self.tx[context] if output else self.rx[context]
        with self._change:
            if not self._change.wait_for(lambda: side.owner is None, patience):
                return False
            idle = not any(each.owner for each in self.tx) and not any(each.owner for each in self.rx)
            if idle and self.time % self.grid:
                self._advance(self.grid - self.time % self.grid)
            side.owner, side.flag = owner, False
            if isinstance(side, _Transmitter):
                side.cyclic, side.capacity = cyclic, capacity
            else:
                side.cursor = self.time
            return True

    def close(self, output: bool, context: int, owner: object) -> None:
        """Stop streaming; what was queued is dropped."""
        side = self.tx[context] if output else self.rx[context]
        with self._change:
            if side.owner is not owner:
                return
            side.owner = None
            if isinstance(side, _Transmitter):
                side.queue.clear()
                side.queued, side.started, side.at = 0, False, 0
            self._change.notify_all()

    def push(self, context: int, levels: np.ndarray, patience: float) -> bool:
        """Queue levels (2, n); False if there was no room for `patience` seconds.

        Where nobody receives, room is made by letting time pass.
        """
        side, n = self.tx[context], levels.shape[1]
        deadline = clock.monotonic() + patience
        with self._change:
            while side.queued and side.queued + n > side.capacity:
                alone = not any(receiver.owner for receiver in self.rx)
                if alone and not side.cyclic and not any(each.waiting for each in self.tx):
                    self._advance(min(side.queued + n - side.capacity, PIECE))
                elif not self._change.wait(max(deadline - clock.monotonic(), 0)):
                    return False
            if side.cyclic:
                side.loop = levels
            else:
                side.queue.append(levels)
            side.queued += n
            return True

    def read(self, context: int, n: int) -> np.ndarray:
        """The next n ≤ PIECE samples (2, n) of a context; time goes on where it has to."""
        side = self.rx[context]
        out = np.zeros((2, n), np.complex64)
        done = 0
        with self._change:
            side.lose(max(self.time - self.fifo - side.cursor, 0), self.time - self.fifo > side.cursor)
            while done < n:
                stop = side.cursor + n - done
                if side.planned and side.planned[0][0] < stop:
                    tick, count, told = side.planned[0]
                    stop = max(tick, side.cursor)
                    if stop == side.cursor:
                        side.planned.pop(0)
                        side.lose(count, told)
                        continue
                while self.time < stop:
                    self._advance(min(stop - self.time, PIECE))
                out[:, done : done + stop - side.cursor] = self._received(context, side.cursor, stop)
                done += stop - side.cursor
                side.cursor = stop
            self._forget()
            while (early := self._due - clock.monotonic()) > 0:
                self._change.wait(early)
        return out

    def _received(self, context: int, start: int, stop: int) -> np.ndarray:
        out = np.zeros((2, stop - start), np.complex64)
        first = 2 * context
        for at, part in self._history:
            low, high = max(start, at), min(stop, at + part.shape[1])
            if low < high:
                rows = part[first : first + 2, low - at : high - at]
                out[: rows.shape[0], low - start : high - start] = rows
        return out

    def rewind(self) -> None:
        """Time 0, with nothing sent and nothing received. Nobody may be streaming."""
        with self._change:
            self.engine.rewind()
            self.time = 0
            self._history.clear()
            for receiver in self.rx:
                receiver.cursor = 0
                receiver.planned.clear()

    def status(self, output: bool, context: int, clear: int) -> bool:
        """Whether samples were missing (transmit) or lost (receive) since this was last cleared."""
        side = self.tx[context] if output else self.rx[context]
        with self._change:
            found = side.flag
            side.flag = side.flag and not clear
            return found

    def lose(self, n: int, context: int | None, told: bool, at: int | None) -> None:
        """A context, or all of them, lose n received samples from tick `at` on (None: the next ones)."""
        with self._change:
            for receiver in self.rx if context is None else [self.rx[context]]:
                receiver.planned.append((receiver.cursor if at is None else at, n, told))
                receiver.planned.sort()

    def starve(self, n: int, context: int | None) -> None:
        """The transmitters of a context, or of all, fall silent for n ticks before they go on."""
        with self._change:
            for transmitter in self.tx if context is None else [self.tx[context]]:
                transmitter.queue.appendleft(np.zeros((2, n), np.complex64))
                transmitter.queued += n
                transmitter.flag = True
                transmitter.underflows += 1

    def _advance(self, n: int) -> None:
        sent = np.zeros((max(self.engine.tx_channels, 2 * len(self.tx)), n), np.complex64)
        if not any(side.waiting for side in self.tx):  # those that have not begun begin together
            for side in self.tx:
                side.started = side.started or side.owner is not None
        for context, side in enumerate(self.tx):
            if side.started:
                sent[2 * context : 2 * context + 2] = side.take(n)
        received = np.asarray(self.engine.process(sent[: self.engine.tx_channels]), np.complex64)
        if received.shape != (self.engine.rx_channels, n):
            raise ValueError(f"the engine gave {received.shape}, not {(self.engine.rx_channels, n)}")
        self._history.append((self.time, received))
        self.time += n
        if self.pace:
            self._due = max(self._due, clock.monotonic() - LATEST) + n / self.pace
        self._forget()
        self._change.notify_all()

    def _forget(self) -> None:
        """Drop what everybody has read, and what is older than the FIFO."""
        needed = min((side.cursor for side in self.rx if side.owner is not None), default=self.time)
        needed = max(needed, self.time - self.fifo)
        while self._history and self._history[0][0] + self._history[0][1].shape[1] <= needed:
            self._history.popleft()
