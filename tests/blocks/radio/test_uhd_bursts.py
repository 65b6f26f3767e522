"""Which burst a USRP's answer belongs to, through the radio and a stand-in of UHD's documented API."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from blocks.radio.interface import RadioTimeout
from blocks.radio.uhd import UhdRadio
from tests.blocks.radio.contract import noise
from tests.blocks.radio.uhd_stand_in import stand_in


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in, in the place of uhd."""
    monkeypatch.setitem(sys.modules, "uhd", found := stand_in())
    return found


def told(radio: UhdRadio) -> list[tuple[str, int | None]]:
    """Kind and tick of what has happened."""
    return [(str(event.kind), event.time) for event in radio.events()]


def test_a_burst_that_was_not_taken_and_one_out_of_order_shift_no_answer(module: Any) -> None:
    with UhdRadio() as radio:
        usrp = module.usrp.MultiUSRP.latest
        usrp.refuses = True
        with pytest.raises(RadioTimeout):
            radio.tx.send(noise(1, 10), 50_000)
        usrp.refuses, usrp.ticks = False, 60_000
        for time in (70_000, 55_000, 80_000):
            radio.tx.send(noise(1, 10), time)
        assert told(radio) == [("burst_ack", 70_000), ("late", 55_000), ("burst_ack", 80_000)]


@pytest.mark.parametrize("early", [-1, 0, 2])
def test_a_burst_that_is_never_answered_shifts_no_answer(module: Any, early: int) -> None:
    with UhdRadio() as radio:
        messages = module.usrp.MultiUSRP.latest.messages
        radio.tx.send(noise(1, 10), 1000)
        messages.clear()  # nothing is told of this one
        radio.tx.send(noise(1, 10), 1010)
        radio.tx.send(noise(1, 10), 2000)
        messages[0] = (messages[0][0], 1020 - early)  # a device may be a little off
        assert told(radio) == [("burst_ack", 1010), ("burst_ack", 2000)]


def test_bursts_in_pieces_are_answered_with_their_first_tick(module: Any) -> None:
    with UhdRadio() as radio:
        usrp = module.usrp.MultiUSRP.latest
        usrp.ticks = 500
        radio.tx.send(noise(1, 10), 400, end_of_burst=False)
        radio.tx.send(noise(1, 10), 1000, end_of_burst=False)  # the late one is given up
        assert told(radio) == [("late", 400)]
        usrp.refuses = True
        with pytest.raises(RadioTimeout):
            radio.tx.send(noise(1, 90), start_of_burst=False)
        usrp.refuses = False
        radio.tx.send(noise(1, 90), start_of_burst=False)
        radio.tx.send(noise(1, 10), 1100)
        assert told(radio) == [("burst_ack", 1000), ("burst_ack", 1100)]


def test_a_late_burst_takes_no_later_piece_for_another(module: Any) -> None:
    with UhdRadio() as radio:
        module.usrp.MultiUSRP.latest.ticks = 500
        radio.tx.send(noise(1, 10), 400, end_of_burst=False)
        assert told(radio) == [("late", 400)]
        radio.tx.send(noise(1, 10), start_of_burst=False)
        radio.tx.send(noise(1, 10), 1000)
        assert told(radio) == [("burst_ack", 1000)]


def test_without_a_time_answers_are_in_order_and_what_fits_no_burst_has_none(module: Any) -> None:
    with UhdRadio() as radio:
        usrp = module.usrp.MultiUSRP.latest
        radio.tx.send(noise(1, 10), 1000)
        radio.tx.send(noise(1, 10), 2000)
        radio._tx.recv_async_msg = untimed(radio._tx.recv_async_msg)
        assert told(radio) == [("burst_ack", 1000), ("burst_ack", 2000)]
        radio.tx.send(noise(1, 10))
        usrp.ticks = 4000
        radio.tx.send(noise(1, 10), 3000)
        assert told(radio) == [("burst_ack", None), ("late", 3000)]
        usrp.messages.extend([(module.types.TXMetadataEventCode.time_error, 4000)])
        assert told(radio) == [("late", None)]


def untimed(receive: Callable[[Any, float], bool]) -> Callable[[Any, float], bool]:
    """A device that tells no times."""

    def found(metadata: Any, timeout: float) -> bool:
        there = receive(metadata, timeout)
        metadata.has_time_spec = False
        return there

    return found


def test_a_burst_on_many_channels_is_answered_once(module: Any) -> None:
    with UhdRadio("", (0, 1), (0,)) as radio:
        usrp = module.usrp.MultiUSRP.latest
        radio.tx.send(noise(2, 10), 1000)
        usrp.ticks = 4000
        radio.tx.send(noise(2, 10), 3000)
        assert told(radio) == [("burst_ack", 1000), ("late", 3000)]
