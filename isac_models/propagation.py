"""Radar echo (1) and MISO Rayleigh channel (2), batched over n snapshots.

complex64 input runs through the compiled kernels, any other precision through the plain form beside the
equation. Angles are in radians, powers linear, the true hardware is that of `array.hardware(scenario)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isac_models import draws
from isac_models.array import Array, hardware
from isac_models.draws import Random
from isac_models.scenario import Scenario

Values = NDArray[Any]

# Lanes: independent sequences of one stream.
GAIN, ANGLE, PRESENCE, NOISE = 0, 1, 2, 3

TARGET_STREAM = "target_reflector"
"""Stream key of the target's draws: with it, an offline evaluation repeats a flowgraph's draws."""
CHANNEL_STREAM = "miso_channel"
"""Stream key of the MISO channel's draws."""

LAYOUT: tuple[Literal["C"], Literal["A"]] = ("C", "A")
"""Contiguous and aligned, as the kernels take arrays."""


@cache
def _kernels() -> ModuleType:
    from isac_models.kernels import propagation  # here, because it imports numba

    return propagation


def preload() -> None:
    """Load the compiled kernels now: no stream waits for them, and processes made later inherit them."""
    _kernels()
    draws.preload()


@dataclass(frozen=True)
class Target:
    """What stood in front of the radar, each (n,): presence t, angle θ (rad), gain α.

    Angle and gain are drawn for absent targets too.
    """

    present: Values
    angle: Values
    gain: Values


def precode(symbol: Values, beam: Values) -> Values:
    """x = v s: symbols (n,) and beam (K,) to transmitted (n, K), in the symbols' precision."""
    if symbol.dtype != np.complex64:
        return symbol[:, None] * beam
    transmitted = np.empty((symbol.size, beam.size), np.complex64)
    _kernels().precode(transmitted.view(np.float32), _floats(symbol), _floats(beam))
    return transmitted


class TargetModel:
    """One Swerling-1 point target that is there in half of the snapshots, seen by a monostatic array."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.hardware = hardware(scenario)
        self._transmit = _elements(self.hardware.transmit)
        self._receive = _elements(self.hardware.receive)
        self._same = all(map(np.array_equal, self._transmit, self._receive))
        preload()

    def draw(self, random: Random, start: int, count: int) -> Target:
        """Target of snapshots start … start + count - 1: t ~ Bern(½), θ ~ U[sector], α ~ CN(0, σ_r²).

        Snapshots of one coherence block share all three: a target does not blink within a block.
        """
        first, blocks, index = _blocks(start, count, self.scenario.coherence)
        low, high = self.scenario.target_sector
        return Target(
            present=_spread(random.integers(PRESENCE, first, blocks, 2).astype(bool), index),
            angle=_spread(random.uniform(ANGLE, first, blocks, low, high), index),
            gain=_spread(
                random.complex_normal(GAIN, first, blocks, variance=self.scenario.radar_gain), index
            ),
        )

    def echo(self, transmitted: Values, target: Target, noise: Values) -> Values:
        """y_r = t α a_rx(θ) a_tx(θ)ᵀ x + n, eq. (1): (n, K), written over `noise` and returned."""
        if noise.dtype == np.complex64 and transmitted.dtype == np.complex64:
            _kernels().add_echo(
                noise.view(np.float32),
                _floats(transmitted),
                np.require(target.present, bool, LAYOUT),
                np.require(target.angle, np.float32, LAYOUT),
                _floats(target.gain),
                self._same,
                *self._transmit,
                *self._receive,
            )
            return noise
        a_tx = self.hardware.transmit.steering(target.angle, noise.dtype)
        a_rx = self.hardware.receive.steering(target.angle, noise.dtype)
        reflected = target.present * target.gain * (a_tx * transmitted).sum(axis=1)
        noise += reflected[:, None] * a_rx
        return noise

    def observe(self, transmitted: Values, random: Random, start: int) -> tuple[Values, Target]:
        """Echo (n, K) of transmitted (n, K), snapshot number `start` first, and the target behind it."""
        count, antennas = transmitted.shape
        target = self.draw(random, start, count)
        noise = random.complex_normal(NOISE, start, count, antennas, self.scenario.noise_power)
        return self.echo(transmitted, target, noise), target


class MisoModel:
    """Rayleigh channel to a single-antenna receiver somewhere in the communication sector."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.array = hardware(scenario).transmit
        self._array = _elements(self.array)
        preload()

    def draw(self, random: Random, start: int, count: int) -> tuple[Values, Values]:
        """Angle ϑ ~ U[sector] (n,) and gain β ~ CN(0, σ_c²) (n,), shared inside a coherence block."""
        first, blocks, index = _blocks(start, count, self.scenario.coherence)
        low, high = self.scenario.comm_sector
        angle = random.uniform(ANGLE, first, blocks, low, high)
        gain = random.complex_normal(GAIN, first, blocks, variance=self.scenario.comm_gain)
        return _spread(angle, index), _spread(gain, index)

    def observe(
        self, transmitted: Values, symbol: Values, random: Random, start: int
    ) -> tuple[Values, Values]:
        """Received y_c = β a(ϑ)ᵀ x + n, eq. (2), and CSI κ = β a(ϑ)ᵀ x / s, each (n,).

        transmitted (n, K), symbol (n,) without zeros; κ = β a(ϑ)ᵀ v for x = v s.
        """
        count = symbol.size
        angle, gain = self.draw(random, start, count)
        received = random.complex_normal(NOISE, start, count, variance=self.scenario.noise_power)
        if received.dtype == np.complex64 and transmitted.dtype == np.complex64:
            received = np.require(received, requirements="C")
            csi = np.empty(count, np.complex64)
            _kernels().add_miso(
                received.view(np.float32),
                csi.view(np.float32),
                _floats(transmitted),
                _floats(symbol),
                np.require(angle, np.float32, LAYOUT),
                _floats(gain),
                *self._array,
            )
            return received, csi
        response = gain * (self.array.steering(angle, received.dtype) * transmitted).sum(axis=1)
        received += response
        return received, response / symbol


def _floats(values: Values) -> Values:
    """Complex values as interleaved float32, contiguous and aligned as the kernels take them."""
    return np.require(values, np.complex64, LAYOUT).view(np.float32)


def _elements(array: Array) -> tuple[Values, Values, Values]:
    """Positions (wavelengths), moduli and phases (turns) of the elements, each (K,) float32."""
    response = array.response
    return (
        array.positions.astype(np.float32),
        np.abs(response).astype(np.float32),
        (np.angle(response) / (2 * np.pi)).astype(np.float32),
    )


def _blocks(start: int, count: int, coherence: int) -> tuple[int, int, Values | None]:
    """First coherence block, number of blocks, and the block of each snapshot (None: its own)."""
    if coherence == 1 or count == 0:
        return start // coherence, count, None
    index = (start + np.arange(count)) // coherence
    return int(index[0]), int(index[-1] - index[0]) + 1, index - index[0]


def _spread(values: Values, index: Values | None) -> Values:
    """One value for each snapshot from one for each block."""
    return values if index is None else values[index]
