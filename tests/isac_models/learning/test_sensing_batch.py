"""Training draws: distributions, independence of chunking, windows against the sector mask."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from isac_models.errors import UserError
from isac_models.grid import angle_grid, sector_mask
from isac_models.learning.sensing_batch import (
    MEAN,
    SPAN,
    RecordedBatch,
    SimulatedBatch,
    initial_matrix,
    true_arrays,
    window,
)
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("impaired")


@pytest.mark.parametrize("grid_size", [61, 156, 500, 2000])
def test_a_window_holds_the_points_of_the_sector_mask(grid_size: int) -> None:
    random = np.random.default_rng(grid_size)
    edges = np.sort(random.uniform(-math.pi / 2, math.pi / 2, (400, 2)), axis=1)
    grid = angle_grid(grid_size)
    edges[:50, 0] = grid[random.integers(0, grid_size // 2, 50)]  # sectors that begin on a grid point
    edges[50:100, 1] = grid[random.integers(grid_size // 2, grid_size, 50)]
    edges.sort(axis=1)
    low, high = window(grid_size, edges[:, 0], edges[:, 1])
    for i, sector in enumerate(edges.tolist()):
        mask = sector_mask(grid, (sector[0], sector[1]))
        if mask.any():
            assert np.array_equal(np.flatnonzero(mask), np.arange(low[i], high[i]))


def test_a_sector_between_two_grid_points_takes_the_nearest() -> None:
    grid = angle_grid(19)  # every 10°
    low, high = window(19, np.radians([-33.0, 41.0]), np.radians([-31.0, 42.0]))
    assert np.allclose(np.degrees(grid[low]), [-30, 40])
    assert np.array_equal(high, low + 1)


def test_draws_have_the_distributions_of_the_paper() -> None:
    count = 200_000
    chunk = SimulatedBatch(SCENARIO, 1, "training", 0, count).chunk(0, count)
    assert chunk.gain is not None
    error = 5 / math.sqrt(count)
    assert abs(np.mean(np.abs(chunk.gain) ** 2) - SCENARIO.radar_gain) < error
    assert abs(np.mean(np.abs(chunk.noise) ** 2) - SCENARIO.noise_power) < error
    # θ = centre + half · U[-1, 1]: its variance is that of the centre plus E[span²] / 12.
    centre = (MEAN[1] - MEAN[0]) ** 2 / 12
    spans = (SPAN[0] ** 2 + SPAN[0] * SPAN[1] + SPAN[1] ** 2) / 3
    assert np.var(chunk.angle) == pytest.approx(centre + spans / 12, rel=5 * error)
    width = (chunk.high - chunk.low) * math.pi / (SCENARIO.grid_size - 1)
    assert np.mean(width) == pytest.approx((SPAN[0] + SPAN[1]) / 2, rel=0.01)
    step = math.pi / (SCENARIO.grid_size - 1)
    place = (chunk.angle + math.pi / 2) / step
    assert (place > chunk.low - 1).all()
    assert (place < chunk.high).all()
    phase = np.angle(chunk.gain[:20_000])
    assert stats.kstest(phase, stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_do_not_change_the_draws(dtype: type) -> None:
    batch = SimulatedBatch(SCENARIO, 1, "training", 777, 100)
    whole = batch.chunk(0, 100, dtype)
    parts = [batch.chunk(first, count, dtype) for first, count in ((0, 13), (13, 80), (93, 7))]
    for name in ("low", "high", "angle", "gain", "noise"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(joined, getattr(whole, name))


def test_both_precisions_draw_the_same_echoes() -> None:
    batch = SimulatedBatch(SCENARIO, 1, "training", 0, 50)
    single, double = batch.chunk(0, 50, np.float32), batch.chunk(0, 50, np.float64)
    assert np.array_equal(single.low, double.low)
    assert np.allclose(single.angle, double.angle, atol=1e-6)
    assert np.allclose(single.noise, double.noise, atol=1e-5)
    assert double.noise.dtype == np.complex128


def test_streams_and_seeds_differ() -> None:
    first = SimulatedBatch(SCENARIO, 1, "training", 0, 50).chunk(0, 50)
    for seed, stream in ((2, "training"), (1, "held_out")):
        other = SimulatedBatch(SCENARIO, seed, stream, 0, 50).chunk(0, 50)
        assert not np.any(first.noise == other.noise)


def test_symbols_of_a_large_constellation_scale_the_gain() -> None:
    count = 100_000
    chunk = SimulatedBatch(SCENARIO.replace(order=16), 1, "training", 0, count).chunk(0, count)
    plain = SimulatedBatch(SCENARIO, 1, "training", 0, count).chunk(0, count)
    assert chunk.gain is not None
    assert plain.gain is not None
    ratio = np.abs(chunk.gain / plain.gain) ** 2
    assert sorted({round(float(value), 3) for value in ratio}) == [0.2, 1.0, 1.8]
    assert np.mean(ratio) == pytest.approx(1, abs=0.02)


def test_the_start_is_the_nominal_matrix_with_real_noise() -> None:
    still = initial_matrix(SCENARIO, 1, 0.0)
    noisy = initial_matrix(SCENARIO, 1, 0.1)
    assert np.allclose(np.abs(still), 1)
    assert not (noisy - still).imag.any()
    assert np.var((noisy - still).real) == pytest.approx(0.1, rel=5 * math.sqrt(2 / still.size))


def test_the_arrays_are_those_of_the_hardware() -> None:
    transmit, receive = true_arrays(SCENARIO.replace(impaired_side="transmit"))
    assert not np.array_equal(transmit.positions, receive.positions)


def test_recorded_echoes_of_another_length_than_their_angles_are_refused() -> None:
    with pytest.raises(UserError, match=r"\(n, K\)"):
        RecordedBatch(np.zeros((4, 16)), np.zeros(5), (-0.1, 0.1), 500)
