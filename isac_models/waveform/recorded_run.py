"""What receiving a radio's recording again takes: kept as JSON in its metadata, read without trusting it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.errors import UserError
from isac_models.waveform import CORRECTIONS
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.calibration_store import (
    calibration_from,
    calibration_values,
    complex_from,
    complex_pairs,
    sensible,
)
from isac_models.waveform.calibration_vectors import Calibration

Values = NDArray[Any]

LARGEST = {
    "antennas": 1023,
    "order": 256,
    "payload": 4096,
    "pilot_spacing": 4096,
    "pilot_repeats": 64,
    "guard": 4096,
    "samples_per_symbol": 16,
    "half_span": 64,
}
"""Of the burst format: a run sends its payload over message ports, which take no more."""
MOST_PILOTS = 1 << 12
"""Symbols of the orthogonal pilots."""
MOST_SAMPLES = 1 << 23
"""Of a slot on all channels."""
CLOSEST = 1e-4
"""What the points of a constellation are apart, of the largest of them."""
NAME = re.compile(r"[\w.:-]{1,200}")


@dataclass(frozen=True)
class RecordedRun:
    """How the recorded bursts were made, and what the run's receivers knew.

    beam v (K,) complex128 and `points` s(m) (M,) complex64: what was sent follows from its messages;
    calibration of the array, None where the run had none; `without` of CORRECTIONS those that the run left
    out; `demodulator` the name of the block that decided on symbols.
    """

    layout: BurstFormat
    beam: Values
    points: Values
    calibration: Calibration | None = None
    without: tuple[str, ...] = ()
    demodulator: str = "ml"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "format": asdict(self.layout),
            "beam": complex_pairs(self.beam),
            "points": complex_pairs(self.points),
            "calibration": None if self.calibration is None else calibration_values(self.calibration),
            "without": list(self.without),
            "demodulator": self.demodulator,
        }

    @classmethod
    def from_dict(cls, values: Any, channels: int, where: str) -> RecordedRun:
        """What `to_dict` described, of a recording with so many channels: the array's and the user's.

        Raises UserError, one line that begins with `where`, for anything else.
        """
        if not isinstance(values, Mapping):
            raise UserError(f"{where}: what it says of its radio is malformed")
        layout = _layout(values.get("format"), where)
        if layout.antennas + 1 != channels:
            raise UserError(
                f"{where} has {channels} channels, its burst format {layout.antennas} antennas: "
                "one channel more than antennas belongs to it"
            )
        calibration = values.get("calibration")
        if calibration is not None:
            calibration = calibration_from(calibration, layout.antennas, f"{where}: calibration")
        without, demodulator = values.get("without"), values.get("demodulator")
        if not isinstance(without, list) or any(each not in CORRECTIONS for each in without):
            raise UserError(f"{where}: without must be a list of {', '.join(CORRECTIONS)}")
        if not isinstance(demodulator, str) or not NAME.fullmatch(demodulator):
            raise UserError(f"{where}: demodulator must be a name")
        beam = complex_from(values.get("beam"), layout.antennas, f"{where}: beam")
        points = complex_from(values.get("points"), layout.order, f"{where}: points")
        for name, numbers in (("beam", beam), ("points", points)):
            if not sensible(numbers):
                raise UserError(f"{where}: {name} must be numbers of a sensible size, not all 0")
        apart = np.abs(points[:, None] - points)[~np.eye(points.size, dtype=bool)]
        if np.min(apart) <= CLOSEST * np.max(np.abs(points)):
            raise UserError(f"{where}: points must differ, or nobody can tell what was sent")
        points = points.astype(np.complex64)
        return cls(layout, beam, points, calibration, tuple(dict.fromkeys(without)), demodulator)


def _layout(values: Any, where: str) -> BurstFormat:
    """A burst format, of a size that memory is there for."""
    names = [field.name for field in fields(BurstFormat)]
    if not isinstance(values, Mapping) or sorted(map(str, values)) != sorted(names):
        raise UserError(f"{where}: its burst format must say {', '.join(names)}")
    for name, most in LARGEST.items():
        value = values[name]
        if type(value) is not int or not 1 <= value <= most:
            raise UserError(f"{where}: {name} must be a whole number from 1 to {most}")
    rolloff = values["rolloff"]
    if type(rolloff) not in (int, float) or not 0 < rolloff <= 1 or not math.isfinite(rolloff):
        raise UserError(f"{where}: rolloff must be a number above 0 and at most 1")
    if values["antennas"] * values["pilot_repeats"] > MOST_PILOTS:
        raise UserError(f"{where}: its burst format has more than {MOST_PILOTS} pilots")
    try:
        layout = BurstFormat(**values)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if layout.slot * (layout.antennas + 1) > MOST_SAMPLES:
        raise UserError(f"{where}: a slot of its burst format has more than {MOST_SAMPLES} samples")
    return layout
