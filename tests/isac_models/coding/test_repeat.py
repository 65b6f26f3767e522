"""Repetition on request, through links that lose bursts and reports."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isac_models.coding.file_code import FileDecoder, FileEncoder
from isac_models.coding.layout import FileCode
from isac_models.coding.repeat import MAX_NAMED, BurstFlag, Receiver, Sender, Timing
from isac_models.errors import UserError

Loss = Callable[[int], bool]
DELAY = 6


def outages(seed: int, share: float, length: int = 1) -> Loss:
    """Whether a slot is lost: outages of `length` slots, `share` of all slots in them."""
    rng, left = random.Random(seed), 0
    begins = share / (length * (1 - share) + share)

    def lost(_slot: int) -> bool:
        nonlocal left
        if left == 0 and rng.random() < begins:
            left = length
        left -= left > 0
        return left > 0 or False

    def single(_slot: int) -> bool:
        return rng.random() < share

    return single if length == 1 else lost


def transfer(
    sender: Sender, receiver: Receiver, lost: Loss, report_lost: Loss, slots: int = 60_000, told: bool = True
) -> int:
    """Run both ends over a link of DELAY slots each way; the slots it took."""
    air: dict[int, Any] = {}
    back: dict[int, Any] = {}
    for slot in range(slots):
        air[slot + DELAY] = sender.next(slot)
        if lost(slot):
            air[slot + DELAY] = None
        if slot >= DELAY:
            burst = air.pop(slot)
            here = slot - DELAY
            receiver.push(here, *((burst.number, int(burst.flags), burst.payload) if burst else ()))
            report = receiver.report(here)
            if report is not None and not report_lost(slot):
                back[slot + DELAY] = report if told else {**report, "slot": None}
        if slot in back:
            sender.receive(back.pop(slot), slot)
        if sender.finished and receiver.finished:
            return slot
    return slots


@pytest.mark.parametrize("length", [1, 12])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.4])
def test_a_file_arrives_identical_through_lost_bursts_and_reports(share: float, length: int) -> None:
    content = random.Random(3).randbytes(120_000)
    sender = Sender(FileEncoder("picture.png", content, FileCode(depth=2)))
    receiver = Receiver()
    slots = transfer(sender, receiver, outages(1, share, length), outages(2, share))
    assert receiver.content() == content
    assert (sender.state, receiver.state, receiver.name) == ("done", "done", "picture.png")
    assert slots < 60_000
    # 2000 bursts of data at least; each is sent 1 / (1 - loss) times in the mean.
    assert sender.bursts < 1.35 * 2000 / (1 - share)
    if share == 0:
        assert sender.repeats == 0
        assert sender.bursts < 1.1 * 2000  # of the parity, most is never sent


def test_the_same_bursts_without_code_and_repetition_do_not_carry_the_file() -> None:
    content = random.Random(3).randbytes(120_000)
    encoder, lost = FileEncoder("f", content, FileCode(parity=0)), outages(1, 0.1)
    decoder = FileDecoder()
    for number, payload in enumerate(encoder.payloads()):
        decoder.push(number, None if lost(number) else payload)
    assert decoder.content() is None


@settings(max_examples=40)
@given(
    length=st.integers(0, 6000),
    data=st.integers(1, 40),
    parity=st.integers(0, 20),
    depth=st.integers(1, 3),
    window=st.integers(1, 4),
    share=st.floats(0, 0.6),
    outage=st.sampled_from([1, 7]),
    told=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_any_file_arrives_through_any_code(
    length: int,
    data: int,
    parity: int,
    depth: int,
    window: int,
    share: float,
    outage: int,
    told: bool,
    seed: int,
) -> None:
    content = random.Random(seed).randbytes(length)
    timing = Timing(window=window, patience=200)
    sender = Sender(FileEncoder("f", content, FileCode(60, data, parity, depth)), timing)
    receiver = Receiver(60, timing)
    transfer(sender, receiver, outages(seed, share, outage), outages(seed + 1, share), told=told)
    assert receiver.content() == content
    assert receiver.state == "done"


def test_what_is_on_its_way_is_not_repeated_again() -> None:
    sender = Sender(FileEncoder("f", bytes(6000), FileCode(parity=0)))
    bursts = [sender.next(slot) for slot in range(20)]
    assert [burst.number for burst in bursts if burst] == list(range(20))
    report = {"slot": 9, "base": 0, "missing": [3, 15], "complete": False, "refused": ""}
    sender.receive(report, 20)
    sender.receive(report, 20)
    repeated = sender.next(20)
    assert repeated is not None
    assert (repeated.number, repeated.flags) == (3, BurstFlag.REPEAT)  # 15 was sent after slot 9
    following = sender.next(21)
    assert following is not None
    assert (following.number, following.flags) == (20, BurstFlag.NONE)
    sender.receive(report, 22)
    burst = sender.next(22)
    assert burst is not None
    assert burst.number == 21


def test_the_window_bounds_what_is_under_way() -> None:
    encoder = FileEncoder("f", bytes(60 * 100), FileCode(data=10, parity=5))
    sender = Sender(encoder, Timing(window=2))
    numbers = [burst.number for slot in range(200) if (burst := sender.next(slot)) is not None]
    assert max(numbers) == encoder.layout.end(1) - 1
    assert sender.statistics()["repeats"] == len(numbers) - encoder.layout.end(1)  # questions


def test_nobody_waits_for_ever() -> None:
    timing = Timing(patience=3)
    sender, receiver = Sender(FileEncoder("f", bytes(600)), timing), Receiver(60, timing)
    slots = transfer(sender, receiver, outages(1, 0.0), lambda _: True, 5000)
    assert (sender.state, receiver.state) == ("failed", "done")
    assert sender.reason == "no answer to 3 questions in a row"
    assert slots < 5000

    sender, receiver = Sender(FileEncoder("f", bytes(60_000)), timing), Receiver(60, timing)
    transfer(sender, receiver, lambda slot: slot > 30, outages(1, 0.0), 5000)
    assert (sender.state, receiver.state) == ("failed", "failed")
    assert receiver.reason == "nothing was heard during 3 reports"


def test_a_file_that_is_refused_ends_both_sides_with_the_reason() -> None:
    sender, receiver = Sender(FileEncoder("f", bytes(6000))), Receiver(limit=5999)
    transfer(sender, receiver, outages(1, 0.1), outages(2, 0.0))
    assert (sender.state, receiver.state) == ("failed", "failed")
    assert sender.reason == receiver.reason == "the file has 6000 bytes, the limit is 5999"
    assert receiver.content() is None


def test_a_file_whose_checksum_differs_is_not_given_out() -> None:
    encoder = FileEncoder("f", bytes(6000))
    encoder.content = b"x" * 6000
    sender, receiver = Sender(encoder), Receiver()
    transfer(sender, receiver, outages(1, 0.0), outages(2, 0.0))
    assert receiver.content() is None
    assert "checksum" in sender.reason


@given(
    report=st.dictionaries(
        st.sampled_from(["slot", "base", "missing", "complete", "refused"]),
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.text(max_size=5)
        | st.lists(st.integers(-5, 2**70) | st.none() | st.booleans(), max_size=5),
    )
)
def test_any_report_is_taken_or_ignored(report: dict[str, Any]) -> None:
    sender = Sender(FileEncoder("f", bytes(600)))
    for slot in range(5):
        sender.next(slot)
    sender.receive(report, 5)
    for slot in range(5, 200):
        burst = sender.next(slot)
        assert burst is None or 0 <= burst.number < sender.encoder.total
    assert sender.state in ("sending", "closing", "done", "failed")


def test_a_report_that_names_too_much_is_ignored() -> None:
    sender = Sender(FileEncoder("f", bytes(600)))
    sender.next(0)
    sender.receive({"slot": 0, "base": 0, "missing": [0] * (MAX_NAMED + 1)}, 1)
    assert sender.reports == 0


def test_bursts_that_only_keep_time_bring_nothing() -> None:
    receiver = Receiver()
    receiver.push(0, 5, BurstFlag.FILL, bytes(60))
    assert receiver.decoder.progress.received == 0
    receiver.push(1, 5, BurstFlag.END, bytes(60))  # nothing is complete: it cannot be the end
    assert receiver.state == "receiving"


@pytest.mark.parametrize("name", ["window", "interval", "round_trip", "timeout", "patience"])
def test_timing_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=name):
        Timing(**{name: 0})
    with pytest.raises(UserError, match="round_trip 60"):
        Timing(round_trip=60)
