"""What becomes of samples and timestamps, without a device."""

from __future__ import annotations

import itertools
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.radio.interface import Event, EventKind, Flag, RadioError, Received
from blocks.radio.reception import Reception


def ramp(first: int, n: int, channels: int = 2) -> np.ndarray:
    """Samples that say their tick."""
    return np.tile(np.arange(first, first + n).astype(np.complex64), (channels, 1))


def begun(time: int | None = None, n: int | None = None) -> tuple[Reception, deque[Event]]:
    """A reception, and its events."""
    events: deque[Event] = deque()
    reception = Reception(events)
    reception.start(time, n)
    return reception, events


def check(found: Received | None, first: int, n: int, flags: Flag = Flag.NONE) -> None:
    """That these are the samples of these ticks."""
    assert found is not None
    assert (found.time, found.flags) == (first, flags)
    np.testing.assert_array_equal(found.samples, ramp(first, n))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 20)), min_size=1, max_size=20), st.integers(1, 9))
def test_every_gap_is_told_with_its_size_however_the_samples_come(
    pieces: list[tuple[int, int]], most: int
) -> None:
    reception, events = begun(100)
    tick = 100
    there: list[int] = []
    for gap, n in pieces:
        tick += gap
        reception.put(ramp(tick, n), tick)
        there += range(tick, tick + n)
        tick += n
    expected = 100
    while (found := reception.take(most)) is not None:
        check(found, found.time, found.samples.shape[1], found.flags)
        assert bool(found.flags & Flag.GAP) == (found.time != expected)
        if found.time != expected:
            assert events.popleft() == Event(
                EventKind.SEQUENCE_GAP, expected, found.time - expected, "found by the timestamps"
            )
        expected = found.time + found.samples.shape[1]
        assert there[: found.samples.shape[1]] == list(range(found.time, expected))
        del there[: found.samples.shape[1]]
    assert not there
    assert not events


def test_an_overflow_is_told_with_the_samples_that_the_timestamps_miss() -> None:
    reception, events = begun()
    reception.put(ramp(10, 5), 10)
    reception.blame(EventKind.OVERFLOW, "told")
    reception.put(ramp(22, 5), 22)
    check(reception.take(100), 10, 5)
    assert not events
    check(reception.take(100), 22, 5, Flag.GAP)
    assert list(events) == [Event(EventKind.OVERFLOW, 15, 7, "told")]


def test_an_overflow_that_lost_nothing_is_told_all_the_same() -> None:
    reception, events = begun(10)
    reception.blame(EventKind.OVERFLOW, "told")
    reception.put(ramp(10, 5), 10)
    check(reception.take(100), 10, 5)
    assert list(events) == [Event(EventKind.OVERFLOW, 10, 0, "told")]


def test_samples_without_a_time_follow_on() -> None:
    reception, events = begun()
    reception.put(ramp(0, 5), None)
    reception.put(ramp(5, 3), None)
    check(reception.take(100), 0, 5)
    check(reception.take(100), 5, 3)
    assert not events


def test_a_reception_ends_at_its_tick_though_samples_are_missing() -> None:
    reception, _ = begun(50, 20)
    assert reception.want(100) == 20
    reception.put(ramp(50, 5), 50)
    reception.put(ramp(65, 10), 65)
    check(reception.take(100), 50, 5)
    check(reception.take(100), 65, 5, Flag.GAP | Flag.END)
    with pytest.raises(RadioError, match="nothing is being received"):
        reception.take(100)


def test_a_reception_that_begins_now_ends_as_many_ticks_later() -> None:
    reception, _ = begun(None, 20)
    assert reception.want(8) == 8
    reception.put(ramp(500, 8), 500)
    check(reception.take(100), 500, 8)
    assert reception.want(100) == 12


def test_samples_from_before_the_start_are_left_out() -> None:
    reception, events = begun(50, 20)
    reception.put(ramp(40, 5), 40)
    reception.put(ramp(45, 10), 45)
    check(reception.take(100), 50, 5)
    assert not events


def test_a_late_beginning_is_a_gap() -> None:
    reception, events = begun(50)
    reception.put(ramp(60, 5), 60)
    check(reception.take(100), 60, 5, Flag.GAP)
    assert events[0].time == 50
    assert events[0].samples == 10


@pytest.mark.parametrize("bad", [np.nan, np.inf, complex(0, -np.inf)])
def test_samples_that_are_not_finite_are_a_gap_and_the_others_are_kept(bad: complex) -> None:
    reception, events = begun(0, 30)
    for first in (0, 10, 20):
        samples = ramp(first, 10)
        samples[1, 4 if first == 0 else 0] = bad if first < 20 else samples[1, 0]
        samples[0, 9] = bad if first == 10 else samples[0, 9]
        reception.put(samples, first)
    check(reception.take(100), 0, 4)
    check(reception.take(100), 5, 5, Flag.GAP)
    check(reception.take(100), 11, 8, Flag.GAP)
    check(reception.take(100), 20, 10, Flag.GAP | Flag.END)
    assert [(event.kind, event.time, event.samples) for event in events] == [
        (EventKind.SEQUENCE_GAP, 4, 1),
        (EventKind.SEQUENCE_GAP, 10, 1),
        (EventKind.SEQUENCE_GAP, 19, 1),
    ]
    assert all("NaN" in event.detail for event in events)


