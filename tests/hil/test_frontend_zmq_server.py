"""The ZeroMQ server against plain sockets that stand in for a link."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from tests.hil.frontend.addresses import expand
from tests.hil.frontend.engine import FrontEnd
from tests.hil.frontend.settings import ScenarioValues, Settings, SettingsError
from tests.hil.frontend.zmq_server import MOST_WAITING, Server, ZmqServer

WAIT_MS = 5000
SETTINGS = Settings(ScenarioValues(antennas=2), seed=4)


class Peer:
    """The link's sockets: REP bound to transmit, REQ connected to receive."""

    def __init__(self, addresses: dict[str, list[str]]) -> None:
        self.context = zmq.Context()
        self.tx, self.rx = [], []
        for address in addresses["tx"]:
            self.tx.append(self._socket(zmq.REP))
            self.tx[-1].bind(address)
        for address in addresses["rx"]:
            self.rx.append(self._socket(zmq.REQ))
            self.rx[-1].connect(address)

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        socket = self.context.socket(kind)
        socket.setsockopt(zmq.RCVTIMEO, WAIT_MS)
        socket.setsockopt(zmq.LINGER, 0)
        return socket

    def send(self, samples: np.ndarray) -> None:
        """Answer one request of every channel."""
        for socket, row in zip(self.tx, samples, strict=True):
            assert socket.recv() == b"\xff"
            socket.send(row.tobytes())

    def ask(self, channel: int, request: bytes = b"\xff") -> bytes:
        """One reply."""
        self.rx[channel].send(request)
        return self.rx[channel].recv()

    def receive(self, n: int) -> np.ndarray:
        """n samples of every channel."""
        rows = []
        for channel in range(len(self.rx)):
            content = b""
            while len(content) < 8 * n:
                content += self.ask(channel)
            rows.append(np.frombuffer(content, np.complex64))
        return np.stack(rows)

    def close(self) -> None:
        """Close all sockets."""
        self.context.destroy(linger=0)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ZmqServer]]:
    """Starts a server of K = 2 in a thread; stopped and joined at the end."""
    stop = threading.Event()
    threads = []

    def start(settings: Settings = SETTINGS, **more: Any) -> ZmqServer:
        server = Server(FrontEnd(settings), f"zmq:ipc://{tmp_path}", **more)
        threads.append(threading.Thread(target=server.run, args=(stop,)))
        threads[-1].start()
        return server

    yield start
    stop.set()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


@pytest.fixture
def connect() -> Iterator[Callable[[ZmqServer], Peer]]:
    """Peers that are closed at the end."""
    peers = []

    def start(server: ZmqServer) -> Peer:
        peers.append(Peer(server.addresses))
        return peers[-1]

    yield start
    for peer in peers:
        peer.close()


def samples(n: int, seed: int = 1) -> np.ndarray:
    """Some (2, n)."""
    draw = np.random.default_rng(seed)
    return (0.1 * (draw.normal(size=(2, n)) + 1j * draw.normal(size=(2, n)))).astype(np.complex64)


def test_what_comes_out_is_what_the_engine_makes_of_what_went_in(serve: Any, connect: Any) -> None:
    server = serve()
    peer = connect(server)
    sent = samples(5000)
    expected = FrontEnd(SETTINGS).process(sent)
    received = []
    for first in range(0, 5000, 1250):
        peer.send(sent[:, first : first + 1250])
        received.append(peer.receive(1250))
    # Rounding of float32 may differ with the cut, and then move a sample across one step of 12 bits.
    difference = np.abs(np.concatenate(received, axis=1) - expected)
    assert np.mean(difference > 1e-6) < 1e-2
    assert difference.max() < 1.5 / 2048


def test_channels_may_deliver_in_pieces_of_different_sizes(serve: Any, connect: Any) -> None:
    peer = connect(serve())
    sent = samples(300)
    for socket, pieces in ((peer.tx[0], [100, 200]), (peer.tx[1], [1, 0, 299])):
        first = 0
        for n in pieces:
            assert socket.recv() == b"\xff"
            socket.send(sent[int(socket is peer.tx[1]), first : first + n].tobytes())
            first += n
    assert peer.receive(300).shape == (3, 300)


