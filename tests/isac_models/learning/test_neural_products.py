"""Gradients by matrix products against automatic differentiation of the plain form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from isac_models.learning.neural_data import Draws
from isac_models.learning.neural_engine import TorchEngine
from isac_models.learning.neural_products import PIECE, ProductEngine
from isac_models.network_layout import Layout
from isac_models.networks import Options
from isac_models.scenario import Scenario

OMEGAS = [0.0, 1e-3, 0.4, 1.0]
SCENARIOS: dict[str, dict[str, Any]] = {
    "impaired": {},
    "ideal, more energy": {"impairment": "none", "transmit_energy": 3.0, "noise_power": 0.5},
    "two arrays": {"impairment": "gain_phase", "reciprocal": False},
    "odd": {"antennas": 5, "order": 16},
    "one antenna": {"antennas": 1},
    "many messages": {"antennas": 4, "order": 256},
}
torch.set_num_threads(1)


def make(name: str, hidden: int) -> tuple[Scenario, Layout, np.ndarray]:
    """A scenario, the layout of its networks and parameters that decide half-way sensibly."""
    scenario = Scenario.preset("impaired").replace(**SCENARIOS[name])
    layout = Layout(scenario.antennas, scenario.order, hidden)
    parameters = np.stack([layout.initial(3, omega) for omega in OMEGAS])
    return scenario, layout, (1.5 * parameters).astype(np.float32)


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize(("name", "hidden", "count", "threads"), [
    ("impaired", 70, 1000, 2), ("ideal, more energy", 33, 128, 1), ("two arrays", 20, 700, 3),
    ("odd", 21, 129, 2), ("one antenna", 4, 50, 2), ("many messages", 30, 400, 1),
])  # fmt: skip
@pytest.mark.parametrize(("literal", "mask"), [(False, "detected"), (True, "present")])
def test_gradient_is_that_of_the_plain_form(
    step: int, name: str, hidden: int, count: int, threads: int, literal: bool, mask: str
) -> None:
    scenario, layout, parameters = make(name, hidden)
    energy = scenario.transmit_energy
    engine = ProductEngine(layout, math.sqrt(energy), 0.8, 0.15, literal, mask, threads)
    plain = TorchEngine(layout, Options(energy, 0.8, 0.15, literal, mask), threads=1)
    for start in (0, 500):  # what an earlier batch has left behind does no harm
        tiles = Draws(scenario, 7, angle_scale=0.7).tiles(start, count, present=step == 2)
        found, expected = (
            each.gradients(parameters, OMEGAS, tiles, count, 2 * count, step) for each in (engine, plain)
        )
        for w, omega in enumerate(OMEGAS):
            for network, part in layout.slices.items():
                size = float(np.linalg.norm(expected[0][w, part]))
                assert np.linalg.norm(found[0][w, part] - expected[0][w, part]) <= 1e-4 * size, (
                    omega,
                    network,
                )
            counted = np.array([omega > 0, omega < 1])
            np.testing.assert_allclose(found[1][w, counted], expected[1][w, counted], rtol=2e-5)
            assert not found[1][w, ~counted].any()


def test_gradients_are_the_same_bits_again_and_do_not_depend_on_the_company() -> None:
    scenario, layout, parameters = make("impaired", 40)
    count = 2 * PIECE * 128 + 77
    tiles = Draws(scenario, 7).tiles(0, count)
    engine = ProductEngine(layout, 1.0, 0.8, 0.15, False, "detected", 2)
    whole = engine.gradients(parameters, OMEGAS, tiles, count, count, 1)
    again = engine.gradients(parameters[2:3], OMEGAS[2:3], tiles, count, count, 1)
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one[2], other[0])
    single = ProductEngine(layout, 1.0, 0.8, 0.15, False, "detected", 1)
    gradient = single.gradients(parameters, OMEGAS, tiles, count, count, 1)[0]
    assert np.linalg.norm(gradient - whole[0]) <= 1e-5 * np.linalg.norm(whole[0])


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize(("name", "hidden", "count"), [
    ("impaired", 128, 2000), ("two arrays", 67, 1500), ("odd", 33, 129), ("one antenna", 16, 1300),
])  # fmt: skip
def test_products_in_bfloat16_leave_the_direction_of_the_gradient(
    step: int, name: str, hidden: int, count: int
) -> None:
    """No more than twice as far off as torch's own mixed precision."""
    scenario, layout, parameters = make(name, hidden)
    energy = scenario.transmit_energy
    arguments = (layout, math.sqrt(energy), 0.8, 0.15, False, "present", 2)
    options = Options(energy, 0.8, 0.15, mask="present")
    tiles = Draws(scenario, 7, angle_scale=0.7).tiles(0, count, present=step == 2)
    exact, half, mixed = (
        engine.gradients(parameters, OMEGAS, tiles, count, count, step)
        for engine in (
            ProductEngine(*arguments),
            ProductEngine(*arguments, "bfloat16"),
            TorchEngine(layout, options, precision="bfloat16"),
        )
    )
    assert half[0].dtype == np.float32
    np.testing.assert_allclose(half[1], exact[1], rtol=5e-3)
    for one, ours, theirs in zip(exact[0], half[0], mixed[0], strict=True):
        size, off = float(np.linalg.norm(one)), float(np.linalg.norm(ours - one))
        assert 0 < off < 0.15 * size
        assert off < 2 * float(np.linalg.norm(theirs - one))


def test_products_in_bfloat16_are_the_same_bits_again() -> None:
    scenario, layout, parameters = make("impaired", 40)
    count = 2 * PIECE * 128 + 77
    tiles = Draws(scenario, 7).tiles(0, count)
    engine = ProductEngine(layout, 1.0, 0.8, 0.15, False, "detected", 2, "bfloat16")
    whole = engine.gradients(parameters, OMEGAS, tiles, count, count, 2)
    again = engine.gradients(parameters[2:3], OMEGAS[2:3], tiles, count, count, 2)
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one[2], other[0])


def test_threads_of_torch_are_as_before() -> None:
    scenario, layout, parameters = make("impaired", 8)
    before = torch.get_num_threads()
    ProductEngine(layout, 1.0, 0.8, 0.15, False, "detected", 2).gradients(
        parameters, OMEGAS, Draws(scenario, 7).tiles(0, 10), 10, 10, 2
    )
    assert torch.get_num_threads() == before
