"""Which burst an acknowledgement or a time error belongs to, and what becomes of one that a restart meets."""

from __future__ import annotations

import time as clock
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from blocks.radio.interface import Event, EventKind
from blocks.radio.soapy import SoapyRadio
from blocks.radio.soapy_bursts import Bursts
from blocks.radio.soapy_device import END_BURST, TIME_ERROR, TIMEOUT, Result
from tests.blocks.radio.contract import PATIENCE, collect, heard, joined, noise
from tests.blocks.radio.soapy_loop import arguments, need_driver, served

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
    assert bursts.cut(bursts.begin(200, 50, True, True), 50, over=True)
    assert bursts.end == 200
    assert bursts.cut(bursts.begin(300, 50, True, True), 20, over=False)
    assert bursts.end == 330
    assert bursts.open


def test_bursts_that_are_lost_with_the_device_were_late() -> None:
    bursts, events = sent((100, 50), (200, 60))
    bursts.forget(120)
    assert told(events) == [(LATE, 100), (LATE, 200)]
    assert bursts.end == 120
    bursts.acknowledged(None)  # of nothing
    assert told(events)[-1] == (ACK, None)


@pytest.mark.parametrize("masks", [(0b111,), (0b1, 0b10, 0b100), (0,)])
def test_a_burst_is_told_once_however_many_channels_answer(masks: tuple[int, ...]) -> None:
    bursts, events = sent((100, 50), (200, 50), (300, 50))
    for code, time in ((0, 150), (TIME_ERROR, 200)):
        assert all(bursts.hear(Result(code, END_BURST, None, mask), time) for mask in masks)
    assert told(events) == [(ACK, 100), (LATE, 200)]
    assert not bursts.hear(Result(TIMEOUT, 0, None), None)


def test_what_was_told_to_be_late_meanwhile_is_not_cut_and_takes_no_other_with_it() -> None:
    bursts, events = sent((100, 50))
    burst = bursts.begin(200, 50, True, True)
    bursts.late(200)
    assert not bursts.cut(burst, 50, over=True)
    another = bursts.begin(300, 50, True, True)
    bursts.forget(1280)
    assert not bursts.cut(another, 50, over=True)
    assert told(events) == [(LATE, 200), (LATE, 100), (LATE, 300)]


def test_the_rest_of_a_burst_that_was_lost_is_skipped_however_often_the_device_begins_anew() -> None:
    bursts, events = sent()
    bursts.begin(100, 50, True, False)
    bursts.forget(1280)
    bursts.forget(2560)
    assert [bursts.skips(False, last) for last in (False, True, False)] == [True, True, False]
    assert told(events) == [(LATE, 100)]
    bursts.begin(3000, 50, True, False)
    bursts.forget(3840)
    assert not bursts.skips(True, True)  # another burst


def test_a_burst_in_pieces_that_is_never_handed_on_leaves_nothing_behind() -> None:
    bursts, events = sent((1000, 10))
    bursts.begin(100, 50, True, False)
    bursts.missed(100)
    assert bursts.skips(False, True)
    assert not bursts.open
    assert bursts.end == 1010
    bursts.acknowledged(None)
    bursts.forget(5000)
    assert told(events) == [(LATE, 100), (ACK, 1000)]


@pytest.mark.parametrize("time", [5000, None])
def test_a_burst_that_a_restart_interrupts_is_sent_whole(time: int | None) -> None:
    need_driver()
    with served(queue=3000) as server, SoapyRadio(arguments(server)) as radio:
        burst = noise(16, 20_000)
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(radio.tx.send, burst, time, timeout=PATIENCE)
            until = clock.monotonic() + PATIENCE
            while server.device.queued < 1000:  # its beginning; the rest waits for room
                assert clock.monotonic() < until
                clock.sleep(0.01)
            server.inject("restart")
            server.device.queue = 1 << 17
            while server.device.queued < 20_000:
                assert clock.monotonic() < until
                clock.sleep(0.01)
            radio.rx.start(0, 30_000)
            got = joined(collect(radio))
            sending.result(PATIENCE)
        at = time or 0
        np.testing.assert_allclose(got[:, at : at + 20_000], heard(radio, burst), atol=1e-6)
        assert not got[:, :at].any()
        assert not got[:, at + 20_000 :].any()
        assert EventKind.LATE not in {event.kind for event in radio.events()}


def test_a_burst_for_a_tick_before_the_device_began_anew_is_late_up_to_its_end() -> None:
    need_driver()
    with served() as server, SoapyRadio(arguments(server)) as radio:
        radio.rx.start(0, 5000)
        collect(radio)
        server.inject("restart")
        for first in (True, False):
            time = 5000 if first else None
            radio.tx.send(noise(16, 100), time, start_of_burst=first, end_of_burst=not first)
        radio.tx.send(noise(16, 100), 6000)
        radio.rx.start(5120, 2000)
        got = joined(collect(radio))
        assert not got[:, :880].any()
        np.testing.assert_allclose(got[:, 880:980], heard(radio, noise(16, 100)), atol=1e-6)
        assert not got[:, 980:].any()
        told = [(event.kind, event.time) for event in radio.events()]
    assert told == [(EventKind.SEQUENCE_GAP, 5120), (LATE, 5000), (ACK, 6000)]
