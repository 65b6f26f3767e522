"""What was sent and when, by which a receiver beside the transmitter knows the waveform."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
Messages = Callable[[str, float], list[Any]]
LONGEST = 1 << 16
"""Bursts that are remembered."""
WAIT_SECONDS = 2.0
"""How long a burst's record may come after its samples."""
TAIL = 512
"""Samples behind a slot that its burst may still arrive in."""
IDLE_SECONDS = 0.05
"""After so long without a burst a receiver in virtual time goes on to the end of the last one's `TAIL`."""
END = {"end": True}
"""What is told behind the last burst."""


@dataclass(frozen=True)
class SentBurst:
    """A burst that left from tick `time` on: its number, messages (N,) and payload symbols (N,)."""

    number: int
    time: int
    message: Values
    symbol: Values

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they travel over a message port."""
        return {
            "number": self.number,
            "time": self.time,
            "message": self.message.astype(np.uint8).tobytes(),
            "symbol": self.symbol.astype(np.complex64).tobytes(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SentBurst:
        """What `to_dict` described."""
        return cls(
            int(values["number"]),
            int(values["time"]),
            np.frombuffer(values["message"], np.uint8),
            np.frombuffer(values["symbol"], np.complex64),
        )


class SentBursts:
    """The bursts that were sent, in the order of their times; finds the one that a received burst is.

    `offset` is by how many ticks a burst is received later than it was sent. It follows what `match` finds,
    so that a receiver whose clock drifts stays with the right burst.
    """

    def __init__(self, slot: int, offset: float = 0.0) -> None:
        self.slot, self.offset = slot, offset
        self.ended = self._confirmed = self.doubtful = False
        self._bursts: list[SentBurst] = []
        self._times: list[int] = []
        self._numbers: dict[int, SentBurst] = {}
        self._unsent: set[int] = set()  # times of bursts that were not sent, known before the bursts are

    def add(self, burst: SentBurst) -> None:
        """Remember a burst; the oldest is forgotten."""
        if burst.time in self._unsent:
            self._unsent.remove(burst.time)
            return
        if self._times and burst.time <= self._times[-1]:
            raise ValueError(f"a burst at tick {burst.time} behind one at {self._times[-1]}")
        self._bursts.append(burst)
        self._times.append(burst.time)
        self._numbers[burst.number] = burst
        if len(self._bursts) > LONGEST:
            half = LONGEST // 2
            for old in self._bursts[:half]:
                self._numbers.pop(old.number, None)
            del self._bursts[:half], self._times[:half]

    @property
    def latest(self) -> int | None:
        """When the last burst was sent."""
        return self._times[-1] if self._times else None

    def doubt(self) -> None:
        """Samples were lost, nobody knows how many: until a number is read, no burst is recognised."""
        self._confirmed, self.doubtful = False, True

    def hear(self, told: list[dict[str, Any]]) -> None:
        """Remember what a transmitter has told, in the form of `SentBurst.to_dict` or END."""
        for values in told:
            if "end" in values:
                self.ended = True
            else:
                self.add(SentBurst.from_dict(values))

    def forget(self, unsent: list[dict[str, Any]]) -> None:
        """Forget bursts that were announced and then not sent: {"time": tick} each.

        The two are told by different blocks: word of a burst may come behind word that it was not sent.
        """
        for values in unsent:
            time = int(values["time"])
            at = bisect_left(self._times, time)
            if at < len(self._times) and self._times[at] == time:
                del self._times[at], self._bursts[at]
            elif not self._times or time > self._times[-1]:
                self._unsent.add(time)

    def listen(self, messages: Messages) -> None:
        """Hear what there is on the ports `sent` and `unsent`, without waiting."""
        self._listen(messages, 0.0)

    def find(self, received: float, number: int | None, messages: Messages) -> SentBurst | None:
        """`match`, once everything that may be about this burst was heard on the ports `sent` and `unsent`.

        `messages(port, seconds)` waits so long for news and returns them, as a block's does.
        """
        self.listen(messages)
        while not self.ended and (
            self.latest is None or received - self.offset > self.latest + self.slot / 2
        ):
            if not self._listen(messages, WAIT_SECONDS):
                break
        return self.match(received, number)

    def _listen(self, messages: Messages, seconds: float) -> bool:
        told = messages("sent", seconds)
        self.hear(told)
        self.forget(messages("unsent", 0.0))
        return bool(told)

    def match(self, received: float, number: int | None = None) -> SentBurst | None:
        """The burst that was received at this tick, by its number where that fits the tick, else by the tick.

        A number may come again, when a burst is repeated: it counts where no other number has been heard yet,
        or within half a slot of where the ones before it were.
        """
        sent = received - self.offset
        known = None if number is None else self._numbers.get(number)
        if known is not None and (not self._confirmed or abs(known.time - sent) < self.slot / 2):
            self.offset, self._confirmed, self.doubtful = received - known.time, True, False
            return known
        if self.doubtful:
            return None
        at = bisect_left(self._times, sent)
        near = [self._bursts[i] for i in (at - 1, at) if 0 <= i < len(self._bursts)]
        best = min(near, key=lambda burst: abs(burst.time - sent), default=None)
        if best is None or abs(best.time - sent) >= self.slot / 2:
            return None
        if number == best.number:
            self.offset, self._confirmed = received - best.time, True
        return best
