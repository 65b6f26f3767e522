"""The queue of a transmitter, against what is written down by hand."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.radio.interface import EventKind, RadioError, RadioTimeout
from blocks.radio.timeline import Timeline, await_room


def ones(n: int, value: float = 1.0) -> np.ndarray:
    """(2, n), the second channel twice the first."""
    return np.array([[value], [2 * value]], np.complex64) * np.ones(n, np.complex64)


def test_bursts_lie_at_their_ticks_in_silence() -> None:
    line = Timeline(2)
    assert line.put(ones(3), 5, 0, True, True) is None
    assert line.put(ones(2, 3), 10, 0, True, True) is None
    first = [0, 0, 0, 1, 1, 1, 0, 0, 3, 3, 0]
    np.testing.assert_array_equal(line.read(2, 13), [first, [2 * x for x in first]])
    np.testing.assert_array_equal(line.read(2, 13, 1), [2 * x for x in first])
    assert line.waiting(4) == 8
    assert line.waiting(100) == 0


def test_what_was_queued_is_a_copy() -> None:
    line, mine = Timeline(2), ones(3)
    line.put(mine, 0, 0, True, True)
    mine[:] = 9
    np.testing.assert_array_equal(line.read(0, 3), ones(3))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40)), max_size=8), st.integers(1, 17))
def test_reading_in_pieces_gives_the_whole(bursts: list[tuple[int, int]], piece: int) -> None:
    line, expected = Timeline(2), np.zeros((2, 700), np.complex64)
    for number, (silence, n) in enumerate(bursts):
        at = line.end + silence
        line.put(ones(n, number + 1), at, 0, True, True)
        expected[:, at : at + n] = ones(n, number + 1)
    pieces = [line.read(a, min(a + piece, 700)) for a in range(0, 700, piece)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), expected)


def test_a_burst_is_acknowledged_once_all_of_it_has_left() -> None:
    line = Timeline(2)
    line.put(ones(3), 4, 0, True, False)
    line.put(ones(3), None, 0, False, True)
    assert line.release(7) == []
    assert line.release(9) == []
    assert [(e.kind, e.time) for e in line.release(10)] == [(EventKind.BURST_ACK, 4)]
    assert line.release(50) == []


def test_a_late_burst_is_dropped_to_its_end() -> None:
    line = Timeline(2)
    late = line.put(ones(3), 4, 5, True, False)
    assert late is not None
    assert (late.kind, late.time, late.samples) == (EventKind.LATE, 4, 3)
    assert line.put(ones(3), None, 5, False, False) is None
    assert line.put(ones(3), None, 5, False, True) is None
    assert not line.read(0, 50).any()
    assert line.put(ones(1), None, 5, True, True) is None
    assert line.read(5, 6).any()


def test_a_burst_that_starves_underflows_once_and_goes_on_at_once() -> None:
    line = Timeline(2)
    line.put(ones(3), 0, 0, True, False)
    assert line.release(3) == []
    assert [(e.kind, e.time) for e in line.release(4)] == [(EventKind.UNDERFLOW, 3)]
    assert line.release(9) == []
    line.put(ones(1), None, 9, False, True)
    assert line.read(9, 10).any()
    assert [e.kind for e in line.release(10)] == [EventKind.BURST_ACK]


def test_a_tick_that_is_taken_is_refused() -> None:
    line = Timeline(2)
    line.put(ones(3), 10, 0, True, True)
    with pytest.raises(RadioError, match=r"tick 12 is taken .* up to tick 13"):
        line.put(ones(1), 12, 0, True, True)


def test_what_can_no_longer_leave_is_late() -> None:
    line = Timeline(2)
    line.put(ones(3), 0, 0, True, True)
    line.put(ones(3), 10, 0, True, True)
    line.put(ones(3), 20, 0, True, True)
    line.put(ones(3), 30, 0, True, False)
    assert [(e.kind, e.time) for e in line.forget(15)] == [(EventKind.LATE, 0), (EventKind.LATE, 10)]
    assert line.read(20, 23).any()
    assert [e.time for e in line.forget(31)] == [20, 30]
    assert line.put(ones(3), None, 31, False, True) is None  # the rest of a burst that is gone
    assert not line.read(0, 100).any()


def test_a_burst_in_pieces_is_late_as_a_whole_and_its_ticks_are_free() -> None:
    line = Timeline(2)
    line.put(ones(150), 1000, 0, True, False)
    line.put(ones(850), None, 0, False, True)  # lies behind the tick at which time goes on
    line.put(ones(10), 2500, 0, True, True)
    assert [(e.kind, e.time) for e in line.forget(1100)] == [(EventKind.LATE, 1000)]
    assert not line.read(0, 2500).any()
    assert line.read(2500, 2510).all()
    assert [(e.kind, e.time) for e in line.release(3000)] == [(EventKind.BURST_ACK, 2500)]
    line.put(ones(150), 3000, 3000, True, False)
    line.put(ones(850), None, 3000, False, True)
    line.forget(3100)
    assert line.waiting(3100) == 0
    assert line.put(ones(10), 3500, 3100, True, True) is None


def test_what_is_still_to_come_of_a_forgotten_burst_is_dropped() -> None:
    line = Timeline(2)
    line.put(ones(150), 1000, 0, True, False)
    line.put(ones(300), None, 0, False, False)
    assert [e.time for e in line.forget(1100)] == [1000]
    assert line.put(ones(300), None, 1100, False, False) is None
    assert line.put(ones(100), 2000, 1100, False, True) is None
    assert not line.read(0, 5000).any()
    assert line.release(5000) == []
    line.put(ones(10), None, 5000, True, True)
    assert [(e.kind, e.time) for e in line.release(5010)] == [(EventKind.BURST_ACK, 5000)]


def test_a_burst_is_late_once_where_its_first_piece_has_left_and_not_where_all_has() -> None:
    line = Timeline(2)
    line.put(ones(100), 0, 0, True, False)
    line.put(ones(100), None, 0, False, True)
    line.put(ones(100), 300, 0, True, False)
    line.put(ones(100), None, 0, False, True)
    assert [(e.kind, e.time) for e in line.release(400)] == [(EventKind.BURST_ACK, 0)]
    assert [(e.kind, e.time) for e in line.forget(450)] == [(EventKind.LATE, 300)]
    assert line.forget(500) == []
    assert line.release(900) == []


def test_room_is_waited_for_and_its_lack_is_one_line() -> None:
    lock = threading.Condition()
    with lock:
        await_room(lock, lambda: True, 100, 0.0)
        with pytest.raises(
            RadioTimeout, match=r"^send: the queue of 100 samples stayed full for 0\.01 s: rec"
        ):
            await_room(lock, lambda: False, 100, 0.01)


def test_the_rest_of_a_burst_whose_beginning_has_left_is_late_behind_a_restart() -> None:
    line, ones = Timeline(1), np.ones((1, 100), np.complex64)
    line.put(ones, 0, 0, True, False)
    assert line.release(100) == []
    assert [(event.kind, event.time) for event in line.forget(1280)] == [(EventKind.LATE, 0)]
    assert line.put(ones, None, 1280, False, True) is None
    assert not line.read(0, 3000).any()
    assert line.release(3000) == []
    line.put(ones, None, 3000, True, True)
    assert [(event.kind, event.time) for event in line.release(3100)] == [(EventKind.BURST_ACK, 3000)]
