"""Channels side by side, whatever the pieces they come in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.radio.alignment import Alignment
from blocks.radio.interface import Flag, RadioError, Received

PIECES = st.lists(st.integers(0, 30), min_size=1, max_size=12)


def ramp(start: int, stop: int, channel: int = 0) -> np.ndarray:
    """Samples that tell tick and channel."""
    return (np.arange(start, stop) + 1j * channel).astype(np.complex64)


def filled(ticks: int, channels: int = 2) -> Alignment:
    """An alignment that holds ticks 0 … of every channel."""
    alignment = Alignment(channels)
    for channel in range(channels):
        alignment.push(channel, ramp(0, ticks, channel))
    return alignment


def take(alignment: Alignment, most: int = 1000) -> Received:
    """What must be there."""
    found = alignment.take(most)
    assert found is not None
    return found


@given(st.tuples(PIECES, PIECES, PIECES), st.integers(1, 40))
def test_every_column_is_one_tick(pieces: tuple[list[int], ...], most: int) -> None:
    alignment, position = Alignment(3), [0, 0, 0]
    alignment.start(None, None)
    got = [np.empty((3, 0), np.complex64)]
    for turn in range(12):
        for channel, sizes in enumerate(pieces):
            n = sizes[turn % len(sizes)]
            alignment.push(channel, ramp(position[channel], position[channel] + n, channel))
            position[channel] += n
            assert alignment.held(channel) == position[channel]
        while (found := alignment.take(most)) is not None:
            assert found.time == sum(part.shape[1] for part in got)
            assert 1 <= found.samples.shape[1] <= most
            assert found.flags == Flag.NONE
            got.append(found.samples)
    whole = np.concatenate(got, axis=1)
    np.testing.assert_array_equal(whole, [ramp(0, min(position), c) for c in range(3)])


@given(st.integers(0, 60), st.integers(1, 60), st.integers(1, 13))
def test_a_timed_reception_has_its_ticks_and_an_end(time: int, n: int, most: int) -> None:
    alignment = filled(200)
    alignment.start(time, n)
    parts = [take(alignment, most)]
    while not parts[-1].flags & Flag.END:
        parts.append(take(alignment, most))
    np.testing.assert_array_equal(np.concatenate([p.samples[0] for p in parts]), ramp(time, time + n))
    assert not alignment.receiving
    assert alignment.take(10) is None
    alignment.start(None, None)  # nothing was lost between two receptions
    np.testing.assert_array_equal(take(alignment).samples[0, :1], ramp(time + n, time + n + 1))


def test_a_restart_keeps_what_all_channels_had_and_is_a_gap() -> None:
    alignment = filled(10)
    alignment.push(1, ramp(10, 15, 1))
    alignment.start(None, None)
    assert alignment.shortest() == 0
    alignment.restart(100)
    for channel in range(2):
        alignment.push(channel, ramp(100, 104, channel))
    kept, after = take(alignment), take(alignment)
    assert (kept.time, kept.samples.shape, kept.flags) == (0, (2, 10), Flag.NONE)
    assert (after.time, after.samples.shape, after.flags) == (100, (2, 4), Flag.GAP)
    np.testing.assert_array_equal(after.samples[0], ramp(100, 104))


def test_a_reception_can_end_in_a_gap() -> None:
    alignment = filled(10)
    alignment.start(0, 50)
    alignment.restart(100)
    for channel in range(2):
        alignment.push(channel, ramp(100, 104, channel))
    assert take(alignment).samples.shape == (2, 10)
    with pytest.raises(RadioError, match="up to tick 50 were lost"):
        alignment.take(100)
    alignment.start(None, 4)
    assert take(alignment).time == 100


def test_what_has_passed_is_refused() -> None:
    alignment = filled(10)
    alignment.start(None, 5)
    take(alignment)
    with pytest.raises(RadioError, match="tick 4 has passed, the next is 5"):
        alignment.start(4, None)
    with pytest.raises(RadioError, match="n must be at least 1"):
        alignment.start(None, 0)
