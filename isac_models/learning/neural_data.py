"""Training data of the neural baseline: drawn once for an iteration, shared by the networks of all ω_r."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isac_models.array import Array, hardware
from isac_models.draws import SnapshotRandom
from isac_models.scenario import Scenario

if TYPE_CHECKING:
    import torch

    from isac_models.networks import Snapshots

Values = NDArray[Any]

TRAINING_STREAM = "neural_training"
HELD_OUT_STREAM = "neural_held_out"
# Lanes: independent sequences of one stream.
MEAN, SPAN, PLACE, PRESENCE, MESSAGE, GAIN, NOISE, COMM_ANGLE, COMM_GAIN, COMM_NOISE = range(10)
# Rows of a tile, as the kernels have them; four matrices of 2K rows follow, real parts first.
PRIOR, TRUTH, PRESENT, SENT, ECHO_GAIN, RECEIVED_NOISE, MATRICES = 0, 4, 5, 6, 7, 9, 11


class Draws:
    """Snapshots of the scenario's physics with target sectors drawn for each of them (Sec. V-A).

    `mean` and `span`: limits in radians of the sector's mean angle and of its width. The communication sector
    is the scenario's. `angle_scale` multiplies the angles that the networks are given. Snapshot i of a stream
    is the same whatever else is drawn.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        stream: str = TRAINING_STREAM,
        mean: tuple[float, float] = (math.radians(-60), math.radians(60)),
        span: tuple[float, float] = (math.radians(10), math.radians(20)),
        angle_scale: float = 1.0,
    ) -> None:
        from isac_models.kernels import network_data  # here, because it imports numba

        self.scenario = scenario
        self.random = SnapshotRandom(seed, stream)
        self.mean, self.span, self.angle_scale = mean, span, angle_scale
        self.tile: int = network_data.TILE
        self.rows = MATRICES + 8 * scenario.antennas
        self._fill = network_data.fill
        true = hardware(scenario)
        self._arrays = (*_elements(true.transmit), *_elements(true.receive))

    def tiles(self, start: int, count: int, present: bool = False) -> Values:
        """Snapshots number `start` … `start + count - 1` in tiles: (T, rows, TILE) float32.

        `present`: a target in every one of them; otherwise t ~ Bern(1/2).
        """
        tiles = np.empty((-(-count // self.tile), self.rows * self.tile), np.float32)
        self.fill(tiles, start, count, present)
        return tiles.reshape(len(tiles), self.rows, self.tile)

    def fill(self, tiles: Values, start: int, count: int, present: bool) -> None:
        """The same into given memory (T, rows TILE); different parts may be filled at the same time."""
        scenario, random = self.scenario, self.random
        low, high = scenario.comm_sector
        there = np.ones(count, np.uint8) if present else random.integers(PRESENCE, start, count, 2)
        self._fill(
            tiles,
            random.uniform(MEAN, start, count, *self.mean),
            random.uniform(SPAN, start, count, *self.span),
            random.uniform(PLACE, start, count),
            there,
            random.integers(MESSAGE, start, count, scenario.order),
            random.complex_normal(GAIN, start, count, variance=scenario.radar_gain).view(np.float32),
            random.complex_normal(NOISE, start, count, scenario.antennas, scenario.noise_power)
            .reshape(-1)
            .view(np.float32),
            random.uniform(COMM_ANGLE, start, count, low, high),
            random.complex_normal(COMM_GAIN, start, count, variance=scenario.comm_gain).view(np.float32),
            random.complex_normal(COMM_NOISE, start, count, variance=scenario.noise_power).view(np.float32),
            np.array(scenario.comm_sector, np.float32),
            self.angle_scale,
            *self._arrays,
        )


def _elements(array: Array) -> tuple[Values, Values, Values]:
    """Positions (wavelengths), moduli and phases (turns) of the elements, each (K,) float32."""
    response = array.response
    return (
        array.positions.astype(np.float32),
        np.abs(response).astype(np.float32),
        (np.angle(response) / (2 * np.pi)).astype(np.float32),
    )


def snapshots(tiles: Values, count: int, device: str | torch.device = "cpu") -> Snapshots:
    """The first `count` snapshots of tiles (T, rows, TILE) as torch tensors on a device."""
    import torch

    from isac_models.networks import Snapshots

    flat = np.ascontiguousarray(tiles.transpose(1, 0, 2).reshape(tiles.shape[1], -1)[:, :count])
    rows = torch.from_numpy(flat).to(device)
    antennas = (len(rows) - MATRICES) // 8

    def complex_rows(first: int, size: int) -> torch.Tensor:
        return torch.complex(rows[first : first + size], rows[first + size : first + 2 * size])

    def matrix(number: int) -> torch.Tensor:
        return complex_rows(MATRICES + 2 * antennas * number, antennas).T.contiguous()

    return Snapshots(
        prior=rows[PRIOR : PRIOR + 4].T.contiguous(),
        angle=rows[TRUTH],
        present=rows[PRESENT],
        message=rows[SENT].long(),
        gain=complex_rows(ECHO_GAIN, 1)[0],
        transmit=matrix(0),
        receive=matrix(1),
        noise=matrix(2),
        channel=matrix(3),
        comm_noise=complex_rows(RECEIVED_NOISE, 1)[0],
    )
