"""Contexts side by side: which channel is whose, and that settings outlive a connection."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from blocks.radio.iio_array import IioArray
from tests.blocks.radio.contract import noise, refused
from tests.blocks.radio.iio_loop import need_libiio, served
from tests.hil.frontend.iio_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A daemon with three contexts; the last has one channel each way."""
    need_libiio()
    with served(5, 5) as found:
        yield found


def test_channels_are_counted_through_the_contexts(server: Server) -> None:
    array = IioArray(server.addresses, 5.0, 5, 5)
    assert (array.tx_channels, array.rx_channels) == (5, 5)
    sent = noise(5, 128)
    array.open_transmit(128, 4)
    array.push(sent)
    array.open_receive(128, 4)
    got = array.refill()
    array.close()
    assert np.abs((got - sent).view(np.float32)).max() <= 0.5 / 2048


def test_all_channels_are_used_unless_told(server: Server) -> None:
    array = IioArray(server.addresses, 5.0, None, None)
    assert (array.tx_channels, array.rx_channels) == (6, 6)
    assert array.virtual_time
    assert array.tells
    assert "7 rx channels are wanted" in refused(lambda: IioArray(server.addresses, 5.0, None, 7))


def test_settings_outlive_the_connection(server: Server) -> None:
    array = IioArray(server.addresses, 5.0, 5, 5)
    array.set_rate(8e6)
    array.set_gain("tx", 4, -3)
    array.set_gain("rx", 2, 7)
    array.set_frequency("rx", 3, 1e9)
    before = array.settings()
    assert before == {
        "rate": 8e6,
        "tx_gain": [0, 0, 0, 0, -3],
        "rx_gain": [0, 0, 7, 0, 0],
        "tx_frequency": [2.4e9] * 5,
        "rx_frequency": [2.4e9, 2.4e9, 1e9, 1e9, 2.4e9],
    }
    server.inject("restart")
    array.reopen()
    assert IioArray(server.addresses, 5.0, 5, 5).settings() == before


def test_a_context_that_lost_samples_is_named(server: Server) -> None:
    array = IioArray(server.addresses, 5.0, 0, 5)
    array.open_receive(128, 4)
    server.inject("drop", samples=5, context=1)
    array.refill()
    assert array.overflown() == [server.addresses[1]]
    assert array.starved() == []
    array.close()


def test_a_clock_that_is_not_locked_is_seen_in_any_context(server: Server) -> None:
    array = IioArray(server.addresses, 5.0, 5, 5)
    assert array.locked()
    server.inject("unlock", context=2)
    assert not array.locked()
