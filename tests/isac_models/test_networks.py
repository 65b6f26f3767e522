"""The plain form of the networks and their losses, by their definitions in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from isac_models import networks
from isac_models.network_layout import Layout
from isac_models.networks import Options, Snapshots

K, M, COUNT = 3, 4, 40
LAYOUT = Layout(K, M, 6)
RANDOM = np.random.default_rng(7)
PARAMETERS = RANDOM.normal(size=(2, LAYOUT.size))
"""Of two sets of networks; normal values make decisions differ."""
TENSORS = LAYOUT.tensors(torch.from_numpy(PARAMETERS))
torch.set_num_threads(1)


def cn(*shape: int) -> np.ndarray:
    """Complex normal values."""
    return np.asarray(RANDOM.normal(size=shape) + 1j * RANDOM.normal(size=shape))


DRAWN: dict[str, Any] = {
    "prior": RANDOM.uniform(-1, 1, (COUNT, 4)),
    "angle": RANDOM.uniform(-1, 1, COUNT),
    "present": RANDOM.integers(0, 2, COUNT).astype(float),
    "message": RANDOM.integers(0, M, COUNT),
    "transmit": cn(COUNT, K),
    "receive": cn(COUNT, K),
    "noise": cn(COUNT, K),
    "channel": cn(COUNT, K),
    "comm_noise": cn(COUNT),
}
DRAWN["gain"] = cn(COUNT) * DRAWN["present"]
SNAPSHOTS = Snapshots(**{name: torch.from_numpy(values) for name, values in DRAWN.items()})


def outputs(row: int, name: str, values: np.ndarray) -> np.ndarray:
    """One network by Table I for one input vector."""
    for layer in range(4):
        weight, bias = (TENSORS[f"{name}.{layer}.{part}"][row].numpy() for part in ("weight", "bias"))
        values = weight @ values + bias
        values = np.maximum(values, 0) if layer < 3 else values
    return values


def by_definition(row: int, options: Options, step: int) -> tuple[float, float]:
    """The two losses, snapshot by snapshot, from eqs. (1), (2), (9), (10)."""
    points = np.array([outputs(row, "encoder", one)[:2] for one in np.eye(M)]) @ [1, 1j]
    points /= np.sqrt(np.mean(np.abs(points) ** 2))
    sensing = communication = 0.0
    for i in range(COUNT):
        draw = {name: values[i] for name, values in DRAWN.items()}
        s, prior = points[draw["message"]], draw["prior"]
        shape = outputs(row, "beamformer", prior)
        v = (shape[:K] + 1j * shape[K:]) * math.sqrt(options.transmit_energy) / np.linalg.norm(shape)
        echo = draw["gain"] * draw["receive"] * (draw["transmit"] @ v) * s + draw["noise"]
        given = [*(options.radar_scale * echo.real), *(options.radar_scale * echo.imag), *prior[:2]]
        logit = outputs(row, "presence", np.array(given))[0]
        if step == 1:
            p, t = 1 / (1 + math.exp(-logit)), draw["present"]
            entropy = -(t * math.log(p) + (1 - t) * math.log(1 - p))
            sensing += entropy if t or not options.literal else 0
        else:
            angle = math.pi / 2 * math.tanh(outputs(row, "angle", np.array(given))[0])
            sensing += (angle - draw["angle"]) ** 2 if logit > 0 or options.mask == "present" else 0
        kappa = draw["channel"] @ v
        y = kappa * s + draw["comm_noise"]
        heard = options.comm_scale * np.array([y.real, y.imag, kappa.real, kappa.imag])
        logits = outputs(row, "receiver", heard)
        communication += np.log(np.exp(logits - logits[draw["message"]]).sum())
    return sensing / COUNT, communication / COUNT


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("options", [
    Options(), Options(transmit_energy=2.5, radar_scale=0.6, comm_scale=0.2),
    Options(literal=True, mask="present"),
])  # fmt: skip
def test_losses_are_those_of_the_paper(step: int, options: Options) -> None:
    sensing, communication = networks.losses(TENSORS, SNAPSHOTS, options, step)
    for row in range(2):
        expected = by_definition(row, options, step)
        assert (float(sensing[row]), float(communication[row])) == pytest.approx(expected, rel=1e-9)


def test_a_divisor_stands_in_for_the_number_of_snapshots() -> None:
    whole = networks.losses(TENSORS, SNAPSHOTS, Options(), 1)
    part = networks.losses(TENSORS, SNAPSHOTS, Options(), 1, 4 * COUNT)
    for one, other in zip(whole, part, strict=True):
        torch.testing.assert_close(one, 4 * other)


def test_symbols_have_unit_mean_energy_and_beams_that_of_the_transmitter() -> None:
    energy = networks.encode(TENSORS).abs().square().mean(dim=1)
    torch.testing.assert_close(energy, torch.ones(2, dtype=torch.float64))
    beams = networks.beamform(TENSORS, SNAPSHOTS.prior, Options(transmit_energy=3.0))
    assert beams.shape == (2, COUNT, K)
    torch.testing.assert_close(
        beams.abs().square().sum(dim=2), torch.full((2, COUNT), 3.0, dtype=torch.float64)
    )


def test_the_mask_lets_no_gradient_through_and_step_2_leaves_the_presence_network_alone() -> None:
    flat = torch.from_numpy(PARAMETERS).requires_grad_()
    sensing, communication = networks.losses(LAYOUT.tensors(flat), SNAPSHOTS, Options(), 2)
    networks.weighted(torch.tensor([0.3, 1.0]), sensing, communication).sum().backward()  # type: ignore[no-untyped-call]
    assert flat.grad is not None
    for name, part in LAYOUT.slices.items():
        moved = bool(flat.grad[0, part].any())
        assert moved == (name != "presence"), name
    assert not flat.grad[1, LAYOUT.slices["receiver"]].any()  # ω_r = 1 has no communication


def test_weights_add_up_to_one() -> None:
    omega = torch.tensor([0.0, 0.25, 1.0])
    total = networks.weighted(omega, torch.tensor([8.0, 8.0, 8.0]), torch.tensor([4.0, 4.0, 4.0]))
    assert total.tolist() == [4.0, 5.0, 8.0]
