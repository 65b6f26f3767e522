"""What a front end is told: the scenario's values, what to draw from the seed, what to leave out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_FILE = 1 << 20
IMPAIRMENTS = ("none", "spacing", "element", "gain_phase")
UNUSED = {"order", "grid_size", "false_alarm", "coherence"}
"""Keys of a scenario that no hardware has: what the link makes of its signals."""


class SettingsError(ValueError):
    """A setting that cannot be; one line."""


@dataclass(frozen=True)
class ScenarioValues:
    """The scenario: angles in radians, powers linear; the names are those of its JSON form."""

    antennas: int = 16
    transmit_energy: float = 1.0
    noise_power: float = 1.0
    radar_gain: float = 1.0
    comm_gain: float = 100.0
    target_sector: tuple[float, float] = (math.radians(-40), math.radians(-20))
    comm_sector: tuple[float, float] = (math.radians(30), math.radians(50))
    impairment: str = "none"
    impairment_seed: int = 1
    impaired_side: str = "both"
    spacing_std: float = 1 / 30
    gain_std: float = 0.1
    phase_std: float = math.radians(15)
    reciprocal: bool = True

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ScenarioValues:
        """The values of a decoded JSON object. Raises SettingsError for what is unknown or impossible."""
        known = {f.name: f.default for f in fields(cls)}
        given: dict[str, Any] = {}
        for key, value in values.items():
            if key in UNUSED:
                continue
            if key not in known:
                raise SettingsError(f"scenario: unknown key {key!r}")
            given[key] = _checked(key, value, known[key])
        scenario = cls(**given)
        if not 1 <= scenario.antennas <= 64:
            raise SettingsError(f"scenario: antennas must be from 1 to 64, not {scenario.antennas}")
        for name in ("noise_power", "transmit_energy"):
            if not getattr(scenario, name) > 0:
                raise SettingsError(f"scenario: {name} must be above 0")
        if scenario.impairment not in IMPAIRMENTS:
            raise SettingsError(f"scenario: impairment must be one of {', '.join(IMPAIRMENTS)}")
        if scenario.impaired_side not in ("both", "transmit"):
            raise SettingsError("scenario: impaired_side must be both or transmit")
        return scenario

    @classmethod
    def load(cls, path: str | Path) -> ScenarioValues:
        """The values in a JSON file. Raises SettingsError."""
        try:
            with Path(path).open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
            if len(content) > LARGEST_FILE:
                raise SettingsError(f"scenario file {path}: larger than {LARGEST_FILE} bytes")
            values = json.loads(content)
        except OSError as error:
            raise SettingsError(f"scenario file {path}: {error.strerror or error}") from None
        except (ValueError, RecursionError) as error:
            if isinstance(error, SettingsError):
                raise
            raise SettingsError(f"scenario file {path}: not JSON") from None
        if not isinstance(values, dict):
            raise SettingsError(f"scenario file {path}: not a JSON object")
        return cls.from_mapping(values)


def _checked(key: str, value: Any, default: Any) -> Any:
    """A value of the kind of its default."""
    if isinstance(default, bool | str):
        good = type(value) is type(default)
    elif isinstance(default, int):
        good = type(value) is int and value >= 0
    elif isinstance(default, float):
        good = type(value) in (int, float) and math.isfinite(value) and value >= 0
    else:
        good = (
            isinstance(value, list | tuple)
            and len(value) == 2
            and all(type(angle) in (int, float) and abs(angle) <= math.pi / 2 for angle in value)
            and value[0] <= value[1]
        )
        value = tuple(value) if good else value
    if not good:
        raise SettingsError(f"scenario: {key} cannot be {str(value)[:40]!r}")
    return value


@dataclass(frozen=True)
class Arrays:
    """Element positions in wavelengths and responses, (K,), of the sending and of the hearing array."""

    transmit_positions: NDArray[np.float64]
    transmit_response: NDArray[np.complex128]
    receive_positions: NDArray[np.float64]
    receive_response: NDArray[np.complex128]


def build_arrays(scenario: ScenarioValues) -> Arrays:
    """The arrays as built: positions p_k = (k - (K-1)/2)/2 unless the impairment says otherwise.

    spacing: K-1 spacings N(1/2, std²), summed up, centred on their mean. element: p_k = d_k (k - (K-1)/2).
    gain_phase: responses (1 + ε_k) e^{jφ_k}, all ε before all φ; drawn again to receive if not reciprocal.
    """
    k = np.arange(scenario.antennas) - (scenario.antennas - 1) / 2
    draw = np.random.default_rng(scenario.impairment_seed)
    ideal, ones = k / 2, np.ones(k.size, complex)
    tx = rx = (ideal, ones)

    def responses() -> NDArray[np.complex128]:
        gains = 1 + draw.normal(0, scenario.gain_std, k.size)
        return np.asarray(gains * np.exp(1j * draw.normal(0, scenario.phase_std, k.size)))

    if scenario.impairment == "spacing":
        places = np.append(0, np.cumsum(draw.normal(0.5, scenario.spacing_std, k.size - 1)))
        tx = rx = (places - places.mean(), ones)
    elif scenario.impairment == "element":
        tx = rx = (draw.normal(0.5, scenario.spacing_std, k.size) * k, ones)
    elif scenario.impairment == "gain_phase":
        tx = rx = (ideal, responses())
        if not scenario.reciprocal:
            rx = (ideal, responses())
    if scenario.impaired_side == "transmit":
        rx = (ideal, ones)
    return Arrays(*tx, *rx)


def steering(positions: NDArray[Any], response: NDArray[Any], angles: NDArray[Any]) -> NDArray[np.complex128]:
    """a(θ)_k = c_k exp(-j2π p_k sin θ): angles (n,) to (n, K)."""
    return np.asarray(response * np.exp(-2j * np.pi * np.sin(angles)[:, None] * positions))


@dataclass(frozen=True)
class Settings:
    """Everything; what is None is drawn from `seed` (see `unknowns.draw`).

    Delays are in samples and may be fractions, CFOs in cycles a sample, the drift in cycles a sample².
    `echo_after` is the echo's delay behind the leakage's. A clock of +1 ppm is fast: the receiver takes
    1 + 1e-6 samples a tick. `leakage_db` is the mean power of the leakage over that of the echo in one
    receive channel, for the same isotropic transmission (a beam onto the target's sector gains some 6 dB
    of echo). `bits` 0 means neither quantiser nor clipping.
    """

    scenario: ScenarioValues = field(default_factory=ScenarioValues)
    seed: int = 1
    block: int = 1280
    scene: str = "scenario"
    samples_per_symbol: int = 2
    reference_power: float = 10**-1.2
    rate: float = 1e6
    bits: int = 12
    noise: bool = True
    fading: bool = True
    leakage: bool = True
    chain_errors: bool = True
    tx_gain_db: float = 0.0
    rx_gain_db: float = 0.0
    gain_spread_db: float = 1.5
    calibration_echo_db: float = 20.0
    cfo: float | None = None
    cfo_drift: float | None = None
    radar_cfo: float | None = None
    clock_ppm: float | None = None
    leakage_delay: float | None = None
    echo_after: float | None = None
    ue_delay: float | None = None
    leakage_db: float | None = None

    def __post_init__(self) -> None:
        limits: dict[str, tuple[float, float]] = {
            "seed": (0, 2**63 - 1),
            "block": (16, 1 << 24),
            "samples_per_symbol": (1, 64),
            "reference_power": (1e-9, 1.0),
            "rate": (1.0, 1e9),
            "bits": (0, 16),
            "tx_gain_db": (-90, 90),
            "rx_gain_db": (-90, 90),
            "gain_spread_db": (0, 20),
            "calibration_echo_db": (-60, 60),
            "cfo": (-0.5, 0.5),
            "cfo_drift": (-1e-6, 1e-6),
            "radar_cfo": (-0.5, 0.5),
            "clock_ppm": (-1000, 1000),
            "leakage_delay": (4, 4096),
            "echo_after": (0, 4096),
            "ue_delay": (5, 65536),
            "leakage_db": (-60, 80),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:  # NaN fails too
                raise SettingsError(f"{name} must be from {low:g} to {high:g}, not {value:g}")
        if self.scene not in ("scenario", "calibration"):
            raise SettingsError(f"scene must be scenario or calibration, not {self.scene[:40]!r}")
