"""Adam in NumPy's memory and in torch's, against torch's own optimiser."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isac_models.learning.neural_weights import HostWeights, TorchWeights

PARTS = [slice(0, 3), slice(5, 8)]


@pytest.mark.parametrize("active", [[0, 1, 2], [2, 0]])
def test_both_step_like_torch_and_touch_nothing_else(active: list[int]) -> None:
    random = np.random.default_rng(1)
    start = random.standard_normal((3, 8)).astype(np.float32)
    host, device = HostWeights(start.copy()), TorchWeights(start, "cpu")
    rows = torch.nn.Parameter(torch.from_numpy(start[active].astype(np.float64)))
    optimiser = torch.optim.Adam([rows], lr=1e-2)
    for _ in range(5):
        gradients = random.standard_normal((len(active), 8)).astype(np.float32)
        rows.grad = torch.from_numpy(gradients.astype(np.float64))
        optimiser.step()
        host.step(np.array(active), gradients, PARTS, 1e-2)
        device.step(np.array(active), torch.from_numpy(gradients), PARTS, 1e-2)
    expected = start.astype(np.float64)
    for part in PARTS:
        expected[active, part] = rows.detach().numpy()[:, part]
    for weights in (host, device):
        np.testing.assert_allclose(weights.parameters, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(weights.parameters[:, 3:5], start[:, 3:5])
        assert weights.updates == 5
        np.testing.assert_array_equal(np.asarray(weights.rows(np.array([1]))), weights.parameters[[1]])


def test_a_restart_forgets_and_a_state_comes_back() -> None:
    random = np.random.default_rng(2)
    start, gradients = random.standard_normal((2, 1, 8)).astype(np.float32)
    for made in (HostWeights(start.copy()), TorchWeights(start, "cpu")):
        made.step(np.array([0]), gradients, PARTS, 1e-2)
        state, updates = made.state(), made.updates
        made.step(np.array([0]), gradients, PARTS, 1e-2)
        after = made.parameters.copy()
        made.load(state, updates)
        np.testing.assert_array_equal(made.parameters, state["parameters"])
        made.step(np.array([0]), gradients, PARTS, 1e-2)
        np.testing.assert_array_equal(made.parameters, after)
        made.restart()
        assert made.updates == 0
        assert not made.state()["first"].any()
        np.testing.assert_array_equal(made.parameters, after)
