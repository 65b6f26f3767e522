"""Bursts as a radio's recording annotates them: when each was sent, what it carried, what stood before it."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat

Values = NDArray[Any]

LAST_TICK = 1 << 50
"""212 days at 61.44 MS/s: receivers reckon with ticks and parts of them in float64."""
NUMBERS = 1 << 24
LARGEST_ANGLE = math.pi


@dataclass(frozen=True)
class RecordedBurst:
    """A burst sent at tick `time`, its header's `number`, its messages packed; and where the front end told
    it, whether a target was there and its angle (rad)."""

    time: int
    number: int
    packed: bytes
    present: bool | None = None
    angle: float | None = None


def pack_messages(message: Values, bits: int) -> str:
    """Messages (N,) uint8 of so many bits each, most significant first, as base64."""
    parts = np.unpackbits(np.asarray(message, np.uint8)[:, None], axis=1)[:, 8 - bits :]
    return base64.b64encode(np.packbits(parts).tobytes()).decode()


def unpack_messages(packed: bytes, count: int, bits: int) -> Values:
    """The (count,) uint8 messages that `pack_messages` packed."""
    parts = np.unpackbits(np.frombuffer(packed, np.uint8), count=count * bits).reshape(count, bits)
    return np.asarray(np.packbits(parts, axis=1)[:, 0] >> (8 - bits))


def recorded_bursts(
    annotations: Iterable[Mapping[str, Any]], layout: BurstFormat, where: str
) -> list[RecordedBurst]:
    """The bursts that annotations with a field `isac:tick` tell of, in the order of their times.

    Those that are marked `isac:unsent` anywhere came too late and are left out, as are other annotations.
    Raises UserError, one line that begins with `where`, for what is malformed, and for bursts
    that overlap.
    """
    found: list[RecordedBurst] = []
    unsent = set()
    for at, one in enumerate(annotations):
        if "isac:tick" not in one:
            continue
        which = f"{where}: the burst in annotation {at}"
        time = one["isac:tick"]
        if type(time) is not int or abs(time) > LAST_TICK:
            raise UserError(f"{which}: isac:tick must be a whole number of samples, up to ±{LAST_TICK}")
        late = one.get("isac:unsent", False)
        if type(late) is not bool:
            raise UserError(f"{which}: isac:unsent must be true or false")
        if late:
            unsent.add(time)
        else:
            found.append(_burst(one, time, layout, which))
    found = sorted((one for one in found if one.time not in unsent), key=lambda one: one.time)
    for before, after in pairwise(found):
        if after.time - before.time < layout.slot:
            raise UserError(f"{where}: bursts at ticks {before.time} and {after.time} overlap")
    return found


def _burst(one: Mapping[str, Any], time: int, layout: BurstFormat, which: str) -> RecordedBurst:
    number, text = one.get("isac:number"), one.get("isac:message")
    if type(number) is not int or not 0 <= number < NUMBERS:
        raise UserError(f"{which}: isac:number must be from 0 to {NUMBERS - 1}")
    size = -(-layout.payload * layout.bits // 8)
    try:
        packed = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        packed = b""
    if len(packed) != size:
        raise UserError(f"{which}: isac:message must be base64 of {size} bytes")
    present, angle = one.get("isac:present"), one.get("isac:angle")
    if present is None:
        return RecordedBurst(time, number, packed)
    good = isinstance(angle, int | float) and type(angle) is not bool and abs(angle) <= LARGEST_ANGLE
    if type(present) is not bool or not good or angle is None:
        raise UserError(f"{which}: isac:present must be true or false, isac:angle an angle in radians")
    return RecordedBurst(time, number, packed, present, float(angle))
