"""ZmqRadio against real sockets: the contract, both dialects, and a front end that misbehaves."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from blocks.radio.interface import EventKind, Flag, RadioError, RadioTimeout
from blocks.radio.zmq import ZmqRadio
from tests.blocks.radio.contract import PATIENCE, Loop, RadioContract, collect, heard, joined, noise, refused
from tests.blocks.radio.zmq_peer import Peer, Tamper

ANY = "tcp://127.0.0.1:*"


@contextlib.contextmanager
def looped(
    tx: int = 3,
    rx: int = 4,
    *,
    hold: int = 0,
    lengths: tuple[int, ...] = (),
    request: bytes = b"\xff",
    tamper: Tamper | None = None,
    kind: int = zmq.REP,
    **options: object,
) -> Iterator[tuple[ZmqRadio, Peer]]:
    """A radio and its peer."""
    peer = Peer(rx, hold=hold, lengths=lengths, request=request, tamper=tamper, kind=kind)
    try:
        with ZmqRadio([ANY] * tx, peer.addresses, **options) as radio:  # type: ignore[arg-type]
            peer.start(radio.tx_addresses)
            yield radio, peer
    finally:
        peer.stop()


class TestZmqRadio(RadioContract):
    @pytest.fixture
    def loop(self) -> Iterator[Loop]:
        with looped() as (radio, _):
            yield Loop(radio)


def burst_through(radio: ZmqRadio, n: int = 3000, at: int = 2560, total: int = 6000, start: int = 0) -> None:
    """A burst of n samples goes out at a tick and comes back at the same one."""
    sent = noise(radio.capabilities.tx_channels, n)
    radio.tx.send(sent, at)
    radio.rx.start(start, total)
    expected = np.zeros((radio.capabilities.rx_channels, total), np.complex64)
    expected[:, at - start : at - start + n] = heard(radio, sent)
    np.testing.assert_array_equal(joined(collect(radio)), expected)


def test_sixteen_and_seventeen_channels_are_served() -> None:
    with looped(16, 17) as (radio, _):
        burst_through(radio)


def test_replies_of_different_lengths_are_aligned() -> None:
    with looped(lengths=(1, 777, 100_000, 1279), chunk=1280) as (radio, _):
        burst_through(radio, 300, 100, 500)


@pytest.mark.parametrize("count", [1, 100, 4096, 2**32 - 1])
def test_a_count_of_gnu_radio_is_kept(count: int) -> None:
    with looped(1, 1, request=count.to_bytes(4, "little"), chunk=500) as (radio, peer):
        radio.tx.send(np.full((1, 10), 0.5, np.complex64), 0)
        burst = joined_reception(radio, 50 if count == 1 else 1200)
        assert np.count_nonzero(burst) == 10
        assert 1 <= max(peer.replies) <= min(count, 500)


def joined_reception(radio: ZmqRadio, n: int) -> np.ndarray:
    """n samples from tick 0 on."""
    radio.rx.start(0, n)
    return joined(collect(radio))


def test_the_request_is_one_byte_to_srsran_and_a_count_to_gnu_radio() -> None:
    with looped(1, 1) as (radio, peer):
        joined_reception(radio, 100)
        assert set(peer.requests) == {b"\xff"}
    with looped(1, 1, dialect="gnuradio") as (radio, peer):
        joined_reception(radio, 100)
        assert all(len(request) == 4 for request in peer.requests)
        assert all(0 < int.from_bytes(request, "little") <= 1 << 17 for request in peer.requests)


def test_time_stands_still_when_nobody_listens() -> None:
    with looped(chunk=100, ahead=300) as (radio, _):
        assert radio.now() == 0
        joined_reception(radio, 1000)
        assert radio.now() <= 1000 + 300
        at = radio.now()
        radio.tx.send(noise(3, 50), at)  # what has stood still can still be sent
        assert [e for e in radio.events() if e.kind == EventKind.LATE] == []


@pytest.mark.parametrize("reads", [1, 64, 5000])
def test_sending_leads_receiving_by_ahead_at_most(reads: int) -> None:
    with looped(chunk=128, ahead=512) as (radio, _):
        radio.rx.start()
        taken = 0
        for _ in range(20):
            taken += radio.rx.recv(reads, PATIENCE).samples.shape[1]
            assert radio.now() <= taken + 512


def test_a_front_end_that_holds_back_more_than_ahead_is_given_more() -> None:
    with looped(hold=1000, chunk=100, ahead=200, patience=0.02) as (radio, _):
        burst_through(radio, 300, 700, 1500)
        assert radio.ahead >= 1000


def test_a_radio_that_only_sends_goes_at_the_pace_of_requests() -> None:
    with ZmqRadio([ANY], chunk=64) as radio, zmq.Context() as context, context.socket(zmq.REQ) as req:
        burst = noise(1, 100)
        radio.tx.send(burst, 10)
        req.setsockopt(zmq.LINGER, 0)
        req.setsockopt(zmq.RCVTIMEO, int(1000 * PATIENCE))
        req.connect(radio.tx_addresses[0])
        got = b""
        for _ in range(3):
            req.send(b"\xff")
            got += req.recv()
        stream = np.frombuffer(got, np.complex64)
        assert stream.size == 192
        np.testing.assert_array_equal(stream[10:110], burst[0])
        assert not stream[:10].any()
        assert not stream[110:].any()
        refused(radio.rx.start)


def test_a_radio_that_only_receives_takes_what_comes() -> None:
    with looped(0, 2, lengths=(100, 333)) as (radio, _):
        assert joined_reception(radio, 5000).shape == (2, 5000)


def test_a_burst_that_does_not_go_on_in_time_is_an_underflow() -> None:
    with looped(chunk=100, ahead=200) as (radio, _):
        radio.tx.send(noise(3, 150), 0, end_of_burst=False)
        joined_reception(radio, 1000)
        assert [(e.kind, e.time) for e in radio.events()] == [(EventKind.UNDERFLOW, 150)]
        rest, at = noise(3, 50), radio.now()
        radio.tx.send(rest, start_of_burst=False)
        radio.rx.start(at, 100)
        got = joined(collect(radio))
        np.testing.assert_array_equal(got[:, :50], heard(radio, rest))


def test_a_full_queue_ends_the_wait_with_what_to_do() -> None:
    with looped(queue=1000) as (radio, _):
        radio.tx.send(noise(3, 900))
        with pytest.raises(RadioTimeout, match=r"queue of 1000 samples stayed full.*receive"):
            radio.tx.send(noise(3, 200), timeout=0.02)


def until_an_error(radio: ZmqRadio, timeout: float) -> tuple[int, RadioError]:
    """How many samples come, without a gap, until `recv` raises, and what it raises."""
    taken = 0
    try:
        for _ in range(10_000):
            part = radio.rx.recv(timeout=timeout)
            assert not part.flags
            taken += part.samples.shape[1]
    except RadioError as error:
        return taken, error
    raise AssertionError("no error came")


def bad_reply(after: int, parts: list[bytes] | None, channel: int = 1) -> Tamper:
    """Channel 1 answers right up to so many samples, then with `parts` for ever."""
    given = [0]

    def tamper(at: int, part: bytes) -> list[bytes] | None:
        if at != channel:
            return [part]
        given[0] += len(part) // 8
        return [part] if given[0] <= after else parts

    return tamper


HALF = b"\0" * 12
NAN = np.full(5, np.nan, np.complex64).tobytes()
GARBAGE = {
    "half a sample": ([HALF], "12 bytes"),
    "NaN": ([NAN], "NaN"),
    "several parts": ([b"\0" * 8, b"\0" * 8], "3 parts"),
    "too much": ([bytes(8 * 3_072_001)], "3072001 samples"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_named_and_what_came_before_is_kept(kind: str) -> None:
    parts, expected = GARBAGE[kind]
    with looped(chunk=100, lengths=(100,), tamper=bad_reply(1000, parts)) as (radio, peer):
        radio.rx.start(0)
        taken, error = until_an_error(radio, PATIENCE)
        assert not isinstance(error, RadioTimeout)
        assert re.fullmatch(rf"receive channel 1 at tcp.*{expected}.*", str(error))
        assert taken == 1000
        refused(lambda: radio.rx.recv(timeout=PATIENCE))  # it does not go on by itself
        peer.tamper = None
        radio.rx.start(n=100)  # a new session
        assert joined(collect(radio)).shape == (4, 100)
        assert [e.kind for e in radio.events()] == [EventKind.SEQUENCE_GAP]


def test_empty_replies_are_nothing() -> None:
    with looped(chunk=100, lengths=(100,), tamper=bad_reply(1000, [b""])) as (radio, _):
        radio.rx.start(0)
        taken, error = until_an_error(radio, 0.3)
        assert isinstance(error, RadioTimeout)
        assert re.search("receive channel 1 at tcp.* has sent nothing from tick 1000", str(error))
        assert taken == 1000


def test_an_address_where_nobody_is_gives_a_line() -> None:
    with ZmqRadio([ANY], ["tcp://127.0.0.1:9"]) as radio:
        radio.rx.start()
        with pytest.raises(RadioTimeout, match=r"receive channel 0 at tcp://127.0.0.1:9 is not connected"):
            radio.rx.recv(timeout=0.05)


def test_a_front_end_that_does_not_ask_is_named() -> None:
    peer = Peer(1)
    peer.tamper = lambda *_: None
    try:
        with ZmqRadio([ANY], peer.addresses) as radio:
            peer.start([])
            radio.rx.start()
            with pytest.raises(RadioTimeout, match=r"nobody has asked for .* transmit channel 0 at tcp"):
                radio.rx.recv(timeout=0.5)
    finally:
        peer.stop()


def test_requests_of_another_protocol_are_named() -> None:
    with looped(1, 1, request=b"hello, world") as (radio, _):
        radio.rx.start()
        with pytest.raises(RadioTimeout, match=r"transmit channel 0 at tcp.*12 bytes"):
            radio.rx.recv(timeout=0.5)


def test_an_answer_that_is_lost_is_asked_for_again_and_counted() -> None:
    lost: list[int] = []

    def tamper(channel: int, part: bytes) -> list[bytes] | None:
        if channel == 2 and not lost:
            lost.append(1)
            return None
        return [part]

    with looped(chunk=100, retry=0.1, patience=0.04, tamper=tamper, kind=zmq.ROUTER) as (radio, _):
        radio.rx.start(0)
        part = radio.rx.recv(timeout=PATIENCE)
        assert part.flags & Flag.GAP
        gaps = [event for event in radio.events() if event.kind == EventKind.SEQUENCE_GAP]
        assert len(gaps) == 1
        assert gaps[0].samples == part.time
        assert "receive channel 2 at tcp://127.0.0.1" in gaps[0].detail
        assert radio.ahead == 200  # waiting did not help, and is not done again
        radio.rx.stop()
        radio.rx.start(n=2000)  # it goes on; how much was lost on the way, the protocol does not tell
        joined(collect(radio))


def test_a_front_end_that_begins_anew_is_a_gap_and_the_stream_goes_on() -> None:
    first = Peer(4)
    addresses = first.addresses
    with ZmqRadio([ANY] * 3, addresses, chunk=100) as radio:
        first.start(radio.tx_addresses)
        radio.rx.start(0)
        before = radio.rx.recv(timeout=PATIENCE)
        assert before.time == 0
        first.stop()
        second = Peer(4, addresses=addresses).start(radio.tx_addresses)
        try:
            expected = before.samples.shape[1]
            part = radio.rx.recv(timeout=PATIENCE)
            for _ in range(10_000):
                if part.time != expected:
                    break
                assert not part.flags
                expected += part.samples.shape[1]
                part = radio.rx.recv(timeout=PATIENCE)
            assert part.flags & Flag.GAP
            assert part.time > expected
            assert part.time % 100 == 0
            gaps = [e for e in radio.events() if e.kind == EventKind.SEQUENCE_GAP]
            assert gaps
            assert "connection" in gaps[0].detail or "another peer" in gaps[0].detail
            assert gaps[0].time == expected
            sent, at = noise(3, 120), radio.now() + 500
            radio.tx.send(sent, at)
            radio.rx.stop()
            radio.rx.start(at, 120)
            np.testing.assert_array_equal(joined(collect(radio)), heard(radio, sent))
        finally:
            second.stop()


def test_a_front_end_that_is_gone_is_named_and_nothing_is_lost() -> None:
    with looped(chunk=100) as (radio, peer):
        radio.rx.start(0)
        taken = radio.rx.recv(10, timeout=PATIENCE).samples.shape[1]
        peer.stop()
        more, error = until_an_error(radio, 0.3)
        assert re.search("receive channel . at tcp.* is not connected", str(error))
        assert taken + more >= 100
        assert any(e.kind == EventKind.SEQUENCE_GAP for e in radio.events())
        peer.stop = lambda: None  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs tx_addresses"),
        ({"tx_addresses": "tcp://127.0.0.1:*"}, "lists"),
        ({"tx_addresses": ["nonsense"]}, "transmit channel 0 cannot bind nonsense.*tcp://HOST:PORT"),
        ({"rx_addresses": ["tcp://"]}, "receive channel 0 cannot connect"),
        ({"tx_addresses": [ANY], "dialect": "latin"}, "dialect"),
        ({"tx_addresses": [ANY], "chunk": 0}, "chunk"),
        ({"tx_addresses": [ANY], "chunk": 10, "ahead": 9}, "ahead"),
        ({"tx_addresses": [ANY], "queue": 0}, "queue"),
        ({"tx_addresses": [ANY], "rate": 0.0}, "rate"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(RadioError, match=words) as caught:
        ZmqRadio(**options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_port_in_use_is_named() -> None:
    with ZmqRadio([ANY]) as radio, pytest.raises(RadioError, match="in use by another program"):
        ZmqRadio(radio.tx_addresses)
