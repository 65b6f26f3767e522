"""The pipe between two message ports, driven step by step, and whatever else somebody sends on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.runtime import messages as messages_module
from blocks.runtime.frame import (
    ACK,
    HELLO,
    LEFT,
    MAX_SEQUENCE,
    MAX_VALUE,
    MESSAGE,
    encode_header,
    encode_value,
    pack,
    unpack,
)
from blocks.runtime.messages import MAX_UNREAD, MessageInlet, MessageOutlet
from blocks.runtime.transport import MAX_AT_ONCE, Pipes, await_any
from tests.blocks.runtime.edges import FAR, KINDS, TOKEN
from tests.blocks.runtime.graphs import DEADLINE
from tests.blocks.runtime.relay import Relay

NAME = "a.out>b.into"


class Line:
    """An outlet, the inlets that were connected to it, and what the last of them has been given."""

    def __init__(self, kind: str, folder: Path) -> None:
        places = {"inproc": "inproc://line", "ipc": f"ipc://{folder}/line", "tcp": "tcp://127.0.0.1:*"}
        self.pipes = Pipes()
        self.outlet = MessageOutlet(self.pipes, NAME, TOKEN, places[kind])
        self.inlets: list[MessageInlet] = []
        self.got: list[Any] = []

    def reader(self, via: str = "") -> MessageInlet:
        """Connect a reader."""
        inlet = MessageInlet(self.pipes, NAME, TOKEN, via or self.outlet.endpoint)
        self.inlets.append(inlet)
        return inlet

    def stranger(self) -> zmq.Socket[bytes]:
        """A socket of somebody else, connected to the outlet."""
        foreign: zmq.Socket[bytes] = self.pipes.context.socket(zmq.DEALER)
        foreign.linger = 0
        foreign.connect(self.outlet.endpoint)
        return foreign

    def say(self, *values: Any) -> None:
        """Send values."""
        for value in values:
            self.outlet.send(encode_value(value))

    def until(self, condition: Callable[[], bool]) -> None:
        """Let both ends do their work until the condition holds; the last reader takes what comes."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline
            self.outlet.pump()
            if self.inlets:
                self.take(self.inlets[-1])
            await_any([self.outlet.socket, *(inlet.socket for inlet in self.inlets)], 0.02)

    def take(self, inlet: MessageInlet) -> None:
        """Take what is there."""
        values = inlet.sweep()
        if values:
            self.got += [unpack(value) for value in values]
            inlet.taken += len(values)
            inlet.acknowledge()
        inlet.tend()

    def close(self) -> None:
        """Close every socket."""
        for inlet in self.inlets:
            inlet.close()
        self.outlet.close()
        self.pipes.close()


@pytest.fixture
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    """A line of the transport that the test names."""
    with closing(Line(request.param, tmp_path)) as one:
        yield one


every = pytest.mark.parametrize("line", KINDS, indirect=True)
far = pytest.mark.parametrize("line", FAR, indirect=True)
tcp = pytest.mark.parametrize("line", ["tcp"], indirect=True)


@every
def test_values_arrive_in_order_also_those_said_before_anybody_listened(line: Line) -> None:
    values: list[Any] = [None, True, -3, 0.5, "text", b"\0\xff", [1, [2]], {"map": {"of": []}}]
    line.say(*values[:5])
    assert not line.outlet.connected
    line.reader()
    line.until(lambda: len(line.got) == 5)
    line.say(*values[5:])
    line.until(lambda: len(line.got) == len(values))
    assert line.got == values
    assert (line.outlet.published, line.outlet.dropped, line.outlet.malformed) == (8, 0, 0)
    assert not line.inlets[0].ended
    line.outlet.end()
    line.until(lambda: line.inlets[0].ended)
    line.inlets[0].leave()
    line.until(lambda: line.outlet.left)
    assert line.outlet.dropped == 0


@every
def test_a_writer_keeps_so_many_messages_and_no_more(line: Line) -> None:
    inlet = line.reader()
    for number in range(MAX_UNREAD):
        assert not line.outlet.full
        line.say(number)
    values: list[bytes] = []
    deadline = time.monotonic() + DEADLINE
    while len(values) < MAX_UNREAD:
        assert time.monotonic() < deadline
        line.outlet.pump()
        batch = inlet.sweep()
        assert len(batch) <= MAX_AT_ONCE
        values += batch
    assert [unpack(value) for value in values] == list(range(MAX_UNREAD))
    line.outlet.pump()
    assert line.outlet.full, "received is not taken"
    inlet.taken += 1
    inlet.acknowledge()
    line.until(lambda: not line.outlet.full)
    line.say("more")
    assert line.outlet.full


