"""A radio with timed bursts and receptions around an engine: the state behind stream_server, no sockets.

Time is virtual: it goes on while somebody reads, and by what is read. A reading consumes the bursts whose
ticks fall into it; elsewhere silence is transmitted.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]
MOST_SAMPLES = 1 << 16
"""Samples of a channel worked or moved at once."""
MOST_EVENTS = 1 << 12
MOST_LOSSES = 1 << 10
MOST_TICK = 1 << 52
LOUDEST = 1e3
"""|re|, |im| beyond which samples are taken for garbage; full scale is 1."""
OK, REFUSED, OVERFLOW, TIME_ERROR, FULL, STALE = range(6)
"""How a request was answered."""
ACK, LATE, UNDERFLOW = range(3)
"""Events: a burst has left (tick behind its last sample), was late (the tick it was for), has run dry."""
END = 1
"""Flag: the last samples of a reception."""
RATES, GAINS, FREQUENCIES = (1e3, 1e8), (-60.0, 60.0), (0.0, 6e9)
GAIN_STEP = 0.25
SOURCES = ("internal", "external")


class Engine(Protocol):
    """What stands between transmitter and receiver."""

    time: int

    def process(self, samples: Samples, /) -> Samples:
        """(tx, n) complex64 to (rx, n) complex64 at the same ticks."""


class Refused(ValueError):
    """What cannot be done; one line."""


@dataclass
class Loss:
    """Received samples that get lost: from tick `at` (None: the next), told as an overflow or not."""

    at: int | None
    samples: int
    told: bool


@dataclass(frozen=True)
class _Piece:
    start: int
    samples: Samples
    last: bool


class StreamDevice:
    """`engine` with `tx` and `rx` channels; at most `queue` samples of a channel wait to be transmitted.

    Not safe for threads by itself: hold `lock`.
    """

    def __init__(self, engine: Engine, tx: int, rx: int, queue: int) -> None:
        self.engine, self.tx_channels, self.rx_channels, self.queue = engine, tx, rx, queue
        self.lock = threading.RLock()
        self.losses: list[Loss] = []
        self.spoiled = 0
        """Received samples that are to become NaN."""
        self.hurried = 0
        """Timed bursts that are to be late whatever their time."""
        self.locked = True
        self.generation = 0
        self.reset()

    @property
    def time(self) -> int:
        """The next tick."""
        return int(self.engine.time)

    @property
    def queued(self) -> int:
        """Samples of a channel that wait to be transmitted."""
        return self._queued

    def reset(self) -> None:
        """As after a power cut, but for the engine."""
        self.rate = float(getattr(getattr(self.engine, "settings", None), "rate", 1e6))
        self.sources = {"clock": "internal", "time": "internal"}
        counts = {"tx": self.tx_channels, "rx": self.rx_channels}
        self.gains = {name: [0.0] * count for name, count in counts.items()}
        if hasattr(self.engine, "gain"):
            self.gains = {n: [float(self.engine.gain(n, k)) for k in range(c)] for n, c in counts.items()}
        self.frequencies = {name: [2.45e9] * count for name, count in counts.items()}
        self.hang_up()

    def hang_up(self) -> None:
        """The session has ended: nothing waits any more, nothing is received."""
        self._pieces: deque[_Piece] = deque()
        self._queued = 0
        self._end = 0  # tick behind what was queued last
        self._open = self._skip = self._dry = False
        self.events: deque[tuple[int, int]] = deque(maxlen=MOST_EVENTS)
        self.stop()

    # Settings ---------------------------------------------------------------------------------

    def set_rate(self, rate: float) -> float:
        """Samples/s, of both directions. Raises Refused, as all settings do."""
        _within("rate", rate, RATES)
        self.rate = rate
        return rate

    def set_gain(self, direction: str, channel: int, gain: float) -> float:
        """dB, in steps."""
        _within("gain", gain, GAINS)
        actual = round(gain / GAIN_STEP) * GAIN_STEP
        if hasattr(self.engine, "set_gain"):
            actual = float(self.engine.set_gain(direction, channel, actual))
        self.gains[direction][channel] = actual
        return actual

    def set_frequency(self, direction: str, channel: int, frequency: float) -> float:
        """Hz. The oscillators lock anew where it is another one."""
        _within("frequency", frequency, FREQUENCIES)
        changed = self.frequencies[direction][channel] != frequency
        self.frequencies[direction][channel] = frequency
        if changed and hasattr(self.engine, "retune"):
            self.engine.retune()
        return frequency

    def set_source(self, what: str, source: str) -> None:
        """Of "clock" or "time"."""
        if source not in SOURCES:
            raise Refused(f"{what} source must be one of {', '.join(SOURCES)}")
        self.sources[what] = source

    # Transmission -----------------------------------------------------------------------------

    def write(self, samples: Samples, tick: int | None, end: bool) -> int:
        """Queue samples (tx, n) for a tick, or behind what was queued last; OK or FULL.

        A burst that is late is dropped up to its end. Raises Refused for samples that cannot be sent.
        """
        count = samples.shape[1]
        if count and not np.abs(np.ascontiguousarray(samples).view(np.float32)).max() <= LOUDEST:
            raise Refused("samples are not finite, or far beyond full scale")
        if self._skip:
            self._skip = not end
            return OK
        if self._queued and self._queued + count > self.queue:
            return FULL
        if tick is not None:
            hurried, self.hurried = self.hurried > 0, max(self.hurried - 1, 0)
            if hurried or tick < max(self.time, self._end):
                self.events.append((LATE, tick))
                self._skip, self._open = not end, False
                return OK
        start = max(self.time, self._end) if tick is None else tick
        if count or self._open:  # the end may come by itself
            self._pieces.append(_Piece(start, samples, end))
            self._queued += count
            self._end = start + count
        self._open, self._dry = not end, False
        return OK

    def _sent(self, first: int, count: int) -> Samples:
        """What leaves in `count` ticks from `first` on."""
        out = np.zeros((self.tx_channels, count), np.complex64)
        for piece in self._pieces:
            low, high = max(first, piece.start), min(first + count, piece.start + piece.samples.shape[1])
            if low < high:
                out[:, low - first : high - first] = piece.samples[:, low - piece.start : high - piece.start]
        return out

    def _advance(self, count: int) -> Samples:
        """Let `count` ticks pass; what is received in them."""
        received = self.engine.process(self._sent(self.time, count))
        if received.shape != (self.rx_channels, count):
            raise Refused(f"the engine gave {received.shape}, not {(self.rx_channels, count)}")
        while self._pieces and self._pieces[0].start + self._pieces[0].samples.shape[1] <= self.time:
            piece = self._pieces.popleft()
            self._queued -= piece.samples.shape[1]
            if piece.last:
                self.events.append((ACK, piece.start + piece.samples.shape[1]))
        if self._open and not self._dry and self.time > self._end:
            self._dry = True
            self.events.append((UNDERFLOW, self._end))
        return received

    # Reception --------------------------------------------------------------------------------

    def start(self, tick: int | None, count: int) -> tuple[int, int]:
        """Receive from a tick (None: now) on, `count` samples (0: until stopped); OK or TIME_ERROR, and the
        generation that its readings name."""
        self.stop()
        if tick is not None and tick < self.time:
            return TIME_ERROR, self.generation
        self._first = self.time if tick is None else tick
        self._stop = self._first + count if count else None
        self.receiving = True
        return OK, self.generation

    def stop(self) -> None:
        """End the reception."""
        self.receiving = False
        self.generation = (self.generation + 1) % (1 << 32)

    def read(self, generation: int, most: int) -> tuple[int, int, int, Samples]:
        """Status, first tick, flags, samples (rx, at most `most`), none where the reception begins later."""
        none = np.zeros((self.rx_channels, 0), np.complex64)
        if not self.receiving or generation != self.generation:
            return STALE, self.time, 0, none
        most = min(max(most, 1), MOST_SAMPLES)
        if self.time < self._first:
            self._advance(min(self._first - self.time, MOST_SAMPLES))
            return OK, self.time, 0, none
        if self._stop is not None:
            most = min(most, self._stop - self.time)
        loss = self._next_loss(self.time + most)
        if loss is not None and loss.at is not None and loss.at > self.time:
            most = loss.at - self.time
        elif loss is not None:
            lost = min(most, loss.samples) if self._stop is not None else min(loss.samples, MOST_SAMPLES)
            told, loss.told = loss.told, False
            loss.samples -= lost
            loss.at = self.time + lost
            self._advance(lost)
            return (OVERFLOW if told else OK), self.time, self._flags(), none
        first = self.time
        received = self._advance(most)
        if spoil := min(self.spoiled, most):
            received = received.copy()
            received[:, most // 2 : most // 2 + spoil] = np.nan
            self.spoiled = 0
        return OK, first, self._flags(), received

    def _flags(self) -> int:
        if self._stop is None or self.time < self._stop:
            return 0
        self.receiving = False
        return END

    def _next_loss(self, before: int) -> Loss | None:
        """The first loss that begins before a tick."""
        for loss in self.losses:
            if loss.at is None:
                loss.at = self.time
            loss.samples -= max(min(self.time - loss.at, loss.samples), 0)  # passed unseen
            loss.at = max(loss.at, self.time)
        self.losses = sorted((each for each in self.losses if each.samples), key=lambda each: each.at or 0)
        due = [each for each in self.losses if each.at is not None and each.at < before]
        return due[0] if due else None


def _within(what: str, value: float, limits: tuple[float, float]) -> None:
    if not (math.isfinite(value) and limits[0] <= value <= limits[1]):
        raise Refused(f"{what} must be from {limits[0]:g} to {limits[1]:g}")
