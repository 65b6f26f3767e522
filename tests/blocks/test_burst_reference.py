"""Which message belongs to which received symbol."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from blocks import BurstReference
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.sent import END, SentBurst

FORM = BurstFormat()
SLOT, DELAY = 1280, 15
Arrays = dict[str, np.ndarray]


def told(numbers: list[int], slots: list[int]) -> list[SentBurst]:
    """Bursts that were sent, with messages of their own."""
    rng = np.random.default_rng(1)
    return [
        SentBurst(
            number,
            slot * SLOT,
            rng.integers(4, size=256).astype(np.uint8),
            np.zeros(256, np.complex64),
        )
        for number, slot in zip(numbers, slots, strict=True)
    ]


def received(slots: list[int], numbers: list[int], delay: float = DELAY) -> Arrays:
    """Windows that were cut where bursts arrive; their payload says which window and symbol it is."""
    count = len(slots)
    payload = np.arange(count)[:, None] + 1j * np.arange(256)
    first = np.array(slots) * SLOT + int(delay) - 64
    return {
        "payload": payload.astype(np.complex64),
        "csi": (10 + payload).astype(np.complex64),
        "number": np.array(numbers, np.int64),
        "time": first.astype(np.int64),
        "start": np.full(count, 64.0 + FORM.pulse.delay + delay % 1),
        "lost": np.zeros(count, np.int64),
        "slip": np.zeros(count, np.int64),
    }


def started(sent: list[SentBurst], end: bool = True) -> BurstReference:
    """The block, told what was sent."""
    block = BurstReference(FORM)
    block.start()
    for burst in sent:
        block.deliver("sent", burst.to_dict())
    if end:
        block.deliver("sent", END)
    return block


def messages(out: Arrays) -> list[list[int]]:
    """Messages by burst."""
    return out["message"].reshape(-1, 256).tolist()


def test_every_symbol_stands_beside_the_message_that_was_sent() -> None:
    sent = told([4, 5, 6], [2, 3, 4])
    block = started(sent)
    out = block.work(**received([2, 3, 4], [4, 5, 6], DELAY + 0.25))
    assert messages(out) == [burst.message.tolist() for burst in sent]
    assert out["received"].tolist() == [b + 1j * k for b in range(3) for k in range(256)]
    assert np.array_equal(out["csi"], out["received"] + 10)
    assert block.result() == {
        "bursts": 3,
        "empty_windows": 0,
        "bursts_left_out": 0,
        "snapshots_lost": 0,
        "delay_samples": DELAY + 0.25,
    }


def test_a_burst_whose_header_cannot_be_read_is_known_by_its_time() -> None:
    sent = told([4, 5, 6], [2, 3, 4])
    out = started(sent).work(**received([2, 3, 4], [4, -1, 6]))
    assert messages(out) == [burst.message.tolist() for burst in sent]


def test_windows_in_which_nothing_was_sent_are_left_out() -> None:
    sent = told([0, 1], [2, 5])
    block = started(sent)
    out = block.work(**received([2, 3, 4, 5], [0, -1, -1, 1]))
    assert messages(out) == [burst.message.tolist() for burst in sent]
    assert out["received"][::256].tolist() == [0, 3]
    assert block.result()["empty_windows"] == 2


def test_bursts_that_lost_samples_are_left_out_and_counted() -> None:
    sent = told([0, 1, 2], [2, 3, 4])
    block = started(sent)
    given = received([2, 3, 4], [0, -1, 2])
    given["lost"][1] = 40
    out = block.work(**given)
    assert messages(out) == [sent[0].message.tolist(), sent[2].message.tolist()]
    assert block.result()["bursts_left_out"] == 1
    assert block.result()["snapshots_lost"] == 256


@pytest.mark.parametrize("cuts", [[1], [2, 2, 3], [1, 2, 3, 4]])
def test_how_the_stream_is_cut_changes_nothing(cuts: list[int]) -> None:
    sent = told([0, 1, 2, 3], [2, 3, 5, 6])
    given = received([2, 3, 4, 5, 6], [0, -1, -1, 2, 3])
    whole = started(sent).work(**given)
    block = started(sent)
    parts = [block.work(**{k: v[a:b] for k, v in given.items()}) for a, b in pairwise([0, *cuts, 5])]
    for key, values in whole.items():
        assert np.array_equal(np.concatenate([part[key] for part in parts]), values)


def test_a_clock_that_runs_off_is_followed_by_the_headers() -> None:
    count = 60
    slots = list(range(2, 2 + count))
    sent = told(list(range(count)), slots)
    given = received(slots, [-1 if b % 3 else b for b in range(count)])
    given["time"] += np.arange(count) * 40  # 2400 samples in the end, almost two slots
    block = started(sent)
    assert messages(block.work(**given)) == [burst.message.tolist() for burst in sent]
    assert block.result()["empty_windows"] == 0


def test_behind_a_slip_a_burst_is_known_by_its_number_alone() -> None:
    sent = told([0, 1, 2, 3, 4], [2, 3, 4, 5, 6])
    # A slot and a half were lost without a word before the third burst; the fourth's header can be read.
    given = received([2, 3, 4, 5, 6], [0, 1, -1, 3, -1])
    given["time"][2:] -= 1920
    given["slip"][2] = 640
    block = started(sent)
    out = block.work(**given)
    assert messages(out) == [sent[b].message.tolist() for b in (0, 1, 3, 4)]
    assert block.result()["empty_windows"] == 1


def test_a_burst_that_was_not_sent_after_all_is_an_empty_window() -> None:
    sent = told([0, 1, 2], [2, 3, 4])
    block = started(sent)
    block.deliver("unsent", {"time": 3 * SLOT})
    out = block.work(**received([2, 3, 4], [0, -1, 2]))
    assert messages(out) == [sent[0].message.tolist(), sent[2].message.tolist()]
    assert block.result()["empty_windows"] == 1


def test_a_burst_that_nothing_was_told_about_is_an_empty_window() -> None:
    block = started(told([0], [2]), end=False)
    out = block.work(**received([2, 3], [0, 1]))
    assert len(out["message"]) == 256
    assert block.result()["empty_windows"] == 1


def test_a_second_run_knows_nothing_of_the_first() -> None:
    block = started(told([0], [2]))
    block.work(**received([2], [0]))
    block.start()
    assert len(block.work(**received([2], [0]))["message"]) == 0
    assert block.result()["bursts"] == 0


def test_no_bursts_give_nothing() -> None:
    out = started([]).work(**received([], []))
    assert {key: len(values) for key, values in out.items()} == {"received": 0, "csi": 0, "message": 0}


def test_what_was_sent_while_no_burst_was_found_is_known() -> None:
    sent = told([0, 1], [0, 1])
    block = started(sent, end=False)
    block.listen()
    assert block.messages("sent") == []
    block.deliver("sent", END)
    out = block.work(**received([1], [1]))
    assert messages(out) == [sent[1].message.tolist()]


def test_before_a_run_there_is_nothing_to_report() -> None:
    assert BurstReference(FORM).result() == {}
