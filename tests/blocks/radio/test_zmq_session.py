"""What the radio makes of what happens, without sockets and without a clock."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.radio.interface import EventKind, Flag
from blocks.radio.zmq_ports import Connected, Happening, Lost, Reply, Request
from blocks.radio.zmq_session import Session


class Wires:
    """Sockets that note what they are given."""

    def __init__(self, tx: int, rx: int) -> None:
        self.tx_addresses = [f"tx{c}" for c in range(tx)]
        self.rx_addresses = [f"rx{c}" for c in range(rx)]
        self.answers: list[tuple[int, bytes, int]] = []
        self.requests: list[tuple[int, bytes]] = []
        self.reconnects = 0
        self.gone: set[bytes] = set()

    def answer(self, channel: int, peer: bytes, samples: bytes) -> bool:
        if peer not in self.gone:
            self.answers.append((channel, peer, len(samples) // 8))
        return peer not in self.gone

    def request(self, channel: int, body: bytes) -> None:
        self.requests.append((channel, body))

    def reconnect(self) -> None:
        self.reconnects += 1


class Bench:
    """A session of one transmit and two receive channels whose clock is set by hand."""

    def __init__(self, *, counts: bool = False, connected: bool = True) -> None:
        self.wires, self.seconds = Wires(1, 2), 0.0
        self.session = Session(
            self.wires, counts=counts, chunk=100, ahead=200, patience=0.5, retry=2.0, now=lambda: self.seconds
        )
        if connected:
            self.session.take_in([Connected(0), Connected(1)])

    def ask(self, peer: bytes = b"p", body: bytes = b"\xff") -> None:
        self.session.take_in([Request(0, peer, [b"", body])])
        self.session.serve(False)

    def reply(self, *counts: int) -> None:
        for channel, n in enumerate(counts):
            self.session.take_in([Reply(channel, [b"", np.zeros(n, np.complex64).tobytes()])])
        self.session.serve(False)

    def start(self) -> None:
        self.session.alignment.start(None, None)
        self.session.begin_waiting()
        self.session.serve(True)

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.session.events]


def test_nothing_is_given_before_somebody_listens_and_all_are_there() -> None:
    bench = Bench(connected=False)
    bench.ask()
    bench.start()
    bench.session.take_in([Connected(0)])
    bench.session.serve(True)
    assert not bench.wires.answers
    assert not bench.wires.requests
    bench.session.take_in([Connected(1)])
    bench.session.serve(True)
    assert bench.wires.answers == [(0, b"p", 100)]
    assert bench.wires.requests == [(0, b"\xff"), (1, b"\xff")]


def test_time_goes_as_far_as_ahead_of_what_was_taken() -> None:
    bench = Bench()
    bench.start()
    for _ in range(5):
        bench.ask()
    assert bench.session.now() == 200
    bench.reply(150, 150)
    assert bench.session.now() == 200  # received, not taken
    assert bench.session.alignment.take(99) is not None
    bench.session.serve(True)
    assert bench.session.now() == 200  # whole chunks
    assert bench.session.alignment.take(1) is not None
    bench.session.serve(True)
    assert bench.session.now() == 300


@pytest.mark.parametrize(("count", "given"), [(1, 1), (99, 99), (100, 100), (2**31, 100)])
def test_a_count_limits_an_answer(count: int, given: int) -> None:
    bench = Bench()
    bench.start()
    bench.ask(body=count.to_bytes(4, "little"))
    assert bench.wires.answers == [(0, b"p", given)]


def test_gnu_radio_is_asked_with_a_count() -> None:
    bench = Bench(counts=True)
    bench.start()
    assert [len(body) for _, body in bench.wires.requests] == [4, 4]
    assert all(int.from_bytes(body, "little") > 0 for _, body in bench.wires.requests)


def test_a_peer_that_is_gone_costs_no_samples() -> None:
    bench = Bench()
    bench.wires.gone.add(b"p")
    bench.start()
    bench.ask()
    assert bench.session.now() == 0
    bench.ask(b"q")  # nobody was answered before: this is no restart
    assert bench.session.now() == 100
    assert bench.kinds() == []


def test_one_restart_is_one_gap_whatever_order_it_is_noticed_in() -> None:
    bench = Bench()
    bench.start()
    bench.ask()
    bench.reply(80, 60)
    bench.session.take_in([Lost(1), Lost(0)])
    bench.ask(b"new")
    bench.session.take_in([Lost(0), Connected(0), Connected(1)])
    bench.session.serve(True)
    assert bench.kinds() == [EventKind.SEQUENCE_GAP]
    (gap,) = bench.session.events
    assert (gap.time, gap.samples) == (60, 140)
    assert "receive channel 1 at rx1 has lost its connection" in gap.detail
    assert bench.wires.reconnects == 1
    bench.reply(50, 50)
    kept, after = bench.session.alignment.take(1000), bench.session.alignment.take(1000)
    assert kept is not None
    assert after is not None
    assert (kept.time, kept.samples.shape[1], kept.flags) == (0, 60, Flag.NONE)
    assert (after.time, after.samples.shape[1], after.flags) == (200, 50, Flag.GAP)
    bench.session.serve(True)
    assert bench.wires.answers[-1] == (0, b"new", 100)
    assert bench.session.now() == 300


@pytest.mark.parametrize("again", [[Connected(0)], []])
def test_what_a_front_end_sent_before_it_was_gone_is_not_taken_for_the_next_ones(
    again: list[Happening],
) -> None:
    bench = Bench()
    bench.start()
    old = Reply(0, [b"", np.full(100, 1, np.complex64).tobytes()])  # behind what is known of connections
    bench.session.take_in([Lost(0), *again, old])
    bench.session.serve(True)
    assert bench.wires.reconnects == 1
    bench.session.take_in([Connected(0), Connected(1)])
    bench.session.serve(True)
    bench.reply(100, 100)
    got = bench.session.alignment.take(1000)
    assert got is not None
    assert (got.time, got.samples.shape[1], got.flags) == (0, 100, Flag.NONE)
    assert not got.samples.any()
    assert bench.kinds() == []  # nothing had been received: nothing is lost


def test_a_restart_with_nothing_on_its_way_is_a_gap_all_the_same() -> None:
    bench = Bench()
    bench.start()
    bench.ask()
    bench.reply(100, 100)  # all that was sent has come back, and whole chunks of it
    assert bench.session.now() == 100
    bench.session.take_in([Lost(0), Lost(1), Connected(0), Connected(1)])
    bench.session.serve(True)
    bench.reply(50, 50)
    kept, after = bench.session.alignment.take(1000), bench.session.alignment.take(1000)
    assert kept is not None
    assert after is not None
    assert (kept.time, kept.samples.shape[1], kept.flags) == (0, 100, Flag.NONE)
    assert (after.time, after.flags) == (200, Flag.GAP)
    assert [(e.kind, e.time, e.samples) for e in bench.session.events] == [(EventKind.SEQUENCE_GAP, 100, 100)]


def test_another_peer_on_a_channel_in_use_is_a_restart() -> None:
    bench = Bench()
    bench.start()
    bench.ask()
    bench.ask(b"new")
    assert bench.kinds() == [EventKind.SEQUENCE_GAP]
    assert "transmit channel 0 at tx0 is asked by another peer" in bench.session.events[0].detail


def test_bursts_of_before_a_restart_are_late_and_those_behind_it_stay() -> None:
    bench = Bench()
    bench.start()
    samples = np.ones((1, 10), np.complex64)
    for at in (50, 150, 350):
        bench.session.timeline.put(samples, at, 0, True, True)
    bench.ask()
    assert bench.kinds() == [EventKind.BURST_ACK]
    bench.session.take_in([Reply(0, [b"", bytes(8 * 190)])])
    bench.session.take_in([Lost(0)])
    assert bench.kinds() == [EventKind.BURST_ACK, EventKind.SEQUENCE_GAP, EventKind.LATE]
    assert bench.session.timeline.read(350, 360).all()


def test_who_holds_back_is_given_more_and_keeps_it_if_that_helps() -> None:
    bench = Bench()
    bench.start()
    for _ in range(3):
        bench.ask()
    bench.seconds = 0.4
    bench.session.serve(True)
    assert bench.session.ahead == 200
    bench.seconds = 0.6
    bench.session.serve(False)
    assert bench.session.ahead == 200  # nobody waits
    bench.session.serve(True)
    assert (bench.session.ahead, bench.session.now()) == (300, 300)
    bench.reply(10, 10)
    bench.session.reset("for a try")
    assert bench.session.ahead == 300


def test_a_request_left_unanswered_begins_anew_and_takes_back_what_did_not_help() -> None:
    bench = Bench()
    bench.start()
    for _ in range(3):
        bench.ask()
    for seconds in (0.6, 1.2, 1.8):
        bench.seconds = seconds
        bench.session.serve(True)
        bench.ask()
    assert bench.session.ahead == 500
    bench.seconds = 2.1
    bench.session.serve(True)
    assert bench.session.ahead == 200
    assert bench.wires.reconnects == 1
    assert [e.detail for e in bench.session.events] == [
        "receive channel 0 at rx0 has left a request unanswered"
    ]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([b"", bytes(12)], "12 bytes is no whole number"),
        ([b"", np.full(1, np.inf, np.complex64).tobytes()], "NaN or infinite"),
        ([b"", b"", b""], "3 parts"),
        ([b"x", bytes(8)], "2 parts"),
        ([b"", bytes(8 * 3_072_001)], "3072001 samples"),
    ],
)
def test_a_reply_that_is_no_samples_is_a_fault_that_names_channel_and_address(
    parts: list[bytes], words: str
) -> None:
    bench = Bench()
    bench.start()
    bench.reply(10, 20)
    bench.session.take_in([Reply(1, parts)])
    assert bench.session.fault.startswith("receive channel 1 at rx1: ")
    assert words in bench.session.fault
    assert bench.session.alignment.take(100) is not None
    assert not bench.session.broken()  # of channel 1 there is more, for which channel 0 is asked
    bench.reply(50)
    rest = bench.session.alignment.take(100)
    assert rest is not None
    assert (rest.time, rest.samples.shape) == (10, (2, 10))
    assert bench.session.broken()
    bench.session.reset(bench.session.fault)
    assert bench.session.fault == ""


@pytest.mark.parametrize("parts", [[b"\xff"], [b"", b""], [b"", b"12"], [b"", bytes(4)], [b"", b"", b""], []])
def test_a_request_of_another_protocol_is_not_answered_and_remembered(parts: list[bytes]) -> None:
    bench = Bench()
    bench.start()
    bench.session.take_in([Request(0, b"p", parts)])
    bench.session.serve(True)
    assert bench.wires.answers == []
    assert bench.session.suspect().startswith("transmit channel 0 at tx0: a request of ")


def test_who_keeps_everybody_waiting_is_named() -> None:
    bench = Bench(connected=False)
    bench.session.take_in([Connected(0)])
    assert bench.session.suspect().startswith("receive channel 1 at rx1 is not connected")
    bench.session.take_in([Connected(1)])
    bench.start()
    assert "nobody has asked for samples of transmit channel 0 at tx0" in bench.session.suspect()
    bench.ask()
    bench.reply(10, 5)
    assert bench.session.suspect() == "receive channel 1 at rx1 has sent nothing from tick 5 on"


PARTS = st.lists(st.one_of(st.just(b""), st.binary(max_size=40), st.just(bytes(8 * 30))), max_size=3)
HAPPENINGS = st.lists(
    st.one_of(
        st.builds(Connected, st.integers(0, 1)),
        st.builds(Lost, st.integers(0, 1)),
        st.builds(Request, st.just(0), st.sampled_from([b"p", b"q"]), PARTS),
        st.builds(Request, st.just(0), st.just(b"p"), st.just([b"", b"\xff"])),
        st.builds(Reply, st.integers(0, 1), PARTS),
        st.builds(Reply, st.integers(0, 1), st.just([b"", bytes(8 * 70)])),
        st.sampled_from(["take", "start", "wait"]),
    ),
    max_size=60,
)


@given(HAPPENINGS)
def test_whatever_comes_ticks_go_on_and_sending_stays_near(steps: list[Happening | str]) -> None:
    bench, expected = Bench(), 0
    bench.start()
    for step in steps:
        if step == "start":
            if bench.session.fault:
                bench.session.reset(bench.session.fault)
            bench.session.alignment.start(None, None)
            expected = bench.session.alignment.tick
        elif step == "wait":
            bench.seconds += 0.7
        elif step == "take":
            found = bench.session.alignment.take(50)
            if found is not None:
                assert found.time >= expected
                assert bool(found.flags & Flag.GAP) == (found.time > expected)
                expected = found.time + found.samples.shape[1]
        else:
            assert not isinstance(step, str)
            bench.session.take_in([step])
        bench.session.serve(True)
        behind = max(bench.session.alignment.held(channel) for channel in range(2))
        assert bench.session.now() <= max(behind, bench.session.alignment.tick + bench.session.ahead) + 100
        assert "\n" not in bench.session.suspect() + bench.session.fault
