"""What the dictionary A is trained on: sectors, targets, gains and noise, or echoes from a recording.

A batch hands itself out in chunks, so that the fast form draws a chunk, uses it while it is in the cache, and
forgets it. Draw i of a training is a function of (seed, stream, i): the same for every form, chunk size and
number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from isac_models.array import Array, hardware
from isac_models.constellation import Constellation
from isac_models.draws import SnapshotRandom
from isac_models.errors import UserError
from isac_models.grid import TOLERANCE, angle_grid
from isac_models.scenario import Scenario

Values = NDArray[Any]

MEAN = (math.radians(-60), math.radians(60))
"""Range of the mean of a training sector, radians (Sec. V-A of the paper)."""
SPAN = (math.radians(10), math.radians(20))
"""Range of the width of a training sector, radians."""

# Lanes: independent sequences of one stream.
CENTRE, WIDTH, ANGLE, GAIN, NOISE, MESSAGE = 0, 1, 2, 3, 4, 5


@cache
def _kernels() -> ModuleType:
    from isac_models.kernels import sectors  # here, because it imports numba

    return sectors


@dataclass(frozen=True)
class Chunk:
    """Snapshots with a target, n of them.

    low, high (n,) int32: first grid point of the sector and the one after its last. angle (n,): θ in radians.
    gain (n,): α s, the target's gain times the symbol, or None for echoes that were recorded.
    noise (n, K): the receiver's noise; for echoes that were recorded, the echo.
    """

    low: Values
    high: Values
    angle: Values
    gain: Values | None
    noise: Values


class Batch(Protocol):
    """Snapshots that a loss is the mean of."""

    simulated: bool
    """Whether beams are to be chosen and echoes to be made, or the echoes are there."""

    @property
    def size(self) -> int:
        """Number of snapshots."""
        ...

    def chunk(self, first: int, count: int, dtype: DTypeLike) -> Chunk:
        """Snapshots first … first + count - 1, in float32 or float64 and their complex types."""
        ...


def window(grid_size: int, low: Values, high: Values) -> tuple[Values, Values]:
    """Grid points inside sectors [low, high], radians (n,): the first and the one after the last, int32 (n,).

    A sector between two grid points takes the one nearest to its centre.
    """
    step = math.pi / (grid_size - 1)
    first = np.ceil((low - TOLERANCE + math.pi / 2) / step)
    after = np.floor((high + TOLERANCE + math.pi / 2) / step) + 1
    empty = after <= first
    if empty.any():
        nearest = np.rint(((low + high) / 2 + math.pi / 2) / step)
        first, after = np.where(empty, nearest, first), np.where(empty, nearest + 1, after)
    limits = (np.clip(edge, 0, grid_size).astype(np.int32) for edge in (first, after))
    return next(limits), next(limits)


@dataclass(frozen=True)
class Sectors:
    """How training sectors are drawn: mean ~ U[mean], width ~ U[span], radians."""

    mean: tuple[float, float] = MEAN
    span: tuple[float, float] = SPAN


class SimulatedBatch:
    """Fresh sectors and echoes of the scenario's hardware: θ ~ U[sector], α ~ CN(0, σ_r²), n ~ CN(0, N0 I).

    `stream` and `start` say which draws: snapshot i of the batch is number start + i of the stream.
    """

    simulated = True

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        stream: str,
        start: int,
        size: int,
        sectors: Sectors | None = None,
    ) -> None:
        self.scenario = scenario
        self.start, self.size = start, size
        self.sectors = Sectors() if sectors is None else sectors
        self._key = (seed, stream)

    def chunk(self, first: int, count: int, dtype: DTypeLike = np.float32) -> Chunk:
        """Snapshots first … first + count - 1 of the batch."""
        scenario, start = self.scenario, self.start + first
        # Angles come from float32 draws in every precision, so that all forms see the same windows.
        single = SnapshotRandom(*self._key)
        random = single if np.dtype(dtype) == np.float32 else SnapshotRandom(*self._key, dtype)
        centre = single.uniform(CENTRE, start, count, *self.sectors.mean)
        width = single.uniform(WIDTH, start, count, *self.sectors.span)
        place = single.uniform(ANGLE, start, count, -1.0, 1.0)
        low, high = np.empty((2, count), np.int32)
        angle = np.empty(count, dtype)
        kernels = _kernels()
        draw = kernels.sectors_32 if angle.dtype == np.float32 else kernels.sectors_64
        draw(low, high, angle, centre, width, place, scenario.grid_size, TOLERANCE)
        gain = random.complex_normal(GAIN, start, count, variance=scenario.radar_gain)
        if scenario.order > 4:  # the four points of QPSK have one modulus, and α has a random phase
            constellation = Constellation(scenario.order)
            symbol = constellation.encode(single.integers(MESSAGE, start, count, scenario.order))
            gain = gain * symbol
        noise = random.complex_normal(NOISE, start, count, scenario.antennas, scenario.noise_power)
        return Chunk(low, high, angle, gain, noise)


class RecordedBatch:
    """Echoes (n, K) with the angle of the target and the sector that was searched, both in radians.

    angle (n,); sector: one [low, high] for all, or (n, 2).
    """

    simulated = False

    def __init__(
        self, echo: Values, angle: Values, sector: tuple[float, float] | Values, grid_size: int
    ) -> None:
        if echo.ndim != 2 or angle.shape != echo.shape[:1]:
            raise UserError(f"echoes {echo.shape} and angles {angle.shape} must be (n, K) and (n,)")
        edges = np.broadcast_to(np.asarray(sector, np.float64), (len(echo), 2))
        self.echo, self.angle, self._edges = echo, angle, edges
        self.low, self.high = window(grid_size, edges[:, 0], edges[:, 1])

    def sectors(self) -> tuple[Values, Values]:
        """Low and high edge of the sector of each echo, radians (n,)."""
        return self._edges[:, 0], self._edges[:, 1]

    def select(self, rows: Values) -> RecordedBatch:
        """The batch of the echoes of these numbers (m,)."""
        part: RecordedBatch = object.__new__(RecordedBatch)
        part.echo, part.angle, part._edges = self.echo[rows], self.angle[rows], self._edges[rows]
        part.low, part.high = self.low[rows], self.high[rows]
        return part

    @property
    def size(self) -> int:
        """Number of echoes."""
        return len(self.echo)

    def chunk(self, first: int, count: int, dtype: DTypeLike = np.float32) -> Chunk:
        """Echoes first … first + count - 1."""
        part = slice(first, first + count)
        echo = self.echo[part].astype(np.result_type(dtype, np.complex64))
        return Chunk(self.low[part], self.high[part], self.angle[part].astype(dtype), None, echo)


def true_arrays(scenario: Scenario) -> tuple[Array, Array]:
    """The transmitting and the receiving array of the scenario's hardware."""
    built = hardware(scenario)
    return built.transmit, built.receive


def initial_matrix(scenario: Scenario, seed: int, variance: float) -> Values:
    """Start of the training, Sec. IV-B: nominal steering matrix plus real N(0, variance) noise, (K, N)."""
    from isac_models.array import nominal_array, steering_matrix

    matrix = steering_matrix(nominal_array(scenario), angle_grid(scenario.grid_size))
    noise = SnapshotRandom(seed, "initial_matrix", np.float64).normal(0, 0, matrix.size)
    start: Values = matrix + math.sqrt(variance) * noise.reshape(matrix.shape)
    return start
