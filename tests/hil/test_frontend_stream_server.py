"""The stream server's protocol, byte by byte: what is answered, and what a client cannot do to it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time as clock
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.blocks.radio.soapy_loop import Loopback, served
from tests.hil.frontend.stream_server import KINDS, Server
from tests.hil.frontend.stream_session import Connection

PATIENCE = 20.0
HELLO, READER, TIME, RATE, GAIN, FREQUENCY, CLOCK, TIMING, LOCKED = range(1, 10)
WRITE, EVENT, START, STOP, READ, BYE = range(10, 16)
OK, REFUSED, OVERFLOW, TIME_ERROR, FULL, STALE = range(6)
ACK, LATE, UNDERFLOW = range(3)


class Client:
    """One connection."""

    def __init__(self, server: Server) -> None:
        host, port = server.addresses[0].split(":")
        self.socket = socket.create_connection((host, int(port)), PATIENCE)
        self.number = 0

    def ask(self, kind: int, form: str = "<", *values: Any, data: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer to a request."""
        body = struct.pack(form, *values) + data
        self.number += 1
        self.socket.sendall(struct.pack("<IIB", len(body), self.number, kind) + body)
        length, number, status = struct.unpack("<IIB", self.take(9))
        assert number == self.number
        return status, self.take(length)

    def take(self, n: int) -> bytes:
        """Bytes as they come."""
        data = b""
        while len(data) < n:
            got = self.socket.recv(n - len(data))
            if not got:
                raise EOFError
            data += got
        return data

    def closed(self) -> bool:
        """That the server has put it out."""
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(4096):
                pass
        return True

    def close(self) -> None:
        """Leave."""
        self.socket.close()


class Session:
    """Both connections."""

    def __init__(self, server: Server) -> None:
        self.control, self.reader = Client(server), Client(server)
        status, self.hello = self.control.ask(HELLO, "<4sHHQ", b"ISAC", 1, 0, 0)
        assert status == OK, self.hello
        number = struct.unpack_from("<Q", self.hello)[0]
        assert self.reader.ask(READER, "<4sHHQ", b"ISAC", 1, 0, number) == (OK, b"")
        self.tx, self.rx = struct.unpack_from("<HH", self.hello, 8)

    def write(self, samples: np.ndarray, tick: int, end: bool = True) -> int:
        """The status."""
        return self.control.ask(WRITE, "<qBI", tick, end, samples.shape[1], data=samples.tobytes())[0]

    def start(self, tick: int = -1, n: int = 0) -> int:
        """The generation."""
        status, body = self.control.ask(START, "<qQ", tick, n)
        assert status == OK
        return int(struct.unpack("<I", body)[0])

    def read(self, generation: int, most: int) -> tuple[int, int, int, np.ndarray]:
        """Status, tick, end, samples."""
        status, body = self.reader.ask(READ, "<II", generation, most)
        tick, end, n = struct.unpack_from("<qBI", body)
        return status, tick, end, np.frombuffer(body[13:], "<c8").reshape(self.rx, n)

    def events(self) -> list[tuple[int, int]]:
        """All that wait."""
        found = []
        while body := self.control.ask(EVENT)[1]:
            found.append(struct.unpack("<Bq", body))
        return found

    def close(self) -> None:
        """Leave."""
        self.control.close()
        self.reader.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """Two transmit, three receive channels in a loop."""
    with served(Loopback(2, 3)) as found:
        yield found


@pytest.fixture
def session(server: Server) -> Iterator[Session]:
    """A client."""
    found = Session(server)
    yield found
    found.close()


def ramp(n: int, first: int = 1, channels: int = 2) -> np.ndarray:
    """Samples that differ."""
    return (np.arange(first, first + n * channels).reshape(channels, n) / 1e4).astype(np.complex64)


def test_a_greeting_tells_the_channels_and_the_ranges(session: Session) -> None:
    values = struct.unpack("<HH7d", session.hello[8:])
    assert values == (2, 3, 1e6, 1e3, 1e8, -60.0, 60.0, 0.0, 6e9)


