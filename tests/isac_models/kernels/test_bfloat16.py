"""What wide networks do in bfloat16 between their products, against torch's own bfloat16."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isac_models.kernels import bfloat16

RANDOM = np.random.default_rng(8)
SIZES = pytest.mark.parametrize("size", [bfloat16.LANES, 3 * bfloat16.LANES])


def half(values: np.ndarray) -> np.ndarray:
    """torch's rounding, as uint16."""
    return np.asarray(torch.from_numpy(values).to(torch.bfloat16).view(torch.uint16).numpy())


def whole(values: np.ndarray) -> np.ndarray:
    """The numbers that such bits are."""
    return np.asarray(torch.from_numpy(values).view(torch.bfloat16).float().numpy())


def normal(rows: int, size: int) -> np.ndarray:
    """N(0, 1), float32."""
    return RANDOM.standard_normal((rows, size)).astype(np.float32)


def test_rounding_is_that_of_torch_for_ties_zeros_and_every_exponent() -> None:
    bits = RANDOM.integers(0, 1 << 32, 100_000, np.uint64).astype(np.uint32)
    ties = (bits & np.uint32(0xFFFF0000)) | np.uint32(0x8000)
    values = np.concatenate([bits, ties]).view(np.float32)
    values = np.concatenate(
        [values[np.isfinite(values)], np.array([0.0, -0.0, np.inf, -np.inf], np.float32)]
    )[None]
    out = np.zeros(values.shape, np.uint16)
    bfloat16.narrow(out, values)
    np.testing.assert_array_equal(out, half(values))
    back = np.zeros_like(values)
    bfloat16.widen(back, out)
    np.testing.assert_array_equal(back, whole(out))


@SIZES
def test_biases_and_rectifiers(size: int) -> None:
    values, bias = normal(5, size), normal(1, 5)[0]
    entered, inside, left = (np.zeros(values.shape, kind) for kind in (np.uint16, np.uint16, np.float32))
    bfloat16.enter(entered, values, bias)
    np.testing.assert_array_equal(entered, half(np.maximum(values + bias[:, None], 0)))
    inside[:] = half(values)
    bfloat16.activate(inside, bias)
    np.testing.assert_array_equal(inside, half(np.maximum(whole(half(values)) + bias[:, None], 0)))
    bfloat16.leave(left, half(values), bias)
    np.testing.assert_array_equal(left, whole(half(values)) + bias[:, None])


@SIZES
def test_a_layer_with_one_output_there_and_back(size: int) -> None:
    values, weight, bias = half(normal(7, size)), normal(1, 7), normal(1, 1)[0]
    exact = whole(values).astype(np.float64)
    out = np.zeros((1, size), np.float32)
    bfloat16.weigh(out, values, weight, bias)
    np.testing.assert_allclose(out, weight @ exact + bias, rtol=1e-5, atol=1e-5)
    error, slope, back = normal(1, size), np.ones((1, 7), np.float32), np.zeros((7, size), np.uint16)
    bfloat16.weigh_back(slope, back, error, values, weight)
    np.testing.assert_allclose(slope, 1 + error @ exact.T, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(back, half(weight.T * error))


@SIZES
def test_slopes_pass_where_the_rectifier_is_open_and_are_summed_up(size: int) -> None:
    values, error = half(np.maximum(normal(6, size), 0)), half(normal(6, size))
    kept = np.where(whole(values) > 0, whole(error), 0)
    gradient, found = np.ones(6, np.float32), error.copy()
    bfloat16.slope(gradient, found, values)
    np.testing.assert_array_equal(whole(found), kept)
    np.testing.assert_allclose(gradient, 1 + kept.sum(axis=1, dtype=float), rtol=1e-5, atol=1e-4)
    gradient[:] = 1
    bfloat16.bias_slope(gradient, kept.astype(np.float32))
    np.testing.assert_allclose(gradient, 1 + kept.sum(axis=1, dtype=float), rtol=1e-5, atol=1e-4)


@SIZES
def test_sums_of_rounded_products_are_kept_in_float32(size: int) -> None:
    total, values = normal(3, size), half(normal(3, size))
    expected = total + whole(values)
    bfloat16.add(total, values)
    np.testing.assert_array_equal(total, expected)
