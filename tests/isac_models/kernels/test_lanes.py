"""Each operation on lanes against NumPy, inside a kernel, in both precisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

from isac_models.kernels.lanes import (
    WIDTH,
    add,
    below,
    cosine,
    divide,
    exponential,
    fma,
    fms,
    highest,
    load,
    load_row,
    multiply,
    root,
    sine,
    splat,
    store,
    store_row,
    subtract,
    top,
    total,
)

PRECISIONS = [np.float32, np.float64]
LANES_OF: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "add": (add, np.add),
    "subtract": (subtract, np.subtract),
    "multiply": (multiply, np.multiply),
    "divide": (divide, np.divide),
    "highest": (highest, np.maximum),
}


def values(dtype: Any, seed: int, count: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count).astype(dtype)


def one_in(function: Any) -> Any:
    @numba.njit
    def run(a: Any, out: Any) -> None:
        store(out, 0, function(load(a, 0)))

    return run


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", LANES_OF)
def test_arithmetic_of_two_lanes_is_that_of_numpy(name: str, dtype: Any) -> None:
    function, expected = LANES_OF[name]

    @numba.njit
    def run(a: Any, b: Any, out: Any) -> None:
        store(out, 0, function(load(a, 0), load(b, 0)))

    a, b, out = values(dtype, 1), values(dtype, 2), np.empty(WIDTH, dtype)
    run(a, b, out)
    assert np.array_equal(out, expected(a, b))


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_fused_products_round_once(dtype: Any) -> None:
    @numba.njit
    def run(a: Any, b: Any, c: Any, plus: Any, minus: Any) -> None:
        store(plus, 0, fma(load(a, 0), load(b, 0), load(c, 0)))
        store(minus, 0, fms(load(a, 0), load(b, 0), load(c, 0)))

    # (1 + ε)(1 - ε) - 1 = -ε², which two roundings would lose.
    epsilon = np.finfo(dtype).eps
    a, b = np.full(WIDTH, 1 + epsilon, dtype), np.full(WIDTH, 1 - epsilon, dtype)
    plus, minus = np.empty(WIDTH, dtype), np.empty(WIDTH, dtype)
    run(a, b, np.full(WIDTH, -1, dtype), plus, minus)
    assert (plus == -(epsilon**2)).all()
    run(a, b, np.full(WIDTH, 1, dtype), plus, minus)
    assert (minus == epsilon**2).all()


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_root_and_exponential(dtype: Any) -> None:
    a = np.linspace(0, 30, WIDTH).astype(dtype)
    out = np.empty(WIDTH, dtype)
    one_in(root)(a, out)
    assert np.array_equal(out, np.sqrt(a))
    one_in(exponential)(-a, out)
    assert np.allclose(out, np.exp(-a.astype(np.float64)), rtol=4 * np.finfo(dtype).eps, atol=0)


def test_the_exponential_of_single_precision_ends_at_zero() -> None:
    a = np.linspace(-1000, -88, WIDTH).astype(np.float32)
    out = np.empty(WIDTH, np.float32)
    one_in(exponential)(a, out)
    assert not out.any()


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("first", [-40.0, -1.0, 0.0, 3.5])
def test_sine_and_cosine_of_quarter_turns(first: float, dtype: Any) -> None:
    quarters = (first + np.linspace(0, 4, WIDTH)).astype(dtype)
    out = np.empty(WIDTH, dtype)
    bound = 2e-7 if dtype == np.float32 else 1e-13
    one_in(sine)(quarters, out)
    assert np.abs(out - np.sin(quarters.astype(np.float64) * np.pi / 2)).max() < bound
    one_in(cosine)(quarters, out)
    assert np.abs(out - np.cos(quarters.astype(np.float64) * np.pi / 2)).max() < bound


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_sums_and_maxima_run_over_all_lanes(dtype: Any) -> None:
    @numba.njit
    def run(a: Any, out: Any) -> None:
        out[0] = total(load(a, 0))
        out[1] = top(load(a, 0))

    for place in range(WIDTH):
        a, out = np.zeros(WIDTH, dtype), np.empty(2, dtype)
        a[place] = 1 + place
        run(a, out)
        assert out.tolist() == [1 + place, 1 + place]
    a, out = values(dtype, 3), np.empty(2, dtype)
    run(a, out)
    assert out[0] == pytest.approx(a.sum(dtype=np.float64), rel=1e-5)
    assert out[1] == a.max()


@pytest.mark.parametrize("count", [-3, 0, 1, 7, 16, 40])
def test_lanes_beyond_a_count_are_zero(count: int) -> None:
    @numba.njit
    def run(a: Any, n: Any, out: Any) -> None:
        store(out, 0, below(load(a, 0), n))

    a, out = np.arange(1.0, WIDTH + 1), np.empty(WIDTH)
    run(a, count, out)
    assert np.array_equal(out, np.where(np.arange(WIDTH) < count, a, 0))


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_rows_are_read_and_written_at_any_column(dtype: Any) -> None:
    @numba.njit
    def run(a: Any, row: Any, column: Any, out: Any) -> None:
        store_row(out, row, column, add(load_row(a, row, column), splat(a[0, 0])))

    a = np.arange(4 * 40, dtype=dtype).reshape(4, 40) + 1
    out = np.zeros_like(a)
    run(a, 2, 5, out)
    expected = np.zeros_like(a)
    expected[2, 5 : 5 + WIDTH] = a[2, 5 : 5 + WIDTH] + a[0, 0]
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("function", [root, exponential, sine, cosine])
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_what_is_not_a_number_stays_so(function: Any, dtype: Any) -> None:
    a, out = np.full(WIDTH, np.nan, dtype), np.zeros(WIDTH, dtype)
    one_in(function)(a, out)
    assert np.isnan(out).all()
