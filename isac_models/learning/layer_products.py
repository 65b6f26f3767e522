"""Forward and backward passes of a network by matrix products of torch, in float32 and in bfloat16.

Values are (features, n), n a multiple of the kernels' TILE: a column is a snapshot. One thread
uses an object at a time; it keeps the memory of the widest piece that it has seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.network_layout import LAYERS

Values = NDArray[Any]


class Products:
    """All products in float32.

    weights, slopes: `NETWORK.L.weight` (outputs, inputs) and `NETWORK.L.bias` (outputs,); gradients are added
    to the slopes.
    """

    def __init__(self, weights: Mapping[str, Values], slopes: Mapping[str, Values]) -> None:
        from isac_models.kernels import wide_networks  # because it imports numba

        self.kernels = wide_networks
        self.slopes = slopes
        self.memory: dict[str, Values] = {}
        self.load(weights)

    def load(self, weights: Mapping[str, Values]) -> None:
        """Go on with these weights."""
        self.weights = weights

    def room(self, name: str, shape: tuple[int, ...], kind: Any = np.float32) -> Values:
        """Memory of that shape that is used for nothing else."""
        found, size = self.memory.get(name), math.prod(shape)
        if found is None or found.size < size:
            found = self.memory[name] = np.zeros(size, kind)
        return found[:size].reshape(shape)

    def forward(self, network: str, values: Values, keep: str) -> tuple[Values, list[Values]]:
        """Output (m, n) of a network for inputs (k, n), and the inputs of its layers.

        `keep` names the memory that they lie in, until the next pass with that name.
        """
        inputs = []
        for layer in range(LAYERS):
            inputs.append(values)
            values = self._layer(network, layer, values, keep)
        return values, inputs

    def _layer(self, network: str, layer: int, values: Values, keep: str) -> Values:
        """A layer in float32."""
        weight, bias = (self.weights[f"{network}.{layer}.{part}"] for part in ("weight", "bias"))
        out = self.room(f"{keep} {layer}", (len(bias), values.shape[1]))
        multiply(out, weight, values)
        self.kernels.activate(out, bias, layer < LAYERS - 1)
        return out

    def backward(self, network: str, error: Values, inputs: list[Values], wanted: int) -> Values:
        """Add a network's gradient from dJ/d(output), overwritten; gives dJ/d(first `wanted` inputs)."""
        values = error
        for layer in range(LAYERS - 1, -1, -1):
            error = self._back(network, layer, error, values, inputs[layer], wanted)
            values = inputs[layer]
        return error

    def _back(
        self, network: str, layer: int, error: Values, values: Values, inputs: Values, wanted: int
    ) -> Values:
        """dJ/d(inputs) of a layer in float32 from dJ/d(values), what it gave."""
        weight, slope = (net[f"{network}.{layer}.weight"] for net in (self.weights, self.slopes))
        self.kernels.slope(self.slopes[f"{network}.{layer}.bias"], error, values, layer < LAYERS - 1)
        add_product(slope, error, inputs.T)
        features = wanted if layer == 0 else weight.shape[1]
        if not features:
            return error
        out = self.room(f"error {layer % 2}", (features, inputs.shape[1]))
        multiply(out, weight[:, :features].T, error)
        return out


class HalfProducts(Products):
    """Products in bfloat16, which some processors do several times as fast, but for two.

    Forward, the first layer reads the sector's edges and the last one of a head gives the angle: for both of
    them eight bits are too few, and they are small. A product is summed up in float32 and then rounded;
    gradients of the pieces of a batch are summed up in float32 too.
    """

    def load(self, weights: Mapping[str, Values]) -> None:
        """Go on with these weights."""
        from isac_models.kernels import bfloat16

        super().load(weights)
        self.half = bfloat16
        self.rounded: dict[str, Values] = {}

    def _rounded(self, name: str) -> Values:
        """A weight in bfloat16, rounded when it is first asked for."""
        if name not in self.rounded:
            self.rounded[name] = self._narrowed(name, self.weights[name])
        return self.rounded[name]

    def _layer(self, network: str, layer: int, values: Values, keep: str) -> Values:
        name, size = f"{network}.{layer}.weight", values.shape[1]
        weight, bias = self.weights[name], self.weights[f"{network}.{layer}.bias"]
        shape = len(bias), size
        if layer == LAYERS - 1 and len(bias) == 1:
            out = self.room(f"{keep} out", shape)
            self.half.weigh(out, values, weight, bias)
            return out
        if layer == 0:
            before = self.room("entering", shape)
            multiply(before, weight, values)
            out = self.room(f"{keep} 0", shape, np.uint16)
            self.half.enter(out, before, bias)
            return out
        product = self.room(f"{keep} {layer}", shape, np.uint16)
        multiply(product, self._rounded(name), values)
        if layer < LAYERS - 1:
            self.half.activate(product, bias)
            return product
        out = self.room(f"{keep} out", shape)
        self.half.leave(out, product, bias)
        return out

    def _back(
        self, network: str, layer: int, error: Values, values: Values, inputs: Values, wanted: int
    ) -> Values:
        name, size = f"{network}.{layer}.weight", inputs.shape[1]
        weight, slope = self.weights[name], self.slopes[name]
        bias_slope = self.slopes[f"{network}.{layer}.bias"]
        if layer < LAYERS - 1:
            self.half.slope(bias_slope, error, values)
        else:
            self.half.bias_slope(bias_slope, error)
            if len(weight) == 1:
                out = self.room(f"error {layer % 2}", (weight.shape[1], size), np.uint16)
                self.half.weigh_back(slope, out, error, inputs, weight)
                return out
            error = self._narrowed("error", error)
        gradient = self.room("gradient", weight.shape, np.uint16)
        multiply(gradient, error, (inputs if layer else self._narrowed("inputs", inputs)).T)
        self.half.add(slope, gradient)
        features = weight.shape[1] if layer else wanted
        if not features:
            return error
        out = self.room(f"error {layer % 2}", (features, size), np.uint16)
        multiply(out, self._rounded(name)[:, :features].T, error)
        if layer:
            return out
        wide = self.room("error of the inputs", out.shape)
        self.half.widen(wide, out)
        return wide

    def _narrowed(self, name: str, values: Values) -> Values:
        """Values in bfloat16."""
        out = self.room(f"{name} rounded", values.shape, np.uint16)
        self.half.narrow(out, values)
        return out


def multiply(out: Values, left: Values, right: Values) -> None:
    """out = left right; uint16 are bfloat16."""
    import torch

    torch.mm(tensor(left), tensor(right), out=tensor(out))


def add_product(out: Values, left: Values, right: Values) -> None:
    """out += left right, float32."""
    tensor(out).addmm_(tensor(left), tensor(right))


def tensor(values: Values) -> Any:
    """A view of an array as torch's tensor; uint16 are bfloat16."""
    import torch

    found = torch.from_numpy(values)
    return found.view(torch.bfloat16) if values.dtype == np.uint16 else found