@every
def test_what_a_reader_leaves_is_dropped_and_counted(line: Line) -> None:
    inlet = line.reader()
    line.say(*range(5))
    line.until(lambda: len(line.got) == 5)
    line.say(*range(3))
    line.outlet.end()
    line.say("after the end")
    assert (line.outlet.published, line.outlet.dropped) == (9, 1)
    inlet.leave()
    line.until(lambda: line.outlet.left)
    line.say("after all")
    line.outlet.end()
    assert (line.outlet.published, line.outlet.dropped) == (10, 5)
    assert not line.outlet.full


@tcp
def test_a_connection_that_breaks_loses_nothing(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages_module, "REPEAT_SECONDS", 0.1)
    with closing(Relay(line.outlet.endpoint)) as relay:
        inlet = line.reader(relay.endpoint)
        for number in range(30):
            if number % 10 == 5:
                relay.cut()
            line.say(number)
            line.outlet.pump()
            line.take(inlet)
        line.until(lambda: len(line.got) == 30)
        relay.cut()
        line.outlet.end()
        line.until(lambda: inlet.ended)
        relay.cut()
        inlet.leave()
        line.until(lambda: line.outlet.left)
    assert line.got == list(range(30))
    assert (inlet.malformed, line.outlet.dropped) == (0, 0)


@far
def test_a_reader_without_the_token_is_told_nothing(line: Line) -> None:
    line.say("secret")
    with closing(line.stranger()) as foreign:
        bad = [
            [encode_header(HELLO, NAME, b"fedcba9876543210", 0)],
            [encode_header(HELLO, "a.out>c.into", TOKEN, 0)],
            [encode_header(HELLO, NAME, TOKEN.decode(), 0)],
            [encode_header(HELLO, NAME, TOKEN, -1)],
            [encode_header(HELLO, NAME, TOKEN)],
            [encode_header(ACK, 1)],
            [encode_header(LEFT, 0)],
            [encode_header(MESSAGE, 0, b"\xc0")],
            [encode_header(HELLO, NAME, TOKEN, 0), b""],
            [b"x" * 1000],
            [b""],
        ]
        for parts in bad:
            foreign.send_multipart(parts)
        line.until(lambda: line.outlet.malformed == len(bad))
        assert not line.outlet.connected
        assert not line.outlet.left
        assert not foreign.poll(0)
    line.reader()
    line.until(lambda: line.got == ["secret"])


class Liar:
    """A writer that says whatever the test wants, and the inlet that listens to it."""

    def __init__(self) -> None:
        self.pipes = Pipes()
        self.socket, self.endpoint = self.pipes.listen("tcp://127.0.0.1:*", 1 << 16)
        self.inlet = MessageInlet(self.pipes, NAME, TOKEN, self.endpoint)
        self.socket.rcvtimeo = round(1000 * DEADLINE)
        self.peer, _ = self.socket.recv_multipart()
        self.said = 0

    def say(self, *parts: bytes) -> None:
        """Send parts as one message."""
        self.socket.send_multipart([self.peer, *parts])

    def heard(self) -> list[bytes]:
        """What the inlet makes of everything said, and of a good message after it."""
        wanted = self.inlet._wanted
        self.say(encode_header(MESSAGE, wanted, b"\x2a"))
        values: list[bytes] = []
        deadline = time.monotonic() + DEADLINE
        while b"\x2a" not in values:
            assert time.monotonic() < deadline
            await_any([self.inlet.socket], 0.1)
            values += self.inlet.sweep()
        self.inlet.taken += len(values)
        return values

    def close(self) -> None:
        """Close everything."""
        self.inlet.close()
        self.socket.close(0)
        self.pipes.close()


