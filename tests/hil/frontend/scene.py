"""Target and communication channel: constant over a block of transmit time, drawn anew for the next."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.hil.frontend.settings import ScenarioValues, Settings, SettingsError
from tests.hil.frontend.unknowns import SCENE, generator

PAGE = 256
"""Blocks drawn at once."""
BLOCK = np.dtype(
    [
        ("present", "?"),
        ("theta", "f8"),
        ("alpha", "c16"),
        ("vartheta", "f8"),
        ("beta", "c16"),
        ("calibration", "?"),
    ]
)
"""Target present? Its angle θ and gain α; angle ϑ and gain β of the receiver; is it the calibration scene?"""


class Scene:
    """What stands before the antennas in block m, for any m ≥ 0: a function of seed, session and m.

    Raises SettingsError for a scene that does not exist.
    """

    def __init__(self, settings: Settings, session: int = 0) -> None:
        self.settings, self.session = settings, session
        self._changes: list[tuple[int, str]] = [(0, settings.scene)]
        self._page = lru_cache(maxsize=64)(self._draw)

    def switch(self, scene: str, block: int) -> None:
        """From `block` on the scene is "scenario" or "calibration"; orders for later blocks are forgotten."""
        if scene not in ("scenario", "calibration"):
            raise SettingsError(f"scene must be scenario or calibration, not {str(scene)[:40]!r}")
        self._changes = [(first, name) for first, name in self._changes if first < block]
        self._changes.append((block, scene))

    def at(self, block: int) -> str:
        """The scene's name in a block."""
        return [name for first, name in self._changes if first <= max(block, 0)][-1]

    def blocks(self, first: int, count: int) -> NDArray[Any]:
        """Blocks first … first + count - 1 as an array of dtype BLOCK."""
        pages = range(first // PAGE, (first + count - 1) // PAGE + 1)
        drawn = np.concatenate([self._page(page) for page in pages])[first % PAGE :][:count].copy()
        names = np.array([self.at(first + i) == "calibration" for i in range(count)])
        drawn[names] = self._calibration()
        return drawn

    def _calibration(self) -> NDArray[Any]:
        """A strong reflector and the receiver at boresight, coupled in behind the elements' own responses."""
        scenario = self.settings.scenario
        echo = np.sqrt(scenario.radar_gain * 10 ** (self.settings.calibration_echo_db / 10))
        return np.array((True, 0.0, echo, 0.0, np.sqrt(scenario.comm_gain), True), BLOCK)

    def _draw(self, page: int) -> NDArray[Any]:
        scenario: ScenarioValues = self.settings.scenario
        u = generator(self.settings, SCENE, self.session, page).random((PAGE, 7))
        drawn = np.zeros(PAGE, BLOCK)
        drawn["present"] = u[:, 0] < 0.5
        for name, column, (low, high) in (
            ("theta", 1, scenario.target_sector),
            ("vartheta", 4, scenario.comm_sector),
        ):
            drawn[name] = low + u[:, column] * (high - low)
        for name, column, power in (("alpha", 2, scenario.radar_gain), ("beta", 5, scenario.comm_gain)):
            # |α|² of a CN(0, σ²) is exponential of mean σ², its phase uniform.
            amplitude = np.sqrt(-power * np.log1p(-u[:, column])) if self.settings.fading else np.sqrt(power)
            drawn[name] = amplitude * np.exp(2j * np.pi * u[:, column + 1])
        return drawn

    def truth(self, first_tick: int, ticks: int) -> list[dict[str, Any]]:
        """What stood there in the blocks that `ticks` of transmit time from `first_tick` on touch."""
        size = self.settings.block
        first = max(first_tick, 0) // size
        count = max(0, (first_tick + ticks - 1) // size - first + 1)
        found: Any = self.blocks(first, count) if count else []
        return [
            {
                "block": first + i,
                "first_tick": (first + i) * size,
                "ticks": size,
                "scene": "calibration" if b["calibration"] else "scenario",
                "present": bool(b["present"]),
                "theta": float(b["theta"]),
                "alpha": [float(b["alpha"].real), float(b["alpha"].imag)],
                "vartheta": float(b["vartheta"]),
                "beta": [float(b["beta"].real), float(b["beta"].imag)],
            }
            for i, b in enumerate(found)
        ]
