"""Weights for the kernels and back, and Adam against torch's."""

from __future__ import annotations

import math

import numpy as np
import torch

from isac_models.kernels import network_weights
from isac_models.network_layout import LANES, LAYERS, NETWORKS, PAD, Layout, padded

LAYOUT = Layout(5, 16, 7)
RANDOM = np.random.default_rng(2)


def test_packed_weights_have_the_bias_as_a_column_and_hand_on_the_ones() -> None:
    parameters = RANDOM.standard_normal(LAYOUT.size).astype(np.float32)
    packed, turned, _ = (np.zeros(length, np.float32) for length in LAYOUT.lengths)
    network_weights.pack(packed, turned, parameters, LAYOUT.plan)
    tensors = LAYOUT.tensors(parameters[None])
    for n, name in enumerate(NETWORKS[1:], 1):
        for layer in range(LAYERS):
            inputs, outputs, columns, _, at, turn, *_ = LAYOUT.plan[n, layer].tolist()
            high = padded(outputs)
            weight, bias = (tensors[f"{name}.{layer}.{part}"][0] for part in ("weight", "bias"))
            expected = np.zeros((high, columns), np.float32)
            expected[:outputs, :inputs], expected[:outputs, inputs] = weight, bias
            if outputs < high:
                expected[outputs, inputs] = 1
            np.testing.assert_array_equal(packed[at : at + high * columns].reshape(high, columns), expected)
            transposed = np.zeros((padded(inputs), high), np.float32)
            transposed[:inputs, :outputs] = weight.T
            found = turned[turn : turn + padded(inputs) * high].reshape(padded(inputs), high)
            np.testing.assert_array_equal(found, transposed)


def test_gradients_are_the_sums_of_their_lanes() -> None:
    sums = RANDOM.integers(-9, 9, LAYOUT.lengths[2]).astype(np.float32)
    gradient = np.full(LAYOUT.size, np.nan, np.float32)
    network_weights.unpack(gradient, sums, LAYOUT.plan)
    tensors = LAYOUT.tensors(gradient[None])
    for n, name in enumerate(NETWORKS[1:], 1):
        for layer in range(LAYERS):
            inputs, outputs, columns, _, _, _, at, _ = LAYOUT.plan[n, layer].tolist()
            high = padded(outputs)
            # Blocks of 4 × 4 gradients, row by row, the lanes innermost; whole numbers add up exactly.
            blocks = sums[at : at + high * columns * LANES].reshape(
                high // PAD, columns // PAD, PAD, PAD, LANES
            )
            whole = blocks.sum(axis=-1).transpose(0, 2, 1, 3).reshape(high, columns)
            np.testing.assert_array_equal(tensors[f"{name}.{layer}.weight"][0], whole[:outputs, :inputs])
            np.testing.assert_array_equal(tensors[f"{name}.{layer}.bias"][0], whole[:outputs, inputs])
    assert np.isnan(gradient[LAYOUT.slices["encoder"]]).all(), "the encoder's belong to somebody else"


def test_adam_is_torch_s() -> None:
    start = RANDOM.standard_normal(1000).astype(np.float32)
    gradients = (RANDOM.standard_normal((30, 1000)) * 10.0 ** RANDOM.integers(-6, 2, 1000)).astype(np.float32)
    theirs = torch.nn.Parameter(torch.from_numpy(start.astype(np.float64)))
    optimiser = torch.optim.Adam([theirs], lr=2e-3)
    ours, first, second = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for number, gradient in enumerate(gradients, 1):
        theirs.grad = torch.from_numpy(gradient.astype(np.float64))
        optimiser.step()
        rate, root = 2e-3 / (1 - 0.9**number), 1 / math.sqrt(1 - 0.999**number)
        network_weights.adam(ours, first, second, gradient, 0.9, 0.999, rate, root, 1e-8)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=0, atol=3e-6)
    moved = np.abs(ours - start)
    assert np.median(moved) > 2e-3
