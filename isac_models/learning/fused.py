"""Loss and gradient of the dictionary A in one fused pass: the fast form of `isac_models.dictionary`.

The batch runs in chunks that stay in the cache, each with gradients of its own, summed in the order of the
chunks: the result does not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import ThreadpoolController

from isac_models.array import Array
from isac_models.grid import angle_grid
from isac_models.learning.objective import Objective
from isac_models.learning.sensing_batch import Batch, true_arrays
from isac_models.scenario import Scenario

Values = NDArray[Any]
T = TypeVar("T")

LARGE = 64
"""Antennas from which on products of K × K and K × N matrices pay for threads."""
CHUNK = 2500
"""Snapshots of a chunk: with 16 antennas their noise takes 320 kB."""
AHEAD = 32
"""Chunks up to which a batch is drawn before it is needed."""


@cache
def _kernels() -> ModuleType:
    from isac_models.kernels import dictionary  # here, because it imports numba

    return dictionary


@dataclass
class _Gradients:
    """Gradients that one chunk adds up: of A (2, K, N padded), of the prefix sums (2, N + 1, K padded)."""

    matrix: Values
    sums: Values
    loss: float = 0.0


@dataclass(frozen=True)
class _Drawn:
    """A chunk as the kernels take it: what the receiver gets, and the targets' gains, None if recorded."""

    receiver: tuple[Values, ...]
    gain: Values | None


