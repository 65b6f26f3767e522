"""A network without torch, against torch's own layers."""

from __future__ import annotations

import numpy as np
import torch

from isac_models.network_inference import Network

RANDOM = np.random.default_rng(8)
LAYERS = [torch.nn.Linear(6, 9), torch.nn.Linear(9, 10), torch.nn.Linear(10, 3)]
NETWORK = Network(
    [layer.weight.detach().numpy() for layer in LAYERS], [layer.bias.detach().numpy() for layer in LAYERS]
)
INPUTS = RANDOM.standard_normal((300, 6))


def by_torch(inputs: np.ndarray) -> np.ndarray:
    """The outputs in double precision."""
    first, second, third = LAYERS
    model = torch.nn.Sequential(first, torch.nn.ReLU(), second, torch.nn.ReLU(), third)
    with torch.no_grad():
        outputs: np.ndarray = model.double()(torch.from_numpy(inputs)).numpy()
    return outputs


def test_outputs_are_those_of_torch() -> None:
    expected = by_torch(INPUTS)
    np.testing.assert_allclose(NETWORK.outputs(INPUTS), expected, rtol=1e-12, atol=1e-12)
    single = NETWORK.outputs(INPUTS.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=2e-5, atol=2e-6)


def test_a_view_of_other_memory_is_taken_too() -> None:
    wide = RANDOM.standard_normal((300, 12)).astype(np.float32)
    np.testing.assert_array_equal(NETWORK.outputs(wide[:, ::2]), NETWORK.outputs(wide[:, ::2].copy()))


def test_scales_order_and_constants_of_the_inputs_go_into_the_first_layer() -> None:
    given = RANDOM.standard_normal((6, 4))
    known = RANDOM.standard_normal(6)
    values = RANDOM.standard_normal((50, 4))
    np.testing.assert_allclose(
        NETWORK.folded(given, known).outputs(values), by_torch(values @ given.T + known), rtol=1e-9, atol=1e-9
    )


def test_networks_are_told_apart_by_their_values() -> None:
    same = Network(NETWORK.weights, NETWORK.biases)
    other = Network(NETWORK.weights, [NETWORK.biases[0] + 1e-3, *NETWORK.biases[1:]])
    assert NETWORK.digest == same.digest != other.digest
