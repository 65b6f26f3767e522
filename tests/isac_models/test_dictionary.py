"""The three forms of the trainable dictionary: values against NumPy, gradients against each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from isac_models import dictionary
from isac_models.array import hardware, nominal_array, steering_matrix
from isac_models.beamforming import least_squares_beam
from isac_models.detection import MatchedFilter
from isac_models.dictionary import Dictionary, FusedDictionary, WindowedDictionary
from isac_models.errors import UserError
from isac_models.grid import angle_grid, sector_mask
from isac_models.learning import fused
from isac_models.learning.objective import Objective, joint_objective
from isac_models.learning.sensing_batch import (
    Chunk,
    RecordedBatch,
    Sectors,
    SimulatedBatch,
    initial_matrix,
)
from isac_models.scenario import Scenario

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
SCENARIOS: dict[str, dict[str, Any]] = {
    "spacing": {},
    "limited": {"grid_size": 156},
    "element": {"impairment": "element", "impairment_seed": 3},
    "two arrays": {"impairment": "gain_phase", "reciprocal": False},
    "transmit only, 20 antennas": {"antennas": 20, "grid_size": 97, "impaired_side": "transmit"},
    "7 antennas, 16-QAM": {"antennas": 7, "grid_size": 61, "order": 16, "transmit_energy": 3.0},
    "1 antenna": {"antennas": 1, "grid_size": 31, "noise_power": 0.25},
}
NARROW = Sectors(span=(0.0, math.radians(0.2)))
"""Sectors narrower than the grid: windows of one point."""


def scenario_of(**changes: Any) -> Scenario:
    return Scenario.preset("impaired").replace(**changes)


def loss_and_gradient(model: Dictionary, batch: Any) -> tuple[float, np.ndarray]:
    model.zero_grad()
    loss = model.loss(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    assert model.planes.grad is not None
    return loss.item(), model.planes.grad.double().numpy()


def assert_same(scenario: Scenario, batch: Any, dtype: torch.dtype, objective: Objective) -> None:
    start = initial_matrix(scenario, 3, 0.1)
    plain = loss_and_gradient(Dictionary(scenario, start, dtype, objective), batch)
    for form in (WindowedDictionary, FusedDictionary):
        value, gradient = loss_and_gradient(form(scenario, start, dtype, objective), batch)
        assert value == pytest.approx(plain[0], rel=TOLERANCE[dtype])
        difference = np.linalg.norm(gradient - plain[1]) / np.linalg.norm(plain[1])
        assert difference <= TOLERANCE[dtype], form.__name__


@pytest.mark.parametrize("form", [Dictionary, WindowedDictionary, FusedDictionary])
def test_backward_is_the_gradient_of_the_loss(
    form: type[Dictionary], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dictionary, "CHUNK_ELEMENTS", 16 * 500 * 100)  # parts of 100 snapshots
    scenario = scenario_of()
    batch = SimulatedBatch(scenario, 5, "training", 0, 333)
    model = form(scenario, initial_matrix(scenario, 3, 0.1), torch.float64)
    expected = loss_and_gradient(model, batch)
    for _ in range(2):  # it replaces what was there
        assert model.backward(batch) == pytest.approx(expected[0], rel=1e-12)
        assert model.planes.grad is not None
        np.testing.assert_allclose(model.planes.grad.numpy(), expected[1], rtol=1e-9, atol=1e-14)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("form", [Dictionary, WindowedDictionary])
def test_a_gpu_finds_the_same_gradient(form: type[Dictionary]) -> None:
    scenario = scenario_of()
    batch = SimulatedBatch(scenario, 5, "training", 0, 6000)
    start = initial_matrix(scenario, 3, 0.1)
    value, gradient = loss_and_gradient(FusedDictionary(scenario, start), batch)
    model = form(scenario, start).to("cuda")
    assert model.backward(batch) == pytest.approx(value, rel=1e-3)
    assert model.planes.grad is not None
    difference = np.linalg.norm(model.planes.grad.cpu().numpy() - gradient)
    assert difference <= 1e-3 * np.linalg.norm(gradient)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", SCENARIOS)
def test_all_forms_have_the_same_gradient(name: str, dtype: torch.dtype) -> None:
    scenario = scenario_of(**SCENARIOS[name])
    batch = SimulatedBatch(scenario, 5, "training", 1000, 333)
    assert_same(scenario, batch, dtype, Objective())
    assert_same(scenario, batch, dtype, joint_objective(scenario, 2e-3))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("size", [1, 2, 17, 6000])
def test_the_gradients_agree_for_every_batch_size(size: int, dtype: torch.dtype) -> None:
    scenario = scenario_of(grid_size=61)
    assert_same(scenario, SimulatedBatch(scenario, 6, "training", 0, size), dtype, Objective())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_gradients_agree_for_windows_of_one_point_and_of_the_whole_grid(dtype: torch.dtype) -> None:
    scenario = scenario_of(grid_size=91)
    narrow = SimulatedBatch(scenario, 7, "training", 0, 200, NARROW)
    chunk = narrow.chunk(0, 200)
    assert (chunk.high - chunk.low == 1).all()
    assert_same(scenario, narrow, dtype, Objective())
    wide = Sectors(mean=(0.0, 1e-3), span=(math.pi, math.pi + 1e-3))
    whole = SimulatedBatch(scenario, 7, "training", 0, 100, wide)
    assert (whole.chunk(0, 100).high == 91).all()
    assert_same(scenario, whole, dtype, Objective())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_gradients_agree_for_recorded_echoes(dtype: torch.dtype) -> None:
    scenario = scenario_of(grid_size=121)
    random = np.random.default_rng(4)
    echo = random.normal(size=(300, 16)) + 1j * random.normal(size=(300, 16))
    angle = random.uniform(-0.6, -0.4, 300)
    assert_same(scenario, RecordedBatch(echo, angle, (-0.7, -0.35), 121), dtype, Objective())


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    scenario = scenario_of(antennas=5, grid_size=31)
    batch = SimulatedBatch(scenario, 8, "training", 0, 40)
    start = initial_matrix(scenario, 1, 0.1)
    objective = Objective(miss_cost=0.5, level=4.6)
    _, gradient = loss_and_gradient(FusedDictionary(scenario, start, torch.float64, objective), batch)
    step = 1e-6
    for plane, k, column in [(0, 0, 10), (1, 4, 10), (0, 2, 17), (1, 3, 25)]:
        values = []
        for sign in (1, -1):
            moved = start.copy()
            moved[k, column] += sign * step * (1j if plane else 1)
            values.append(FusedDictionary(scenario, moved, torch.float64, objective).loss(batch).item())
        slope = (values[0] - values[1]) / (2 * step)
        assert gradient[plane, k, column] == pytest.approx(slope, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_change_a_bit(threads: int) -> None:
    scenario = scenario_of()
    batch = SimulatedBatch(scenario, 9, "training", 0, 8000)
    start = initial_matrix(scenario, 1, 0.1)
    one = loss_and_gradient(FusedDictionary(scenario, start), batch)
    many = loss_and_gradient(FusedDictionary(scenario, start, threads=threads), batch)
    assert one[0] == many[0]
    assert np.array_equal(one[1], many[1])


@pytest.mark.parametrize(("threads", "chunks"), [(1, fused.AHEAD), (2, fused.AHEAD), (2, 1)])
def test_batches_named_ahead_are_the_same_batches(
    threads: int, chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever order they are asked for, each as often as wanted."""
    monkeypatch.setattr(fused, "AHEAD", chunks)
    scenario = scenario_of()
    one, two, other = (SimulatedBatch(scenario, 9, "training", start, 6000) for start in (0, 6000, 12000))
    model = FusedDictionary(scenario, initial_matrix(scenario, 1, 0.1), threads=threads)

    def found(batch: SimulatedBatch) -> tuple[float, Any]:
        value = model.backward(batch)
        assert model.planes.grad is not None
        return value, model.planes.grad.tolist()

    first, second, third = found(one), found(two), found(other)
    value, gradient = loss_and_gradient(model, one)
    assert first[0] == pytest.approx(value, rel=1e-6)
    assert first[1] == gradient.tolist()
    model.comes_next(two)
    assert found(one) == first
    assert found(other) == third
    assert found(two) == found(two) == second
    model.comes_next(one)
    assert found(one) == found(one) == first


