"""Every parameter of the system, once: validated, frozen, TOML in and out."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from isac_models import units
from isac_models.errors import ScenarioError
from isac_models.grid import angle_grid, sector_mask

Impairment = Literal["none", "spacing", "element", "gain_phase"]
Side = Literal["both", "transmit"]
Sector = tuple[float, float]

WORST_CONDITION = 1e12
"""Largest condition number of A*Aᵀ in (4) that still leaves the beam a few digits in double precision."""
LARGEST_FILE = 1 << 20
SECTOR = "two angles LO HI in radians, LO not above HI, from -π/2 to π/2"
POWER = "a number from 1e-12 to 1e+12"


def _whole(default: int, low: int, high: int, description: str) -> Any:
    allowed = f"a whole number from {low} to {high}"
    return Field(default, ge=low, le=high, description=description, json_schema_extra={"allowed": allowed})


def _power(default: float, description: str) -> Any:
    # The limits keep every product of powers far from the ends of float32.
    return Field(default, ge=1e-12, le=1e12, description=description, json_schema_extra={"allowed": POWER})


def _field(default: Any, allowed: str, description: str, **limits: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"allowed": allowed}, **limits)


class Scenario(BaseModel):
    """System parameters; angles in radians, powers linear.

    The constructor also takes the keys of the TOML form (`snr_radar_db`, `target_sector_deg`, …).

    Raises ScenarioError, one line that names key, value and range, for anything impossible.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    antennas: int = _whole(16, 1, 1024, "array elements K")
    order: Literal[4, 16, 64, 256] = _field(4, "4, 16, 64 or 256", "QAM points M")
    transmit_energy: float = _power(1.0, "energy E_tx of a transmitted vector")
    noise_power: float = _power(1.0, "noise power N0 of each receiving antenna")
    radar_gain: float = _power(1.0, "mean power σ_r² of the target's reflection")
    comm_gain: float = _power(100.0, "mean power σ_c² of the communication channel")
    grid_size: int = _whole(500, 2, 100_000, "grid points over [-90°, 90°] of beam design and detector")
    target_sector: Sector = _field(
        (math.radians(-40), math.radians(-20)), SECTOR, "where the target may be, known to the transmitter"
    )
    comm_sector: Sector = _field(
        (math.radians(30), math.radians(50)), SECTOR, "where the communication receiver may be"
    )
    false_alarm: float = _field(
        1e-2, "a number between 0 and 1, both excluded", "false-alarm probability of the detector", gt=0, lt=1
    )
    impairment: Impairment = _field(
        "none", "none, spacing, element or gain_phase", "how the true array differs from the nominal one"
    )
    impairment_seed: int = _whole(1, 0, 2**63 - 1, "which realisation of the impaired hardware")
    impaired_side: Side = _field(
        "both", "both or transmit", "one impaired array for both directions, or the transmitting one only"
    )
    spacing_std: float = _field(
        1 / 30, "a number from 0 to 1", "std of spacing and element impairments in wavelengths", ge=0, le=1
    )
    gain_std: float = _field(0.1, "a number from 0 to 1", "std of the gains of gain_phase", ge=0, le=1)
    phase_std: float = _field(
        math.radians(15),
        "a number from 0 to π",
        "std of the phases of gain_phase in radians",
        ge=0,
        le=math.pi,
    )
    reciprocal: bool = _field(True, "true or false", "gain_phase has the same errors in both directions")
    coherence: int = _whole(1, 1, 10**9, "snapshots that share one draw of gains, angles and presence")

    def __init__(self, **values: Any) -> None:
        given = _known_keys(values)
        try:
            super().__init__(**units.to_code(given))
        except ValidationError as error:
            raise ScenarioError(_one_line(error, given)) from None

    @field_validator("order", mode="before")
    @classmethod
    def _whole_order(cls, value: Any) -> Any:
        if type(value) is not int:
            raise ValueError("not an integer")  # 4.0 equals a literal 4
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        """Lists, NumPy scalars and arrays as the plain values that strict validation takes; comes first."""
        if isinstance(value, np.generic | np.ndarray):
            value = value.tolist()
        return tuple(value) if isinstance(value, list) else value

    @field_validator("target_sector", "comm_sector")
    @classmethod
    def _ordered_within_half_circle(cls, sector: Sector) -> Sector:
        low, high = sector
        if not -math.pi / 2 <= low <= high <= math.pi / 2:
            raise ValueError("outside")
        return sector

    @model_validator(mode="after")
    def _grid_serves(self) -> Scenario:
        if not grid_is_fine_enough(self.antennas, self.grid_size):
            raise ScenarioError(
                f"grid_size must be at least {smallest_grid(self.antennas)} for {self.antennas} antennas, "
                f"not {self.grid_size}: with fewer points A*Aᵀ of eq. (4) cannot be inverted"
            )
        grid = angle_grid(self.grid_size)
        for name in ("target_sector", "comm_sector"):
            sector: Sector = getattr(self, name)
            if not sector_mask(grid, sector).any():
                low, high = (math.degrees(angle) for angle in sector)
                raise ScenarioError(
                    f"{name} from {low:.6g}° to {high:.6g}° holds no point of the {self.grid_size}-point "
                    f"angle grid, one every {180 / (self.grid_size - 1):.4g}°: widen it or raise grid_size"
                )
        return self

    @classmethod
    def preset(cls, name: str) -> Scenario:
        """One of the PRESETS.

        Raises ScenarioError for another name.
        """
        if name not in PRESETS:
            raise ScenarioError(
                f"no preset {name!r}{_nearest(name, PRESETS)}: "
                f"choose one of {', '.join(PRESETS)}, or name a .toml file"
            )
        return cls(**PRESETS[name])

    @classmethod
    def load(cls, name_or_path: str | Path) -> Scenario:
        """A preset by its name, or a scenario from a TOML file.

        Raises ScenarioError for an unknown preset, a file that cannot be read, or bad content.
        """
        path, name = Path(name_or_path), str(name_or_path)
        if name in PRESETS or not (path.suffix == ".toml" or "/" in name or path.exists()):
            return cls.preset(name)
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
            if len(content) > LARGEST_FILE:
                raise ScenarioError(f"scenario file {name}: larger than {LARGEST_FILE} bytes")
            text = content.decode()
        except OSError as error:
            raise ScenarioError(f"scenario file {name}: {error.strerror or error}") from None
        except UnicodeDecodeError as error:
            raise ScenarioError(f"scenario file {name}: not UTF-8 text (byte {error.start})") from None
        return cls.from_toml(text, name)

    @classmethod
    def from_toml(cls, text: str, source: str = "scenario") -> Scenario:
        """The scenario that a TOML text describes; parameters that it leaves out keep their defaults.

        Takes the field names and the human units that `to_toml` writes, of one parameter either.
        Raises ScenarioError that begins with `source`.
        """
        try:
            return cls(**tomllib.loads(text))
        except ScenarioError as error:
            raise ScenarioError(f"{source}: {error}") from None
        except RecursionError:
            raise ScenarioError(f"{source}: not a scenario, nested too deeply") from None
        except ValueError as error:  # a syntax error, or an integer of thousands of digits
            raise ScenarioError(f"{source}: {' '.join(str(error).split())}") from None

    def to_toml(self) -> str:
        """TOML with angles in degrees and gains as SNR in dB; `from_toml` gives back exactly this scenario.

        A value that no number of degrees or dB gives back exactly is written under its field name.
        """
        import tomli_w

        return tomli_w.dumps(units.to_human(self.to_dict()))

    def to_dict(self) -> dict[str, Any]:
        """All values under their field names (radians, linear powers), ready for JSON."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scenario:
        """The scenario that `to_dict` described."""
        return cls(**values)

    def replace(self, **changes: Any) -> Scenario:
        """A validated copy with some parameters changed, under either of their names."""
        kept = self.to_dict()
        for key in changes:
            kept.pop(units.field_of(key), None)
        return type(self)(**kept, **changes)


PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "ideal": {"grid_size": 500, "impairment": "none"},
        "impaired": {"grid_size": 500, "impairment": "spacing", "impairment_seed": 1},
        "limited": {"grid_size": 156, "impairment": "spacing", "impairment_seed": 1},
        "unseen": {
            "grid_size": 156,
            "impairment": "spacing",
            "impairment_seed": 1,
            "target_sector": (math.radians(-20), math.radians(20)),
        },
    }
)
"""The paper's settings: Fig. 3, Fig. 4, Fig. 4 with limited complexity, and the unseen sector of Fig. 5."""


