from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from isac_models.waveform.sent import END, SentBurst, SentBursts

SLOT = 1280


def burst(number: int, time: int) -> SentBurst:
    return SentBurst(number, time, np.array([1, 2], np.uint8), np.array([1j, -1], np.complex64))


def listening(*told: list[dict[str, Any]]) -> Callable[[str, float], list[Any]]:
    """One list after another on the port `sent`, then nothing."""
    waiting = list(told)
    return lambda port, seconds: waiting.pop(0) if port == "sent" and waiting else []


def test_a_burst_survives_the_way_over_a_message_port() -> None:
    again = SentBurst.from_dict(burst(7, 2560).to_dict())
    assert (again.number, again.time) == (7, 2560)
    assert np.array_equal(again.message, [1, 2])
    assert np.array_equal(again.symbol, np.array([1j, -1], np.complex64))


def test_a_burst_is_recognised_by_its_time_within_half_a_slot() -> None:
    sent = SentBursts(SLOT)
    for number, slot in enumerate((0, 1, 4)):
        sent.add(burst(number, slot * SLOT))
    numbers = [found and found.number for found in map(sent.match, (20.0, 1300.0, 2200.0, 4 * SLOT - 100.0))]
    assert numbers == [0, 1, None, 2]


def test_a_known_number_moves_the_clock_that_unknown_ones_are_recognised_by() -> None:
    sent = SentBursts(SLOT)
    for number in range(6):
        sent.add(burst(number, number * SLOT))
    drift = 500.0
    for number in range(3):
        found = sent.match(number * SLOT + drift * (number + 1), number)
        assert found is not None
        assert found.number == number
    assert sent.offset == 3 * drift
    found = sent.match(3 * SLOT + 3 * drift + 100)
    assert found is not None
    assert found.number == 3


def test_a_number_that_was_never_sent_is_no_evidence() -> None:
    sent = SentBursts(SLOT)
    sent.add(burst(1, SLOT))
    found = sent.match(SLOT + 30.0, 4711)
    assert found is not None
    assert found.number == 1
    assert sent.offset == 0


def test_what_may_still_be_told_is_waited_for_and_nothing_else() -> None:
    sent = SentBursts(SLOT)
    first = burst(0, 0).to_dict()
    assert sent.find(15.0, None, listening([], [first])) is not None
    asked: list[float] = []

    def listen(port: str, seconds: float) -> list[Any]:
        if port == "sent":
            asked.append(seconds)
        return []

    assert sent.find(15.0, None, listen) is not None
    assert asked == [0.0]
    assert sent.find(3 * SLOT, None, listen) is None
    assert len(asked) == 3
    assert sent.find(3 * SLOT, None, listening([END])) is None
    assert sent.ended


def test_a_burst_that_came_too_late_is_forgotten() -> None:
    sent = SentBursts(SLOT)
    for number in range(3):
        sent.add(burst(number, number * SLOT))
    sent.forget([{"time": SLOT}, {"time": 77}])
    found = [sent.match(slot * SLOT + 20.0) for slot in range(3)]
    assert [one and one.number for one in found] == [0, None, 2]


def test_the_order_of_times_is_kept() -> None:
    sent = SentBursts(SLOT)
    sent.add(burst(0, SLOT))
    with pytest.raises(ValueError, match="behind"):
        sent.add(burst(1, SLOT))


def test_memory_is_bounded() -> None:
    sent = SentBursts(SLOT)
    for number in range((1 << 16) + 5):
        sent.add(burst(number, number * SLOT))
    assert sent.match(0.0) is None
    found = sent.match(SLOT * 65_000.0)
    assert found is not None
    assert found.number == 65_000


def test_a_burst_that_was_not_sent_is_not_remembered_whichever_word_comes_first() -> None:
    sent = SentBursts(SLOT)
    sent.add(burst(0, 0))
    sent.forget([{"time": SLOT}])
    sent.add(burst(1, SLOT))
    sent.add(burst(2, 2 * SLOT))
    assert sent.match(SLOT + 10.0) is None
    assert sent.match(2 * SLOT + 10.0) == sent.match(2 * SLOT + 20.0)
    sent.add(burst(3, 3 * SLOT))
    sent.forget([{"time": 3 * SLOT}])
    assert sent.match(3 * SLOT + 10.0) is None
