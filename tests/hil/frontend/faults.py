"""Faults that can be ordered from any server of the front end, and what of them is due."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = ("drop", "stall", "garbage", "nan", "half", "huge", "silence", "restart")
"""drop: `samples` of all receive channels lost. stall: nothing moves for `seconds`. silence: no reply for
`seconds`. restart: as after a power cut. The others spoil the next reply of `channel` (default 0): garbage:
`size` random bytes; nan; half: three bytes too many; huge: `size` bytes."""
DEFAULTS: dict[str, float] = {"samples": 1000, "seconds": 0.2, "channel": 0}
SIZES = {"garbage": 4099, "huge": 64 << 20}
LIMITS = {"samples": 1 << 30, "seconds": 3600, "channel": 63, "size": 256 << 20}


class FaultError(ValueError):
    """A fault that cannot be ordered; one line."""


@dataclass(frozen=True)
class Fault:
    """A fault, checked."""

    kind: str
    samples: int
    seconds: float
    channel: int
    size: int


def check(kind: str, details: dict[str, Any], kinds: tuple[str, ...] = KINDS) -> Fault:
    """The fault of a kind with its details. Raises FaultError."""
    if kind not in kinds:
        raise FaultError(f"fault must be one of {', '.join(kinds)}, not {str(kind)[:40]!r}")
    values: dict[str, float] = {**DEFAULTS, "size": SIZES.get(kind, 0)}
    for key, value in details.items():
        if key not in values:
            raise FaultError(f"fault {kind}: unknown detail {key[:40]!r}")
        if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= LIMITS[key]:
            raise FaultError(f"fault {kind}: {key} must be a number from 0 to {LIMITS[key]}")
        values[key] = value
    whole = {key: int(values[key]) for key in ("samples", "channel", "size")}
    return Fault(kind, seconds=float(values["seconds"]), **whole)


class FaultQueue:
    """Faults on their way from the thread that orders them to the one that serves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def put(self, fault: Fault) -> None:
        """Order a fault."""
        with self._lock:
            self._waiting.append(fault)

    def take(self) -> list[Fault]:
        """The faults ordered since the last call."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken


def spoil(fault: Fault, samples: np.ndarray) -> bytes:
    """Bytes that no radio should send, in the place of `samples` (n,) complex64."""
    if fault.kind == "nan":
        spoiled = np.append(samples, np.complex64(0)).astype(np.complex64)
        spoiled[spoiled.size // 2] = np.nan
        return spoiled.tobytes()
    if fault.kind == "half":
        return samples.tobytes() + b"\0\1\2"
    return np.random.default_rng(0).bytes(fault.size)
