"""Ticks of a sample clock and nanoseconds of a device's time, one as exactly as the other."""

from __future__ import annotations

import math
from fractions import Fraction

from blocks.radio.interface import RadioError

NANOSECONDS = 1_000_000_000
FASTEST = 5e8
"""Samples/s up to which a tick is no less than 2 ns, so that rounding cannot take one for another."""


class TickClock:
    """Tick k of `rate` samples/s is at k · 10⁹ / rate nanoseconds. The rate is taken as the number it is.

    Raises RadioError for a rate that is not positive, or at which nanoseconds cannot tell ticks apart.
    """

    def __init__(self, rate: float) -> None:
        if not (math.isfinite(rate) and 0 < rate <= FASTEST):
            raise RadioError(f"rate must be above 0 and at most {FASTEST:g} samples/s, not {rate:g}")
        self.rate = float(rate)
        self._per_nanosecond = Fraction(rate) / NANOSECONDS
        self._phase = Fraction(0)

    def nanoseconds(self, tick: int) -> int:
        """The whole nanosecond next to a tick."""
        return round((tick + self._phase) / self._per_nanosecond)

    def tick(self, nanoseconds: int) -> int:
        """The tick next to a time; that of `nanoseconds(k)` is k."""
        return round(nanoseconds * self._per_nanosecond - self._phase)

    def latch(self, nanoseconds: int) -> None:
        """A sample lies exactly there: ticks follow the samples of a device whose time does not begin at one.

        Without it a stream half a tick off would be rounded up here and down there.
        """
        exact = nanoseconds * self._per_nanosecond
        self._phase = exact - round(exact)
        if abs(self._phase) <= self._per_nanosecond / 2:
            self._phase = Fraction(0)  # rounding to nanoseconds explains it
