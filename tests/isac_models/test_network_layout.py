"""Sizes of Table I and the places of the parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isac_models.kernels import networks
from isac_models.network_layout import LANES, LAYERS, NETWORKS, PAD, Layout, padded

PAPER = [(1024, 6_409_250, "6.4 million"), (21, 5_095, "approximately 5,000")]


@pytest.mark.parametrize(("hidden", "parameters", "said"), PAPER)
def test_the_sensing_networks_have_the_parameters_that_the_paper_counts(
    hidden: int, parameters: int, said: str
) -> None:
    assert Layout(16, 4, hidden).count("beamformer", "presence", "angle") == parameters, said


@pytest.mark.parametrize(("antennas", "order", "hidden"), [(16, 4, 21), (5, 64, 3)])
def test_sizes_are_those_of_torch_layers_of_table_1(antennas: int, order: int, hidden: int) -> None:
    layout = Layout(antennas, order, hidden)
    k, n = antennas, hidden
    table = {
        "encoder": [order, k, k, 2 * k, 2],
        "beamformer": [4, n, n, n, 2 * k],
        "presence": [2 * k + 2, n, n, n, 1],
        "angle": [2 * k + 2, n, n, n, 1],
        "receiver": [4, k, 2 * k, 2 * k, order],
    }
    total = 0
    for name, sizes in table.items():
        layers = [torch.nn.Linear(sizes[i], sizes[i + 1]) for i in range(4)]
        for number, layer in enumerate(layers):
            assert layout.shapes[f"{name}.{number}.weight"] == tuple(layer.weight.shape)
            assert layout.shapes[f"{name}.{number}.bias"] == tuple(layer.bias.shape)
        count = sum(values.numel() for layer in layers for values in layer.parameters())
        assert layout.count(name) == count
        total += count
    assert layout.size == total
    assert tuple(table) == NETWORKS


def test_tensors_are_views_in_order_and_go_back_to_the_flat_vector() -> None:
    layout = Layout(5, 4, 3)
    flat = np.arange(2 * layout.size, dtype=np.float32).reshape(2, -1)
    tensors = layout.tensors(flat)
    assert list(tensors) == list(layout.shapes)
    np.testing.assert_array_equal(
        np.concatenate([tensor.reshape(2, -1) for tensor in tensors.values()], axis=1), flat
    )
    np.testing.assert_array_equal(layout.flat(tensors), flat)
    tensors["angle.2.bias"][1] = -1
    assert (flat == -1).sum() == 3
    assert (flat[1, layout.slices["angle"]] == -1).sum() == 3
    by_torch = layout.tensors(torch.from_numpy(flat))
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(by_torch[name].numpy(), tensor)


def test_slices_cut_the_flat_vector_into_the_networks() -> None:
    layout = Layout(16, 4, 21)
    ends = [0, *(layout.slices[name].stop for name in NETWORKS)]
    assert [layout.slices[name].start for name in NETWORKS] == ends[:-1]
    assert ends[-1] == layout.size


def test_first_parameters_are_uniform_as_in_torch_and_depend_on_seed_and_omega_alone() -> None:
    layout = Layout(16, 4, 100)
    tensors = layout.tensors(layout.initial(1, 0.4)[None])
    for name, values in tensors.items():
        network, layer, _ = name.split(".")
        bound = 1 / np.sqrt(layout.sizes[network][int(layer)])
        assert np.abs(values).max() <= bound
        if values.size > 1000:  # U(-b, b) has the variance b²/3, and its square the variance 4b⁴/45
            spread = np.sqrt(4 / 45 / values.size) * bound**2
            assert abs(np.mean(values.astype(float) ** 2) - bound**2 / 3) < 5 * spread
            assert np.abs(values).max() > 0.95 * bound
    np.testing.assert_array_equal(layout.initial(1, 0.4), layout.initial(1, 0.4))
    for other in (layout.initial(2, 0.4), layout.initial(1, 0.6)):
        assert np.abs(other - layout.initial(1, 0.4)).mean() > 1e-3


@pytest.mark.parametrize("antennas", [1, 5, 16])
@pytest.mark.parametrize(("order", "hidden"), [(4, 21), (256, 6)])
def test_the_plan_keeps_everything_apart(antennas: int, order: int, hidden: int) -> None:
    layout = Layout(antennas, order, hidden)
    assert (PAD, LANES, LAYERS) == (networks.BLOCK, networks.LANES, networks.LAYERS)
    used = [np.zeros(length, int) for length in layout.lengths]
    for number, name in enumerate(NETWORKS):
        if name == "encoder":
            continue
        for layer in range(LAYERS):
            inputs, outputs, columns, flat, packed, turned, sums, _ = layout.plan[number, layer].tolist()
            assert (inputs, outputs) == layout.sizes[name][layer : layer + 2]
            assert columns == padded(inputs + 1)
            assert flat == layout.offsets[f"{name}.{layer}.weight"]
            used[0][packed : packed + padded(outputs) * columns] += 1
            used[1][turned : turned + padded(inputs) * padded(outputs)] += 1
            used[2][sums : sums + padded(outputs) * columns * LANES] += 1
    assert all((each == 1).all() for each in used), "memory that overlaps or is not used"


def test_the_work_space_has_ones_behind_every_input_and_room_for_every_output() -> None:
    layout = Layout(16, 4, 21)
    rows = layout.work_space(8).reshape(-1, 8)
    ones = {
        int(layout.plan[n, layer, networks.ROWS] + layout.plan[n, layer, networks.INPUTS])
        for n in range(1, len(NETWORKS))
        for layer in range(LAYERS)
    }
    assert set(np.flatnonzero(rows.all(axis=1)).tolist()) == ones
    assert rows.sum() == 8 * len(ones)
    for n in range(1, len(NETWORKS)):
        _, outputs, columns, *_, first = layout.plan[n, -1].tolist()
        assert first + columns + padded(outputs) <= len(rows)