def test_finite_samples_whose_sum_is_not_are_kept() -> None:
    reception, events = begun(0)
    samples = np.full((2, 50), 3e38, np.complex64)
    reception.put(samples, 0)
    found = reception.take(100)
    assert found is not None
    np.testing.assert_array_equal(found.samples, samples)
    assert not events


@pytest.mark.parametrize("how", ["ended", "beyond", "nan"])
def test_a_reception_whose_end_is_lost_is_refused_once_what_came_is_returned(how: str) -> None:
    reception, events = begun(0, 20)
    reception.put(ramp(0, 15), 0)
    if how == "ended":
        reception.end("the device ended it")
    else:
        reception.put(ramp(30, 5) if how == "beyond" else ramp(15, 5) * np.nan, 30 if how == "beyond" else 15)
    check(reception.take(100), 0, 15)
    with pytest.raises(RadioError, match="the last 5 samples, up to tick 20, were lost"):
        reception.take(100)
    assert [(event.kind, event.time, event.samples) for event in events] == [(EventKind.SEQUENCE_GAP, 15, 5)]
    assert not reception.receiving


def test_an_endless_reception_that_the_device_ends_is_refused() -> None:
    reception, _ = begun()
    reception.end("power cut")
    with pytest.raises(RadioError, match="ended by itself \\(power cut\\)"):
        reception.take(100)


def test_a_time_that_goes_back_is_refused() -> None:
    reception, _ = begun(100)
    reception.put(ramp(100, 5), 100)
    reception.put(ramp(90, 5), 90)
    check(reception.take(100), 100, 5)
    with pytest.raises(RadioError, match="went back from tick 105 to 90"):
        reception.take(100)


def test_a_device_that_begins_anew_goes_on_behind_a_gap() -> None:
    reception, events = begun(0, 100)
    reception.put(ramp(0, 30), 0)
    assert reception.resume(50, "anew") == 50
    reception.put(ramp(50, 50), 50)
    check(reception.take(100), 0, 30)
    check(reception.take(100), 50, 50, Flag.GAP | Flag.END)
    assert list(events) == [Event(EventKind.SEQUENCE_GAP, 30, 20, "anew")]


def test_a_device_that_begins_anew_behind_the_end_has_nothing_to_give() -> None:
    reception, _ = begun(0, 100)
    reception.put(ramp(0, 30), 0)
    assert reception.resume(1280, "anew") == 0
    check(reception.take(100), 0, 30)
    with pytest.raises(RadioError, match="the last 70 samples"):
        reception.take(100)


def test_a_device_that_begins_anew_before_the_start_gives_all() -> None:
    reception, events = begun(5000, 100)
    assert reception.resume(1280, "anew") == 100
    assert reception.next == 5000
    reception.put(ramp(5000, 100), 5000)
    check(reception.take(100), 5000, 100, Flag.END)
    assert [event.samples for event in events] == [0]


def test_small_takes_add_up() -> None:
    reception, _ = begun(0, 100)
    reception.put(ramp(0, 100), 0)
    parts = list(itertools.takewhile(lambda p: p is not None, (reception.take(7) for _ in range(15))))
    assert [part.samples.shape[1] for part in parts if part] == [7] * 14 + [2]


def test_a_loss_of_unknown_length_goes_on_at_the_grid_where_nothing_has_a_tick() -> None:
    reception, events = begun()
    reception.put(ramp(0, 100), None)
    reception.missed(EventKind.OVERFLOW, "told")
    reception.put(ramp(1280, 50), None)
    reception.put(ramp(1330, 50), None)
    check(reception.take(100), 0, 100)
    check(reception.take(100), 1280, 50, Flag.GAP)
    check(reception.take(100), 1330, 50)
    assert list(events) == [Event(EventKind.OVERFLOW, 100, 1180, "told")]


def test_samples_without_a_tick_behind_a_loss_are_lost_where_others_have_one() -> None:
    reception, events = begun(0)
    reception.put(ramp(0, 100), 0)
    reception.missed(EventKind.OVERFLOW, "told")
    reception.put(ramp(0, 50), None)  # of when, nobody knows
    reception.put(ramp(400, 50), 400)
    reception.put(ramp(450, 50), None)
    check(reception.take(100), 0, 100)
    check(reception.take(100), 400, 50, Flag.GAP)
    check(reception.take(100), 450, 50)
    assert list(events) == [Event(EventKind.OVERFLOW, 100, 300, "told")]


def test_a_loss_is_told_once_whether_it_was_received_behind_or_not() -> None:
    reception, events = begun(0, 100)
    reception.put(ramp(0, 50), 0)
    check(reception.take(100), 0, 50)
    reception.missed(EventKind.OVERFLOW, "told")
    reception.end("ended")
    with pytest.raises(RadioError, match="the last 50 samples"):
        reception.take(100)
    reception.start(200, None)
    assert list(events) == [Event(EventKind.OVERFLOW, 50, 50, "told")]
    reception.put(ramp(200, 50), 200)
    reception.missed(EventKind.OVERFLOW, "again")
    reception.put(ramp(300, 50), 300)
    check(reception.take(50), 200, 50)
    reception.start(400, None)  # without what came behind the loss
    assert list(events)[1:] == [Event(EventKind.OVERFLOW, 250, 0, "again")]
