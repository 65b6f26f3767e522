"""Settings of the training of the neural baseline, checked, and the scaling of their inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from isac_models.errors import UserError
from isac_models.learning.setting_types import check_types
from isac_models.scenario import Scenario

OMEGAS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.15, 0.4, 0.6, 0.8, 1.0)
"""Trade-offs ω_r of the paper (Sec. V-A), each trained from scratch."""
MASKS = ("detected", "present")
ANGLE_UNITS = ("sector", "rad")
PRECISIONS = ("float32", "bfloat16")
ENGINES = ("auto", "kernels", "products", "torch")
LARGEST_HIDDEN = 1 << 14

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "recipe": "paper",
        "iterations": 50_000,  # of each of the two steps
        "batch": 10_000,
        "learning_rate": 1e-3,
        "seed": 1,
        "hidden": 21,
        "omega": OMEGAS,
        "literal_loss": False,  # (11) with its indicator: no snapshot without a target in the BCE
        "mask": "detected",  # the MSE of (12) counts snapshots with p̂ > 1/2, or "present": all
        "angle_unit": "sector",  # of the MSE of (12): the RMS error of a guess at the middle, or "rad"
        "scale_inputs": True,
        "sector_mean_deg": (-60.0, 60.0),
        "sector_span_deg": (10.0, 20.0),
        "patience": None,  # iterations for which the losses of an ω_r may be flat
        "flat": 1e-3,  # share of itself by which a held-out loss has to fall to count
        "check_every": 500,
        "device": "cpu",
        "engine": "auto",
        "precision": "float32",  # of the products of the networks
        "threads": None,  # None: one for each processor
    }
)
TYPES: Mapping[str, Any] = MappingProxyType(
    {
        **dict.fromkeys(("iterations", "batch", "seed", "hidden", "patience", "check_every", "threads"), int),
        **dict.fromkeys(("learning_rate", "flat"), float),
        **dict.fromkeys(("literal_loss", "scale_inputs"), bool),
        **dict.fromkeys(("recipe", "mask", "angle_unit", "device", "engine", "precision"), str),
        **dict.fromkeys(("omega", "sector_mean_deg", "sector_span_deg"), list[float]),
    }
)


def complete(settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings, those left out with their defaults; JSON-able.

    Raises UserError for an unknown setting, one of another type, or one out of range.
    """
    unknown = [key for key in settings if key not in DEFAULTS]
    if unknown:
        raise UserError(f"unknown setting {unknown[0]!r} of neural: {', '.join(DEFAULTS)}")
    full = {**DEFAULTS, **{key: value for key, value in settings.items() if value is not None}}
    if full["omega"] == "all":
        full["omega"] = OMEGAS
    elif isinstance(full["omega"], int | float):
        full["omega"] = [full["omega"]]
    check_types(full, TYPES)
    full["omega"] = _omegas(full["omega"])
    for key in ("sector_mean_deg", "sector_span_deg"):
        full[key] = _range(key, full[key])
    low, high = full["sector_mean_deg"]
    if full["sector_span_deg"][0] < 0 or max(-low, high) + full["sector_span_deg"][1] / 2 > 90:
        raise UserError("the sectors of sector_mean_deg and sector_span_deg must lie within ±90°")
    if full["angle_unit"] == "sector" and full["sector_span_deg"][1] == 0:
        raise UserError("angle_unit sector needs sectors wider than 0°; choose rad")
    for key in ("iterations", "batch", "hidden", "check_every"):
        _whole(key, full[key], 1)
    _whole("seed", full["seed"], 0)
    for key in ("patience", "threads"):
        if full[key] is not None:
            _whole(key, full[key], 1)
    if full["hidden"] > LARGEST_HIDDEN:
        raise UserError(f"hidden must be at most {LARGEST_HIDDEN}, not {full['hidden']}")
    choices = {
        "mask": MASKS,
        "angle_unit": ANGLE_UNITS,
        "engine": ENGINES,
        "precision": PRECISIONS,
        "recipe": ("paper",),
    }
    for key, allowed in choices.items():
        if full[key] not in allowed:
            raise UserError(f"{key} {full[key]!r}: choose one of {', '.join(allowed)}")
    if full["engine"] in ("kernels", "products") and full["device"] != "cpu":
        raise UserError(f"engine {full['engine']} runs on the device cpu only")
    if full["engine"] == "kernels" and full["precision"] != "float32":
        raise UserError("engine kernels computes in float32: choose products or torch for bfloat16")
    rate = full["learning_rate"]
    if not (math.isfinite(rate) and rate > 0):
        raise UserError(f"--lr, the learning rate, must be a positive number, not {rate}")
    if not 0 <= full["flat"] < 1:
        raise UserError(f"flat must be from 0 to below 1, not {full['flat']}")
    return full


def _omegas(values: Sequence[float]) -> list[float]:
    for value in values:
        if not 0 <= value <= 1:
            raise UserError(f"omega must be numbers from 0 to 1, or all; not {value!r}")
    if not values or len(set(values)) != len(values):
        raise UserError("omega needs at least one number, and each of them once")
    return sorted(float(value) for value in values)


def _range(key: str, given: Sequence[float]) -> list[float]:
    values = [float(value) for value in given]
    if len(values) != 2 or not all(map(math.isfinite, values)) or values[0] > values[1]:
        raise UserError(f"{key} must be two angles LO HI in degrees, LO not above HI")
    return values


def _whole(key: str, value: int, least: int) -> None:
    if value < least:
        raise UserError(f"{key} must be a whole number of at least {least}, not {value}")


def iterations_run(iterations: int, stopped_at: Sequence[Sequence[int | None]]) -> list[int]:
    """Iterations that each step of each ω_r took.

    stopped_at: for each ω_r the iterations at which its two steps were stopped early, counted over both, or
    None; empty: none was.
    """
    return [
        iterations if end is None else int(end) - begin
        for first, second in stopped_at or [(None, None)]
        for begin, end in ((0, first), (iterations, second))
    ]


def angle_weight(settings: Mapping[str, Any]) -> float:
    """What the MSE of (12), in rad², is multiplied by: with the unit "sector" one over E[span²]/12, the error
    of one who always guesses the middle of the sector.

    In rad² the MSE is some 1e-3 of the losses that it is weighed against: for every ω_r < 1 the communication
    takes the beam off the target, which the frozen presence network then misses.
    """
    if settings["angle_unit"] == "rad":
        return 1.0
    low, high = (math.radians(edge) for edge in settings["sector_span_deg"])
    return 12 / ((low * low + low * high + high * high) / 3)


def scales(scenario: Scenario, wanted: bool) -> dict[str, float]:
    """What the inputs of the networks are multiplied by: angle_scale, radar_scale (y_r), comm_scale (y_c, κ).

    Angles are divided by π/2, signals by the standard deviation of their real part for a beam that favours no
    direction, |aᵀv|² = E_tx. Not wanted: all ones.
    """
    if not wanted:
        return {"angle_scale": 1.0, "radar_scale": 1.0, "comm_scale": 1.0}
    energy, noise = scenario.transmit_energy, scenario.noise_power
    return {
        "angle_scale": 2 / math.pi,
        "radar_scale": math.sqrt(2 / (noise + scenario.radar_gain * energy)),
        "comm_scale": math.sqrt(2 / (noise + scenario.comm_gain * energy)),
    }
