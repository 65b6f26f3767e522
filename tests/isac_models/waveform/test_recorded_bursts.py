"""Bursts in annotations: what is written comes back, what is malformed is one line."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.recorded_bursts import (
    RecordedBurst,
    pack_messages,
    recorded_bursts,
    unpack_messages,
)

LAYOUT = BurstFormat(2)
MESSAGE = np.arange(LAYOUT.payload, dtype=np.uint8) % 4


def annotation(tick: Any = 1280, **changes: Any) -> dict[str, Any]:
    """Of a burst, as it stands in a file."""
    good = {
        "core:sample_start": 0,
        "isac:tick": tick,
        "isac:number": 7,
        "isac:message": pack_messages(MESSAGE, LAYOUT.bits),
        "isac:present": True,
        "isac:angle": -0.5,
    }
    return {**good, **{f"isac:{key}": value for key, value in changes.items()}}


def test_messages_are_packed_most_significant_bit_first() -> None:
    # 0, 1, 2, 3 of two bits: 00011011.
    assert base64.b64decode(pack_messages(np.array([0, 1, 2, 3, 3], np.uint8), 2)) == b"\x1b\xc0"
    assert base64.b64decode(pack_messages(np.array([0xAB, 0x01], np.uint8), 8)) == b"\xab\x01"


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
@pytest.mark.parametrize("count", [1, 5, 256])
def test_packed_messages_come_back(bits: int, count: int) -> None:
    message = np.random.default_rng(bits).integers(1 << bits, size=count).astype(np.uint8)
    packed = base64.b64decode(pack_messages(message, bits))
    assert len(packed) == -(-count * bits // 8)
    found = unpack_messages(packed, count, bits)
    assert found.dtype == np.uint8
    assert np.array_equal(found, message)


def test_bursts_come_in_the_order_of_their_times_without_those_that_were_not_sent() -> None:
    unsent = {"core:sample_start": 9, "isac:tick": 2560, "isac:unsent": True}
    other = {"core:sample_start": 5, "core:label": "burst"}
    given = [annotation(5120), annotation(2560), unsent, other, annotation(0, present=None, angle=None)]
    found = recorded_bursts(given, LAYOUT, "recording x")
    packed = base64.b64decode(pack_messages(MESSAGE, 2))
    assert found == [RecordedBurst(0, 7, packed), RecordedBurst(5120, 7, packed, True, -0.5)]


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (annotation(1.5), "isac:tick must be a whole number"),
        (annotation(True), "isac:tick must be a whole number"),
        (annotation(1 << 70), "isac:tick must be a whole number"),
        (annotation((1 << 50) + 1), "isac:tick must be a whole number"),
        (annotation(-(1 << 50) - 1), "isac:tick must be a whole number"),
        (annotation(unsent="yes"), "isac:unsent must be true or false"),
        (annotation(unsent=1), "isac:unsent must be true or false"),
        (annotation(unsent=None), "isac:unsent must be true or false"),
        (annotation(number=None), "isac:number must be from 0 to 16777215"),
        (annotation(number=-1), "isac:number must be"),
        (annotation(number=1 << 24), "isac:number must be"),
        (annotation(message=None), "isac:message must be base64 of 64 bytes"),
        (annotation(message="AA=="), "isac:message must be base64 of 64 bytes"),
        (annotation(message="ä" * 88), "isac:message must be base64 of 64 bytes"),
        (annotation(message="?" * 88), "isac:message must be base64 of 64 bytes"),
        (annotation(present=1), "isac:present must be true or false"),
        (annotation(angle=None), "isac:angle an angle in radians"),
        (annotation(angle=True), "isac:angle an angle in radians"),
        (annotation(angle=4.0), "isac:angle an angle in radians"),
        (annotation(angle=float("nan")), "isac:angle an angle in radians"),
        (annotation(angle=10**400), "isac:angle an angle in radians"),
    ],
)
def test_a_malformed_burst_is_one_line(one: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        recorded_bursts([{}, one], LAYOUT, "recording x")
    line = str(refused.value)
    assert line.startswith("recording x: the burst in annotation 1: isac:")
    assert message in line
    assert "\n" not in line


def test_bursts_that_overlap_are_refused() -> None:
    with pytest.raises(UserError, match="recording x: bursts at ticks 0 and 100 overlap"):
        recorded_bursts([annotation(0), annotation(100)], LAYOUT, "recording x")
    with pytest.raises(UserError, match="ticks 0 and 0 overlap"):
        recorded_bursts([annotation(0), annotation(0)], LAYOUT, "recording x")
