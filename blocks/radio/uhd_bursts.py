"""Which burst a USRP's answer belongs to."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(eq=False)
class _Burst:
    """Ticks of the first sample and behind the last (None: not known), and how many the device took."""

    start: int | None
    end: int | None
    samples: int = 0
    whole: bool = False


class UhdBursts:
    """What was handed to the device and not heard of since. The device tells in order, but not of all."""

    def __init__(self) -> None:
        self._waiting: deque[_Burst] = deque(maxlen=10_000)
        self._last = _Burst(None, None, whole=True)

    def begin(self, time: int | None, n: int, start_of_burst: bool, end_of_burst: bool) -> None:
        """`n` samples are handed over for a tick, or behind the last ones."""
        if self._last.whole or start_of_burst:
            self._last = _Burst(time, time)
            self._waiting.append(self._last)
        burst = self._last
        at = burst.end if time is None else time
        burst.end = None if at is None else at + n
        burst.samples, burst.whole = burst.samples + n, end_of_burst

    def cut(self, missing: int) -> None:
        """So many of them were not taken; a burst of which nothing was taken has no answer."""
        burst = self._last
        burst.end = None if burst.end is None else burst.end - missing
        burst.samples -= missing
        burst.whole = not burst.samples  # else its rest may still come
        if burst.whole and burst in self._waiting:
            self._waiting.remove(burst)

    def late(self, tick: int | None) -> int | None:
        """The first tick of the burst that was seen to be late when the device was at `tick`."""
        # Assumed: that is later than the burst's tick, or this tick itself; without a time none is late.
        fits = [b for b in [*self._waiting] if b.start is not None and (tick is None or b.start <= tick)]
        if not fits:
            return None
        burst = min(fits, key=lambda b: b.start != tick)  # the first, but for one that is named exactly
        self._waiting.remove(burst)
        return burst.start

    def acknowledged(self, tick: int | None) -> int | None:
        """The first tick of the burst whose end the device tells with `tick`."""
        # Assumed: about the tick behind the burst's last sample; nothing ends before it has begun.
        fits = [b for b in [*self._waiting] if b.whole]
        if tick is not None:
            begun = [(abs(b.end - tick), b) for b in fits if b.end and b.start is not None and b.start < tick]
            fits = [min(begun, key=lambda e: e[0])[1]] if begun else [b for b in fits if b.start is None]
        if not fits:
            return None
        while self._waiting.popleft() is not fits[0]:
            pass  # there will be no answer any more
        return fits[0].start
