"""The sockets alone: REQ and REP of a plain ZeroMQ program cannot tell them from their own kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from blocks.radio.zmq_ports import Connected, Happening, Lost, Ports, Reply, Request

ANY = "tcp://127.0.0.1:*"


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A context whose sockets do not linger and do not wait for ever."""
    with zmq.Context() as context:
        context.setsockopt(zmq.LINGER, 0)
        context.setsockopt(zmq.RCVTIMEO, 10_000)
        yield context


def until(ports: Ports, kind: type) -> Happening:
    """The next happening of a kind."""
    for _ in range(1000):
        for happening in ports.wait(0.1):
            if isinstance(happening, kind):
                return happening
    raise AssertionError(f"no {kind.__name__} in time")


def test_a_req_is_answered_and_a_peer_that_has_gone_is_told(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    ports = Ports([ANY, ANY], [])
    try:
        with context.socket(zmq.REQ) as req:
            req.connect(ports.tx_addresses[1])
            req.send(b"\xff")
            request = until(ports, Request)
            assert isinstance(request, Request)
            assert (request.channel, request.parts) == (1, [b"", b"\xff"])
            assert ports.answer(1, request.peer, b"samples")
            assert req.recv() == b"samples"
        assert not ports.answer(0, b"nobody", b"samples")
    finally:
        ports.close()
        ports.close()


def test_a_rep_is_asked_and_its_end_is_seen(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    with context.socket(zmq.REP) as rep:
        rep.bind(ANY)
        address = rep.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
        ports = Ports([], [address])
        try:
            assert until(ports, Connected) == Connected(0)
            ports.request(0, b"\xff")
            assert rep.recv() == b"\xff"
            rep.send(b"12345678")
            assert until(ports, Reply) == Reply(0, [b"", b"12345678"])
            ports.reconnect()
            assert until(ports, Connected) == Connected(0)
            rep.close()
            assert until(ports, Lost) == Lost(0)
        finally:
            ports.close()


def test_a_wait_is_ended_from_outside() -> None:
    ports = Ports([ANY], [])
    try:
        ports.wake()
        assert ports.wait(3600) == []
    finally:
        ports.close()
        ports.wake()
