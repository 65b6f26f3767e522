"""IioRadio against the daemon through the real libiio: the contract, and front ends that misbehave."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from blocks.radio.iio import IioRadio
from blocks.radio.interface import Event, EventKind, Flag, RadioError, RadioTimeout
from tests.blocks.radio.contract import PATIENCE, Loop, RadioContract, collect, heard, joined, noise
from tests.blocks.radio.iio_loop import HALF_STEP, looped, need_libiio, served


@pytest.fixture(autouse=True)
def _libiio() -> None:
    need_libiio()


class TestIioRadio(RadioContract):
    @pytest.fixture
    def loop(self) -> Iterator[Loop]:
        with looped() as (radio, server):

            def lose(tick: int, count: int) -> None:
                server.inject("overflow", at=tick, samples=count)

            yield Loop(
                radio,
                accuracy=HALF_STEP,
                rate=(2.5e6, 2.5e6),
                gain=(-2.0, -2.0),
                bad_rate=1e6,
                bad_frequency=1e6,
                lose=lose,
            )


def burst_through(radio: IioRadio, n: int = 3000, at: int = 2560, total: int = 6000, start: int = 0) -> None:
    """A burst of n samples goes out at a tick and comes back at the same one."""
    sent = noise(radio.capabilities.tx_channels, n)
    radio.tx.send(sent, at)
    radio.rx.start(start, total)
    expected = np.zeros((radio.capabilities.rx_channels, total), np.complex64)
    expected[:, at - start : at - start + n] = heard(radio, sent)
    assert np.abs(joined(collect(radio)) - expected).max() <= HALF_STEP


def received_until_gap(radio: IioRadio, expected: int = 0) -> tuple[int, int]:
    """Receives from a tick on: the one up to which all came, and the one at which it went on."""
    for _ in range(10_000):
        part = radio.rx.recv(timeout=PATIENCE)
        if part.flags & Flag.GAP:
            assert part.time > expected
            return expected, part.time
        assert part.time == expected
        expected += part.samples.shape[1]
    raise AssertionError("no gap came")


def kinds(radio: IioRadio) -> list[EventKind]:
    """The kinds of what has happened."""
    return [event.kind for event in radio.events()]


def test_sixteen_and_seventeen_channels_come_from_nine_contexts() -> None:
    with looped(16, 17) as (radio, server):
        assert len(server.addresses) == 9
        burst_through(radio)
        assert kinds(radio) == [EventKind.BURST_ACK]


def test_what_iio_cannot_tell_is_declared() -> None:
    with looped() as (radio, _):
        able = radio.capabilities
        assert not able.timestamps
        assert not able.phase_coherent
        assert able.virtual_time
        assert {"timestamps", "late", "burst_ack", "timed_transmit"} <= set(able.emulated)
        assert "unknown" in able.emulated["timestamps"]
        assert able.lead == 1024
    with looped(phase_coherent=True, virtual_time=False) as (radio, _):
        assert radio.capabilities.phase_coherent
        assert not radio.capabilities.virtual_time


def test_fewer_channels_than_there_are_can_be_used() -> None:
    with served(4, 4) as server, IioRadio(server.addresses, tx_channels=1, rx_channels=3, chunk=512) as radio:
        assert (radio.capabilities.tx_channels, radio.capabilities.rx_channels) == (1, 3)
        sent = noise(1, 100)
        radio.tx.send(sent, 50)
        radio.rx.start(0, 200)
        got = joined(collect(radio))
        assert np.abs(got[0, 50:150] - sent[0]).max() <= HALF_STEP
        assert not got[1:].any()


def test_a_radio_that_only_receives_counts_ticks() -> None:
    with looped(2, 4, tx_channels=0) as (radio, _):
        radio.rx.start(0, 1500)
        assert joined(collect(radio)).shape == (4, 1500)
        assert radio.now() == 1536


def test_full_scale_is_one_step_below_itself() -> None:
    with looped(1, 1) as (radio, _):
        radio.tx.send(np.full((1, 100), 1 - 1j, np.complex64), 0)
        radio.rx.start(0, 100)
        np.testing.assert_array_equal(joined(collect(radio)), np.full((1, 100), (1 - 1j) * 2047 / 2048))


def test_time_stands_still_when_nobody_listens() -> None:
    with looped() as (radio, server):
        assert radio.now() == 0
        radio.rx.start(0, 1000)
        collect(radio)
        assert radio.now() <= 1000 + 512 + 1024
        assert server.converters.time <= 1024
        radio.tx.send(noise(3, 50), radio.now())
        assert EventKind.LATE not in kinds(radio)


def test_a_burst_that_does_not_go_on_in_time_is_an_underflow() -> None:
    with looped() as (radio, _):
        radio.tx.send(noise(3, 150), 0, end_of_burst=False)
        radio.rx.start(0, 2000)
        collect(radio)
        assert [(e.kind, e.time) for e in radio.events()] == [(EventKind.UNDERFLOW, 150)]


def test_a_full_queue_ends_the_wait_with_what_to_do() -> None:
    with looped(queue=1000) as (radio, _):
        radio.tx.send(noise(3, 900))
        with pytest.raises(RadioTimeout, match=r"queue of 1000 samples stayed full.*receive"):
            radio.tx.send(noise(3, 200), timeout=0.02)


@pytest.mark.parametrize("context", [0, 1])
def test_samples_that_one_context_has_lost_begin_the_streams_of_all_anew(context: int) -> None:
    with looped() as (radio, server):
        server.inject("drop", at=1300, samples=100, context=context)
        radio.rx.start(0)
        assert received_until_gap(radio) == (1024, 2560)
        events = radio.events()
        assert [event.kind for event in events] == [EventKind.OVERFLOW]
        assert server.addresses[context] in events[0].detail
        assert events[0].time == 1024
        radio.rx.stop()
        burst_through(radio, 300, radio.now() + 1000, 500, radio.now() + 900)


def test_a_transmitter_that_was_starved_is_an_underflow_and_begins_anew() -> None:
    with looped() as (radio, server):
        radio.rx.start(0)
        radio.rx.recv(512, PATIENCE)
        server.inject("underflow", samples=64, context=1)
        assert radio.rx.recv(timeout=PATIENCE).flags & Flag.GAP
        assert kinds(radio) == [EventKind.UNDERFLOW]
        radio.rx.stop()
        burst_through(radio, 300, radio.now() + 1000, 500, radio.now() + 900)


def test_a_burst_that_is_lost_with_its_stream_is_late() -> None:
    with looped() as (radio, server):
        server.inject("drop", at=600, samples=10)
        radio.tx.send(noise(3, 100), 1200)
        radio.rx.start(0)
        received_until_gap(radio)
        events = radio.events()
        assert sorted(e.kind for e in events) == [EventKind.LATE, EventKind.OVERFLOW]
        assert [e.time for e in events if e.kind == EventKind.LATE] == [1200]


def test_a_lost_connection_is_a_gap_and_the_stream_goes_on() -> None:
    with looped() as (radio, server):
        radio.rx.start(0)
        first = radio.rx.recv(timeout=PATIENCE)
        server.inject("close")
        lost, back = received_until_gap(radio, first.samples.shape[1])
        gaps = [event for event in radio.events() if event.kind == EventKind.SEQUENCE_GAP]
        assert [(gap.time, gap.samples) for gap in gaps] == [(lost, back - lost)]
        assert "ip:127.0.0.1" in gaps[0].detail
        radio.rx.stop()
        burst_through(radio, 300, radio.now() + 1000, 500, radio.now() + 900)


def test_a_front_end_that_was_started_again_is_set_as_it_was() -> None:
    with looped(2, 2) as (radio, server):
        radio.set_rate(4e6)
        radio.set_gain("tx", 0, -6)
        radio.set_frequency("rx", 0, 868e6)
        radio.rx.start(0)
        first = radio.rx.recv(timeout=PATIENCE)
        server.inject("restart")
        received_until_gap(radio, first.samples.shape[1])
        chip = server.contexts[0].chip
        assert server.converters.engine.gain("tx", 0) == -6
        phy = {(c.id, c.output): c.attributes for c in chip.devices[0].channels}
        assert phy["voltage0", False]["sampling_frequency"].read() == "4000000"
        assert phy["altvoltage0", True]["frequency"].read() == "868000000"
        assert phy["voltage0", False]["gain_control_mode"].read() == "manual"


def test_a_stall_that_is_short_enough_loses_nothing() -> None:
    with looped() as (radio, server):
        radio.rx.start(0)
        radio.rx.recv(timeout=PATIENCE)
        server.inject("stall", seconds=0.2)
        parts = [radio.rx.recv(timeout=PATIENCE) for _ in range(4)]
        joined(parts)
        assert kinds(radio) == []


def test_a_stall_that_is_too_long_is_a_gap() -> None:
    with looped(1, 1, timeout=0.3) as (radio, server):
        radio.rx.start(0)
        taken = radio.rx.recv(timeout=PATIENCE).samples.shape[1]
        server.inject("stall", seconds=3600)  # it ends when the radio has given up, however late that is
        told: list[Event] = []
        for _ in range(200):
            with contextlib.suppress(RadioTimeout):
                taken += radio.rx.recv(timeout=0.1).samples.shape[1]
            if told := radio.events():
                break
        server.inject("stall", seconds=0)
        lost, back = received_until_gap(radio, taken)
        told += radio.events()  # a busy machine may be too late for the radio once more
        assert {event.kind for event in told} == {EventKind.SEQUENCE_GAP}
        assert told[0].time == lost
        assert sum(event.samples for event in told) == back - lost


def test_a_front_end_that_is_gone_is_named_and_nothing_is_lost() -> None:
    with looped(1, 1, timeout=1.0) as (radio, server):
        radio.rx.start(0)
        taken = radio.rx.recv(10, PATIENCE).samples.shape[1]
        server.inject("restart", seconds=60)
        found = ""
        for _ in range(10_000):
            try:
                part = radio.rx.recv(timeout=0.5)
            except RadioTimeout as error:
                found = str(error)
                break
            assert part.time == taken
            taken += part.samples.shape[1]
        assert server.addresses[0] in found
        assert "\n" not in found
        assert taken >= 512
        assert kinds(radio) == [EventKind.SEQUENCE_GAP]


@pytest.mark.parametrize("kind", ["garbage", "half"])
def test_an_answer_that_cannot_be_is_named_and_what_came_before_is_kept(kind: str) -> None:
    with looped(1, 1) as (radio, server):
        radio.rx.start(0)
        radio.rx.recv(512, PATIENCE)
        server.inject(kind)
        radio.rx.recv(512, PATIENCE)
        gaps = [event for event in radio.events() if event.kind == EventKind.SEQUENCE_GAP]
        assert len(gaps) == 1
        assert server.addresses[0] in gaps[0].detail
        assert "\n" not in gaps[0].detail


@pytest.mark.parametrize(
    ("fault", "tx", "breaks"),
    [("half", 1, 4), ("garbage", 1, 4), ("push", 1, 4), ("open", 1, 1), ("half", 0, 1)],
)
def test_what_breaks_again_before_it_is_mended_is_mended_all_the_same(
    monkeypatch: pytest.MonkeyPatch, fault: str, tx: int, breaks: int
) -> None:
    with looped(1, 1, tx_channels=tx) as (radio, server):
        if tx:
            radio.tx.send(noise(1, 100), 2560)  # in what the first new session sends
        radio.rx.start(0)
        taken = radio.rx.recv(512, PATIENCE).samples.shape[1]
        left = [3]  # times that the cure fails
        name = "push" if fault == "push" else "open"
        method = getattr(server.converters, name)

        def failing(*args: Any) -> bool:
            if left[0] and fault == name:
                left[0] -= 1
                return False
            if left[0] and not args[0]:  # a receiver is opened
                left[0] -= 1
                server.inject(fault)
            return bool(method(*args))

        monkeypatch.setattr(server.converters, name, failing)
        server.inject("close")
        lost, back = received_until_gap(radio, taken)
        assert left == [0]
        events = radio.events()
        for event in (gaps := [each for each in events if each.kind == EventKind.SEQUENCE_GAP]):
            assert event.time == lost
            lost += event.samples
        assert (lost, len(gaps)) == (back, breaks)
        late = [each.time for each in events if each.kind == EventKind.LATE]
        assert late == ([2560] if breaks > 1 else [])
        radio.rx.stop()
        if tx:
            burst_through(radio, 300, radio.now() + 1000, 500, radio.now() + 900)


def test_a_failure_that_nobody_thought_of_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with looped(1, 1) as (radio, _):

        def refill() -> None:
            raise LookupError("no such\nthing")

        monkeypatch.setattr(radio._array, "refill", refill)
        radio.rx.start(0)
        for call in (radio.rx.recv, lambda: radio.tx.send(noise(1, 10)), radio.clock_locked):
            with pytest.raises(RadioError, match=r"LookupError: no such thing\): open the radio") as caught:
                call()
            assert isinstance(caught.value.__cause__, LookupError)


def test_where_time_is_real_the_end_of_a_reception_ends_the_session() -> None:
    with looped(virtual_time=False) as (radio, server):
        radio.rx.start(0, 500)
        assert len(joined(collect(radio))) == 4
        assert radio.now() == 1536
        server.converters.read(0, 4000)
        burst_through(radio, 300, radio.now() + 100, 500, radio.now())
        assert kinds(radio) == [EventKind.BURST_ACK]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"contexts": []}, "URIs"),
        ({"contexts": ""}, "URIs"),
        ({"contexts": [None]}, "URIs"),
        ({"contexts": ["ip:127.0.0.1:9"]}, "no IIO context answers at ip:127.0.0.1:9"),
        ({"contexts": ["nonsense"]}, "no IIO context answers at nonsense"),
        ({"chunk": 1}, "chunk"),
        ({"chunk": 512, "ahead": 0}, "ahead"),
        ({"queue": 0}, "queue"),
        ({"timeout": 0}, "timeout"),
        ({"rx_channels": 0}, "needs receive channels"),
        ({"rx_channels": 17}, "17 rx channels are wanted, 2 contexts have 4"),
        ({"tx_channels": 5}, "5 tx channels are wanted, 2 contexts have 4"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with served(4, 4) as server:
        with pytest.raises(RadioError, match=words) as caught:
            IioRadio(**{"contexts": server.addresses, **options})
        assert "\n" not in str(caught.value)


def test_contexts_at_different_rates_are_refused() -> None:
    with served(4, 4) as server:
        with IioRadio(server.addresses[:1]) as radio:
            radio.set_rate(5e6)
        with pytest.raises(RadioError, match="rate: the contexts differ"):
            IioRadio(server.addresses)