def test_a_request_with_a_count_gets_at_most_so_many(serve: Any, connect: Any) -> None:
    peer = connect(serve())
    peer.send(samples(100))
    assert len(peer.ask(1, struct.pack("<I", 30))) == 30 * 8
    assert len(peer.ask(1, struct.pack("<I", 1000))) == 70 * 8


def test_transmitters_of_gnu_radio_are_asked_with_a_count(serve: Any, connect: Any) -> None:
    peer = connect(serve(ask_count=True))
    (count,) = struct.unpack("<I", peer.tx[0].recv())
    assert count > 0


def test_who_does_not_read_is_not_flooded(serve: Any, connect: Any) -> None:
    server = serve()
    peer = connect(server)
    sent = samples(1 << 14)
    for _ in range(2 * MOST_WAITING // (1 << 14)):
        peer.send(sent)
    # Both directions are full now: the next request comes only when something has been read.
    peer.tx[0].setsockopt(zmq.RCVTIMEO, 50)
    with pytest.raises(zmq.Again):
        peer.tx[0].recv()
    assert server.engine.time <= MOST_WAITING + (1 << 14)
    peer.receive(1 << 14)
    peer.tx[0].setsockopt(zmq.RCVTIMEO, WAIT_MS)
    assert peer.tx[0].recv() == b"\xff"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"123", "not whole samples"),
        (np.array([np.nan, 0], np.complex64).tobytes(), "not finite or far beyond full scale"),
        (np.array([np.inf], np.complex64).tobytes(), "not finite or far beyond full scale"),
        (np.array([1e30], np.complex64).tobytes(), "not finite or far beyond full scale"),
    ],
)
def test_bad_samples_are_refused_and_counted(serve: Any, connect: Any, content: bytes, reason: str) -> None:
    server = serve()
    peer = connect(server)
    assert peer.tx[0].recv() == b"\xff"
    peer.tx[0].send(content)
    peer.send(samples(50))  # asked again
    assert peer.receive(50).shape == (3, 50)
    assert server.problems == {reason: 1}


def test_a_request_that_is_none_is_refused_and_counted(serve: Any, connect: Any) -> None:
    server = serve()
    peer = connect(server)
    peer.rx[0].setsockopt(zmq.REQ_RELAXED, 1)
    peer.rx[0].send(b"hello")
    peer.send(samples(50))
    assert peer.receive(50).shape == (3, 50)
    assert server.problems == {"not a request": 1}


def test_the_next_link_begins_at_tick_zero_with_the_same_hardware(serve: Any, connect: Any) -> None:
    server = serve()
    session = server.engine.session
    peer = connect(server)
    sent = samples(400)
    peer.send(sent)
    first = peer.receive(400)
    peer.send(sent[:, :17])
    peer.close()
    again = connect(server)
    again.send(sent)
    difference = np.abs(again.receive(400) - first)
    assert difference.max() < 1.5 / 2048
    assert server.engine.session == session


def test_a_receiver_that_has_gone_takes_no_samples_with_it(serve: Any, connect: Any) -> None:
    server = serve()
    peer = connect(server)
    other = connect_receiver(server.addresses["rx"][0])
    other[1].send(b"\xff")  # waits, as there is nothing yet, and goes
    peer.send(samples(5))
    assert len(other[1].recv()) == 40
    other[1].send(b"\xff")
    other[0].destroy(linger=0)
    peer.send(samples(50))
    assert len(peer.ask(1)) >= 40
    # The vanished one's request came first. Its reply could not be delivered, or was lost with it; no hang.
    peer.send(samples(50))
    assert len(peer.ask(0)) in (50 * 8, 100 * 8)


def connect_receiver(address: str) -> tuple[zmq.Context[Any], zmq.Socket[bytes]]:
    """A REQ of its own."""
    context = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.setsockopt(zmq.RCVTIMEO, WAIT_MS)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(address)
    return context, socket


def test_dropped_samples_are_missing_on_all_channels(serve: Any, connect: Any) -> None:
    server = serve()
    peer = connect(server)
    sent = samples(600)
    expected = FrontEnd(SETTINGS).process(sent)
    peer.send(sent[:, :100])
    before = peer.receive(100)
    server.inject("drop", samples=200)
    peer.send(sent[:, 100:])
    received = np.concatenate([before, peer.receive(300)], axis=1)
    kept = np.concatenate([expected[:, :100], expected[:, 300:]], axis=1)
    assert np.abs(received - kept).max() < 1.5 / 2048


