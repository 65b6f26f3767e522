"""SimRadio: the contract in its loop, and what the calls do to the stream (nothing)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from blocks.radio.interface import EventKind, Flag, RadioError, RadioTimeout
from blocks.radio.sim import SimRadio
from isac_models.impairments import Impairments
from isac_models.scenario import Scenario
from isac_models.waveform.burst_format import BurstFormat
from tests.blocks.radio.contract import Loop, RadioContract, collect, joined, noise

SMALL = Scenario(antennas=4, grid_size=64)
SLOT = BurstFormat(antennas=4, order=SMALL.order).slot


class TestSimRadio(RadioContract):
    @pytest.fixture
    def loop(self) -> Iterator[Loop]:
        with SimRadio(SMALL, scene="loopback") as radio:
            yield Loop(radio, lose=lambda first, count: radio.inject(EventKind.OVERFLOW, first, count))


def received(
    most: int, pieces: list[int], impairments: Impairments, scenario: Scenario = SMALL
) -> np.ndarray:
    """20 000 ticks of a burst that is sent in pieces and received in pieces."""
    burst = noise(4, sum(pieces), 5)
    with SimRadio(scenario, impairments, seed=3) as radio:
        begin = 0
        for n in pieces:
            last = begin + n == burst.shape[1]
            radio.tx.send(burst[:, begin : begin + n], 900 if not begin else None, not begin, last)
            begin += n
        radio.rx.start(0, 20_000)
        return joined(collect(radio, most))


def test_how_a_stream_is_cut_into_calls_changes_nothing() -> None:
    front = Impairments.draw(7, 4)
    whole = received(65536, [9000], front)
    assert whole.shape == (5, 20_000)
    np.testing.assert_array_equal(received(777, [1, 2999, 6000], front), whole)
    np.testing.assert_array_equal(received(1280, [4500, 4500], front), whole)


def test_other_seeds_give_other_noise_and_the_same_gives_the_same() -> None:
    def first(seed: int) -> np.ndarray:
        with SimRadio(SMALL, seed=seed) as radio:
            radio.rx.start(n=1000)
            return joined(collect(radio))

    np.testing.assert_array_equal(first(1), first(1))
    assert np.abs(first(1) - first(2)).min() > 0


def test_a_clock_that_is_slow_makes_all_wait_and_loses_nothing() -> None:
    front = Impairments.none(4).without("noise")
    offset = type(front)(front.transmit, front.receive, front.leakage, clock_offset=9e-4, noise=False)
    with SimRadio(SMALL, offset) as radio:
        radio.rx.start(0, 50_000)
        parts = collect(radio)
        assert joined(parts).shape == (5, 50_000)
        assert radio.now() > 50_045


def test_an_injected_underflow_silences_what_is_sent_and_is_reported() -> None:
    with SimRadio(SMALL, scene="loopback") as radio:
        radio.inject(EventKind.UNDERFLOW, 1200, 200)
        burst = noise(4, 2000)
        radio.tx.send(burst, 500)
        radio.rx.start(500, 2000)
        got, expected = joined(collect(radio)), burst[[0, 1, 2, 3, 0]]
        expected[:, 700:900] = 0
        np.testing.assert_array_equal(got, expected)
        first = radio.events()[0]
        assert (first.kind, first.time, first.samples) == (EventKind.UNDERFLOW, 1200, 200)


def test_an_injected_delay_makes_the_burst_late() -> None:
    with SimRadio(SMALL, scene="loopback") as radio:
        radio.inject(EventKind.LATE, 1280, 1280)
        for slot in range(4):
            radio.tx.send(noise(4, 100, slot), 1280 * slot)
        radio.rx.start(0, 1280 * 4)
        power = (np.abs(joined(collect(radio))[0].reshape(4, 1280)) ** 2).sum(axis=1)
        assert list(power > 0) == [True, False, True, True]
        assert [e.time for e in radio.events() if e.kind == EventKind.LATE] == [1280]


def test_an_overflow_over_several_slots_is_one_gap_of_its_size() -> None:
    with SimRadio(SMALL, scene="loopback") as radio:
        burst = noise(4, 6000)
        radio.inject(EventKind.OVERFLOW, 1000, 4000)
        radio.tx.send(burst, 0)
        radio.rx.start(0, 6000)
        parts = collect(radio)
        before = np.concatenate([p.samples for p in parts if p.time < 1000], axis=1)
        after = [p for p in parts if p.time >= 5000]
        np.testing.assert_array_equal(before[:4], burst[:, :1000])
        assert (after[0].time, after[0].flags & Flag.GAP) == (5000, Flag.GAP)
        np.testing.assert_array_equal(np.concatenate([p.samples for p in after], axis=1)[:4], burst[:, 5000:])
        overflow = [e for e in radio.events() if e.kind == EventKind.OVERFLOW]
        assert [(e.time, e.samples) for e in overflow] == [(1000, 4000)]


def gaps(radio: SimRadio, upto: int) -> list[tuple[int, int]]:
    """First tick and number of what is missing in a reception from tick 0 on."""
    found, expected = [], 0
    radio.rx.start(0)
    while expected < upto:
        part = radio.rx.recv()
        if part.flags & Flag.GAP:
            found.append((expected, part.time - expected))
        expected = part.time + part.samples.shape[1]
    return found


def overflows(radio: SimRadio) -> list[tuple[int | None, int]]:
    return [(e.time, e.samples) for e in radio.events() if e.kind == EventKind.OVERFLOW]


@pytest.mark.parametrize("offset", [0.0, 1e-3, -1e-3])
@pytest.mark.parametrize(
    ("losses", "union"),
    [
        ([(5000, 3000), (6000, 100)], [(5000, 3000)]),
        ([(6000, 3000), (5000, 3000)], [(5000, 4000)]),
        ([(5000, 100), (5100, 100), (5300, 10)], [(5000, 200), (5300, 10)]),
        ([(4 * SLOT - 1, 100), (9 * SLOT, 100)], [(4 * SLOT - 1, 100), (9 * SLOT, 100)]),
    ],
)
def test_overflows_are_told_as_the_gaps_that_are_seen(
    losses: list[tuple[int, int]], union: list[tuple[int, int]], offset: float
) -> None:
    with SimRadio(SMALL, replace(Impairments.none(4), clock_offset=offset)) as radio:
        for first, count in losses:
            radio.inject(EventKind.OVERFLOW, first, count)
        assert gaps(radio, 20_000) == union
        assert overflows(radio) == union


def test_an_overflow_in_one_that_is_under_way_takes_only_what_is_left() -> None:
    with SimRadio(SMALL) as radio:
        radio.inject(EventKind.OVERFLOW, 2000, 4000)
        radio.rx.start(0)
        while (part := radio.rx.recv()).time + part.samples.shape[1] < 2000:
            pass
        assert overflows(radio) == [(2000, 4000)]
        radio.inject(EventKind.OVERFLOW, 4000, 100)
        radio.inject(EventKind.OVERFLOW, 5000, 1500)
        assert radio.rx.recv().time == 6500
        assert overflows(radio) == [(6000, 500)]


@pytest.mark.parametrize("offset", [1e-3, -1e-3])
def test_a_loss_moves_no_channel_against_another_whatever_the_clock(offset: float) -> None:
    def stream(*losses: tuple[int, int]) -> np.ndarray:
        """All samples by their ticks, NaN where there are none."""
        out = np.full((5, 40_000), np.nan, np.complex64)
        with SimRadio(SMALL, replace(Impairments.none(4), clock_offset=offset), seed=3) as radio:
            for loss in losses:
                radio.inject(EventKind.OVERFLOW, *loss)
            radio.rx.start(0, 40_000)
            for part in collect(radio):
                out[:, part.time : part.time + part.samples.shape[1]] = part.samples
        return out

    expected = stream()
    low = 24 * SLOT + 1  # a fast clock has come further before this slot
    expected[:, low : low + 10] = np.nan
    np.testing.assert_array_equal(stream((low, 10)), expected)


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(RadioError, match="impairments must be those of 4 antennas"):
        SimRadio(SMALL, Impairments.none(3))
    with pytest.raises(RadioError, match="no scene 'moon': choose one of scenario, calibration, loopback"):
        SimRadio(SMALL, scene="moon")
    with pytest.raises(RadioError, match="queue"):
        SimRadio(SMALL, queue=0)
    with SimRadio(SMALL, queue=1000) as radio:
        with pytest.raises(RadioError, match="burst_ack cannot be injected"):
            radio.inject(EventKind.BURST_ACK, 0, 1)
        with pytest.raises(RadioError, match="count must be at least 1"):
            radio.inject(EventKind.OVERFLOW, 0, 0)
        radio.tx.send(noise(4, 900))
        with pytest.raises(RadioTimeout, match="queue of 1000 samples stayed full"):
            radio.tx.send(noise(4, 200), timeout=0.01)