def test_a_burst_leaves_at_its_tick_and_is_acknowledged_behind_its_end(session: Session) -> None:
    assert session.write(ramp(10), 20) == OK
    generation = session.start(5, 30)
    assert session.read(generation, 100)[:3] == (OK, 5, 0)  # on the way to the start
    status, tick, end, samples = session.read(generation, 100)
    assert (status, tick, end) == (OK, 5, 1)
    expected = np.zeros((3, 30), np.complex64)
    expected[:, 15:25] = ramp(10)[[0, 1, 0]]
    np.testing.assert_array_equal(samples, expected)
    assert session.events() == [(ACK, 30)]
    assert session.control.ask(TIME) == (OK, struct.pack("<q", 35))


def test_reading_in_pieces_gives_the_same(session: Session) -> None:
    session.write(ramp(10), 3)
    generation = session.start(0, 20)
    pieces = [session.read(generation, 7)[3] for _ in range(3)]
    assert [piece.shape[1] for piece in pieces] == [7, 7, 6]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1)[:2, 3:13], ramp(10))
    assert session.read(generation, 7)[0] == STALE


def test_a_burst_in_pieces_goes_on_and_one_that_does_not_runs_dry(session: Session) -> None:
    session.write(ramp(4), 2, end=False)
    session.write(ramp(4, 50), -1, end=False)
    generation = session.start()
    got = session.read(generation, 20)[3]
    np.testing.assert_array_equal(got[:2, 2:10], np.concatenate([ramp(4), ramp(4, 50)], axis=1))
    assert session.events() == [(UNDERFLOW, 10)]
    session.write(ramp(1)[:, :0], -1)  # its end alone
    session.read(generation, 1)
    assert session.events() == [(ACK, 20)]


def test_a_late_burst_is_dropped_whole(session: Session) -> None:
    generation = session.start()
    session.read(generation, 100)
    session.write(ramp(4), 99, end=False)
    session.write(ramp(4), -1)
    session.write(ramp(4), 150)
    got = session.read(generation, 100)[3]
    assert np.flatnonzero(got[0]).tolist() == [50, 51, 52, 53]
    assert session.events() == [(LATE, 99), (ACK, 154)]


def test_a_queue_that_is_full_says_so(session: Session, server: Server) -> None:
    server.device.queue = 100
    assert [session.write(ramp(60), tick) for tick in (0, 1000)] == [OK, FULL]


def test_a_start_in_the_past_is_a_time_error(session: Session) -> None:
    session.read(session.start(), 100)
    assert session.control.ask(START, "<qQ", 99, 0)[0] == TIME_ERROR


def test_the_reading_of_a_reception_that_is_over_gives_nothing(session: Session) -> None:
    old = session.start()
    new = session.start()
    assert session.read(old, 10)[0] == STALE
    assert session.read(new, 10)[1] == 0
    session.control.ask(STOP)
    assert session.read(new, 10)[0] == STALE


@pytest.mark.parametrize(("kind", "first"), [("drop", OK), ("overflow", OVERFLOW)])
def test_lost_samples_are_seen_in_the_ticks(session: Session, server: Server, kind: str, first: int) -> None:
    server.inject(kind, at=10, samples=100_000)
    generation = session.start()
    assert session.read(generation, 50)[3].shape == (3, 10)
    told = [session.read(generation, 50) for _ in range(3)]
    assert [(status, samples.shape[1]) for status, _, _, samples in told] == [(first, 0), (OK, 0), (OK, 50)]
    assert told[-1][1] == 100_010


def test_a_loss_that_passes_unseen_is_over(session: Session, server: Server) -> None:
    server.inject("overflow", at=10, samples=20)
    assert session.read(session.start(50), 10)[:2] == (OK, 50)


