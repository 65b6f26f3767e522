"""Ticks and nanoseconds: against each other, exact fractions, and SoapySDR's own conversion."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.radio.interface import RadioError
from blocks.radio.tick_clock import FASTEST, TickClock
from tests.blocks.radio.soapy_loop import need_bindings

# Those of real radios, thirds and primes among them, and what a rounding divider leaves.
RATES = [
    1.0,
    1000.0,
    48_000.0,
    1e6,
    1.92e6,
    2_083_333.25,
    1e6 / 3,
    30.72e6,
    61.44e6,
    122.88e6,
    500e6 / 3,
    5e8,
]
rates = st.one_of(st.sampled_from(RATES), st.floats(1.0, FASTEST))
ticks = st.integers(-(10**15), 10**15)


@settings(max_examples=500)
@given(rate=rates, tick=ticks)
def test_a_tick_comes_back_from_its_nanosecond(rate: float, tick: int) -> None:
    clock = TickClock(rate)
    assert clock.tick(clock.nanoseconds(tick)) == tick


@settings(max_examples=500)
@given(rate=rates, tick=ticks)
def test_a_tick_is_at_the_nanosecond_next_to_it(rate: float, tick: int) -> None:
    exact = Fraction(tick) * 10**9 / Fraction(rate)
    assert abs(TickClock(rate).nanoseconds(tick) - exact) <= Fraction(1, 2)


@settings(max_examples=500)
@given(rate=rates, seconds=st.integers(0, 10**6), part=st.integers(0, 10**9))
def test_soapysdr_and_this_clock_take_each_others_times(rate: float, seconds: int, part: int) -> None:
    soapy, clock = need_bindings(), TickClock(rate)
    tick = round(rate * seconds) + part % max(int(rate), 1)
    assert soapy.timeNsToTicks(clock.nanoseconds(tick), rate) == tick
    assert clock.tick(soapy.ticksToTimeNs(tick, rate)) == tick


@given(
    rate=st.sampled_from(RATES[3:-1]), first=st.integers(0, 10**18), counts=st.lists(st.integers(1, 10**6))
)
def test_samples_off_the_grid_are_counted_one_by_one(rate: float, first: int, counts: list[int]) -> None:
    clock, exact = TickClock(rate), Fraction(first)
    clock.latch(first)
    start = clock.tick(first)
    assert abs(start - first * Fraction(rate) / 10**9) <= Fraction(1, 2)
    for done, count in enumerate(counts):
        told = int(exact)  # a device cuts its times off
        assert clock.tick(told) == start + sum(counts[:done])
        exact += count * 10**9 / Fraction(rate)


def test_a_stream_on_the_grid_leaves_the_clock_as_it_is() -> None:
    clock = TickClock(1e6 / 3)
    clock.latch(clock.nanoseconds(12_345_678))
    assert [clock.nanoseconds(k) for k in (0, 1, 2, 3)] == [0, 3000, 6000, 9000]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 5.1e8])
def test_a_rate_at_which_ticks_cannot_be_told_apart_is_refused(rate: float) -> None:
    with pytest.raises(RadioError, match="rate must be above 0"):
        TickClock(rate)
