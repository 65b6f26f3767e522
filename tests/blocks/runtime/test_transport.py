"""One edge, end to end on real sockets: credit, acknowledgement, redelivery, and peers that do not belong."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from blocks.runtime import transport
from blocks.runtime.frame import ACK, HELLO, Frame, encode_header
from blocks.runtime.transport import MAX_AT_ONCE, Pipes
from isac_models.errors import UserError
from tests.blocks.runtime.edges import FAR, KINDS, TOKEN, Edge, frame, take
from tests.blocks.runtime.graphs import DEADLINE
from tests.blocks.runtime.relay import Relay


@pytest.fixture(params=KINDS)
def edge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Edge]:
    """An edge of every kind."""
    with closing(Edge(request.param, tmp_path)) as one:
        yield one


@pytest.fixture(params=FAR)
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Edge]:
    """An edge between processes."""
    with closing(Edge(request.param, tmp_path)) as one:
        yield one


def test_frames_arrive_in_order_and_whole(edge: Edge) -> None:
    inlet = edge.reader()
    for sequence in range(20):
        edge.send(sequence)
        got = take(inlet, sequence)
        assert (got.sequence, got.start, got.count) == (sequence, 3 * sequence, 3)
        np.testing.assert_array_equal(got.arrays["x"], [sequence] * 3)
        inlet.acknowledge(sequence + 1)
    edge.until(lambda: edge.outlet.settled)
    assert (inlet.lost, inlet.repeated, inlet.malformed, edge.outlet.malformed) == (0, 0, 0, 0)


def test_nothing_is_sent_before_a_reader_is_there(edge: Edge) -> None:
    edge.outlet.pump()
    assert not edge.outlet.ready
    assert not edge.outlet.connected
    edge.reader()
    edge.until(lambda: edge.outlet.ready)
    assert edge.outlet.connected


def test_credit_bounds_what_is_under_way(edge: Edge) -> None:
    inlet = edge.reader()
    edge.send(*range(4))
    edge.outlet.pump()
    assert not edge.outlet.ready
    take(inlet, 0)
    take(inlet, 1)
    edge.outlet.pump()
    assert not edge.outlet.ready, "taken is not yet done with"
    inlet.acknowledge(1)
    edge.until(lambda: edge.outlet.ready)
    edge.outlet.send(frame(4), ["x"])
    assert not edge.outlet.ready
    inlet.acknowledge(5)
    edge.until(lambda: edge.outlet.settled)


def test_acknowledgements_go_up_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Edge("ipc", tmp_path, window=8)) as edge:
        inlet = edge.reader()
        edge.send(*range(8))
        sent: list[bytes] = []
        monkeypatch.setattr(transport, "offer", lambda _, data: sent.append(data))
        for sequence in range(7):
            inlet.acknowledge(sequence + 1)
        assert sent == [encode_header(ACK, n) for n in (2, 4, 6)]
        inlet.acknowledge(8, now=True)
        assert sent[3:] == [encode_header(ACK, 8)]


def test_a_writer_does_not_wait_for_a_reader_that_is_gone(edge: Edge) -> None:
    inlet = edge.reader()
    edge.send(0)
    inlet.close()
    edge.inlets.clear()
    edge.send(1, 2, 3)
    assert not edge.outlet.ready
    assert not edge.outlet.settled


def test_a_reader_that_comes_again_is_sent_what_it_has_not_taken(far: Edge) -> None:
    first = far.reader()
    far.send(0, 1, 2, 3)
    assert take(first, 0).sequence == 0
    first.acknowledge(1)
    first.close()
    before = far.outlet._reader
    second = far.reader(wanted=1)
    far.until(lambda: far.outlet._reader != before)
    assert len(far.outlet._kept) == 3
    far.send(4)
    assert [take(second, n).sequence for n in (1, 2, 3, 4)] == [1, 2, 3, 4]
    second.acknowledge(5)
    far.until(lambda: far.outlet.settled)
    assert (second.lost, second.repeated) == (0, 0)


def test_a_broken_connection_loses_nothing(tmp_path: Path) -> None:
    with closing(Edge("tcp", tmp_path)) as edge, closing(Relay(edge.outlet.endpoint)) as relay:
        inlet = edge.reader(via=relay.endpoint)
        edge.send(0, 1)
        assert take(inlet, 0).sequence == 0
        relay.cut()
        # The writer does not know yet and sends into the void; the reader asks, under a new identity.
        edge.outlet.send(frame(2), ["x"])
        old = edge.outlet._reader
        deadline = time.monotonic() + DEADLINE
        while edge.outlet._reader == old:
            assert time.monotonic() < deadline
            inlet.ask(1)
            edge.outlet.pump(wait=True)
        assert [take(inlet, n).sequence for n in (1, 2)] == [1, 2]
        inlet.acknowledge(3)
        edge.until(lambda: edge.outlet.settled)
        assert inlet.lost == 0


def test_repeats_are_dropped_and_counted(edge: Edge) -> None:
    inlet = edge.reader()
    edge.send(0, 1)
    assert take(inlet, 0).sequence == 0
    inlet.ask(0)
    assert edge.outlet.socket.poll(int(DEADLINE * 1000))
    edge.outlet.pump()
    edge.send(2)
    assert take(inlet, 1).sequence == 1
    assert take(inlet, 2).sequence == 2
    assert (inlet.lost, inlet.repeated) == (0, 2)


def test_a_gap_is_repaired_by_asking_again(edge: Edge) -> None:
    inlet = edge.reader()
    edge.send(0, 1)
    take(inlet, 0)
    edge.send(2)
    # Frame 1 is lost on the way.
    assert inlet.socket.poll(int(DEADLINE * 1000))
    inlet.socket.recv_multipart()
    while not inlet.gap:
        assert inlet.receive(1) is None
    edge.until(lambda: inlet.socket.poll(0) != 0)
    assert [take(inlet, n).sequence for n in (1, 2)] == [1, 2]
    assert inlet.lost == 0


@pytest.mark.parametrize("stride", [1, 3])
def test_a_gap_that_cannot_be_repaired_is_counted(edge: Edge, stride: int) -> None:
    inlet = edge.reader()
    edge.send(0)
    take(inlet, 0, stride)
    inlet.acknowledge(1)
    edge.until(lambda: edge.outlet.settled)
    for number in (3, 4, 5):
        edge.send(number * stride)
    got = None
    deadline = time.monotonic() + DEADLINE
    while got is None:
        assert time.monotonic() < deadline
        edge.outlet.pump()
        got = inlet.receive(stride, stride)
        if got is None and inlet.gap and not inlet.socket.poll(50):
            inlet.ask(stride)  # what a runner does after a silence
    assert got.sequence == 3 * stride
    assert inlet.lost == 2
    assert inlet.repeated == 0


def test_an_end_of_stream_shows_what_is_missing(edge: Edge) -> None:
    inlet = edge.reader()
    edge.until(lambda: edge.outlet.ready)
    edge.outlet.send(Frame("s", 5, 15, 0, end=True), ())
    got = None
    while got is None:
        edge.outlet.pump()
        got = inlet.receive(2, 2)
        if got is None and not inlet.socket.poll(50):
            inlet.ask(2)
    assert got.end
    assert inlet.lost == 2  # frames 2 and 4


def test_malformed_messages_are_counted_at_both_ends(far: Edge) -> None:
    inlet = far.reader()
    far.until(lambda: far.outlet.ready)
    reader = far.outlet._reader
    assert reader is not None
    for parts in ([b"nonsense"], [b"", b""], [encode_header(HELLO, "a>b", TOKEN, 0)], [encode_header(4, 0)]):
        far.outlet.socket.send_multipart([reader, *parts])
    far.send(0)
    assert take(inlet, 0).sequence == 0
    assert inlet.malformed == 4

    for parts in (
        [b"nonsense"],
        [b"", b""],
        [encode_header(ACK, -1)],
        [encode_header(ACK, True)],
        [encode_header(ACK)],
        [encode_header(HELLO, "a>b", TOKEN)],
        [encode_header(HELLO, "a>b", TOKEN, 1.5)],
        [encode_header(HELLO, "a>b", "text", 0)],
    ):
        inlet.socket.send_multipart(parts)
    inlet.acknowledge(1)
    far.until(lambda: far.outlet.settled)
    assert far.outlet.malformed == 8


@pytest.mark.parametrize(
    "message",
    [
        encode_header(HELLO, "a>b", b"another token...", 0),
        encode_header(HELLO, "a>c", TOKEN, 0),
        encode_header(ACK, 100),
        b"GET / HTTP/1.1",
    ],
    ids=["token", "edge", "acknowledgement", "nonsense"],
)
def test_a_stranger_gets_and_changes_nothing(far: Edge, message: bytes) -> None:
    inlet = far.reader()
    far.send(0, 1)
    with closing(far.stranger()) as foreign:
        foreign.send(message)
        far.until(lambda: far.outlet.malformed == 1)
        far.send(2)
        assert [take(inlet, n).sequence for n in range(3)] == [0, 1, 2]
        assert len(far.outlet._kept) == 3
        assert not foreign.poll(0)


def test_a_reader_with_a_wrong_token_is_no_reader(far: Edge) -> None:
    far.reader(token=bytes(16))
    far.until(lambda: far.outlet.malformed == 1)
    assert not far.outlet.connected


def test_a_stranger_cannot_make_the_writer_hold_a_large_message(far: Edge) -> None:
    inlet = far.reader()
    far.send(0)
    with closing(far.stranger()) as foreign:
        monitor: Any = foreign.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        foreign.send(bytes(1 << 20))
        assert monitor.poll(int(DEADLINE * 1000)), "is cut off"
        foreign.disable_monitor()
        monitor.close(0)
    assert take(inlet, 0).sequence == 0
    inlet.acknowledge(1)
    far.until(lambda: far.outlet.settled)


def test_a_flood_does_not_hold_the_writer(far: Edge) -> None:
    """What strangers send is dropped a few messages at a time, long ones unread."""
    inlet = far.reader()
    far.send(0)
    with closing(far.stranger()) as foreign:
        for _ in range(3 * MAX_AT_ONCE):
            foreign.send(encode_header(HELLO, "a>b", bytes(4096), 0))
        most, deadline = 0, time.monotonic() + DEADLINE
        while far.outlet.malformed < 3 * MAX_AT_ONCE:
            assert time.monotonic() < deadline
            before = far.outlet.malformed
            far.outlet.pump(wait=True)
            most = max(most, far.outlet.malformed - before)
    assert 1 <= most <= MAX_AT_ONCE
    assert take(inlet, 0).sequence == 0
    inlet.acknowledge(1, now=True)
    far.until(lambda: far.outlet.settled)


def test_inside_a_process_arrays_are_handed_over(tmp_path: Path) -> None:
    with closing(Edge("inproc", tmp_path)) as edge:
        inlet = edge.reader()
        edge.until(lambda: edge.outlet.ready)
        sent = frame(0)
        sent.arrays["y"] = np.zeros(3)
        edge.outlet.send(sent, ["x"])
        got = take(inlet, 0)
        assert got.arrays["x"] is sent.arrays["x"]
        assert list(got.arrays) == ["x"]
        got.tags["new"] = 1
        assert sent.tags == {}


def test_the_frames_of_a_writer_that_stopped_are_not_malformed(tmp_path: Path) -> None:
    with closing(Edge("inproc", tmp_path)) as edge:
        inlet = edge.reader()
        edge.send(0, 1)
        edge.outlet.close()
        assert inlet.receive(0) is None
        assert inlet.malformed == 0


def test_large_arrays_pass_uncopied_from_edge_to_edge(far: Edge, tmp_path: Path) -> None:
    with closing(Edge("ipc", tmp_path / "..")) as onward:
        inlet, last = far.reader(), onward.reader()
        far.until(lambda: far.outlet.ready)
        onward.until(lambda: onward.outlet.ready)
        big = np.arange(1 << 18, dtype=np.float64)
        far.outlet.send(Frame("s", 0, 0, len(big), arrays={"x": big}), ["x"])
        got = take(inlet, 0)
        part = got.raw["x"]
        onward.outlet.send(got, ["x"])
        assert onward.outlet._kept[0][1][1] is part
        np.testing.assert_array_equal(take(last, 0).arrays["x"], big)


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that are free now."""
    for low in range(20000, 60000, 97):
        try:
            for port in range(low, low + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return low
    raise AssertionError("no free ports")


def test_a_range_of_ports_is_used_one_by_one() -> None:
    low = free_ports(2)
    with closing(Pipes()) as pipes:
        bound = [pipes.listen(f"tcp://127.0.0.1:{low}-{low + 1}", 100) for _ in range(2)]
        assert [place for _, place in bound] == [f"tcp://127.0.0.1:{low}", f"tcp://127.0.0.1:{low + 1}"]
        with pytest.raises(UserError, match=f"every port of tcp://127.0.0.1:{low}-{low + 1} is in use"):
            pipes.listen(f"tcp://127.0.0.1:{low}-{low + 1}", 100)
        for one, _ in bound:
            one.close()


@pytest.mark.parametrize(
    ("host", "why"),
    [("127.0.0.1", "is in use by another program: choose another port"), ("192.0.2.1", "cannot listen on")],
)
def test_an_address_that_cannot_be_used_is_one_line(host: str, why: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, closing(Pipes()) as pipes:
        with pytest.raises(UserError, match=why) as refusal:
            pipes.listen(f"tcp://{host}:{taken.getsockname()[1]}", 100)
        assert "\n" not in str(refusal.value)
