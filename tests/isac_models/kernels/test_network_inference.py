"""The kernel for one network: equal to matrix products, and every row as if it were alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from isac_models.kernels import network_inference

TILE, BLOCK = network_inference.TILE, network_inference.BLOCK


def packed(random: np.random.Generator, sizes: list[int]) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Layers [bias | weights], (outputs, 1 + inputs), and how the kernel takes them: by its docstring."""
    layers, parts, padded = [], [], [sizes[0]]
    for inputs, outputs in itertools.pairwise(sizes):
        high = outputs + -outputs % BLOCK
        layer = np.zeros((high, 1 + padded[-1]), np.float32)
        layer[:outputs, : 1 + inputs] = random.standard_normal((outputs, 1 + inputs)) / np.sqrt(inputs)
        parts += [layer[o : o + BLOCK].T.reshape(-1) for o in range(0, high, BLOCK)]
        layers.append(layer)
        padded.append(high)
    return layers, np.concatenate(parts), np.array(padded, np.int64)


@pytest.mark.parametrize("sizes", [[32, 21, 21, 21, 1], [4, 5, 10, 10, 16], [1, 3], [7, 64, 3, 2]])
@pytest.mark.parametrize("count", [0, 1, TILE - 1, TILE, 3 * TILE + 5])
def test_outputs_are_those_of_matrix_products(sizes: list[int], count: int) -> None:
    random = np.random.default_rng(3)
    layers, weights, padded = packed(random, sizes)
    inputs = random.standard_normal((count, sizes[0])).astype(np.float32)
    out = np.full((count, sizes[-1]), np.nan, np.float32)
    network_inference.outputs(out, inputs, weights, padded)
    values = inputs.astype(np.float64)
    for number, layer in enumerate(layers):
        values = np.hstack([np.ones((count, 1)), values]) @ layer.T
        values = values if number == len(layers) - 1 else np.where(values > 0, values, 0)
    np.testing.assert_allclose(out, values[:, : sizes[-1]], rtol=2e-5, atol=2e-6)


def test_a_row_does_not_depend_on_its_place_nor_on_its_neighbours() -> None:
    random = np.random.default_rng(4)
    _, weights, padded = packed(random, [32, 21, 21, 2])
    inputs = random.standard_normal((500, 32)).astype(np.float32)
    whole, part = np.empty((500, 2), np.float32), np.empty((500, 2), np.float32)
    network_inference.outputs(whole, inputs, weights, padded)
    first = 0
    for last in (1, 40, 41, 200, 263, 500):
        piece = np.empty((last - first, 2), np.float32)
        network_inference.outputs(piece, inputs[first:last].copy(), weights, padded)
        part[first:last] = piece
        first = last
    np.testing.assert_array_equal(part, whole)


def test_what_is_not_a_number_shows() -> None:
    random = np.random.default_rng(5)
    _, weights, padded = packed(random, [4, 8, 8, 1])
    inputs = random.standard_normal((50, 4)).astype(np.float32)
    inputs[20, 2] = np.nan
    out = np.empty((50, 1), np.float32)
    network_inference.outputs(out, inputs, weights, padded)
    assert np.flatnonzero(np.isnan(out[:, 0])).tolist() == [20]