def test_replies_are_spoiled_on_demand(serve: Any, connect: Any) -> None:
    server = serve()
    peer = connect(server)
    for kind, channel in (("nan", 0), ("half", 1), ("garbage", 2)):
        server.inject(kind, channel=channel)
    server.inject("huge", channel=0, size=1 << 20)
    peer.send(samples(64))
    assert np.isnan(np.frombuffer(peer.ask(0), np.complex64)).any()
    assert len(peer.ask(1)) == 64 * 8 + 3
    assert len(peer.ask(2)) == 4099
    assert len(peer.ask(0)) == 1 << 20
    peer.send(samples(64))
    assert len(peer.ask(1)) == 64 * 8


def test_a_silent_front_end_answers_nobody(serve: Any, connect: Any) -> None:
    server = serve()
    peer = connect(server)
    peer.send(samples(64))
    peer.receive(64)
    server.inject("silence", seconds=3600)
    peer.send(samples(64))
    # Two more rounds of requests show that it has taken notice of the fault.
    peer.send(samples(64))
    peer.send(samples(64))
    peer.rx[0].setsockopt(zmq.RCVTIMEO, 50)
    peer.rx[0].send(b"\xff")
    with pytest.raises(zmq.Again):
        peer.rx[0].recv()


def test_a_stalled_front_end_goes_on_afterwards(serve: Any, connect: Any) -> None:
    server = serve()
    peer = connect(server)
    server.inject("stall", seconds=0.05)
    peer.send(samples(64))
    assert peer.receive(64).shape == (3, 64)


def test_a_restarted_front_end_cuts_the_connections_and_begins_anew(serve: Any, connect: Any) -> None:
    server = serve()
    session = server.engine.session
    peer = connect(server)
    peer.send(samples(64))
    peer.receive(64)
    monitor = peer.tx[0].get_monitor_socket(zmq.EVENT_DISCONNECTED)
    server.inject("restart")
    assert monitor.poll(WAIT_MS)
    peer.tx[0].disable_monitor()
    monitor.close(0)
    peer.close()
    again = connect(server)
    again.send(samples(64))
    assert again.receive(64).shape == (3, 64)
    assert server.engine.session != session
    assert server.engine.time == 64


def test_paced_time_arrives_too(serve: Any, connect: Any) -> None:
    peer = connect(serve(pace=1e5))
    for _ in range(3):
        peer.send(samples(500))
        assert peer.receive(500).shape == (3, 500)


def test_the_ports_of_an_address() -> None:
    tx, rx = expand("zmq:tcp://127.0.0.1:2000", 16, 17)
    assert (tx[0], tx[15]) == ("tcp://127.0.0.1:2000", "tcp://127.0.0.1:2015")
    assert (rx[0], rx[16]) == ("tcp://127.0.0.1:2016", "tcp://127.0.0.1:2032")
    tx, rx = expand("zmq:ipc:///tmp/x/", 1, 2)
    assert (tx, rx) == (["ipc:///tmp/x/tx0"], ["ipc:///tmp/x/rx0", "ipc:///tmp/x/rx1"])


@given(st.text(max_size=40))
def test_an_address_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        expand("zmq:tcp://" + text.replace(":", ""), 16, 17)


def test_addresses_that_cannot_be_had_are_refused(tmp_path: Path) -> None:
    for address, reason in (
        ("zmq:tcp://127.0.0.1:65532", "the last port"),
        (f"zmq:ipc://{tmp_path}/none", "rx channel 0 at ipc://.*/none/rx0: No such file"),
        (f"zmq:ipc://{tmp_path}/{'x' * 100}", "too long"),
    ):
        with pytest.raises(SettingsError, match=reason):
            Server(FrontEnd(SETTINGS), address)
    with pytest.raises(SettingsError, match="2 tx and 3 rx addresses"):
        ZmqServer(FrontEnd(SETTINGS), ["inproc://a"], ["inproc://b"])
