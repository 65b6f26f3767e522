"""Calibrations in files: kept with what they hold for, refused where that has changed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isac_models.atomic import write_atomically
from isac_models.errors import UserError
from isac_models.waveform.calibration_vectors import Calibration

FORMAT = "isac-calibration-1"
LARGEST_FILE = 1 << 20
LEAST = 1e-9
"""Numbers that are multiplied or divided by lie between this and its inverse."""
AGAIN = "measure it again: put the reflector at boresight, --calibrate"


def save_calibration(path: str | Path, calibration: Calibration) -> None:
    """Write a calibration as JSON; the file appears whole. Raises OSError."""
    write_atomically(path, (json.dumps(calibration_values(calibration), indent=1) + "\n").encode())


def calibration_values(calibration: Calibration) -> dict[str, Any]:
    """A calibration as plain values, ready for JSON."""
    return {
        "format": FORMAT,
        "key": dict(calibration.key),
        "transmit": complex_pairs(calibration.transmit),
        "receive": complex_pairs(calibration.receive),
        "residual": calibration.residual,
        "error": calibration.error,
    }


def load_calibration(path: str | Path, key: Mapping[str, Any], antennas: int) -> Calibration:
    """The calibration in a file, for a device whose key is `key` now.

    Raises UserError, one line, for a file that cannot be read or is none, and for one that was measured at
    another frequency, rate or gain, on another device, or before the device was started again.
    """
    where = f"calibration {path}"
    found = calibration_from(_read(path), antennas, where)
    for name, now in key.items():
        if found.key.get(name) != json.loads(json.dumps(now)):
            raise UserError(
                f"{where} is for another {name}: {_short(found.key.get(name))}, now {_short(now)}; " + AGAIN
            )
    return found


def calibration_from(content: Any, antennas: int, where: str) -> Calibration:
    """The calibration that `calibration_values` described, of untrusted values.

    Raises UserError, one line that begins with `where`, for anything else.
    """
    kept = content.get("key") if isinstance(content, dict) else None
    if not isinstance(kept, dict) or content.get("format") != FORMAT:
        raise UserError(f"{where}: not a calibration file of this program")
    transmit, receive = (
        _chains(where, name, content.get(name), antennas) for name in ("transmit", "receive")
    )
    residual, error = (_number(content.get(name)) for name in ("residual", "error"))
    if residual is None or error is None:
        raise UserError(f"{where}: residual and error must be numbers from 0 on")
    return Calibration(transmit, receive, residual, error, kept)


def _number(value: Any) -> float | None:
    """A finite number from 0 on, or None."""
    if type(value) not in (int, float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _read(path: str | Path) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UserError(f"calibration {path}: {error.strerror or error}") from None
    if len(data) > LARGEST_FILE:
        raise UserError(f"calibration {path}: larger than {LARGEST_FILE} bytes")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise UserError(f"calibration {path}: not JSON") from None
    if not isinstance(content, dict):
        raise UserError(f"calibration {path}: not a calibration file of this program")
    return content


def complex_pairs(values: np.ndarray) -> list[list[float]]:
    """Complex numbers (n,) as pairs [re, im]."""
    return [[float(v.real), float(v.imag)] for v in values]


def complex_from(pairs: Any, count: int, where: str) -> np.ndarray:
    """(count,) complex128 of untrusted pairs [re, im].

    Raises UserError, one line that begins with `where`, for anything else.
    """
    if not isinstance(pairs, list) or len(pairs) != count:
        have = len(pairs) if isinstance(pairs, list) else "no"
        raise UserError(f"{where}: {have} values, not {count}")
    try:
        if not all(type(part) in (int, float) for pair in pairs for part in pair):
            raise TypeError  # NumPy takes "1" and true for numbers
        values = np.array(pairs, np.float64)
    except (ValueError, TypeError, OverflowError):
        values = np.zeros(0)
    if values.shape != (count, 2) or not np.isfinite(values).all():
        raise UserError(f"{where} must be pairs of finite numbers")
    return np.asarray(values[:, 0] + 1j * values[:, 1])


def sensible(values: Any) -> bool:
    """Whether the largest real or imaginary part of complex numbers lies between LEAST and its inverse."""
    return bool(LEAST < max(np.max(np.abs(np.real(values))), np.max(np.abs(np.imag(values)))) < 1 / LEAST)


def _chains(where: str, name: str, pairs: Any, antennas: int) -> np.ndarray:
    """(antennas,) complex128 of [re, im] pairs, each of a size that can be divided by."""
    if not isinstance(pairs, list) or len(pairs) != antennas:
        have = len(pairs) if isinstance(pairs, list) else "no"
        raise UserError(f"{where}: {have} {name} values where the array has {antennas} antennas")
    values = complex_from(pairs, antennas, f"{where}: {name}")
    if not all(sensible(value) for value in values):
        raise UserError(f"{where}: {name} must be pairs of finite numbers of a sensible size, none of them 0")
    return values


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
