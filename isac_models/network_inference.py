"""One trained network of Table I, evaluated without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, cached_property
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


@cache
def _kernels() -> ModuleType:
    from isac_models.kernels import network_inference  # here, because it imports numba

    return network_inference


class Network:
    """Linear layers with ReLU between them: weights (outputs, inputs), biases (outputs,), first first."""

    def __init__(self, weights: Sequence[Values], biases: Sequence[Values]) -> None:
        self.weights = [np.asarray(weight, np.float64) for weight in weights]
        self.biases = [np.asarray(bias, np.float64) for bias in biases]

    def folded(self, inputs: Values, known: Values) -> Network:
        """The same network for other inputs z, where its own inputs are `inputs` z + `known`.

        inputs (own inputs, new inputs), known (own inputs,). Scales, the order of the inputs, and those that
        never change go into the first layer.
        """
        first = self.weights[0]
        bias = self.biases[0] + first @ known
        return Network([first @ inputs, *self.weights[1:]], [bias, *self.biases[1:]])

    def outputs(self, inputs: Values) -> Values:
        """Outputs (n, outputs) for inputs (n, inputs), in their precision; float32 runs through the kernel.

        There a row's result does not depend on its neighbours.
        """
        if inputs.dtype != np.float32:
            return self.plain(inputs)
        out = np.empty((len(inputs), len(self.biases[-1])), np.float32)
        _kernels().outputs(out, np.ascontiguousarray(inputs), *self._packed)
        return out

    def prepare(self) -> None:
        """Load the kernel now, so that no stream waits for it and processes made later inherit it."""
        _ = self._packed

    def plain(self, inputs: Values) -> Values:
        """The same as matrix products."""
        values = inputs
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = values @ weight.T.astype(inputs.dtype) + bias.astype(inputs.dtype)
            if number < len(self.weights) - 1:
                values = np.maximum(values, 0)
        return values

    @property
    def digest(self) -> bytes:
        """What tells two networks apart."""
        packed, sizes = self._packed
        return hashlib.blake2b(sizes.tobytes() + packed.tobytes()).digest()

    @cached_property
    def _packed(self) -> tuple[Values, Values]:
        """Weights as the kernel takes them, and the sizes of the layers."""
        block = _kernels().BLOCK
        sizes, parts = [self.weights[0].shape[1]], []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            high = -(-len(bias) // block) * block
            whole = np.zeros((high, sizes[-1] + 1), np.float32)
            whole[: len(bias), 0] = bias
            whole[: len(bias), 1 : 1 + weight.shape[1]] = weight
            parts.append(whole.reshape(high // block, block, -1).transpose(0, 2, 1).reshape(-1))
            sizes.append(high)
        return np.concatenate(parts), np.array(sizes, np.int64)
