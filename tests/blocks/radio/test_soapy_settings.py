"""A radio of a device without time or status: what it says of itself, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from blocks.radio import soapy_device
from blocks.radio.interface import EventKind, Flag, RadioError, RadioTimeout
from blocks.radio.soapy import SoapyRadio
from tests.blocks.radio import soapy_stand_in
from tests.blocks.radio.contract import collect, joined, noise


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[SoapyRadio, soapy_stand_in.PlainDevice]]:
    """The radio and its device."""
    module: Any = soapy_stand_in.module()
    monkeypatch.setattr(soapy_device, "system_package", lambda name, install: module)
    with SoapyRadio("plain", phase_coherent=True) as radio:
        yield radio, module.made[0]


Plain = tuple[SoapyRadio, soapy_stand_in.PlainDevice]


def test_what_is_missing_is_declared(plain: Plain) -> None:
    capabilities = plain[0].capabilities
    assert not capabilities.timestamps
    assert not capabilities.timed_transmit
    assert capabilities.phase_coherent
    assert capabilities.lead == 10_000  # 10 ms
    assert capabilities.events == {EventKind.OVERFLOW, EventKind.SEQUENCE_GAP}
    assert set(capabilities.emulated) == {"timestamps", "clock_locked"}


def test_samples_are_counted_where_there_is_no_time(plain: Plain) -> None:
    radio, device = plain
    radio.rx.start(n=350)
    got = joined(collect(radio))
    np.testing.assert_array_equal(got[0], np.arange(350))
    assert radio.now() == 350
    assert not device.active


def test_an_overflow_of_unknown_size_is_told(plain: Plain) -> None:
    radio, device = plain
    device.answers = [soapy_stand_in.TIMEOUT, soapy_stand_in.OVERFLOW]
    radio.rx.start(n=50)
    collect(radio)
    assert [(e.kind, e.time, e.samples) for e in radio.events()] == [(EventKind.OVERFLOW, 0, 0)]


@pytest.mark.parametrize(
    ("code", "kind"),
    [(soapy_stand_in.OVERFLOW, EventKind.OVERFLOW), (soapy_stand_in.CORRUPTION, EventKind.SEQUENCE_GAP)],
)
def test_a_loss_that_is_told_is_a_gap_even_without_time(plain: Plain, code: int, kind: EventKind) -> None:
    radio, device = plain
    radio.rx.start(n=3000)
    before = radio.rx.recv(100)
    device.answers = [code]
    device.count += 5000  # lost
    after = radio.rx.recv(100)
    assert (before.time, before.flags) == (0, Flag.NONE)
    assert (after.time, after.flags, after.samples[0, 0]) == (1280, Flag.GAP, 5100)
    assert [(e.kind, e.time, e.samples) for e in radio.events()] == [(kind, 100, 1180)]
    rest = collect(radio)
    assert rest[-1].time + rest[-1].samples.shape[1] == 3000


def test_ticks_go_on_from_one_reception_to_the_next(plain: Plain) -> None:
    radio, device = plain
    radio.rx.start(n=150)
    collect(radio)
    radio.rx.start(n=50)
    (again,) = collect(radio)
    assert (again.time, again.flags) == (150, Flag.END)
    assert radio.now() == 200
    radio.rx.start()
    device.gone = True
    with pytest.raises(RadioTimeout):
        radio.rx.recv(timeout=0)
    radio.rx.stop()
    radio.rx.start(n=50)  # found again: another session of the device
    (anew,) = collect(radio)
    assert anew.time == 1280
    assert radio.now() == 1330
    (gap,) = radio.events()
    assert gap.kind == EventKind.SEQUENCE_GAP
    assert "began anew" in gap.detail


def test_a_driver_that_takes_nothing_ends_the_wait(plain: Plain) -> None:
    radio, device = plain
    device.refuses = soapy_stand_in.UNDERFLOW
    with pytest.raises(RadioTimeout, match=r"stayed full for 0.05 s, 0 of 10"):
        radio.tx.send(noise(1, 10), timeout=0.05)
    assert [e.kind for e in radio.events()] == [EventKind.UNDERFLOW]


def test_what_needs_time_is_refused(plain: Plain) -> None:
    radio, device = plain
    with pytest.raises(RadioError, match="no hardware time: send without a time"):
        radio.tx.send(noise(1, 10), 100)
    with pytest.raises(RadioError, match="no hardware time: start without a time"):
        radio.rx.start(100)
    radio.tx.send(noise(1, 10))
    assert device.sent == 10


def test_settings_are_as_they_became(plain: Plain) -> None:
    radio, _ = plain
    assert radio.set_rate(1_234_567.0) == 1_235_000.0
    assert radio.set_gain("rx", 0, 3.3) == 3.0
    assert radio.set_frequency("tx", 0, 2.4e9) == 2.4e9
    assert radio.settings() == {
        "rate": 1_235_000.0,
        "tx_gain": [0.0],
        "rx_gain": [3.0],
        "tx_frequency": [2.4e9],
        "rx_frequency": [1e9],
    }


def test_options_that_cannot_be_are_refused() -> None:
    for options in ({"grid": 0}, {"lead": -1}):
        with pytest.raises(RadioError, match="grid must be at least 1"):
            SoapyRadio(**options)  # type: ignore[arg-type]
