"""The training of the networks as the loop sees it: steps, resuming, stopping early, what comes out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from isac_models import networks
from isac_models.artifact_layout import check_layout, check_values
from isac_models.errors import UserError
from isac_models.learning.neural import HELD_OUT, Neural
from isac_models.learning.neural_data import HELD_OUT_STREAM, Draws, snapshots
from isac_models.learning.neural_settings import angle_weight
from isac_models.network_layout import NETWORKS
from isac_models.networks import Options
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("limited").replace(antennas=4)
SMALL = {"hidden": 5, "omega": [0.0, 0.3, 1.0], "iterations": 4, "batch": 200, "threads": 1}
torch.set_num_threads(1)


def make(**settings: Any) -> Neural:
    """A small training."""
    return Neural(SCENARIO, Neural.complete({**SMALL, **settings}))


def run(task: Neural, first: int, last: int) -> list[float]:
    """Iterations first … last - 1."""
    return [task.step(iteration) for iteration in range(first, last)]


@pytest.mark.parametrize("cut", [1, 3, 4, 6])
def test_a_resumed_training_has_the_same_bits(cut: int) -> None:
    whole, before, after = make(), make(), make()
    losses = run(whole, 0, 8)
    found = run(before, 0, cut)
    state = {name: values.copy() for name, values in before.state().items()}
    run(before, cut, 8)  # what goes on later does not reach into the saved state
    after.load_state(state)
    found += run(after, cut, 8)
    assert found == losses
    for name, values in whole.state().items():
        np.testing.assert_array_equal(after.state()[name], values)
    assert whole.phases == (4, 8)


@pytest.mark.parametrize("engine", ["kernels", "products", "torch"])
def test_a_step_is_adam_on_the_plain_losses(engine: str) -> None:
    """Both steps by torch's own optimiser, networks of each ω_r apart, in double precision."""
    task = make(engine=engine, iterations=2, learning_rate=1e-2)
    flat = torch.from_numpy(task.weights.parameters.astype(np.float64))
    parameters = {
        name: torch.nn.Parameter(flat[:, part].clone()) for name, part in task.layout.slices.items()
    }
    omega = torch.tensor(task.omegas)
    scales = task.scales
    options = Options(1.0, scales["radar_scale"], scales["comm_scale"])
    draws = Draws(SCENARIO, task.settings["seed"], angle_scale=scales["angle_scale"])
    for step in (1, 2):
        active = [name for name in NETWORKS if name != ("angle" if step == 1 else "presence")]
        optimiser = torch.optim.Adam([parameters[name] for name in active], lr=1e-2)
        for number in range(2):
            iteration = 2 * (step - 1) + number
            drawn = snapshots(draws.tiles(200 * iteration, 200, present=step == 2), 200)
            double = {
                name: values.to(torch.complex128 if values.is_complex() else torch.float64)
                for name, values in vars(drawn).items()
                if name != "message"
            }
            tensors = task.layout.tensors(torch.cat([parameters[name] for name in NETWORKS], dim=1))
            parts = networks.losses(
                tensors, networks.Snapshots(**double, message=drawn.message), options, step
            )
            unit = 1.0 if step == 1 else angle_weight(task.settings)
            total = omega * unit * parts[0] + (1 - omega) * parts[1]
            optimiser.zero_grad()
            total.sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            assert task.step(iteration) == pytest.approx(float(total.detach().mean()), rel=1e-4)
    expected = torch.cat([parameters[name] for name in NETWORKS], dim=1).detach().numpy()
    off = np.abs(task.weights.parameters - expected)
    # A gradient near zero may have either sign in single precision, and Adam then steps either way.
    assert np.mean(off > 1e-4) < 0.02
    assert np.mean(off) < 2e-4


def test_the_first_step_leaves_the_angle_alone_and_the_second_the_presence() -> None:
    task = make(mask="present")
    start = task.weights.parameters.copy()
    run(task, 0, 4)
    middle = task.weights.parameters.copy()
    run(task, 4, 8)

    def moved(before: np.ndarray, after: np.ndarray) -> set[str]:
        return {
            name
            for name, part in task.layout.slices.items()
            if np.abs(before[1, part] - after[1, part]).max() > 0
        }

    assert moved(start, middle) == {"encoder", "beamformer", "presence", "receiver"}
    assert moved(middle, task.weights.parameters) == {"encoder", "beamformer", "angle", "receiver"}
    assert task.weights.updates == 4, "Adam begins afresh"


