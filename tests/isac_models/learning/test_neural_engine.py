"""Fused gradients of the five networks against automatic differentiation of the plain form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from isac_models.learning.neural_data import Draws
from isac_models.learning.neural_engine import CHUNK, KernelEngine, TorchEngine
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


def make(name: str, hidden: int) -> tuple[Scenario, Layout, np.ndarray]:
    """A scenario, the layout of its networks and parameters that decide half-way sensibly."""
    scenario = Scenario.preset("impaired").replace(**SCENARIOS[name])
    layout = Layout(scenario.antennas, scenario.order, hidden)
    parameters = np.stack([layout.initial(3, omega) for omega in OMEGAS])
    return scenario, layout, (1.5 * parameters).astype(np.float32)


def engines(scenario: Scenario, layout: Layout, literal: bool, mask: str, threads: int = 1) -> list[Any]:
    """The fused form and the plain one."""
    energy = scenario.transmit_energy
    return [
        KernelEngine(layout, math.sqrt(energy), 0.8, 0.15, literal, mask, threads),
        TorchEngine(layout, Options(energy, 0.8, 0.15, literal, mask), threads=1),
    ]


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize(("name", "hidden", "count"), [
    ("impaired", 21, 1000), ("ideal, more energy", 32, 128), ("two arrays", 6, 300), ("odd", 7, 129),
    ("one antenna", 4, 50), ("many messages", 3, 400),
])  # fmt: skip
@pytest.mark.parametrize(("literal", "mask"), [(False, "detected"), (True, "present")])
def test_gradient_is_that_of_the_plain_form(
    step: int, name: str, hidden: int, count: int, literal: bool, mask: str
) -> None:
    scenario, layout, parameters = make(name, hidden)
    tiles = Draws(scenario, 7, angle_scale=0.7).tiles(123, count, present=step == 2)
    fused, plain = (
        engine.gradients(parameters, OMEGAS, tiles, count, 2 * count, step)
        for engine in engines(scenario, layout, literal, mask)
    )
    for w, omega in enumerate(OMEGAS):
        for network, part in layout.slices.items():
            expected, found = plain[0][w, part], fused[0][w, part]
            size = float(np.linalg.norm(expected))
            assert np.linalg.norm(found - expected) <= 1e-4 * size, (omega, network)
        # What ω_r leaves out is not computed.
        counted = np.array([omega > 0, omega < 1])
        np.testing.assert_allclose(fused[1][w, counted], plain[1][w, counted], rtol=2e-5)
        assert not fused[1][w, ~counted].any()


def test_gradients_do_not_depend_on_the_number_of_threads_nor_on_the_company() -> None:
    scenario, layout, parameters = make("impaired", 8)
    count = 2 * CHUNK * 128 + 77
    tiles = Draws(scenario, 7).tiles(0, count)
    arguments = (tiles, count, count, 1)
    one, two = (
        engines(scenario, layout, False, "detected", threads)[0].gradients(parameters, OMEGAS, *arguments)
        for threads in (1, 3)
    )
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
    alone = engines(scenario, layout, False, "detected")[0].gradients(
        parameters[2:3], OMEGAS[2:3], *arguments
    )
    np.testing.assert_allclose(alone[0][0], one[0][2], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("step", [1, 2])
def test_parts_of_a_batch_add_up(step: int) -> None:
    scenario, layout, parameters = make("impaired", 8)
    engine = engines(scenario, layout, False, "detected")[0]
    draws = Draws(scenario, 7)
    whole = engine.gradients(parameters, OMEGAS, draws.tiles(0, 500), 500, 500, step)
    parts = [
        engine.gradients(parameters, OMEGAS, draws.tiles(first, size), size, 500, step)
        for first, size in ((0, 200), (200, 300))
    ]
    for number in range(2):
        together = parts[0][number] + parts[1][number]
        np.testing.assert_allclose(together, whole[number], rtol=1e-4, atol=1e-7)


def test_large_logits_do_no_harm() -> None:
    scenario, layout, parameters = make("impaired", 8)
    tiles = Draws(scenario, 7).tiles(0, 200)
    for step in (1, 2):
        fused, plain = (
            engine.gradients(100 * parameters, OMEGAS, tiles, 200, 200, step)
            for engine in engines(scenario, layout, False, "present")
        )
        assert np.isfinite(fused[0]).all()
        counted = np.array([[omega > 0, omega < 1] for omega in OMEGAS])
        np.testing.assert_allclose(fused[1][counted], plain[1][counted], rtol=1e-4)


@pytest.mark.parametrize("step", [1, 2])
def test_hidden_layers_in_bfloat16_leave_the_direction_of_the_gradient(step: int) -> None:
    scenario, layout, parameters = make("impaired", 32)
    options = Options(scenario.transmit_energy, mask="present")
    tiles = Draws(scenario, 7).tiles(0, 2000)
    single, mixed = (
        TorchEngine(layout, options, precision=precision).gradients(
            parameters, OMEGAS, tiles, 2000, 2000, step
        )
        for precision in ("float32", "bfloat16")
    )
    assert mixed[0].dtype == np.float32
    assert (mixed[0] != single[0]).any()
    counted = np.array([[omega > 0, omega < 1] for omega in OMEGAS])
    np.testing.assert_allclose(mixed[1][counted], single[1][counted], rtol=1e-2)
    for one, other in zip(single[0], mixed[0], strict=True):
        assert np.linalg.norm(other - one) < 0.05 * np.linalg.norm(one)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("step", [1, 2])
def test_a_gpu_finds_the_same_gradient(step: int) -> None:
    scenario, layout, parameters = make("impaired", 32)
    options = Options(scenario.transmit_energy, mask="present")
    tiles = Draws(scenario, 7).tiles(0, 2000)
    here, there = (
        TorchEngine(layout, options, device).gradients(parameters, OMEGAS, tiles, 2000, 2000, step)
        for device in ("cpu", "cuda")
    )
    for one, other in zip(here[0], there[0], strict=True):
        assert np.linalg.norm(other - one) <= 1e-2 * np.linalg.norm(one)  # TF32 has ten bits


torch.set_num_threads(1)
