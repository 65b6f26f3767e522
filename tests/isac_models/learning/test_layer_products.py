"""One network there and back by matrix products, against torch's differentiation in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from isac_models import networks
from isac_models.learning.layer_products import HalfProducts, Products
from isac_models.network_layout import Layout

LAYOUT = Layout(3, 4, 48)
torch.set_num_threads(1)


def named(flat: np.ndarray) -> dict[str, np.ndarray]:
    """Views of flat values by the names of the layout."""
    return {name: values[0] for name, values in LAYOUT.tensors(flat[None]).items()}


@pytest.mark.parametrize("network", ["beamformer", "presence"])
@pytest.mark.parametrize(("kind", "close"), [(Products, 1e-5), (HalfProducts, 0.15)])
def test_output_gradient_and_the_error_of_the_inputs(network: str, kind: Any, close: float) -> None:
    random = np.random.default_rng(2)
    flat, slopes = 1.5 * LAYOUT.initial(5, 0.5), np.zeros(LAYOUT.size, np.float32)
    products = kind(named(flat), named(slopes))
    sizes = LAYOUT.sizes[network]
    wanted = sizes[0] - 2
    parameters = torch.from_numpy(flat.astype(float)[None]).requires_grad_()
    for size in (256, 128):  # a piece after a larger one
        slopes[:] = 0
        inputs, error = (
            random.standard_normal((rows, size)).astype(np.float32) for rows in (sizes[0], sizes[-1])
        )
        given = torch.from_numpy(inputs.T.astype(float)).requires_grad_()
        output = networks.network(LAYOUT.tensors(parameters), network, given[None])[0]
        expected = torch.autograd.grad(output, (parameters, given), torch.from_numpy(error.T.astype(float)))
        found, kept = products.forward(network, inputs, "kept")
        answers = [
            (found, output.detach().numpy().T),
            (products.backward(network, error, kept, wanted), expected[1].numpy().T[:wanted]),
            (slopes, expected[0].numpy()[0]),
        ]
        for ours, theirs in answers:
            assert ours.shape == theirs.shape
            assert np.linalg.norm(ours - theirs) < close * np.linalg.norm(theirs)