@pytest.fixture(scope="module")
def liar() -> Iterator[Liar]:
    """A writer for many tests."""
    with closing(Liar()) as one:
        yield one


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"GET / HTTP/1.1"],
        [encode_header(MESSAGE)],
        [encode_header(MESSAGE, -1, b"\xc0")],
        [encode_header(MESSAGE, MAX_SEQUENCE + 1, b"\xc0")],
        [encode_header(MESSAGE, True, b"\xc0")],
        [encode_header(MESSAGE, "0", b"\xc0")],
        [encode_header(MESSAGE, 0, "text")],
        [encode_header(MESSAGE, 0, [1])],
        [encode_header(MESSAGE, 0, b"\xc0", 1)],
        [encode_header(MESSAGE, 0, b"x" * (MAX_VALUE + 1))],
        [encode_header(MESSAGE, 0, b"\xc0"), b""],
        [encode_header(HELLO, NAME, TOKEN, 0)],
        [encode_header(LEFT, 0)],
        [pack(["ISAC", 2, MESSAGE, 0, b"\xc0"])],
        [encode_header(MESSAGE, MAX_SEQUENCE, b"\xc0")],
    ],
    ids=range(16),
)
def test_a_message_that_breaks_the_format_is_counted_and_dropped(liar: Liar, parts: list[bytes]) -> None:
    before = liar.inlet.malformed
    liar.say(*parts)
    assert liar.heard() == [b"\x2a"]
    assert liar.inlet.malformed == before + 1
    assert not liar.inlet.ended


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(st.binary(max_size=60), min_size=1, max_size=3)
    | st.lists(
        st.none() | st.integers(-5, 1 << 65) | st.binary(max_size=9) | st.text(max_size=3), max_size=3
    ).map(lambda values: [bytes(_packed(["ISAC", 1, MESSAGE, "no", *values]))])
)
def test_no_message_whatever_does_harm(liar: Liar, parts: list[bytes]) -> None:
    before = liar.inlet.malformed
    liar.say(*parts)
    assert liar.heard() == [b"\x2a"]
    assert liar.inlet.malformed == before + 1


def _packed(values: list[Any]) -> bytes:
    """msgpack of values; integers that it does not know become text."""
    return pack([str(v) if isinstance(v, int) and not 0 <= v < 1 << 64 else v for v in values])


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.binary(max_size=80), min_size=1, max_size=3))
def test_no_reader_whatever_does_harm(talking: Line, parts: list[bytes]) -> None:
    before = talking.outlet.malformed
    with closing(talking.stranger()) as foreign:
        foreign.send_multipart(parts)
        talking.until(lambda: talking.outlet.malformed == before + 1)
    said = len(talking.got)
    talking.say("still there")
    talking.until(lambda: len(talking.got) == said + 1)


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A line whose reader is there."""
    with closing(Line("tcp", tmp_path_factory.mktemp("line"))) as one:
        one.reader()
        one.until(lambda: one.outlet.connected)
        yield one


def test_what_comes_early_or_twice_is_asked_for_or_dropped() -> None:
    with closing(Liar()) as liar:
        for sequence in (0, 0, 2, 3, 0):
            liar.say(encode_header(MESSAGE, sequence, bytes([sequence])))
        values: list[bytes] = []
        deadline = time.monotonic() + DEADLINE
        while not liar.socket.poll(0):
            assert time.monotonic() < deadline
            await_any([liar.inlet.socket], 0.05)
            values += liar.inlet.sweep()
        # Asked for once: everything from number 1 on.
        assert unpack(liar.socket.recv_multipart()[1])[2:] == [HELLO, NAME, TOKEN, 1]
        assert unpack(liar.socket.recv_multipart()[1])[2:] == [ACK, 0]
        for sequence in (1, 2):
            liar.say(encode_header(MESSAGE, sequence, bytes([sequence])))
        while len(values) < 3:
            assert time.monotonic() < deadline
            await_any([liar.inlet.socket], 0.05)
            values += liar.inlet.sweep()
        assert values == [b"\0", b"\1", b"\2"]
        assert not liar.socket.poll(0)
        assert liar.inlet.malformed == 0


def test_a_writer_that_ignores_the_limit_fills_no_memory() -> None:
    with closing(Liar()) as liar:
        for sequence in range(MAX_UNREAD + 10):
            liar.say(encode_header(MESSAGE, sequence, b"\xc0"))
        got = 0
        deadline = time.monotonic() + DEADLINE
        while liar.inlet.malformed < 10:
            assert time.monotonic() < deadline
            await_any([liar.inlet.socket], 0.1)
            got += len(liar.inlet.sweep())
        assert got == MAX_UNREAD
        # With room again, what was dropped is missing and may come.
        liar.inlet.taken += got
        assert liar.heard() == [b"\x2a"]