class FusedPass:
    """Mean cost of an echo, (θ̂ - θ)² of (13) unless the objective says more, for A as planes (2, K, N).

    The echoes of a `SimulatedBatch` come from the true arrays of the scenario. `threads`: how many chunks run
    at a time. Memory: the gradients of every chunk and the echoes of `threads` chunks, or up to 2 · AHEAD.
    """

    def __init__(
        self, scenario: Scenario, objective: Objective, threads: int = 1, dtype: Any = np.float32
    ) -> None:
        self.dtype = np.dtype(dtype)
        kernels = _kernels()
        self.lanes: int = kernels.LANES
        suffix = "32" if self.dtype == np.float32 else "64"
        self._sensing = getattr(kernels, f"sensing_pass_{suffix}")
        self._receiver = getattr(kernels, f"receiver_pass_{suffix}")
        antennas, grid_size = scenario.antennas, scenario.grid_size
        transmit, receive = true_arrays(scenario)
        self._padded = -(-antennas // self.lanes) * self.lanes
        self._send, self._receive = self._elements(transmit), self._elements(receive)
        self._same = bool(np.array_equal(self._send, self._receive))
        self._amplitude = self.dtype.type(math.sqrt(scenario.transmit_energy))
        grid = angle_grid(grid_size)
        self._angles = np.zeros(grid_size + self.lanes, self.dtype)
        self._angles[:grid_size] = grid
        self._grid_sums = np.concatenate([[0.0], np.cumsum(grid)])
        self._shape = (antennas, grid_size)
        norm = float(np.sum(np.abs(receive.response) ** 2))
        self._objective = (
            self.dtype.type(norm * scenario.radar_gain / scenario.noise_power),
            self.dtype.type(norm * scenario.noise_power),
            objective.found_only,
            self.dtype.type(objective.level),
            self.dtype.type(objective.miss_cost),
        )
        self._pool = ThreadPoolExecutor(threads, "dictionary") if threads > 1 else None
        self._gradients: list[_Gradients] = []
        self._next: Batch | None = None
        self._ahead: tuple[Batch, list[Callable[[], _Drawn]]] | None = None
        self._blas_threads = threads if antennas >= LARGE else 1
        self._libraries = ThreadpoolController()

    def loss_and_gradient(self, planes: Values, batch: Batch) -> tuple[float, Values]:
        """Mean cost over the batch, rad², and its gradient (2, K, N)."""
        planes = np.ascontiguousarray(planes, self.dtype)
        antennas, columns = self._shape
        matrix = np.zeros((2, antennas, columns + self.lanes), self.dtype)
        matrix[:, :, :columns] = planes
        size = batch.size
        chunks = range(-(-size // CHUNK))
        while len(self._gradients) < len(chunks):
            self._gradients.append(
                _Gradients(np.empty_like(matrix), np.empty((2, columns + 1, self._padded), self.dtype))
            )
        draws = self._draws(batch)
        # The matrices of the transmitter are small: threads of the BLAS would only wait for each other.
        transmitter = None
        if batch.simulated:
            with self._libraries.limit(limits=self._blas_threads, user_api="blas"):
                transmitter = _Transmitter(planes, self._padded, self.dtype)
        gradients = self._gradients[: len(chunks)]
        runs = [
            self._start(self._run, into, matrix, transmitter, drawn, size)
            for into, drawn in zip(gradients, draws, strict=True)
        ]
        if self._next is not None:
            self._ahead = (self._next, self._draws(self._next))
            self._next = None
        for run in runs:
            run()
        gradient = gradients[0].matrix[:, :, :columns].copy()
        for each in gradients[1:]:
            gradient += each.matrix[:, :, :columns]
        if transmitter is not None:
            sums = gradients[0].sums[:, :, :antennas].astype(np.float64)
            for each in gradients[1:]:
                sums += each.sums[:, :, :antennas]
            with self._libraries.limit(limits=self._blas_threads, user_api="blas"):
                gradient += transmitter.gradient(sums)
        return sum(g.loss for g in gradients) / size, gradient

    def comes_next(self, batch: Batch) -> None:
        """Name the batch that follows the next: in the next call, threads that are done draw it already."""
        if self._pool is not None:
            self._next = batch

    def _start(self, work: Callable[..., T], *arguments: Any) -> Callable[[], T]:
        """Have work done; what is returned waits for its result. Without threads, that does it."""
        if self._pool is None:
            return partial(work, *arguments)
        return self._pool.submit(work, *arguments).result

    def _draws(self, batch: Batch) -> list[Callable[[], _Drawn]]:
        """The chunks of a batch, drawn ahead or now."""
        if self._ahead is not None and self._ahead[0] is batch:
            (_, draws), self._ahead = self._ahead, None
            return draws  # once: the kernel makes echoes of the noise in place
        firsts = range(0, batch.size, CHUNK)
        start = self._start if len(firsts) <= AHEAD else partial
        return [start(self._draw, batch, first, min(CHUNK, batch.size - first)) for first in firsts]

    def _draw(self, batch: Batch, first: int, count: int) -> _Drawn:
        chunk = batch.chunk(first, count, self.dtype)
        echo = np.ascontiguousarray(chunk.noise).view(self.dtype)
        gain = None if chunk.gain is None else np.ascontiguousarray(chunk.gain).view(self.dtype)
        return _Drawn((self._angles, self._grid_sums, echo, chunk.low, chunk.high, chunk.angle), gain)

    def _run(
        self,
        gradients: _Gradients,
        matrix: Values,
        transmitter: _Transmitter | None,
        drawn: Callable[[], _Drawn],
        total: int,
    ) -> None:
        """One chunk, its gradients into `gradients`."""
        draw = drawn()
        gradients.matrix[:] = 0
        loss = np.empty(len(draw.receiver[-1]), self.dtype)
        scale = self.dtype.type(2 / total)
        if transmitter is None:
            self._receiver(loss, *gradients.matrix, *matrix, *draw.receiver, scale)
        else:
            gradients.sums[:] = 0
            self._sensing(
                loss, *gradients.matrix, *gradients.sums, *matrix, *transmitter.sums,
                *draw.receiver, draw.gain, self._amplitude, scale, self._send, self._receive, self._same,
                *self._objective,
            )  # fmt: skip
        gradients.loss = float(loss.sum(dtype=np.float64))

    def _elements(self, array: Array) -> Values:
        """Positions · 4 (wavelengths), moduli and phases (quarter turns), (3, K padded)."""
        elements = np.zeros((3, self._padded))
        elements[:, : array.positions.size] = (
            4 * array.positions,
            np.abs(array.response),
            np.angle(array.response) * (2 / np.pi),
        )
        return elements.astype(self.dtype)


class _Transmitter:
    """M of (4), (A*Aᵀ)M = A*, as prefix sums over its columns, and the way back to A."""

    def __init__(self, planes: Values, padded: int, dtype: DTypeLike) -> None:
        self._matrix = planes[0].astype(np.float64) + 1j * planes[1]
        self._conjugate = self._matrix.conj()
        # Twice a solution for N columns: with N ≥ 2K the inverse costs half, and A*Aᵀ is well-conditioned.
        self._inverse = np.linalg.inv(self._conjugate @ self._matrix.T)
        self._solution = self._inverse @ self._conjugate
        antennas, columns = self._matrix.shape
        self.sums = np.zeros((2, columns + 1, padded), dtype)
        prefix = np.cumsum(self._solution, axis=1).T
        self.sums[0, 1:, :antennas] = prefix.real
        self.sums[1, 1:, :antennas] = prefix.imag

    def gradient(self, sums: Values) -> Values:
        """∂L/∂A (2, K, N) from ∂L/∂(prefix sums) (2, N + 1, K).

        With Γ = ∂L/∂M and Λ = (A*Aᵀ)⁻¹Γ: ∂L/∂A = (Λ - ΛMᴴA*)* - M*ΛᵀA.
        """
        tail = np.cumsum(sums[:, :0:-1], axis=1)[:, ::-1]
        slope = np.empty(tail.shape[1:], np.complex128)
        slope.real, slope.imag = tail
        solved = self._inverse @ slope.T
        product = solved @ self._solution.conj().T
        gradient = (solved - product @ self._conjugate).conj() - product.T @ self._matrix
        return np.stack([gradient.real, gradient.imag])
