"""The gradient kernel alone: closed forms, finite differences, padding; test_neural_engine has torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from isac_models.kernels import network_weights, networks
from isac_models.learning.neural_data import Draws
from isac_models.network_layout import Layout
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("impaired").replace(antennas=4)
LAYOUT = Layout(4, 4, 6)
COUNT = 300
SYMBOLS = np.array([1, 0, 0, 1.2, -0.8, 0, 0, -1], np.float32)
HEADS = {1: networks.PRESENCE, 2: networks.ANGLE}


def draws(count: int = COUNT, step: int = 1) -> np.ndarray:
    """Tiles of snapshots (T, rows TILE)."""
    tiles = Draws(SCENARIO, 3, angle_scale=0.7).tiles(0, count, present=step == 2)
    return tiles.reshape(len(tiles), -1)


def gradient(
    parameters: np.ndarray, omega: float, step: int, tiles: np.ndarray, count: int = COUNT, **changes: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradient (P,), dJ/ds(m) (2M,) and losses (2,)."""
    packed, turned, sums = (np.zeros(length, np.float32) for length in LAYOUT.lengths)
    network_weights.pack(packed, turned, parameters, LAYOUT.plan)
    found = np.zeros(LAYOUT.size, np.float32)
    symbol_error, losses = np.zeros(8, np.float32), np.zeros(2, np.float32)
    networks.gradient(
        sums, symbol_error, losses, packed, turned, changes.get("symbols", SYMBOLS), tiles,
        LAYOUT.work_space(networks.TILE), LAYOUT.plan,
        np.array([omega, 1.0, 0.8, 0.15, 1 / count], np.float32), changes.get("start", 0),
        changes.get("number", count), HEADS[step], changes.get("selective", False),
    )  # fmt: skip
    network_weights.unpack(found, sums, LAYOUT.plan)
    return found, symbol_error, losses


def parameters(seed: int = 5) -> np.ndarray:
    """Weights that decide something."""
    return (1.5 * LAYOUT.initial(seed, 0.3)).astype(np.float32)


def test_networks_that_say_nothing_have_the_losses_of_guessing() -> None:
    silent = parameters()
    tensors = LAYOUT.tensors(silent[None])
    for name in ("presence", "angle", "receiver"):
        tensors[f"{name}.3.weight"][:], tensors[f"{name}.3.bias"][:] = 0, 0
    for step in (1, 2):
        tiles = draws(step=step)
        rows = tiles.reshape(len(tiles), -1, networks.TILE).transpose(1, 0, 2)
        rows = rows.reshape(rows.shape[0], -1)[:, :COUNT].astype(np.float64)
        truth, present = rows[networks.TRUTH], rows[networks.PRESENT]
        found, _, losses = gradient(silent, 0.25, step, tiles)
        sensing = math.log(2) if step == 1 else np.mean(truth**2)
        assert losses == pytest.approx([sensing, math.log(4)], rel=1e-5)
        slopes = LAYOUT.tensors(found[None])
        # d BCE / d logit = ½ - t; d MSE / d output = -2 θ π/2; d CCE / d logit = ¼ - 1{m}.
        head = "presence" if step == 1 else "angle"
        expected = np.mean(0.5 - present) if step == 1 else np.mean(-np.pi * truth)
        assert slopes[f"{head}.3.bias"][0, 0] == pytest.approx(0.25 * expected, rel=1e-4, abs=1e-7)
        share = [np.mean(rows[networks.MESSAGE] == m) for m in range(4)]
        np.testing.assert_allclose(slopes["receiver.3.bias"][0], 0.75 * (0.25 - np.array(share)), atol=1e-6)


@pytest.mark.parametrize("step", [1, 2])
def test_the_gradient_points_where_the_loss_falls_as_it_says(step: int) -> None:
    here, tiles = parameters(), draws(step=step)
    slope, symbol_slope, _ = gradient(here, 0.6, step, tiles)
    for name in ("beamformer", "presence" if step == 1 else "angle", "receiver"):
        part = LAYOUT.slices[name]
        direction = np.zeros_like(here)
        direction[part] = slope[part] / np.linalg.norm(slope[part])
        ahead, behind = (gradient(here + e * direction, 0.6, step, tiles)[2] for e in (2e-3, -2e-3))
        found = (0.6 * (ahead[0] - behind[0]) + 0.4 * (ahead[1] - behind[1])) / 4e-3
        assert found == pytest.approx(float(np.linalg.norm(slope[part])), rel=2e-2), name
    direction = symbol_slope / np.linalg.norm(symbol_slope)
    ahead, behind = (
        gradient(here, 0.6, step, tiles, symbols=SYMBOLS + e * direction)[2] for e in (2e-3, -2e-3)
    )
    found = (0.6 * (ahead[0] - behind[0]) + 0.4 * (ahead[1] - behind[1])) / 4e-3
    assert found == pytest.approx(float(np.linalg.norm(symbol_slope)), rel=2e-2)


