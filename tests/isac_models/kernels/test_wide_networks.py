"""Between the products of wide networks: activations, their slopes, and the channel there and back."""

from __future__ import annotations

import numpy as np
import pytest

from isac_models.kernels import network_weights, networks, wide_networks
from isac_models.learning.neural_data import Draws
from isac_models.network_layout import Layout
from isac_models.scenario import Scenario

TILE, K = networks.TILE, 4
SCENARIO = Scenario.preset("impaired").replace(antennas=K)
LAYOUT = Layout(K, 4, 1)
COUNT = 2 * TILE - 30
TILES = Draws(SCENARIO, 3, angle_scale=0.7).tiles(100, COUNT + TILE).reshape(3, -1)
SYMBOLS = np.array([1, 0, 0, 1.2, -0.8, 0, 0, -1], np.float32)
RADAR, COMM, AMPLITUDE = 0.8, 0.15, 1.3
RANDOM = np.random.default_rng(4)
SHAPE = RANDOM.standard_normal((2 * K, 2 * TILE)).astype(np.float32)


@pytest.mark.parametrize("relu", [True, False])
def test_activations_and_their_slopes(relu: bool) -> None:
    given = RANDOM.standard_normal((5, 3 * TILE)).astype(np.float32)
    bias = RANDOM.standard_normal(5).astype(np.float32)
    values = given.copy()
    wide_networks.activate(values, bias, relu)
    expected = given + bias[:, None]
    np.testing.assert_array_equal(values, np.maximum(expected, 0) if relu else expected)
    error = RANDOM.standard_normal(values.shape).astype(np.float32)
    expected_error = np.where(values > 0, error, 0) if relu else error.copy()
    gradient = np.ones(5, np.float32)
    wide_networks.slope(gradient, error, values, relu)
    np.testing.assert_array_equal(error, expected_error)
    np.testing.assert_allclose(gradient, 1 + expected_error.sum(axis=1), rtol=1e-5, atol=1e-4)


def rows(first: int, size: int = 1) -> np.ndarray:
    """Rows of the second and third tile over their snapshots, (size, 2 TILE)."""
    found = TILES[1:].reshape(2, -1, TILE).transpose(1, 0, 2).reshape(-1, 2 * TILE)
    return np.asarray(found[first : first + size], np.float64)


def pair(first: int, size: int = 1) -> np.ndarray:
    """The same as complex values."""
    both = rows(first, 2 * size)
    return np.asarray(both[:size] + 1j * both[size:])


