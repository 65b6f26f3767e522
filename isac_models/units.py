"""The human units of a scenario file, degrees and dB, to and from radians and linear powers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isac_models.errors import ScenarioError


@dataclass(frozen=True)
class Unit:
    """How one parameter reads in human units.

    `to_code(value, noise_power)` and `to_human(value, noise_power)` convert one number.
    """

    field: str
    allowed: str
    count: int
    low: float
    high: float
    to_code: Callable[[float, float], float]
    to_human: Callable[[float, float], float]

    def accepts(self, value: Any) -> bool:
        """Whether a value has the right shape and lies within the range; pairs must not fall."""
        numbers = _numbers(value, self.count)
        return numbers is not None and numbers == sorted(numbers) and self._within(numbers)

    def _within(self, numbers: list[float]) -> bool:
        return all(self.low <= number <= self.high for number in numbers)


def _angle(field: str, allowed: str, count: int, low: float, high: float) -> Unit:
    return Unit(
        field,
        allowed,
        count,
        low,
        high,
        lambda value, _noise: math.radians(value),
        lambda value, _noise: math.degrees(value),
    )


def _gain(field: str) -> Unit:
    return Unit(
        field,
        "a number of dB from -120 to 120",
        1,
        -120.0,
        120.0,
        lambda value, noise: noise * 10 ** (value / 10),
        lambda value, noise: 10 * math.log10(value / noise),
    )


_SECTOR = "two angles LO HI in degrees, LO not above HI, from -90 to 90"

HUMAN: Mapping[str, Unit] = {
    "snr_radar_db": _gain("radar_gain"),
    "snr_comm_db": _gain("comm_gain"),
    "target_sector_deg": _angle("target_sector", _SECTOR, 2, -90.0, 90.0),
    "comm_sector_deg": _angle("comm_sector", _SECTOR, 2, -90.0, 90.0),
    "phase_std_deg": _angle("phase_std", "a number of degrees from 0 to 180", 1, 0.0, 180.0),
}
"""By TOML key. The SNRs are ratios to the noise power: σ_r²/N0 and σ_c²/N0."""

DEFAULT_NOISE = 1.0


def field_of(key: str) -> str:
    """The field that a key stands for: itself, unless it names human units."""
    return HUMAN[key].field if key in HUMAN else key


def to_code(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values under their field names, in radians and linear powers.

    Raises ScenarioError for a value in human units that is no number or outside its range.
    """
    # A noise power that is no positive number is reported by the validation of its own field.
    given = _numbers(values.get("noise_power", DEFAULT_NOISE), 1)
    noise = given[0] if given and given[0] > 0 else DEFAULT_NOISE
    code = {}
    for key, value in values.items():
        if key not in HUMAN:
            code[key] = value
            continue
        unit = HUMAN[key]
        if not unit.accepts(value):
            raise ScenarioError(f"{key} must be {unit.allowed}, not {shorten(value)}")
        numbers = [unit.to_code(number, noise) for number in _numbers(value, unit.count) or []]
        code[unit.field] = numbers[0] if unit.count == 1 else tuple(numbers)
    return code


def to_human(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with degrees and dB wherever these convert back to exactly the same."""
    names = {unit.field: key for key, unit in HUMAN.items()}
    human = {}
    for field, value in values.items():
        key = names.get(field)
        found = None if key is None else _exact(HUMAN[key], value, values["noise_power"])
        if key is None or found is None:
            human[field] = value
        else:
            human[key] = found
    return human


def nearest(key: str, value: Any, noise: float) -> Any:
    """The value of a field in human units, which may convert back to a neighbour in the last digit."""
    unit = HUMAN[key]
    numbers = [unit.to_human(number, noise) for number in _numbers(value, unit.count) or []]
    return numbers[0] if unit.count == 1 else numbers


def shorten(value: Any) -> str:
    """A value as an error message shows it: one line, not too long."""
    text = " ".join(repr(list(value) if isinstance(value, tuple) else value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _exact(unit: Unit, value: Any, noise: float) -> Any:
    """The value in human units, or None when no number near it converts back to exactly the same."""
    numbers = _numbers(value, unit.count) or []
    exact: list[float] = []
    for number in numbers:
        near = _candidates(unit.to_human(number, noise))
        found = next((candidate for candidate in near if unit.to_code(candidate, noise) == number), None)
        if found is None:
            return None
        exact.append(found)
    whole = exact[0] if unit.count == 1 else exact
    return whole if unit.accepts(whole) else None


def _candidates(number: float) -> Iterator[float]:
    """A number rounded as people write it, and the floats around it."""
    yield round(number, 9)
    yield number
    above = below = number
    for _ in range(4):
        above, below = math.nextafter(above, math.inf), math.nextafter(below, -math.inf)
        yield above
        yield below


def _numbers(value: Any, count: int) -> list[float] | None:
    """`count` finite numbers from a number or a sequence of them; None for anything else."""
    values = [value] if count == 1 else value
    values = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(values, list | tuple) or len(values) != count:
        return None
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in values):
        return None
    try:
        numbers = [float(number) for number in values]
    except OverflowError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None
