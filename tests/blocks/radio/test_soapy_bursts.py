"""Which burst an acknowledgement or a time error belongs to."""

from __future__ import annotations

from collections import deque

import pytest

from blocks.radio.interface import Event, EventKind
from blocks.radio.soapy_bursts import Bursts

ACK, LATE = EventKind.BURST_ACK, EventKind.LATE


def sent(*bursts: tuple[int | None, int]) -> tuple[Bursts, deque[Event]]:
    """Whole bursts (time, n) on their way, and the events."""
    events: deque[Event] = deque()
    found = Bursts(events)
    for time, n in bursts:
        found.begin(time, n, True, True)
    return found, events


def told(events: deque[Event]) -> list[tuple[EventKind, int | None]]:
    """Kind and time of the events."""
    return [(event.kind, event.time) for event in events]


@pytest.mark.parametrize("ticks", [(150, 260), (151, 263), (100, 200), (None, None)])
def test_an_acknowledgement_is_told_with_the_start_of_its_burst(ticks: tuple[int | None, ...]) -> None:
    # Devices tell the end, something after it, the start, or nothing.
    bursts, events = sent((100, 50), (200, 60))
    for tick in ticks:
        bursts.acknowledged(tick)
    assert told(events) == [(ACK, 100), (ACK, 200)]


def test_a_burst_in_pieces_is_one() -> None:
    bursts, events = sent()
    bursts.begin(100, 50, True, False)
    assert bursts.open
    bursts.begin(None, 30, False, False)
    bursts.begin(None, 20, False, True)
    assert bursts.end == 200
    bursts.acknowledged(200)
    assert told(events) == [(ACK, 100)]
    assert [bursts.open] == [False]


def test_a_late_burst_is_not_taken_for_acknowledged() -> None:
    bursts, events = sent((100, 50), (10, 20), (300, 10))
    bursts.late(10)
    bursts.acknowledged(150)
    bursts.acknowledged(310)
    assert told(events) == [(LATE, 10), (ACK, 100), (ACK, 300)]


def test_a_late_burst_leaves_its_ticks_to_others() -> None:
    bursts, _ = sent((10, 500))
    assert bursts.end == 510
    bursts.late(10)
    assert bursts.end == 0


def test_the_rest_of_a_late_burst_is_not_a_burst() -> None:
    bursts, events = sent()
    bursts.begin(10, 20, True, False)
    bursts.late(10)
    bursts.begin(None, 20, False, True)
    bursts.begin(300, 10, True, True)
    bursts.acknowledged(310)
    bursts.begin(400, 10, True, True)
    bursts.acknowledged(410)
    assert told(events) == [(LATE, 10), (ACK, 300), (ACK, 400)]


def test_a_burst_without_a_time_is_told_without_one() -> None:
    bursts, events = sent((None, 50))
    bursts.acknowledged(1234)
    assert told(events) == [(ACK, None)]


def test_what_was_not_taken_does_not_count() -> None:
    bursts, _ = sent((100, 50))
    bursts.begin(200, 50, True, True)
    bursts.cut(50, over=True)
    assert bursts.end == 200
    bursts.begin(300, 50, True, True)
    bursts.cut(20, over=False)
    assert bursts.end == 330
    assert bursts.open


def test_bursts_that_are_lost_with_the_device_were_late() -> None:
    bursts, events = sent((100, 50), (200, 60))
    bursts.forget(120)
    assert told(events) == [(LATE, 100), (LATE, 200)]
    assert bursts.end == 120
    bursts.acknowledged(None)  # of nothing
    assert told(events)[-1] == (ACK, None)
