"""Samples of a radio as a stream: until when, with which gaps, and how it ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from blocks import RadioReceive, RadioTransmit
from blocks.radio.interface import Event, EventKind, Flag, RadioError, RadioTimeout, Received
from blocks.radio.sim import SimRadio
from blocks.runtime import Block, Flowgraph, Signal
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from isac_models.waveform.burst_format import BurstFormat
from tests.blocks.fake_radio import FakeRadio

FORM = BurstFormat()
END: dict[str, Any] = {"end": True}


def sent(time: int) -> dict[str, Any]:
    """What a transmitter tells of a burst; more than its time does not matter here."""
    return {"number": 0, "time": time, "message": b"", "symbol": b""}


def chunk(time: int, length: int, flags: Flag = Flag.NONE) -> Received:
    """Samples that say which tick and channel they are."""
    ticks = np.arange(time, time + length)
    return Received((ticks + 1j * np.arange(17)[:, None]).astype(np.complex64), time, flags)


def drain(block: RadioReceive, count: int = 1000) -> list[tuple[int, int, np.ndarray]]:
    """(time, lost, samples) of every frame to the end."""
    frames = []
    while (out := block.work(count)) is not None:
        tags = block.take_emitted()
        frames.append((tags["time"], tags["lost"], out["samples"]))
    return frames


def started(radio: Any, told: Iterable[dict[str, Any]], samples: int | None = None) -> RadioReceive:
    """The block, told what was sent."""
    block = RadioReceive(radio, FORM, samples)
    block.start()
    for message in told:
        block.deliver("sent", message)
    return block


def test_frames_hold_the_radio_s_samples_with_the_channels_last() -> None:
    block = started(FakeRadio([chunk(100, 700), chunk(800, 5000)]), [sent(1280), END])
    frames = drain(block, 1000)
    assert [(time, lost, len(samples)) for time, lost, samples in frames[:3]] == [
        (100, 0, 700),
        (800, 0, 1000),
        (1800, 0, 1000),
    ]
    for time, _, samples in frames:
        assert samples.dtype == np.complex64
        assert samples.flags.c_contiguous
        expected = np.arange(time, time + len(samples))[:, None] + 1j * np.arange(17)
        assert np.array_equal(samples, expected)


def test_it_ends_half_a_thousand_samples_behind_the_slot_of_the_last_burst() -> None:
    block = started(FakeRadio([chunk(0, 100_000)]), [sent(2560), sent(3840), END])
    frames = drain(block, 250)
    end = frames[-1][0] + len(frames[-1][2])
    assert 3840 + 1280 + 512 <= end < 3840 + 1280 + 512 + 250
    assert block.result() == {
        "samples": end,
        "gaps": 0,
        "lost_samples": 0,
        "events": {},
        "ended_early": None,
        "trouble": None,
    }


def test_gaps_are_counted_by_timestamps_and_told_with_the_frame_behind_them() -> None:
    radio = FakeRadio([chunk(0, 100), chunk(150, 100), chunk(250, 50), chunk(1000, 10_000, Flag.GAP)])
    block = started(radio, [sent(0), END])
    frames = drain(block, 10_000)
    assert [(time, lost) for time, lost, _ in frames] == [(0, 0), (150, 50), (250, 0), (1000, 700)]
    assert block.result()["gaps"] == 2
    assert block.result()["lost_samples"] == 750


def test_a_device_that_begins_anew_loses_an_unknown_number() -> None:
    block = started(FakeRadio([chunk(5000, 100), chunk(0, 100), chunk(100, 50)]), [sent(0)])
    times = []
    for _ in range(3):
        block.work(1000)
        tags = block.take_emitted()
        times.append((tags["time"], tags["lost"]))
    assert times == [(5000, 0), (0, 0), (100, 0)]
    assert (block.result()["gaps"], block.result()["lost_samples"]) == (1, 0)


def test_a_gap_without_a_timestamp_counts_too() -> None:
    block = started(FakeRadio([chunk(0, 100), chunk(100, 100, Flag.GAP)]), [sent(0)])
    block.work(1000)
    block.work(1000)
    assert (block.result()["gaps"], block.result()["lost_samples"]) == (1, 0)


def test_events_are_counted_by_their_kind() -> None:
    radio = FakeRadio([chunk(0, 100), chunk(100, 100)])
    radio.waiting_events = [Event(EventKind.LATE), Event(EventKind.OVERFLOW), Event(EventKind.LATE)]
    block = started(radio, [sent(0)])
    block.work(1000)
    radio.waiting_events = [Event(EventKind.LATE)]
    block.work(1000)
    assert block.result()["events"] == {"late": 3, "overflow": 1}


def test_a_radio_in_virtual_time_is_asked_for_what_was_announced_and_no_more() -> None:
    radio = FakeRadio([chunk(0, 100_000)], virtual_time=True)
    block = started(radio, [sent(0)])
    received = 0
    while received < 1280 + 512:
        out = block.work(1000)
        assert out is not None
        received += len(out["samples"])
    assert received == 1280 + 512
    # One to know the time, then up to where the next burst may begin, then the tail.
    assert radio.asked == [1, 1000, 279, 512]
    with pytest.raises(RadioError, match="nothing was sent for 30 s: the reception ends"):
        block.work(1000)
    block.deliver("sent", sent(1280))
    block.deliver("sent", END)
    assert sum(len(samples) for _, _, samples in drain(block)) == 1280


def test_a_transmitter_that_sent_nothing_ends_the_reception() -> None:
    radio = FakeRadio([chunk(0, 100)])
    assert drain(started(radio, [END])) == []
    assert radio.asked == []


def test_a_radio_that_falls_silent_is_an_error_while_bursts_come_and_the_end_behind_the_last() -> None:
    block = started(FakeRadio([chunk(0, 100)]), [sent(0)])
    block.work(1000)
    with pytest.raises(RadioTimeout, match="nothing came"):
        block.work(1000)
    block.deliver("sent", END)
    assert block.work(1000) is None
    assert block.result()["ended_early"] == "recv: nothing came"


class _Deaf:
    """The message ports of a graph in which nobody takes what is published."""

    stopping = False

    def __init__(self, told: list[dict[str, Any]]) -> None:
        self.told = told

    def publish(self, port: str, value: Any) -> None:
        raise TimeoutError("nobody has connected")

    def messages(self, port: str, timeout: float) -> list[Any]:
        told, self.told = self.told, []
        return told


def test_samples_go_out_before_an_error_beside_them() -> None:
    radio = FakeRadio([chunk(0, 3000), chunk(3000, 3000)])
    radio.waiting_events = [Event(EventKind.LATE, 1280), Event(EventKind.OVERFLOW)]
    block = started(radio, [])
    block.attach(_Deaf([sent(0), sent(1280)]))
    out = block.work(5000)
    assert out is not None
    assert len(out["samples"]) == 3000
    assert block.result()["events"] == {"late": 1, "overflow": 1}
    with pytest.raises(TimeoutError, match="nobody has connected"):
        block.work(5000)


def test_a_radio_s_error_is_not_replaced_by_one_that_follows_from_it() -> None:
    radio = FakeRadio([chunk(0, 100)])
    block = started(radio, [])
    block.attach(_Deaf([sent(0)]))
    block.work(5000)
    radio.waiting_events = [Event(EventKind.LATE, 1280)]
    with pytest.raises(RadioTimeout, match="recv: nothing came") as failed:
        block.work(5000)
    assert failed.value.__notes__ == ["and then: nobody has connected"]
    block = started(radio := FakeRadio([chunk(0, 100)]), [])
    block.attach(_Deaf([sent(0), END]))
    block.work(5000)
    radio.waiting_events = [Event(EventKind.LATE, 1280)]
    with pytest.raises(TimeoutError, match="nobody has connected"):
        block.work(5000)
    assert block.result()["ended_early"] == "recv: nothing came"
    assert block.result()["trouble"] == "nobody has connected"


def test_the_reception_stops_with_the_stream() -> None:
    for end in ("finish", "abort"):
        radio = FakeRadio([chunk(0, 10)])
        block = started(radio, [])
        assert radio.receiving
        getattr(block, end)()
        assert not radio.receiving


def test_so_many_samples_are_received_without_a_transmitter_and_gaps_do_not_count_as_such() -> None:
    radio = FakeRadio([chunk(0, 600), chunk(1000, 5000)], virtual_time=True)
    block = started(radio, [], samples=1500)
    frames = drain(block, 700)
    assert [(time, lost, len(samples)) for time, lost, samples in frames] == [
        (0, 0, 600),
        (1000, 400, 700),
        (1700, 0, 200),
    ]
    assert block.result()["samples"] == 1500


def test_a_reception_of_so_many_samples_fails_where_the_radio_falls_silent() -> None:
    block = started(FakeRadio([chunk(0, 600)]), [END], samples=1500)
    block.work(1000)
    with pytest.raises(RadioTimeout, match="nothing came"):
        block.work(1000)


@pytest.mark.parametrize("samples", [0, -5])
def test_no_samples_at_all_are_refused(samples: int) -> None:
    with pytest.raises(UserError, match="samples must be at least 1"):
        RadioReceive(FakeRadio(), FORM, samples)


class _Stopped:
    """The message ports of a graph that has been told to stop."""

    stopping = True

    def publish(self, port: str, value: Any) -> None:
        """Nobody hears it."""

    def messages(self, port: str, timeout: float) -> list[Any]:
        """Every wait ends at once."""
        return []


def test_a_graph_that_is_told_to_stop_does_not_wait_for_bursts() -> None:
    block = started(FakeRadio([chunk(0, 10)]), [])
    block.attach(_Stopped())
    assert block.work(1000) is None


class _Keep(Block):
    """Counts what comes."""

    consumes = {"samples": Signal("rx_channels")}
    dimensions = {"rx_channels": 17}

    def start(self) -> None:
        self.count = 0

    def work(self, samples: np.ndarray) -> None:
        self.count += len(samples)

    def result(self) -> dict[str, Any]:
        return {"count": self.count}


def test_a_graph_receives_without_a_transmitter_in_it() -> None:
    with SimRadio(Scenario(), burst_format=FORM, seed=3) as radio:
        graph = Flowgraph("reception", frame=1000)
        graph.connect(RadioReceive(radio, FORM, samples=4321), _Keep(name="keep"))
        report = graph.run()
    assert report.results["keep"] == {"count": 4321}
    assert report.results["radio_receive"]["samples"] == 4321


def simulated(count: int) -> np.ndarray:
    """What comes back from two bursts, received in frames of `count`."""
    rng = np.random.default_rng(1)
    samples = (0.05 * rng.normal(size=(2, 16, FORM.samples, 2)) @ [1, 1j]).astype(np.complex64)
    with SimRadio(Scenario(), burst_format=FORM, seed=3) as radio:
        transmit, receive = RadioTransmit(radio, FORM), RadioReceive(radio, FORM)
        transmit.start()
        receive.start()
        zeros = np.zeros((2, 256))
        transmit.work(samples, np.arange(2), zeros.astype(np.uint8), zeros.astype(np.complex64))
        transmit.flush()
        for _, told in transmit.published:
            receive.deliver("sent", told)
        return np.concatenate([frame for _, _, frame in drain(receive, count)])


def test_how_the_reception_is_cut_changes_no_sample() -> None:
    whole, parts = simulated(100_000), simulated(777)
    assert np.array_equal(whole, parts)
    assert len(whole) == 3840 + 1280 + 1280 + 512  # lead and a slot; two slots; the tail
