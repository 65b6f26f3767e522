"""What a reception tells of the bursts in it, for recordings: in which frame, and what is left at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from blocks import RadioReceive, SigmfRecorder
from blocks.radio.interface import Event, EventKind, RadioError
from blocks.runtime import Flowgraph, Signal
from blocks.runtime.frame import MAX_HEADER, pack
from tests.blocks.fake_radio import FakeRadio
from tests.blocks.test_radio_receive import END, FORM, chunk, sent, started


def large(told: Mapping[str, Any]) -> dict[str, Any]:
    """A message of which some sixty go into the tags of a frame."""
    return {"message": "A" * 700}


def in_a_gap(bursts: int, length: int) -> RadioReceive:
    """The block behind a first frame; the bursts are in the gap before its last samples, so many."""
    far = 1280 * bursts
    parts = [chunk(far + 100, length)]
    block = RadioReceive(FakeRadio([chunk(0, 1280), *parts]), FORM, about=large)
    block.start()
    for number in range(bursts + 1):
        block.deliver("sent", {**sent(1280 * number), "number": number})
    block.work(1280)
    block.take_emitted()
    block.position = 1280
    return block


class _Told(RadioReceive):
    """Knows from the beginning what is sent."""

    def start(self) -> None:
        super().start()
        self._told = [*({**sent(1280 * number), "number": number} for number in range(301)), END]

    def messages(self, port: str, timeout: float = 0.0) -> list[Any]:
        told, self._told = self._told, []
        return told


def test_a_burst_that_was_too_late_is_told_as_unsent_and_not_marked() -> None:
    radio = FakeRadio([chunk(0, 3000), chunk(3000, 3000)])
    radio.waiting_events = [Event(EventKind.LATE, 1280, 1159)]
    told = [{**sent(time), "number": number} for number, time in enumerate((0, 1280, 2560))]
    block = started(radio, told)
    block.work(5000)
    tags = block.take_emitted()
    assert block.published == [("unsent", {"time": 1280})]
    marks = [(mark["sample_start"], mark["number"], mark["tick"]) for mark in tags["annotations"]]
    assert marks == [(0, 0, 0), (2560, 2, 2560)]
    assert tags["captures"] == [{"sample_start": 0, "global_index": 0}]


def test_a_burst_that_was_marked_before_it_was_known_to_be_late_is_told_of_again() -> None:
    radio = FakeRadio([chunk(0, 3000), chunk(3000, 3000)])
    block = started(radio, [sent(1280), END])
    block.work(5000)
    assert [mark["tick"] for mark in block.take_emitted()["annotations"]] == [1280]
    radio.waiting_events = [Event(EventKind.LATE, 1280, 1159)]
    block.position = 3000
    block.work(5000)
    (mark,) = block.take_emitted()["annotations"]
    assert (mark["tick"], mark["unsent"], mark["sample_start"]) == (1280, True, 3000)


def test_bursts_in_a_gap_are_marked_behind_it_and_spread_over_frames() -> None:
    block = in_a_gap(100, 2000)
    told = []
    for position in (1280, 2280):
        block.position = position
        block.work(1000)
        told.append(tags := block.take_emitted())
        assert len(pack(tags)) < MAX_HEADER
    numbers = [mark["number"] for tags in told for mark in tags["annotations"]]
    assert numbers == list(range(1, 101))
    assert len(told[0]["annotations"]) > 40
    assert [tags["annotations_missing"] for tags in told] == [100 - len(told[0]["annotations"]), 0]
    # The last one lost its first 100 samples, those before it all of them.
    last = told[1]["annotations"][-1]
    assert (last["sample_start"], last["sample_count"]) == (1280, FORM.samples - 100)
    assert {mark["sample_count"] for mark in told[0]["annotations"]} == {0}


def test_what_is_left_of_the_annotations_travels_with_the_end_and_the_rest_is_counted() -> None:
    for bursts, all_of_them in ((100, True), (300, False)):
        block = in_a_gap(bursts, 1280 + 512)
        block.deliver("sent", END)
        marks, told = 0, {}
        for position in (1280, 1280 + 1280 + 512):
            block.position = position
            assert (block.work(5000) is None) == (position > 1280)
            told = block.take_emitted()
            assert len(pack(told)) < MAX_HEADER
            marks += len(told["annotations"])
        assert marks + told["annotations_missing"] == bursts
        assert (told["annotations_missing"] == 0) == all_of_them


def test_three_hundred_bursts_in_a_gap_before_the_end_are_in_the_recording_or_counted(
    tmp_path: Path,
) -> None:
    for name, about in (("small", None), ("large", large)):
        path = tmp_path / f"{name}.sigmf-meta"
        radio = FakeRadio([chunk(0, 1280), chunk(1280 * 300, 1280 + 512)])
        recorder = SigmfRecorder(str(path), field="samples", signal=Signal(17), annotate=20_000)
        graph = Flowgraph("reception", frame=5000)
        graph.connect(_Told(radio, FORM, about=about, name="told"), recorder)
        graph.run()
        values = json.loads(path.read_text())
        left_out = values["global"].get("isac:annotations_left_out", 0)
        assert len(values["annotations"]) + left_out == 301
        assert (left_out == 0) == (about is None)


def test_an_annotation_says_more_of_a_burst_where_somebody_knows_it() -> None:
    asked = []

    def about(told: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(told["time"])
        return {"message": "AA=="}

    block = RadioReceive(FakeRadio([chunk(0, 3000)]), FORM, about=about)
    block.start()
    for message in (sent(0), sent(1280), sent(12_800)):
        block.deliver("sent", message)
    block.work(3000)
    assert [mark["message"] for mark in block.take_emitted()["annotations"]] == ["AA=="] * 2
    assert asked == [0, 1280]


def test_bursts_that_never_came_are_told_of_where_the_radio_falls_silent() -> None:
    told = [{**sent(1280 * number), "number": number} for number in range(6)]
    block = started(FakeRadio([chunk(0, 1300)]), [*told, END])
    block.work(5000)
    assert [mark["number"] for mark in block.take_emitted()["annotations"]] == [0, 1]
    block.position = 1300
    assert block.work(5000) is None
    marks = block.take_emitted()["annotations"]
    assert [mark["number"] for mark in marks] == [2, 3, 4, 5]
    assert {(mark["sample_start"], mark["sample_count"]) for mark in marks} == {(1300, 0)}


def test_an_annotation_that_cannot_be_made_costs_no_samples_and_is_counted() -> None:
    def fail(told: Mapping[str, Any]) -> dict[str, Any]:
        raise RadioError("no such burst")

    block = RadioReceive(FakeRadio([chunk(0, 3000)]), FORM, about=fail)
    block.start()
    block.deliver("sent", sent(1280))
    out = block.work(5000)
    assert out is not None
    assert len(out["samples"]) == 3000
    tags = block.take_emitted()
    assert (tags["annotations"], tags["annotations_missing"]) == ([], 1)
    with pytest.raises(RadioError, match="no such burst"):
        block.work(5000)


def test_an_annotation_that_no_frame_can_carry_is_counted() -> None:
    radio = FakeRadio([chunk(0, 3000)])
    block = RadioReceive(radio, FORM, about=lambda told: {"message": "A" * MAX_HEADER})
    block.start()
    block.deliver("sent", sent(0))
    block.work(5000)
    tags = block.take_emitted()
    assert (tags["annotations"], tags["annotations_missing"]) == ([], 1)
