"""Sizes of the five networks of Table I, and how their parameters lie in one flat vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.draws import SnapshotRandom

Values = NDArray[Any]

NETWORKS = ("encoder", "beamformer", "presence", "angle", "receiver")
"""In the order of Table I, which is that of the parameters."""
LAYERS = 4
"""Linear layers of every network: three hidden ones with ReLU, and the output."""
PAD = 4
"""The kernels take sizes padded to a multiple of this."""
LANES = 16
"""Partial sums of a gradient in the kernels."""


@dataclass(frozen=True)
class Layout:
    """The five networks for K antennas, M messages and N hidden neurons in the sensing networks."""

    antennas: int
    order: int
    hidden: int

    @cached_property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Neurons of each network from its input to its output (Table I)."""
        k, m, n = self.antennas, self.order, self.hidden
        return {
            "encoder": (m, k, k, 2 * k, 2),
            "beamformer": (4, n, n, n, 2 * k),
            "presence": (2 * k + 2, n, n, n, 1),
            "angle": (2 * k + 2, n, n, n, 1),
            "receiver": (4, k, 2 * k, 2 * k, m),
        }

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors, `encoder.0.weight` (outputs, inputs) first, in their order."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name, sizes in self.sizes.items():
            for layer in range(LAYERS):
                shapes[f"{name}.{layer}.weight"] = (sizes[layer + 1], sizes[layer])
                shapes[f"{name}.{layer}.bias"] = (sizes[layer + 1],)
        return shapes

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Where each tensor begins in the flat vector."""
        ends = np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes.values())])
        return dict(zip(self.shapes, ends[:-1].tolist(), strict=True))

    @cached_property
    def slices(self) -> dict[str, slice]:
        """The part of the flat vector that belongs to each network."""
        starts = [self.offsets[f"{name}.0.weight"] for name in NETWORKS]
        return {
            name: slice(start, end)
            for name, start, end in zip(NETWORKS, starts, [*starts[1:], self.size], strict=True)
        }

    @property
    def size(self) -> int:
        """Number of parameters of all five networks."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def count(self, *networks: str) -> int:
        """Number of parameters of the named networks."""
        return sum(self.slices[name].stop - self.slices[name].start for name in networks)

    def tensors(self, flat: Any) -> dict[str, Any]:
        """Views of flat parameters (W, P): `encoder.0.weight` (W, outputs, inputs), …; NumPy or torch."""
        return {
            name: flat[:, start : start + int(np.prod(shape))].reshape(len(flat), *shape)
            for (name, shape), start in zip(self.shapes.items(), self.offsets.values(), strict=True)
        }

    def flat(self, tensors: Mapping[str, Values]) -> Values:
        """The flat parameters (W, P) of such tensors, float32."""
        parts = [np.asarray(tensors[name], np.float32) for name in self.shapes]
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    def initial(self, seed: int, omega: float) -> Values:
        """First parameters (P,) of the networks for one ω_r: U(-1/√inputs, 1/√inputs), as torch begins.

        They depend on the seed and ω_r alone, not on which others are trained beside it.
        """
        draws = SnapshotRandom(seed, f"networks:{float(omega)!r}").uniform(0, 0, self.size, -1.0, 1.0)
        for name, view in self.tensors(draws[None]).items():
            network, layer, _ = name.split(".")
            view *= self.sizes[network][int(layer)] ** -0.5
        return draws

    @cached_property
    def plan(self) -> Values:
        """Sizes and places for the kernels: (networks, layers, 8) int64, columns as the kernels list them."""
        plan = np.zeros((len(NETWORKS), LAYERS, 8), np.int64)
        packed = turned = sums = rows = 0
        shared = 0
        for n, (name, sizes) in enumerate(self.sizes.items()):
            if name == "encoder":  # it has M rows only and is computed elsewhere
                continue
            if name == "presence":
                shared = rows
            elif name == "angle":  # reads what the presence network reads, and runs after it
                rows = shared
            for layer in range(LAYERS):
                inputs, outputs = sizes[layer], sizes[layer + 1]
                columns, high = padded(inputs + 1), padded(outputs)
                flat = self.offsets[f"{name}.{layer}.weight"]
                plan[n, layer] = inputs, outputs, columns, flat, packed, turned, sums, rows
                packed += high * columns
                turned += padded(inputs) * high
                sums += high * columns * LANES
                rows += columns
            rows += padded(sizes[-1])
        return plan

    @cached_property
    def lengths(self) -> tuple[int, int, int]:
        """Lengths of the kernels' packed weights, turned weights and gradient sums."""
        inputs, outputs, columns, _, packed, turned, sums, _ = self.plan[-1, -1].tolist()
        high = padded(outputs)
        return packed + high * columns, turned + padded(inputs) * high, sums + high * columns * LANES

    def work_space(self, tile: int) -> Values:
        """What the kernels keep of a tile: the inputs of all layers, with their rows of ones, and outputs."""
        last = self.plan[:, -1]
        height = int((last[:, 7] + last[:, 2] + (last[:, 1] + PAD - 1) // PAD * PAD).max())
        rows = np.zeros((height, tile), np.float32)
        rows[(self.plan[1:, :, 7] + self.plan[1:, :, 0]).reshape(-1)] = 1
        return rows.reshape(-1)


def padded(size: int) -> int:
    """The size rounded up to a multiple of PAD."""
    return -(-size // PAD) * PAD
