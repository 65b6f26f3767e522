"""The training pass: every snapshot runs alike wherever it stands; padding and neighbours do not leak in.

Values and gradients are compared with the plain form in tests/isac_models/test_dictionary.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isac_models.kernels import dictionary, lanes

K, N, GRID = 5, 40, np.linspace(-np.pi / 2, np.pi / 2, 40)
LANES = lanes.WIDTH


def arguments(dtype: Any, count: int = 60, extra: int = 0) -> dict[str, Any]:
    """Receiver inputs of `count` snapshots; `extra` columns of garbage may stand behind the padding."""
    random = np.random.default_rng(5)
    matrix = np.zeros((2, K, N + LANES + extra), dtype)
    matrix[:, :, :N] = random.normal(size=(2, K, N))
    low = random.integers(0, N - 1, count).astype(np.int32)
    high = np.minimum(low + random.integers(1, 20, count), N).astype(np.int32)
    angles = np.zeros(N + LANES + extra, dtype)
    angles[:N] = GRID
    return {
        "matrix": matrix,
        "angles": angles,
        "echo": random.normal(size=(count, 2 * K)).astype(dtype),
        "low": low,
        "high": high,
        "angle": random.uniform(-1, 1, count).astype(dtype),
    }


def run(dtype: Any, inputs: dict[str, Any], rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """Loss of each snapshot and gradient of the sum."""
    kernel: Any = dictionary.receiver_pass_32 if dtype == np.float32 else dictionary.receiver_pass_64
    low = inputs["low"][rows]
    loss, gains = np.empty(low.size, dtype), np.zeros_like(inputs["matrix"])
    sums = np.concatenate([[0.0], np.cumsum(GRID)])
    snapshots = inputs["echo"][rows], low, inputs["high"][rows], inputs["angle"][rows]
    kernel(loss, *gains, *inputs["matrix"], inputs["angles"], sums, *snapshots, dtype(2))
    return loss, gains


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_snapshot_has_the_same_loss_wherever_it_stands(dtype: Any) -> None:
    inputs = arguments(dtype)
    whole, _ = run(dtype, inputs)
    parts = [run(dtype, inputs, slice(first, first + 7))[0] for first in range(0, 60, 7)]
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_angle_is_the_softmax_mean_of_equation_13(dtype: Any) -> None:
    inputs = arguments(dtype)
    matrix = inputs["matrix"][0, :, :N] + 1j * inputs["matrix"][1, :, :N]
    echo = inputs["echo"].reshape(-1, K, 2).astype(np.float64) @ [1, 1j]
    loss, _ = run(dtype, inputs)
    for i in range(60):
        mask = np.zeros(N)
        mask[inputs["low"][i] : inputs["high"][i]] = 1
        exponent = np.abs(matrix.conj().T @ echo[i]) * mask
        weight = np.exp(exponent - exponent.max())
        estimate = weight @ GRID / weight.sum()
        expected = (estimate - inputs["angle"][i]) ** 2
        assert loss[i] == pytest.approx(expected, rel=1e-4 if dtype == np.float32 else 1e-11, abs=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_outside_the_windows_get_no_gradient_and_give_no_value(dtype: Any) -> None:
    inputs = arguments(dtype)
    inputs["low"][:], inputs["high"][:] = 11, 14
    loss, gains = run(dtype, inputs)
    assert not gains[:, :, :11].any()
    assert not gains[:, :, 14:].any()
    assert gains[:, :, 11:14].all()
    inputs["matrix"][:, :, 14:] = 100  # read by the lanes, and masked
    again, same = run(dtype, inputs)
    assert np.array_equal(again, loss)
    assert np.array_equal(same, gains)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_silence_gives_a_finite_loss_and_no_gradient(dtype: Any) -> None:
    inputs = arguments(dtype)
    inputs["echo"][:] = 0
    loss, gains = run(dtype, inputs)
    assert np.allclose(loss, (GRID.mean() - inputs["angle"]) ** 2, atol=1e-6)
    assert not gains.any()


def test_not_a_number_shows() -> None:
    inputs = arguments(np.float32)
    inputs["echo"][3, 2] = np.nan
    loss, gains = run(np.float32, inputs)
    assert np.isnan(loss[3])
    assert np.isfinite(np.delete(loss, 3)).all()
    assert np.isnan(gains).any()


def test_a_very_strong_echo_does_not_overflow() -> None:
    inputs = arguments(np.float32)
    inputs["echo"] *= 1e6
    loss, gains = run(np.float32, inputs)
    assert np.isfinite(loss).all()
    assert np.isfinite(gains).all()