def test_the_plain_form_is_the_baseline_when_it_holds_the_true_steering_vectors() -> None:
    """Beam (4), echo (1), angle (13) and statistic (14) against the NumPy forms of the link."""
    scenario = scenario_of()
    grid = angle_grid(scenario.grid_size)
    true = hardware(scenario).transmit
    matrix = steering_matrix(true, grid)
    model = Dictionary(scenario, matrix, torch.float64)
    mask = sector_mask(grid, scenario.target_sector)
    window = np.flatnonzero(mask)[[0, -1]] + (0, 1)
    noise = np.random.default_rng(1).normal(size=(50, 16, 2)) @ [1, 1j]
    angle = np.linspace(*scenario.target_sector, 50)
    gain = np.exp(1j * np.arange(50.0)) * 2
    low, high = (np.full(50, edge, np.int32) for edge in window)
    chunk = Chunk(low, high, angle, gain, noise)

    beam = least_squares_beam(matrix, mask, scenario.transmit_energy)
    beams = model.beams(chunk).detach().numpy()
    assert np.allclose(beams, beam, atol=1e-9)
    steering = true.steering(angle, np.complex128)
    echo = (gain * (steering @ beam))[:, None] * steering + noise
    assert np.allclose(model.echo(chunk).detach().numpy(), echo, atol=1e-9)
    found = MatchedFilter(scenario, matrix, "softmax").detect(echo)
    assert np.allclose(model.estimate(torch.tensor(echo), chunk).detach().numpy(), found.angle, atol=1e-9)
    assert np.allclose(model.statistic(torch.tensor(echo), chunk).detach().numpy(), found.statistic)


def test_a_dictionary_of_another_shape_or_with_nan_is_refused() -> None:
    scenario = scenario_of()
    matrix = steering_matrix(nominal_array(scenario), angle_grid(500))
    with pytest.raises(UserError, match=r"shape \(16, 499\)"):
        Dictionary(scenario, matrix[:, 1:])
    matrix[3, 4] = np.nan
    with pytest.raises(UserError, match="finite"):
        FusedDictionary(scenario, matrix)