@lru_cache(maxsize=256)
def grid_is_fine_enough(antennas: int, grid_size: int) -> bool:
    """Whether A*Aᵀ of (4) for the nominal array can be inverted in double precision."""
    if grid_size >= 2 * antennas:  # condition numbers from 1 to some tens
        return True
    if grid_size < antennas:
        return False
    # The grid is symmetric and the array uniform: A*Aᵀ is a real Toeplitz matrix.
    lag = np.arange(antennas)
    row = np.cos(np.pi * lag[:, None] * np.sin(angle_grid(grid_size))).sum(axis=1)
    eigenvalues = np.linalg.eigvalsh(row[abs(lag[:, None] - lag)])
    return bool(eigenvalues[0] * WORST_CONDITION > eigenvalues[-1])


@lru_cache(maxsize=256)
def smallest_grid(antennas: int) -> int:
    """The smallest grid_size that goes with a number of antennas."""
    low, high = 1, 2 * antennas  # the first fails, the second serves
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if grid_is_fine_enough(antennas, middle) else (middle, high)
    return max(2, high)


def allowed(key: str) -> str:
    """What a parameter may be, in words, for a field name or a name in human units."""
    if key in units.HUMAN:
        return units.HUMAN[key].allowed
    extra = Scenario.model_fields[key].json_schema_extra
    return str(extra["allowed"]) if isinstance(extra, dict) else ""


def _known_keys(values: dict[str, Any]) -> dict[str, Any]:
    """The given values, once every key is known and none is given under both of its names."""
    known = [*Scenario.model_fields, *units.HUMAN]
    for key in values:
        if key not in known:
            hint = _nearest(key, known) or f": the keys are {', '.join(known)}"
            raise ScenarioError(f"unknown key {key!r}{hint}")
        if key in units.HUMAN and units.field_of(key) in values:
            raise ScenarioError(f"give {key} or {units.field_of(key)}, not both")
    return values


def _one_line(error: ValidationError, given: Mapping[str, Any]) -> str:
    """What pydantic found, in one line that names key, allowed range and value."""
    names = {units.field_of(key): key for key in given}
    problems = {}
    for detail in error.errors():
        if not detail["loc"]:
            problems[detail["msg"]] = str(detail["ctx"]["error"])
            continue
        field = str(detail["loc"][0])
        key = names[field]
        wanted = f"be {allowed(key)}"
        if key != field and units.HUMAN[key].accepts(given[key]):
            wanted = f"make {field} {allowed(field)}"
        problems[key] = f"{key} must {wanted}, not {units.shorten(given[key])}"
        degrees = f"{key}_deg"
        if degrees in units.HUMAN and units.HUMAN[degrees].accepts(given[key]):
            problems[key] += f" (degrees go under {degrees})"
    return "; ".join(problems.values())


def _nearest(name: str, names: Any) -> str:
    found = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {found[0]}?)" if found else ""
