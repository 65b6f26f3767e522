"""The trainable dictionary A of model-driven learning (Sec. IV-B), shared by transmitter and receiver.

Three forms with one interface and the same gradients: `Dictionary`, equation by equation, which is the
reference; `WindowedDictionary`, which touches the columns inside the sectors alone, for any device that torch
has; `FusedDictionary`, compiled, for the processor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isac_models.array import Array
from isac_models.errors import UserError
from isac_models.grid import angle_grid
from isac_models.learning.fused import FusedPass
from isac_models.learning.objective import Objective
from isac_models.learning.sensing_batch import Batch, Chunk, true_arrays
from isac_models.scenario import Scenario

COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
NUMPY: dict[torch.dtype, Any] = {torch.float32: np.float32, torch.float64: np.float64}
CHUNK_ELEMENTS = 1 << 24
"""Complex values that the windowed form gathers at a time."""


class Dictionary(torch.nn.Module):
    """A ∈ C^{K×N}, one column a grid angle, as a parameter `planes` (2, K, N): real and imaginary part.

    matrix (K, N): where the training starts. dtype: torch.float32 or torch.float64. objective: what an echo
    costs; None is the square error of the angle, (13).

    Raises UserError for a matrix of another shape than (antennas, grid_size), or one that is not finite.
    """

    def __init__(
        self,
        scenario: Scenario,
        matrix: Any,
        dtype: torch.dtype = torch.float32,
        objective: Objective | None = None,
    ) -> None:
        super().__init__()
        self.objective = Objective() if objective is None else objective
        matrix = np.asarray(matrix)
        if matrix.shape != (scenario.antennas, scenario.grid_size):
            raise UserError(
                f"dictionary of shape {matrix.shape}: the scenario needs "
                f"({scenario.antennas}, {scenario.grid_size}) (antennas, grid_size)"
            )
        if not np.isfinite(matrix).all():
            raise UserError("dictionary: every value must be finite")
        self.scenario, self.dtype = scenario, dtype
        self.planes = torch.nn.Parameter(torch.tensor(np.stack([matrix.real, matrix.imag]), dtype=dtype))
        self.grid: Tensor
        self.register_buffer("grid", torch.tensor(angle_grid(scenario.grid_size), dtype=dtype))
        self.transmit_array, self.receive_array = true_arrays(scenario)

    @property
    def matrix(self) -> Tensor:
        """A (K, N), complex."""
        return torch.complex(self.planes[0], self.planes[1])

    def loss(self, batch: Batch) -> Tensor:
        """Mean cost of an echo in rad², (θ̂ - θ)² unless the objective says more; can be differentiated.

        Simulated snapshots run through transmitter and receiver, recorded ones through the receiver alone,
        where the cost is (θ̂ - θ)².
        """
        return self.cost(batch.chunk(0, batch.size, NUMPY[self.dtype])).mean()

    def backward(self, batch: Batch) -> float:
        """Loss of a batch; its gradient replaces that of the weights."""
        self.zero_grad()
        loss = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def cost(self, chunk: Chunk) -> Tensor:
        """What each echo costs, rad² (n,), see `Objective`."""
        echo = self.echo(chunk)
        cost = (self.estimate(echo, chunk) - self._tensor(chunk.angle)).square()
        objective, scenario = self.objective, self.scenario
        if chunk.gain is None or not (objective.found_only or objective.miss_cost):
            return cost
        receive = self._steering(self.receive_array, chunk)
        energy = receive.abs().square().sum(dim=1)
        if objective.found_only:
            power = (receive.conj() * echo.detach()).sum(dim=1).abs().square()
            cost = cost * (power > objective.level * scenario.noise_power * energy)
        lit = (self._steering(self.transmit_array, chunk) * self.beams(chunk)).sum(dim=1).abs().square()
        snr = energy * lit * (scenario.radar_gain / scenario.noise_power)
        return cost + objective.miss_cost * (1 - torch.exp(-objective.level / (1 + snr)))

    def beams(self, chunk: Chunk) -> Tensor:
        """v = √E_tx x / ‖x‖ with (A* Aᵀ) M = A* and x = M b of (4), for every sector: (n, K)."""
        matrix = self.matrix
        conjugate = matrix.conj()
        solution = torch.linalg.solve(conjugate @ matrix.T, conjugate)  # M
        beam = self._mask(chunk).to(matrix.dtype) @ solution.T  # x = M b
        return self._normalised(beam)

    def echo(self, chunk: Chunk) -> Tensor:
        """y = α s a(θ) a(θ)ᵀ v + n of (1) with t = 1: (n, K); the recorded echo where there is one."""
        noise = self._tensor(chunk.noise)
        if chunk.gain is None:
            return noise
        send, receive = self._steering(self.transmit_array, chunk), self._steering(self.receive_array, chunk)
        reflected = self._tensor(chunk.gain) * (send * self.beams(chunk)).sum(dim=1)
        return reflected[:, None] * receive + noise

    def estimate(self, echo: Tensor, chunk: Chunk) -> Tensor:
        """θ̂ = gᵀθ_grid with g = softmax(|Aᴴy| ⊙ b) of (13), b binary: echoes (n, K) to radians (n,)."""
        amplitude = (echo @ self.matrix.conj()).abs()  # |Aᴴy|
        return torch.softmax(amplitude * self._mask(chunk), dim=1) @ self.grid

    def statistic(self, echo: Tensor, chunk: Chunk) -> Tensor:
        """max |Aᴴy| ⊙ b of (14): echoes (n, K) to (n,)."""
        amplitude = (echo @ self.matrix.conj()).abs()
        return (amplitude * self._mask(chunk)).amax(dim=1)

    def _normalised(self, beam: Tensor) -> Tensor:
        """√E_tx x / ‖x‖ for each row."""
        norm = torch.linalg.vector_norm(beam, dim=1, keepdim=True)
        scaled: Tensor = math.sqrt(self.scenario.transmit_energy) * beam / norm
        return scaled

    def _mask(self, chunk: Chunk) -> Tensor:
        """b (n, N): 1 at the grid points inside the sector of each snapshot, 0 elsewhere."""
        column = torch.arange(self.scenario.grid_size, device=self.planes.device)
        low, high = (
            torch.as_tensor(edge, device=self.planes.device)[:, None] for edge in (chunk.low, chunk.high)
        )
        return ((column >= low) & (column < high)).to(self.dtype)

    def _steering(self, array: Array, chunk: Chunk) -> Tensor:
        """a(θ) of the true array for each snapshot: (n, K)."""
        positions = torch.tensor(array.positions, device=self.planes.device).to(self.dtype)
        phase = -2 * math.pi * torch.sin(self._tensor(chunk.angle))[:, None] * positions
        response = torch.tensor(array.response, device=self.planes.device).to(COMPLEX[self.dtype])
        return response * torch.polar(torch.ones_like(phase), phase)

    def _tensor(self, values: Any) -> Tensor:
        """An array of a chunk on the device of the parameters."""
        return torch.as_tensor(values, device=self.planes.device)


class WindowedDictionary(Dictionary):
    """The same loss from the columns inside the sectors alone, for a device that likes large gathers.

    The grid points outside a sector have exponent 0 in (13): their number and the sum of their angles stand
    for them. M b is a difference of prefix sums over the columns of M.
    """

    def loss(self, batch: Batch) -> Tensor:
        """As in `Dictionary`; the batch runs in parts, each drawn and gathered on its own."""
        return torch.stack(list(self._parts(batch))).sum()

    def backward(self, batch: Batch) -> float:
        """As in `Dictionary`; of what lies between, one part at a time is kept."""
        self.zero_grad()
        total = torch.zeros((), dtype=self.dtype, device=self.planes.device)
        for part in self._parts(batch):
            part.backward()  # type: ignore[no-untyped-call]
            total += part.detach()
        return total.item()

    def _parts(self, batch: Batch) -> Iterator[Tensor]:
        """What each part of the batch adds to the loss."""
        count = max(1, CHUNK_ELEMENTS // (self.scenario.antennas * self.scenario.grid_size))
        for first in range(0, batch.size, count):
            chunk = batch.chunk(first, min(count, batch.size - first), NUMPY[self.dtype])
            yield self.cost(chunk).sum() / batch.size

    def beams(self, chunk: Chunk) -> Tensor:
        """As in `Dictionary`."""
        matrix = self.matrix
        conjugate = matrix.conj()
        solution = torch.linalg.solve(conjugate @ matrix.T, conjugate)
        sums = torch.nn.functional.pad(solution.T.cumsum(dim=0), (0, 0, 1, 0))
        low, high = (self._tensor(edge).long() for edge in (chunk.low, chunk.high))
        beam = sums[high] - sums[low]
        return self._normalised(beam)

    def estimate(self, echo: Tensor, chunk: Chunk) -> Tensor:
        """As in `Dictionary`."""
        low, high = (self._tensor(edge).long() for edge in (chunk.low, chunk.high))
        offset = torch.arange(int((high - low).max()), device=self.planes.device)
        column = low[:, None] + offset
        inside = column < high[:, None]
        column = column.clamp(max=self.scenario.grid_size - 1)
        columns = self.matrix.T.conj()[column]  # (n, W, K)
        amplitude = torch.bmm(columns, echo[:, :, None])[:, :, 0].abs()
        amplitude = torch.where(inside, amplitude, 0)
        peak = amplitude.amax(dim=1, keepdim=True).detach()
        weight = torch.where(inside, torch.exp(amplitude - peak), 0)
        angle = self.grid[column]
        floor = torch.exp(-peak[:, 0])
        outside = self.scenario.grid_size - (high - low)
        outside_sum = self.grid.sum() - torch.where(inside, angle, 0).sum(dim=1)
        total = weight.sum(dim=1) + outside * floor
        return ((weight * angle).sum(dim=1) + outside_sum * floor) / total


class FusedDictionary(Dictionary):
    """The same loss through compiled kernels that run forward and backward at once, on the processor.

    `threads`: chunks of the batch that run at a time; the result does not depend on it.
    """

    def __init__(
        self,
        scenario: Scenario,
        matrix: Any,
        dtype: torch.dtype = torch.float32,
        objective: Objective | None = None,
        threads: int = 1,
    ) -> None:
        super().__init__(scenario, matrix, dtype, objective)
        self._engine = FusedPass(scenario, self.objective, threads, NUMPY[dtype])

    def comes_next(self, batch: Batch) -> None:
        """Name the batch that follows the next: it is drawn while threads would wait for each other."""
        self._engine.comes_next(batch)

    def backward(self, batch: Batch) -> float:
        """As in `Dictionary`, without torch's differentiation."""
        value, gradient = self._engine.loss_and_gradient(self.planes.detach().numpy(), batch)
        self.planes.grad = torch.from_numpy(gradient).to(self.dtype)
        return value

    def loss(self, batch: Batch) -> Tensor:
        """As in `Dictionary`."""
        value: Tensor = _Fused.apply(self.planes, self._engine, batch)  # type: ignore[no-untyped-call]
        return value


class _Fused(torch.autograd.Function):
    """Loss whose gradient is there as soon as its value is."""

    @staticmethod
    def forward(ctx: Any, planes: Tensor, engine: FusedPass, batch: Batch) -> Tensor:
        value, gradient = engine.loss_and_gradient(planes.detach().numpy(), batch)
        ctx.save_for_backward(torch.from_numpy(gradient).to(planes.dtype))
        return torch.tensor(value, dtype=planes.dtype)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        (gradient,) = ctx.saved_tensors
        return slopes[0] * gradient, None, None
