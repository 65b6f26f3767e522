"""The control channel: small maps both ways, and whatever else somebody sends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq

from blocks.runtime.control import MAX_CONTROL, MAX_HELLO, ControlClient, ControlServer
from blocks.runtime.frame import MalformedFrame, pack
from blocks.runtime.transport import MAX_AT_ONCE, MAX_WAITING, MAX_WAITING_BYTES, Pipes, offer
from tests.blocks.runtime.graphs import DEADLINE


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """Sockets of one process."""
    with closing(Pipes()) as one:
        yield one


def wait(server: ControlServer, timeout: float = DEADLINE) -> list[tuple[bytes, dict[str, Any]]]:
    """The next messages, however often the server has to be asked."""
    deadline = time.monotonic() + DEADLINE
    while not (got := server.receive(timeout)):
        assert time.monotonic() < deadline
    return got


@pytest.mark.parametrize("place", ["inproc://control", "ipc://{}/control", "tcp://127.0.0.1:*"])
def test_maps_go_both_ways(pipes: Pipes, place: str, tmp_path: Path) -> None:
    with closing(ControlServer(pipes, place.format(tmp_path))) as server:
        clients = [ControlClient(pipes, server.endpoint) for _ in range(2)]
        for number, client in enumerate(clients):
            client.send({"op": "hello", "number": number})
        peers: dict[int, bytes] = {}
        while len(peers) < 2:
            peers |= {message["number"]: peer for peer, message in server.receive(DEADLINE)}
        for number, peer in peers.items():
            server.send(peer, {"op": "welcome", "number": number, "token": b"\x00\xff"})
        for number, client in enumerate(clients):
            assert client.receive(DEADLINE) == {"op": "welcome", "number": number, "token": b"\x00\xff"}
            assert client.receive(0) is None
            client.close()
        server.send(peers[0], {"op": "ping"})  # to one that is gone: lost, and no error
        assert server.receive(0) == []


def test_what_is_not_a_map_is_counted_and_dropped(pipes: Pipes) -> None:
    with closing(ControlServer(pipes, "tcp://127.0.0.1:*")) as server:
        foreign: Any = pipes.context.socket(zmq.DEALER)
        foreign.connect(server.endpoint)
        for parts in ([b""], [b"\x91\x01"], [b"\xc1"], [b"\x80", b"\x80"], [b"\x81\x01\x02"], [b"\x80"]):
            foreign.send_multipart(parts)
        got: list[tuple[bytes, dict[str, Any]]] = []
        while not got:
            got = server.receive(DEADLINE)
        assert [message for _, message in got] == [{}]
        assert server.malformed == 5
        foreign.close(0)


def test_a_node_ignores_what_is_not_a_map(pipes: Pipes) -> None:
    server: Any = pipes.context.socket(zmq.ROUTER)
    port = server.bind_to_random_port("tcp://127.0.0.1")
    with closing(ControlClient(pipes, f"tcp://127.0.0.1:{port}")) as client:
        client.send({"op": "hello"})
        peer, _ = server.recv_multipart()
        for data in (b"\x91\x01", b"\xc1", b"\x80"):
            server.send_multipart([peer, data])
        assert client.receive(DEADLINE) is None
        assert client.receive(DEADLINE) is None
        assert client.receive(DEADLINE) == {}
    server.close(0)


def test_a_message_has_a_largest_size(pipes: Pipes) -> None:
    with closing(ControlServer(pipes, "inproc://control")) as server:
        with closing(ControlClient(pipes, "inproc://control")) as client:
            with pytest.raises(MalformedFrame, match="the limit is"):
                client.send({"text": "x" * MAX_CONTROL})
            offer(client._socket, pack({"text": "x" * MAX_CONTROL}))
            client.send({"op": "hello"})
            got: list[tuple[bytes, dict[str, Any]]] = []
            while not got:
                got = server.receive(DEADLINE)
        assert [message for _, message in got] == [{"op": "hello"}]
        assert server.malformed == 1


def test_a_stranger_may_say_little(pipes: Pipes) -> None:
    with (
        closing(ControlServer(pipes, "tcp://127.0.0.1:*")) as server,
        closing(ControlClient(pipes, server.endpoint)) as client,
    ):
        long = {"text": "x" * MAX_HELLO}
        client.send(long)
        client.send({"op": "hello"})
        ((peer, message),) = wait(server)
        assert message == {"op": "hello"}
        assert server.malformed == 1
        server.admit(peer)
        client.send(long)
        assert wait(server) == [(peer, long)]


def test_a_flood_does_not_hold_the_supervisor(pipes: Pipes) -> None:
    with (
        closing(ControlServer(pipes, "tcp://127.0.0.1:*")) as server,
        closing(ControlClient(pipes, server.endpoint)) as client,
    ):
        for number in range(3 * MAX_AT_ONCE):
            client.send({"number": number})
        got: list[int] = []
        while len(got) < 3 * MAX_AT_ONCE:
            batch = wait(server)
            assert len(batch) <= MAX_AT_ONCE
            got += [message["number"] for _, message in batch]
        assert got == list(range(3 * MAX_AT_ONCE))
        for _ in range(2):
            client.send({})
        assert len(wait(server, timeout=0)) == 1, "none after the time has passed"


def test_what_waits_unread_is_bounded(pipes: Pipes) -> None:
    """A peer that sends faster than the supervisor reads has to wait."""
    with closing(ControlServer(pipes, "tcp://127.0.0.1:*")) as server:
        eager: Any = pipes.context.socket(zmq.DEALER)
        eager.sndhwm, eager.linger = 1, 0
        eager.connect(server.endpoint)
        count = 0
        while eager.poll(500, zmq.POLLOUT):
            eager.send(bytes(MAX_CONTROL))
            count += 1
            assert count * MAX_CONTROL < 2 * MAX_WAITING_BYTES
        assert count > 1
        eager.close(0)


def test_who_does_not_read_is_sent_no_more(pipes: Pipes) -> None:
    """The supervisor neither waits for it nor keeps what it has left unread."""
    with closing(ControlServer(pipes, "tcp://127.0.0.1:*")) as server:
        silent: Any = pipes.context.socket(zmq.DEALER)
        silent.rcvhwm, silent.rcvbuf, silent.linger = 1, 4096, 0
        silent.connect(server.endpoint)
        silent.send(pack({"op": "hello"}))
        ((peer, _),) = wait(server)
        sent = 4 * MAX_WAITING
        for number in range(sent):
            server.send(peer, {"number": number, "text": "x" * (1 << 14)})
        got = 0
        while silent.poll(200):
            got += silent.recv() != b""
        assert 0 < got < sent
        silent.close(0)


def test_a_node_does_not_wait_for_a_supervisor_that_is_gone(pipes: Pipes) -> None:
    server = ControlServer(pipes, "inproc://control")
    with closing(ControlClient(pipes, "inproc://control")) as client:
        client.send({"op": "hello"})
        assert server.receive(DEADLINE)
        server.close()
        client.receive(0)
        client.send({"op": "status"})
        assert client.receive(0) is None