def test_settings_are_kept_and_what_is_not_supported_is_refused(session: Session) -> None:
    ask = session.control.ask
    assert ask(RATE, "<d", 2e6) == (OK, struct.pack("<d", 2e6))
    assert ask(GAIN, "<BBdB", 1, 2, 3.1, 1) == (OK, struct.pack("<d", 3.0))
    assert ask(GAIN, "<BBdB", 1, 2, 0.0, 0) == (OK, struct.pack("<d", 3.0))
    assert ask(FREQUENCY, "<BBdB", 0, 1, 5e9, 1) == (OK, struct.pack("<d", 5e9))
    assert ask(CLOCK, data=b"external") == (OK, b"external")
    assert ask(TIMING) == (OK, b"internal")
    assert ask(LOCKED) == (OK, b"\1")
    refused: list[tuple[Any, ...]] = [(RATE, "<d", 1.0), (RATE, "<d", np.nan), (CLOCK, "<7s", b"sundial")]
    refused += [(GAIN, "<BBdB", 0, 2, 0.0, 1), (GAIN, "<BBdB", 1, 3, 0.0, 1), (GAIN, "<B", 0)]
    refused += [(GAIN, "<BBdB", 1, 0, np.inf, 1), (FREQUENCY, "<BBdB", 1, 0, -1.0, 1), (HELLO, "<")]
    refused += [(TIMING, "<2s", b"\xff\xfe"), (WRITE, "<qBI", 0, 1, 5), (WRITE, "<qBI", -2, 1, 0)]
    refused += [(START, "<qQ", -2, 0), (START, "<qQ", 0, 1 << 60), (READ, "<II", 0, 1), (99, "<")]
    for kind, form, *values in refused:
        status, line = ask(kind, form, *values)
        assert status == REFUSED, kind
        assert line.decode()
        assert b"\n" not in line


class Chip(Loopback):
    """An engine with settings."""

    def __init__(self) -> None:
        super().__init__(2, 3)
        self.calls: list[tuple[Any, ...]] = []

    def gain(self, direction: str, channel: int) -> float:
        """As the front end has it."""
        return 1.5

    def set_gain(self, direction: str, channel: int, gain: float) -> float:
        """Noted."""
        self.calls.append((direction, channel, gain))
        return 2.0

    def retune(self) -> None:
        """Noted."""
        self.calls.append(("retune",))


def test_gains_and_frequencies_reach_an_engine_that_has_them() -> None:
    engine = Chip()
    with served(engine) as server, contextlib.closing(Session(server)) as session:
        ask = session.control.ask
        assert ask(GAIN, "<BBdB", 1, 0, 0.0, 0) == (OK, struct.pack("<d", 1.5))
        assert ask(GAIN, "<BBdB", 0, 1, 7.0, 1) == (OK, struct.pack("<d", 2.0))
        for frequency in (2.45e9, 1e9, 1e9):
            ask(FREQUENCY, "<BBdB", 1, 2, frequency, 1)
    assert engine.calls == [("tx", 1, 7.0), ("retune",)]


@pytest.mark.parametrize("value", [np.nan, np.inf, complex(0, np.nan), 1e30])
def test_samples_that_are_none_are_refused(session: Session, value: complex) -> None:
    samples = ramp(5)
    samples[1, 2] = value
    assert session.write(samples, 0) == REFUSED
    assert not session.read(session.start(), 10)[3].any()


def test_one_session_at_a_time_and_the_next_begins_clean(server: Server) -> None:
    with contextlib.closing(Session(server)) as first, contextlib.closing(Client(server)) as other:
        first.write(ramp(5), 100)
        assert other.ask(HELLO, "<4sHHQ", b"ISAC", 1, 0, 0) == (REFUSED, b"the device is in use")
        assert other.ask(READER, "<4sHHQ", b"ISAC", 1, 0, 12345)[0] == REFUSED
        assert first.control.ask(BYE) == (OK, b"")
        with contextlib.closing(Session(server)) as second:
            assert not second.read(second.start(0, 200), 200)[3].any()
        first.control.socket.sendall(struct.pack("<IIB", 0, 9, TIME))
        assert first.control.closed()


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<IIB", 16, 1, HELLO) + struct.pack("<4sHHQ", b"ISAK", 1, 0, 0),
        struct.pack("<IIB", 16, 1, HELLO) + struct.pack("<4sHHQ", b"ISAC", 9, 0, 0),
        struct.pack("<IIB", 0, 1, TIME) + struct.pack("<IIB", 1 << 20, 1, TIME),
        struct.pack("<IIB", 0xFFFFFFFF, 1, HELLO),
        struct.pack("<IIB", 257, 1, WRITE),
    ],
    ids=["magic", "version", "impolite", "endless", "long"],
)
def test_a_client_that_speaks_otherwise_is_put_out(server: Server, data: bytes) -> None:
    with contextlib.closing(Client(server)) as client:
        client.socket.sendall(data)
        assert client.closed()
    with contextlib.closing(Session(server)) as session:
        assert session.control.ask(TIME)[0] == OK