def channel(shape: np.ndarray, symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Beams (K, n) and scaled echoes (K, n) by eq. (1)."""
    beam = shape[:K] + 1j * shape[K:]
    beam = AMPLITUDE * beam / np.linalg.norm(beam, axis=0)
    points = symbols.reshape(-1, 2) @ [1, 1j]
    sent = points[rows(networks.MESSAGE)[0].astype(int)]
    transmit, receive, noise = (pair(networks.MATRICES + 2 * K * number, K) for number in range(3))
    echo = pair(networks.GAIN)[0] * sent * (transmit * beam).sum(axis=0) * receive + noise
    return beam, RADAR * echo


def run(omega: float) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, ...]]:
    """What `transmit` gives for the second and third tile, and the constants and kept rows for `reflect`."""
    packed, turned, sums = (np.zeros(length, np.float32) for length in LAYOUT.lengths)
    network_weights.pack(packed, turned, LAYOUT.initial(2, 0.5), LAYOUT.plan)
    constants = np.array([omega, AMPLITUDE, RADAR, COMM, 1 / COUNT], np.float32)
    kept = np.full((2, (4 * K + wide_networks.KEPT) * TILE), np.nan, np.float32)
    seen, losses = np.full((2 * K + 2, 2 * TILE), np.nan, np.float32), np.zeros(2, np.float32)
    wide_networks.transmit(
        seen, kept, sums, losses, SHAPE, TILES, packed, turned, SYMBOLS, LAYOUT.work_space(TILE), LAYOUT.plan,
        constants, 1, COUNT,
    )  # fmt: skip
    return {"seen": seen, "sums": sums, "losses": losses}, (kept, constants)


def test_priors_are_the_beamformer_s_inputs() -> None:
    given = np.zeros((4, 2 * TILE), np.float32)
    wide_networks.priors(given, TILES, 1)
    np.testing.assert_array_equal(given, rows(networks.PRIOR, 4))


def test_the_radar_sees_eq_1_and_the_sector() -> None:
    found = run(1.0)[0]
    _, echo = channel(SHAPE.astype(float), SYMBOLS)
    np.testing.assert_allclose(
        found["seen"][: 2 * K], np.vstack([echo.real, echo.imag]), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_array_equal(found["seen"][2 * K :], rows(networks.PRIOR, 2))
    assert not found["sums"].any(), "ω_r = 1 has no receiver"
    assert run(0.0)[0]["losses"][1] > 0


def test_the_way_back_is_the_derivative_of_the_way_there() -> None:
    """J = Σ w · seen over the snapshots that count, in double precision by differences."""
    _, (kept, constants) = run(1.0)
    weight = RANDOM.standard_normal((2 * K, 2 * TILE))
    weight[:, COUNT:] = 0
    shape_error, symbol_error = np.zeros_like(SHAPE), np.zeros(8, np.float32)
    wide_networks.reflect(
        shape_error, symbol_error, kept, weight.astype(np.float32), TILES, constants, 1, COUNT
    )

    def total(shape: np.ndarray, symbols: np.ndarray) -> float:
        _, echo = channel(shape, symbols)
        return float((weight * np.vstack([echo.real, echo.imag])).sum())

    shape, symbols = SHAPE.astype(float), SYMBOLS.astype(float)
    for _ in range(4):
        step = RANDOM.standard_normal(shape.shape)
        slope = (total(shape + 1e-5 * step, symbols) - total(shape - 1e-5 * step, symbols)) / 2e-5
        assert (shape_error * step).sum() == pytest.approx(slope, rel=1e-3, abs=1e-3 * np.abs(slope) + 1e-2)
        turn = RANDOM.standard_normal(8)
        slope = (total(shape, symbols + 1e-5 * turn) - total(shape, symbols - 1e-5 * turn)) / 2e-5
        assert symbol_error @ turn == pytest.approx(slope, rel=1e-3, abs=1e-2)


@pytest.mark.parametrize("selective", [False, True])
def test_losses_and_their_derivatives(selective: bool) -> None:
    logit, opinion = (RANDOM.standard_normal((1, 2 * TILE)).astype(np.float32) for _ in range(2))
    constants = np.array([0.3, AMPLITUDE, RADAR, COMM, 1 / COUNT], np.float32)
    present, truth = rows(networks.PRESENT)[0], rows(networks.TRUTH)[0]
    counts = np.arange(2 * TILE) < COUNT
    z = logit[0].astype(float)
    p, angle = 1 / (1 + np.exp(-z)), np.pi / 2 * np.tanh(z)
    cases = {
        networks.PRESENCE: (
            -np.log(np.where(present > 0, p, 1 - p)),
            p - present,
            counts * (present if selective else 1),
        ),
        networks.ANGLE: (
            (angle - truth) ** 2,
            2 * (angle - truth) * np.pi / 2 * (1 - np.tanh(z) ** 2),
            counts * ((opinion[0] > 0) if selective else 1),
        ),
    }
    for head, (loss, slope, weight) in cases.items():
        error, losses = np.full((1, 2 * TILE), np.nan, np.float32), np.zeros(2, np.float32)
        wide_networks.judge(error, losses, logit, opinion, TILES, constants, 1, COUNT, head, selective)
        assert losses == pytest.approx([(weight * loss).sum() / COUNT, 0], rel=1e-4)
        np.testing.assert_allclose(error[0], 0.3 * weight * slope / COUNT, rtol=1e-3, atol=1e-8)
