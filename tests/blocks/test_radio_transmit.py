"""Bursts into slots: which tick, what is told, what stays silent."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from blocks import RadioTransmit
from blocks.radio.interface import RadioError
from blocks.runtime import Block, Count, Field, Flowgraph, Signal, Source
from blocks.runtime.exchange import Exchange
from blocks.runtime.messages import MessageInlet
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.sent import SentBurst
from tests.blocks.fake_radio import FakeRadio

FORM = BurstFormat()
SLOT = 1280
DEADLINE = 10.0


class Given(Source):
    """One frame of bursts."""

    produces = {
        "samples": Signal(16, FORM.samples),
        "number": Count(),
        "payload_message": Field("uint8", (256,)),
        "payload_symbol": Signal(256),
    }

    def __init__(self, frame: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.frame = frame

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        """All of it at once."""
        return None if self.position else self.frame


class Dropped(Block):
    """Takes numbers."""

    consumes = {"samples": Count()}

    def work(self, samples: np.ndarray) -> None:
        """Nothing."""


def bursts(count: int, first: int = 0) -> dict[str, np.ndarray]:
    """Bursts with numbers from `first` on."""
    rng = np.random.default_rng(first)
    samples = 0.1 * rng.normal(size=(count, 16, FORM.samples, 2)) @ [1, 1j]
    return {
        "samples": samples.astype(np.complex64),
        "number": np.arange(first, first + count),
        "payload_message": rng.integers(4, size=(count, 256)).astype(np.uint8),
        "payload_symbol": rng.normal(size=(count, 256)).astype(np.complex64),
    }


def run(radio: FakeRadio, *frames: dict[str, np.ndarray]) -> RadioTransmit:
    """The block after these frames and the end of the stream."""
    block = RadioTransmit(radio, FORM)
    block.start()
    for frame in frames:
        block.work(**frame)
    block.flush()
    return block


def test_bursts_leave_slot_after_slot_from_the_first_on_that_a_slot_is_left_to() -> None:
    radio = FakeRadio(clock=[3000])
    given = bursts(3)
    run(radio, given)
    # 3000 + 1280 = 4280: the next multiple of 1280 is 5120.
    assert [time for time, _ in radio.sent] == [5120, 6400, 7680]
    assert np.array_equal(np.stack([samples for _, samples in radio.sent]), given["samples"])


def test_what_left_when_is_told_and_then_the_end() -> None:
    radio = FakeRadio()
    given = bursts(2, first=7)
    block = run(radio, given)
    assert [port for port, _ in block.published] == ["sent"] * 3
    told = [SentBurst.from_dict(value) for _, value in block.published[:2]]
    assert [(one.number, one.time) for one in told] == [(7, SLOT), (8, 2 * SLOT)]
    for b, one in enumerate(told):
        assert np.array_equal(one.message, given["payload_message"][b])
        assert np.array_equal(one.symbol, given["payload_symbol"][b])
    assert block.published[2] == ("sent", {"end": True})


def test_slots_that_cannot_be_reached_stay_silent_and_are_counted() -> None:
    # The third burst comes when the device is at 20000: slot 17 · 1280 = 21760 is the first it can have.
    radio = FakeRadio(clock=[0, 0, 20_000, 0, 0])
    block = run(radio, bursts(5))
    assert [time for time, _ in radio.sent] == [1280, 2560, 21760, 23040, 24320]
    assert block.result() == {"bursts": 5, "silent_slots": (21760 - 3840) // SLOT}


def test_how_bursts_come_in_frames_changes_nothing() -> None:
    one, many = FakeRadio(), FakeRadio()
    given = bursts(5)
    whole = run(one, given)
    parts = run(many, *({key: v[a:b] for key, v in given.items()} for a, b in ((0, 1), (1, 1), (1, 5))))
    assert [time for time, _ in one.sent] == [time for time, _ in many.sent]
    assert whole.published == parts.published


def test_a_stream_without_bursts_has_an_end_all_the_same() -> None:
    block = run(FakeRadio())
    assert block.published == [("sent", {"end": True})]
    assert block.result() == {"bursts": 0, "silent_slots": 0}


def test_a_radio_with_another_number_of_channels_is_one_line() -> None:
    with pytest.raises(RadioError) as refusal:
        RadioTransmit(FakeRadio(tx_channels=2), FORM)
    assert str(refusal.value) == (
        "fake:0 has 2 transmit channels, the scenario 16 antennas: "
        "set antennas to match, or open more devices"
    )


def test_before_a_run_there_is_nothing_to_report() -> None:
    assert RadioTransmit(FakeRadio(), FORM).result() == {"bursts": 0, "silent_slots": 0}


def test_what_was_told_is_heard_while_the_radio_keeps_the_next_burst_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The receiver listens late, and the radio's queue is full until it has heard of the first burst."""
    late, heard = threading.Event(), threading.Event()  # somebody waits for the listener; it has heard

    class Full(FakeRadio):
        """Takes a second burst when the receiver goes on."""

        def send(self, *arguments: Any) -> None:
            if self.sent:
                late.set()
                assert heard.wait(DEADLINE)
            super().send(*arguments)

    class Hearing(Source):
        """A receiver that goes on once it hears of a burst."""

        produces = {"samples": Count()}
        subscribes = ("sent",)

        def work(self, count: int) -> None:
            """Hear, then end."""
            if self.messages("sent", DEADLINE):
                heard.set()

    def await_reader(self: Exchange, outlet: Any) -> None:
        late.set()
        original_wait(self, outlet)

    def introduce(self: MessageInlet) -> None:
        assert late.wait(DEADLINE)
        original_introduce(self)

    original_wait, original_introduce = Exchange._await_reader, MessageInlet._introduce
    monkeypatch.setattr(Exchange, "_await_reader", await_reader)
    monkeypatch.setattr(MessageInlet, "_introduce", introduce)
    radio = Full()
    graph = Flowgraph("late")
    source, hearing = Given(bursts(2)), Hearing()
    transmit = RadioTransmit(radio, FORM)
    graph.connect(source, transmit).connect(hearing, Dropped()).message(transmit, "sent", hearing)
    graph.run()
    assert len(radio.sent) == 2
