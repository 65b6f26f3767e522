"""Whether a trained model fits a scenario, and what differs from what it was trained on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isac_models.array import hardware
from isac_models.artifact_file import Artifact
from isac_models.artifact_layout import Kind
from isac_models.errors import UserError
from isac_models.scenario import Scenario, Sector

ROUNDING = 1e-6
"""Degrees by which a sector may miss the range of the training."""
HARDWARE = (
    "impairment",
    "impairment_seed",
    "impaired_side",
    "spacing_std",
    "gain_std",
    "phase_std",
    "reciprocal",
)


def check(artifact: Artifact, kind: Kind, scenario: Scenario) -> list[str]:
    """Warnings, a line each, where a scenario lies outside what the artifact was trained on; none if inside.

    Hardware, SNR and sectors are compared: the communication SNR for neural artifacts only, as a learned A is
    trained for sensing.

    Raises UserError, one line, for an artifact of another kind or array size, of another grid (model-driven)
    or of another modulation order (neural).
    """
    trained = artifact.scenario
    name = f"artifact {artifact.name}" if artifact.name else "the artifact"
    if artifact.kind != kind:
        raise UserError(f"{name} is {artifact.kind}: a {kind} one is needed here")
    sizes = {"antennas": "antennas"} | (
        {"grid_size": "grid_size"} if kind == "model-driven" else {"order": "order"}
    )
    for key in sizes:
        theirs, ours = getattr(trained, key), getattr(scenario, key)
        if theirs != ours:
            option = key.replace("_", "-")
            raise UserError(
                f"{name} was trained with {key} {theirs} and does not fit {key} {ours}: "
                f"give --{option} {theirs}, or train another"
            )
    found = [*_hardware(trained, scenario), *_powers(trained, scenario, kind), *_sectors(artifact, scenario)]
    return [f"{name} was trained {text}" for text in found]


def same_hardware(one: Scenario, other: Scenario) -> bool:
    """Whether two scenarios have the same true arrays."""
    if one.antennas != other.antennas:
        return False
    first, second = hardware(one), hardware(other)
    pairs = ((first.transmit, second.transmit), (first.receive, second.receive))
    return all(
        np.array_equal(a.positions, b.positions) and np.array_equal(a.response, b.response) for a, b in pairs
    )


def _hardware(trained: Scenario, scenario: Scenario) -> list[str]:
    if same_hardware(trained, scenario):
        return []
    changed = [key for key in HARDWARE if getattr(trained, key) != getattr(scenario, key)]
    pairs = [
        f"{key} {_plain(getattr(trained, key))}, not {_plain(getattr(scenario, key))}" for key in changed
    ]
    return [f"on other hardware: {'; '.join(pairs)}"]


def _powers(trained: Scenario, scenario: Scenario, kind: Kind) -> list[str]:
    found = []
    gains = {"radar_gain": "radar"} | ({"comm_gain": "communication"} if kind == "neural" else {})
    for key, channel in gains.items():
        theirs, ours = (10 * math.log10(getattr(s, key) / s.noise_power) for s in (trained, scenario))
        if abs(theirs - ours) > ROUNDING:
            found.append(f"at a {channel} SNR of {_plain(theirs)} dB, not {_plain(ours)} dB")
    for key in ("noise_power", "transmit_energy"):
        theirs, ours = getattr(trained, key), getattr(scenario, key)
        if not math.isclose(theirs, ours, rel_tol=1e-9):
            found.append(f"with {key} {_plain(theirs)}, not {_plain(ours)}")
    return found


def _sectors(artifact: Artifact, scenario: Scenario) -> list[str]:
    """A sector is known if its mean and its span lie within the ranges that the training drew from."""
    found = []
    ranges = {key: _range(artifact.training.get(f"sector_{key}_deg")) for key in ("mean", "span")}
    for key in ("target_sector", "comm_sector"):
        sector: Sector = getattr(scenario, key)
        own: Sector = getattr(artifact.scenario, key)
        low, high = map(math.degrees, sector)
        values = {"mean": (low + high) / 2, "span": high - low}
        recorded = artifact.training.get("recorded_sectors_deg")
        if isinstance(recorded, list):
            if key == "target_sector" and not any(
                (edges := _range(each)) and np.allclose(edges, (low, high), rtol=0, atol=ROUNDING)
                for each in recorded
            ):
                found.append(f"on echoes of other sectors than the {key} {_plain(low)}° … {_plain(high)}°")
            continue
        drawn = key == "target_sector" or artifact.kind == "model-driven"
        if not drawn or None in ranges.values():
            if not np.allclose(np.degrees(own), np.degrees(sector), rtol=0, atol=ROUNDING):
                ends = " … ".join(f"{_plain(math.degrees(end))}°" for end in own)
                found.append(f"on the {key} {ends}, not {_plain(low)}° … {_plain(high)}°")
            continue
        for name, limits in ranges.items():
            if limits and not limits[0] - ROUNDING <= values[name] <= limits[1] + ROUNDING:
                found.append(
                    f"on sectors with a {name} from {_plain(limits[0])}° to {_plain(limits[1])}°: "
                    f"the {key} {_plain(low)}° … {_plain(high)}° has {_plain(values[name])}°"
                )
    return found


def _range(value: Any) -> tuple[float, float] | None:
    """Two numbers in degrees, None for anything else."""
    if not (isinstance(value, list | tuple) and len(value) == 2):
        return None
    if not all(isinstance(end, int | float) for end in value):
        return None
    return float(value[0]), float(value[1])


def _plain(value: Any) -> str:
    return f"{round(value, 6) + 0.0:.6g}" if isinstance(value, float) else str(value)
