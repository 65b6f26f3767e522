"""What no link is told: errors of the chains, clocks, delays, leakage, drawn from the front end's seed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.hil.frontend.settings import Settings

Values = NDArray[Any]
HARDWARE, PHASES, SCENE, NOISE = 1, 2, 3, 4
"""What a generator is for; with the seed and the session it keys every draw."""


def generator(settings: Settings, purpose: int, *counters: int) -> np.random.Generator:
    """The generator of a purpose, independent of every other."""
    return np.random.Generator(np.random.SFC64([settings.seed, purpose, *counters]))


@dataclass(frozen=True)
class Unknowns:
    """One realisation. Names and units as in `Settings`; `echo_delay` counts from transmission.

    tx_errors, rx_errors: complex (K,); leakage: L complex (K, K) without the errors of the chains;
    ue_phase: of the communication receiver's local oscillator.
    """

    cfo: float
    cfo_drift: float
    radar_cfo: float
    clock_ppm: float
    leakage_delay: float
    echo_delay: float
    ue_delay: float
    leakage_db: float
    tx_errors: Values
    rx_errors: Values
    leakage: Values
    ue_phase: float

    def to_json(self) -> dict[str, Any]:
        """For the test's eyes: complex arrays as [re, im]."""
        plain: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                plain[f.name] = [value.real.tolist(), value.imag.tolist()]
            else:
                plain[f.name] = float(value)
        return plain


def draw(settings: Settings, session: int = 0) -> Unknowns:
    """The front end of a seed. Another session has other phases of its local oscillators, all else is kept.

    Gains ± gain_spread_db, phases and delays (leakage 4…20, echo 1…6 later, receiver 5…30, 20…30 with a
    slow clock, that eats it up) uniform; CFO within ±0.004, its drift within ±5e-11, the radar's within
    ±1e-4; clock within ±10 ppm; leakage 20…40 dB.
    """
    k = settings.scenario.antennas
    random = generator(settings, HARDWARE)
    drawn = {
        "cfo": random.uniform(-0.004, 0.004),
        "cfo_drift": random.uniform(-5e-11, 5e-11),
        "radar_cfo": random.uniform(-1e-4, 1e-4),
        "clock_ppm": random.uniform(-10, 10),
        "leakage_delay": random.uniform(4, 20),
        "echo_after": random.uniform(1, 6),
        "leakage_db": random.uniform(20, 40),
    }
    place = random.uniform()
    gains = 10 ** (random.uniform(-settings.gain_spread_db, settings.gain_spread_db, (2, k)) / 20)
    matrix = random.normal(size=(k, k)) + 1j * random.normal(size=(k, k))
    phases = generator(settings, PHASES, session).uniform(0, 2 * np.pi, 2 * k + 1)
    given = {name: getattr(settings, name) for name in drawn}
    values = {name: drawn[name] if given[name] is None else float(given[name]) for name in drawn}
    slow = values["clock_ppm"] < 0
    ue_delay = (20 if slow else 5) + place * (10 if slow else 25)
    if settings.ue_delay is not None:
        ue_delay = settings.ue_delay
    errors = gains * np.exp(1j * phases[:-1].reshape(2, k))
    if not settings.chain_errors:
        errors = np.ones((2, k), complex)
    # Mean power of an entry: isotropic x of energy E gives |L_r x|² = ‖L_r‖² E / K, the echo σ_r² E.
    power = 10 ** (values["leakage_db"] / 10) * settings.scenario.radar_gain if settings.leakage else 0.0
    matrix *= np.sqrt(power / np.mean(np.abs(matrix) ** 2))
    return Unknowns(
        echo_delay=values["leakage_delay"] + values.pop("echo_after"),
        ue_delay=ue_delay,
        tx_errors=errors[0],
        rx_errors=errors[1],
        leakage=matrix,
        ue_phase=float(phases[-1]) if settings.chain_errors else 0.0,
        **values,
    )
