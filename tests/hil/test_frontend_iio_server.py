"""The IIO daemon around its sessions: contexts in step, faults, and what the engine is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.blocks.radio.iio_loop import Loopback, served
from tests.hil.frontend.iio_server import Server
from tests.hil.iio_client import PHY, RX, TX, Client, opened, push, ramp, talking


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of one context."""
    with talking() as (_, found):
        yield found


def loopback(server: Server) -> Loopback:
    """The engine."""
    engine = server.converters.engine
    assert isinstance(engine, Loopback)
    return engine


def test_sixteen_and_seventeen_channels_take_nine_ports() -> None:
    server = Server(Loopback(16, 17))
    assert len(set(server.addresses)) == 9
    server._close_listeners()


def test_a_device_belongs_to_one_client_at_a_time() -> None:
    with talking(0, 0) as (_, (one, two)):
        opened(one, tx=False)
        assert two.ask(f"OPEN {RX} 10 0000000f") == -16
        assert one.ask(f"CLOSE {RX}") == 0
        assert two.ask(f"OPEN {RX} 10 0000000f") == 0


def test_a_client_that_vanishes_gives_its_devices_back() -> None:
    with talking(0, 0) as (_, (one, two)):
        opened(one)
        one.close()
        assert two.ask(f"OPEN {RX} 10 0000000f") == 0
        assert two.ask(f"OPEN {TX} 10 0000000f") == 0


def test_contexts_read_the_same_ticks_and_begin_to_send_together() -> None:
    with talking(0, 1) as (server, (one, two)):
        for each in (one, two):
            opened(each)
        push(one, ramp(50))
        quiet = one.samples(80)  # the second has opened and has nothing to send yet
        assert not quiet.any()
        push(two, ramp(50, 501))
        np.testing.assert_array_equal(one.samples(400), ramp(50) >> 4)
        assert server.converters.time == 60
        assert not two.samples(80).any()
        np.testing.assert_array_equal(two.samples(400), ramp(50, 501) >> 4)
        assert server.converters.time == 60
        assert server.lost == [0, 0]
        assert server.underflows == [0, 0]
        one.samples(80)
        assert server.underflows == [1, 1]


def test_a_context_that_reads_too_slowly_loses_the_oldest() -> None:
    with talking(0, 1, fifo=100) as (server, (one, two)):
        for each in (one, two):
            opened(each, 250)
        push(two, ramp(250))
        push(one, ramp(250))
        one.samples(8 * 150)
        np.testing.assert_array_equal(two.samples(80), ramp(250)[50:60] >> 4)
        assert server.lost == [0, 50]
        status = f"{RX} DEBUG direct_reg_access"
        for each, expected in ((one, "0x0"), (two, "0x4")):
            assert each.write(f"WRITE {status}", "0x80000088") == 11
            assert each.value(f"READ {status}") == expected
        assert two.write(f"WRITE {status}", "0x80000088 0x4") == 15
        assert two.value(f"READ {status}") == "0x0"


def test_a_drop_can_be_placed_and_hidden() -> None:
    with talking() as (server, client):
        opened(client)
        push(client, ramp(100))
        server.inject("drop", at=20, samples=30, told=0)
        expected = np.delete(ramp(100) >> 4, slice(20, 50), axis=0)
        np.testing.assert_array_equal(client.samples(8 * 70), expected)
        status = f"{RX} DEBUG direct_reg_access"
        client.write(f"WRITE {status}", "0x80000088")
        assert client.value(f"READ {status}") == "0x0"
        assert server.lost[0] == 30


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("fire", {}),
        ("nan", {}),
        ("drop", {"smaples": 3}),
        ("drop", {"samples": -1}),
        ("drop", {"samples": "many"}),
        ("garbage", {"context": 1}),
        ("unlock", {"channel": 2}),
        ("stall", {"seconds": 1e9}),
    ],
)
def test_a_fault_that_cannot_be_is_refused(kind: str, details: dict[str, Any]) -> None:
    with served(2, 2) as server, pytest.raises(ValueError, match="fault") as caught:
        server.inject(kind, **details)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["iio:", "iio:localhost:x", "iio:localhost:65535", ":", "iio:a:b:c"])
def test_an_address_that_cannot_be_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="iio:HOST"):
        Server(Loopback(4, 4), address)


def test_the_engine_is_rewound_when_the_last_client_has_left() -> None:
    with talking(0, 1) as (server, (one, two)):
        engine = loopback(server)
        assert two.ask("TIMEOUT 1000") == 0
        opened(one, tx=False)
        one.samples(80)
        two.close()
        assert one.ask("TIMEOUT 1000") == 0
        assert engine.happened == []
        last = list(server._sessions)
        one.close()
        for session in last:
            session.join(20)
        assert engine.happened == ["rewind"]
        assert server.converters.time == 0


def test_connections_that_are_cut_leave_the_engine_where_it_was() -> None:
    with talking() as (server, client):
        opened(client, tx=False)
        client.samples(80)
        server.inject("close")
        assert client.file.read() == b""
        assert server.converters.time == 10
        assert loopback(server).happened == []


def test_another_carrier_retunes_the_engine_and_the_same_one_does_not() -> None:
    with talking() as (server, client):
        for frequency in ("2400000000", "868000000", "868000000"):
            assert client.write(f"WRITE {PHY} OUTPUT TX_LO frequency", frequency) > 0
        assert loopback(server).happened == ["retune"]


def test_channels_that_the_engine_lacks_are_silent_and_can_be_set() -> None:
    with talking(1, tx=2, rx=3) as (_, client):
        opened(client)
        gain = f"{PHY} OUTPUT voltage1 hardwaregain"
        assert client.write(f"WRITE {gain}", "-10") > 0
        assert client.value(f"READ {gain}") == "-10.000000 dB"
        push(client, ramp(10))
        assert not client.samples(80).any()


def test_paced_time_is_held_back() -> None:
    with talking() as (server, client):
        server.converters.pace = 1e5
        opened(client, tx=False)
        client.samples(8 * 100)
        assert server.converters._due > 0


def test_a_restart_forgets_the_settings_and_keeps_the_ports() -> None:
    with talking() as (server, client):
        client.write(f"WRITE {PHY} ensm_mode", "alert")
        addresses = server.addresses
        server.inject("restart")
        assert client.file.read() == b""
        again = Client(server)
        assert server.addresses == addresses
        assert again.value(f"READ {PHY} ensm_mode") == "fdd"
        again.close()


def test_streams_that_are_opened_anew_begin_on_the_grid(client: Client) -> None:
    opened(client, tx=False)
    client.samples(8 * 1290)
    assert client.ask(f"CLOSE {RX}") == 0
    opened(client)
    push(client, ramp(10))
    np.testing.assert_array_equal(client.samples(80), ramp(10) >> 4)


def test_the_grid_is_the_engines() -> None:
    with talking() as (server, client):
        opened(client, tx=False)
        client.samples(8 * 1290)
        client.ask(f"CLOSE {RX}")
        opened(client)
        assert server.converters.time == 2560