@pytest.mark.parametrize("step", [1, 2])
def test_what_fills_up_the_last_tile_does_not_count(step: int) -> None:
    tiles = draws(step=step)
    spoiled = tiles.copy()
    # Finite, as the contract says; a message that exists.
    spoiled.reshape(len(tiles), -1, networks.TILE)[-1, :, COUNT % networks.TILE :] = 3.0
    for one, other in zip(
        gradient(parameters(), 0.6, step, tiles), gradient(parameters(), 0.6, step, spoiled), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_tiles_from_the_middle_are_those_of_a_batch_of_their_own() -> None:
    tiles = draws(4 * networks.TILE)
    inner = gradient(parameters(), 0.6, 1, tiles, start=1, number=2 * networks.TILE)
    own = gradient(parameters(), 0.6, 1, tiles[1:3].copy(), number=2 * networks.TILE)
    for one, other in zip(inner, own, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("step", [1, 2])
def test_selection_leaves_out_what_it_says(step: int) -> None:
    tiles, here = draws(), parameters()
    rows = tiles.reshape(len(tiles), -1, networks.TILE).transpose(1, 0, 2)
    present = rows.reshape(rows.shape[0], -1)[networks.PRESENT, :COUNT]
    whole = gradient(here, 1.0, step, tiles)[2][0]
    if step == 2:  # the more readily it says yes, the more errors count
        found = []
        for bias in np.linspace(-0.5, 0.5, 21):
            moved = here.copy()
            LAYOUT.tensors(moved[None])["presence.3.bias"][:] = bias
            found.append(float(gradient(moved, 1.0, step, tiles, selective=True)[2][0]))
        assert found == sorted(found)
        assert len(set(found)) > 4
    tensors = LAYOUT.tensors(here[None])
    tensors["presence.3.weight"][:] = 0
    for bias in (50.0, -50.0):  # a presence network that always says yes, or no
        tensors["presence.3.bias"][:] = bias
        loss = gradient(here, 1.0, step, tiles, selective=True)[2][0]
        if step == 1:  # (11) counts snapshots with a target only
            expected = 0 if bias > 0 else 50 * present.mean()
            assert loss == pytest.approx(expected, rel=1e-4, abs=1e-6)
        else:  # (12) counts those that are detected
            assert loss == pytest.approx(whole if bias > 0 else 0, rel=1e-6, abs=0)


def test_what_omega_leaves_out_is_not_computed() -> None:
    for omega, silent in ((0.0, "presence"), (1.0, "receiver")):
        found, _, losses = gradient(parameters(), omega, 1, draws())
        assert not found[LAYOUT.slices[silent]].any()
        assert losses[0 if omega == 0 else 1] == 0 < losses[1 if omega == 0 else 0]


def test_huge_logits_stay_finite_and_exact() -> None:
    here = parameters()
    tensors = LAYOUT.tensors(here[None])
    for name in ("presence", "angle", "receiver"):
        tensors[f"{name}.3.weight"][:] = 0
    tensors["presence.3.bias"][:] = 1e4
    tensors["angle.3.bias"][:] = -1e4
    tensors["receiver.3.bias"][0] = [1e4, 0, 0, 0]
    tiles = draws()
    rows = tiles.reshape(len(tiles), -1, networks.TILE).transpose(1, 0, 2)
    rows = rows.reshape(rows.shape[0], -1)[:, :COUNT].astype(np.float64)
    losses = gradient(here, 0.5, 1, tiles)[2]
    expected = 1e4 * np.mean(rows[networks.PRESENT] == 0), 1e4 * np.mean(rows[networks.MESSAGE] != 0)
    assert losses == pytest.approx(expected, rel=1e-5)
    mse = np.mean((-np.pi / 2 - rows[networks.TRUTH]) ** 2)
    assert gradient(here, 0.5, 2, tiles)[2][0] == pytest.approx(mse, rel=1e-5)