def test_half_a_message_and_a_goodbye_are_survived(server: Server, session: Session) -> None:
    session.control.socket.sendall(struct.pack("<IIB", 100, 1, WRITE) + b"half")
    session.control.socket.shutdown(socket.SHUT_WR)
    assert session.control.closed()
    with contextlib.closing(Session(server)) as after:
        assert after.control.ask(TIME)[0] == OK
    assert server.problems == {"half a message": 1}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=64)), max_size=8))
def test_no_request_upsets_the_server(server: Server, requests: list[tuple[int, bytes]]) -> None:
    with contextlib.closing(Session(server)) as session:
        with contextlib.suppress(EOFError, ConnectionError):
            for kind, body in requests:
                assert session.control.ask(kind, data=body)[0] in range(6)
        server.inject("close")
    with contextlib.closing(Session(server)) as after:
        assert after.control.ask(TIME)[0] == OK
        assert after.control.ask(BYE)[0] == OK


@pytest.mark.parametrize("kind", ["garbage", "half", "huge"])
def test_an_answer_can_be_spoiled(session: Session, server: Server, kind: str) -> None:
    server.inject(kind, size=4000)
    generation = session.start()
    session.reader.socket.sendall(struct.pack("<IIBII", 8, 1, READ, generation, 10))
    length, _, _ = struct.unpack("<IIB", session.reader.take(9))
    assert length != 13 + 8 * 3 * 10


def test_a_restart_ends_sessions_and_time_begins_anew(session: Session, server: Server) -> None:
    session.read(session.start(), 100)
    session.control.ask(RATE, "<d", 2e6)
    server.inject("unlock")
    assert server._listener
    server._listener.close()  # as a restart may do between any two steps of `run`
    clock.sleep(0.2)
    assert not server.stopped.is_set()
    server.inject("restart")
    assert session.control.closed()
    assert session.reader.closed()
    assert (server.device.time, server.device.rate) == (0, 1e6)


def test_a_client_that_is_just_coming_is_cut_as_well(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    comes, start = threading.Event(), Connection.start

    def late(connection: Connection) -> None:
        comes.set()
        clock.sleep(0.2)  # the fault falls in here
        start(connection)

    monkeypatch.setattr(Connection, "start", late)
    with contextlib.closing(Client(server)) as client:
        assert comes.wait(PATIENCE)
        server.inject("restart")
        assert client.closed()


@pytest.mark.parametrize("details", [{"litres": 1}, {"samples": -1}, {"seconds": np.nan}, {"samples": "7"}])
def test_a_fault_that_cannot_be_is_refused(server: Server, details: dict[str, Any]) -> None:
    for kind in KINDS:
        with pytest.raises(ValueError, match=rf"^fault {kind}"):
            server.inject(kind, **details)
    with pytest.raises(ValueError, match=r"^fault must be"):
        server.inject("flood")


@pytest.mark.parametrize("address", ["", "stream:", "stream:h", "h:70000", "unix:", "unix:" + 100 * "x"])
def test_an_address_that_cannot_be_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="give stream:HOST:PORT or stream:unix:PATH"):
        Server(Loopback(2, 3), address)


def test_an_address_that_is_taken_is_refused(server: Server) -> None:
    with pytest.raises(OSError, match="in use"):
        Server(Loopback(2, 3), f"stream:{server.addresses[0]}")


def test_paced_time_does_not_run_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("tests.hil.frontend.stream_server.clock.monotonic", lambda: now[0])
    engine = Loopback(2, 3)
    server = Server(engine, "127.0.0.1:0", pace=1024.0)
    assert server.due(50) == 0
    now[0] += 1 / 64
    assert server.due(50) == 16
    engine.time = 16
    now[0] += 10  # nobody asked: this is not made up for
    assert server.due(50) == 0
    now[0] += 1 / 32
    assert server.due(50) == 32
    stop = threading.Event()
    stop.set()
    server.run(stop)