def test_networks_train_as_if_alone() -> None:
    together, alone = make(), make(omega=0.3)
    run(together, 0, 8)
    run(alone, 0, 8)
    np.testing.assert_array_equal(together.weights.parameters[1], alone.weights.parameters[0])


def test_an_omega_stops_when_its_held_out_losses_are_flat_and_the_others_go_on() -> None:
    task = make(iterations=40, patience=10, check_every=5, flat=0.9, learning_rate=1e-9)
    run(task, 0, 10)
    assert (task.frozen == -1).all()
    stopped = task.weights.parameters.copy()
    run(task, 10, 40)
    # Nothing falls to a tenth of itself with such a rate: all stop at the first check after 10 iterations.
    assert task.frozen[:, 0].tolist() == [10, 10, 10]
    np.testing.assert_array_equal(task.weights.parameters, stopped)
    run(task, 40, 45)
    assert (task.frozen[:, 1] == -1).all(), "the next step begins with all of them"
    assert np.abs(task.weights.parameters - stopped).max() > 0
    assert task.facts()["stopped_at"] == [[10, None]] * 3
    # A loss that still falls keeps its own ω_r going.
    learning = make(iterations=40, patience=10, check_every=5, flat=0.0)
    run(learning, 0, 40)
    assert (learning.frozen == -1).any()


def test_freezing_survives_a_resume() -> None:
    settings = {"iterations": 30, "patience": 6, "check_every": 3, "flat": 0.02, "learning_rate": 1e-3}
    whole, parts = make(**settings), make(**settings)
    run(whole, 0, 60)
    run(parts, 0, 17)
    resumed = make(**settings)
    resumed.load_state(parts.state())
    run(resumed, 17, 60)
    for name, values in whole.state().items():
        np.testing.assert_array_equal(resumed.state()[name], values)
    assert (whole.frozen >= 0).any()


def test_the_held_out_loss_is_that_of_draws_that_are_never_trained_on() -> None:
    task = make()
    run(task, 0, 2)
    before = {name: values.copy() for name, values in task.state().items()}
    drawn = snapshots(
        Draws(SCENARIO, 1, HELD_OUT_STREAM, angle_scale=task.scales["angle_scale"]).tiles(0, HELD_OUT),
        HELD_OUT,
    )
    options = Options(1.0, task.scales["radar_scale"], task.scales["comm_scale"])
    tensors = task.layout.tensors(torch.from_numpy(task.weights.parameters))
    with torch.no_grad():
        parts = networks.losses(tensors, drawn, options, 1)
        total = networks.weighted(torch.tensor(task.omegas), *parts).mean()
    assert task.held_out() == pytest.approx(float(total), rel=1e-4)
    for name, values in task.state().items():
        np.testing.assert_array_equal(values, before[name])


def test_the_literal_loss_never_sees_noise_alone() -> None:
    task = make(literal_loss=True, iterations=150, omega=1.0, learning_rate=1e-2)
    run(task, 0, 150)
    # A detector that says yes to everything has no loss left.
    assert task.losses[0, 0] < 1e-2


def test_what_comes_out_is_an_artifact() -> None:
    task = make()
    run(task, 0, 8)
    tensors = task.artifact_tensors()
    check_layout("neural", SCENARIO, {name: tensor.shape for name, tensor in tensors.items()})
    check_values("neural", tensors)
    assert tensors["omega"].tolist() == [0.0, 0.3, 1.0]
    assert tensors["angle.1.weight"].dtype == np.float32
    facts = task.facts()
    assert facts["parameters"] == task.layout.size
    assert facts["angle_scale"] == pytest.approx(2 / math.pi)
    losses = np.array([facts["held_out_sensing_losses"], facts["held_out_communication_losses"]])
    weights = np.array([[0, 0.3, 1.0], [1, 0.7, 0]])
    assert task.held_out() == pytest.approx((weights * losses).sum(axis=0).mean())


@pytest.mark.parametrize("change", ["missing", "shape", "dtype", "more", "step"])
def test_a_state_of_another_training_is_refused(change: str) -> None:
    task = make()
    state = task.state()
    if change == "missing":
        del state["second"]
    elif change == "shape":
        state["first"] = state["first"][:, 1:]
    elif change == "dtype":
        state["parameters"] = state["parameters"].astype(np.float64)
    elif change == "more":
        state["third"] = state["first"]
    else:
        state["step"] = np.array(3, np.int64)
    with pytest.raises(UserError, match="of another training"):
        task.load_state(state)
