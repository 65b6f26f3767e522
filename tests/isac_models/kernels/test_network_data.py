"""Tiles of training data, by the equations."""

from __future__ import annotations

import numpy as np
import pytest

from isac_models.kernels import network_data, networks

TILE, K = network_data.TILE, 3
RANDOM = np.random.default_rng(6)
SEND = RANDOM.normal(size=K), RANDOM.uniform(0.5, 2, K), RANDOM.uniform(-1, 1, K)
RECEIVE = RANDOM.normal(size=K), RANDOM.uniform(0.5, 2, K), RANDOM.uniform(-1, 1, K)
SECTOR = (0.3, 0.8)
SCALE = 0.6


def single(values: np.ndarray) -> np.ndarray:
    """float32."""
    return np.asarray(values, np.float32)


def draws(count: int) -> dict[str, np.ndarray]:
    """What the kernel is given for `count` snapshots."""
    random = np.random.default_rng(count)
    return {
        "mean": single(random.uniform(-1, 1, count)),
        "span": single(random.uniform(0.1, 0.4, count)),
        "place": single(random.uniform(0, 1, count)),
        "present": random.integers(0, 2, count).astype(np.uint8),
        "message": random.integers(0, 256, count).astype(np.uint8),
        "gain": single(random.normal(size=2 * count)),
        "noise": single(random.normal(size=2 * K * count)),
        "comm_angle": single(random.uniform(0.3, 0.8, count)),
        "comm_gain": single(random.normal(size=2 * count)),
        "comm_noise": single(random.normal(size=2 * count)),
    }


def tiles(given: dict[str, np.ndarray]) -> np.ndarray:
    """The kernel's tiles, as rows over all their places."""
    count = len(given["mean"])
    made = np.full((-(-count // TILE), (networks.MATRICES + 8 * K) * TILE), np.nan, np.float32)
    network_data.fill(  # type: ignore[call-arg]
        made, *given.values(), single(np.array(SECTOR)), SCALE, *map(single, SEND), *map(single, RECEIVE)
    )
    return made.reshape(len(made), -1, TILE).transpose(1, 0, 2).reshape(networks.MATRICES + 8 * K, -1)


def steering(array: tuple[np.ndarray, ...], angle: np.ndarray) -> np.ndarray:
    """a(θ)_k = m_k exp(-j2π (p_k sin θ - φ_k)): (K, n)."""
    position, modulus, phase = (values[:, None] for values in array)
    return np.asarray(modulus * np.exp(-2j * np.pi * (position * np.sin(angle) - phase)))


@pytest.mark.parametrize("count", [1, TILE, TILE + 7])
def test_rows_are_what_the_equations_say(count: int) -> None:
    given = draws(count)
    rows = tiles(given)
    assert np.isfinite(rows).all(), "places that are left over hold something finite"
    rows = rows[:, :count]
    low, high = given["mean"] - given["span"] / 2, given["mean"] + given["span"] / 2
    angle = low + given["span"] * given["place"]

    def pair(values: np.ndarray) -> np.ndarray:
        return values.view(np.complex64)

    edges = [SCALE * low, SCALE * high, np.full(count, SCALE * SECTOR[0]), np.full(count, SCALE * SECTOR[1])]
    np.testing.assert_allclose(rows[networks.PRIOR : networks.PRIOR + 4], edges, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(rows[networks.TRUTH], angle, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(rows[networks.PRESENT], given["present"])
    np.testing.assert_array_equal(rows[networks.MESSAGE], given["message"])
    gain = rows[networks.GAIN] + 1j * rows[networks.GAIN + 1]
    np.testing.assert_array_equal(gain, given["present"] * pair(given["gain"]))
    noise = rows[networks.NOISE] + 1j * rows[networks.NOISE + 1]
    np.testing.assert_array_equal(noise, pair(given["comm_noise"]))

    matrices = rows[networks.MATRICES :].reshape(4, 2, K, count)
    transmit, receive, echo_noise, channel = matrices[:, 0] + 1j * matrices[:, 1]
    np.testing.assert_allclose(transmit, steering(SEND, angle), atol=3e-5)
    np.testing.assert_allclose(receive, steering(RECEIVE, angle), atol=3e-5)
    np.testing.assert_array_equal(echo_noise, pair(given["noise"]).reshape(count, K).T)
    expected = pair(given["comm_gain"]) * steering(SEND, given["comm_angle"])
    np.testing.assert_allclose(channel, expected, atol=1e-4)


def test_a_snapshot_does_not_depend_on_its_place() -> None:
    given = draws(300)
    whole = tiles(given)
    shifted = {
        name: values[len(values) // 300 * 90 :].copy() if len(values) else values
        for name, values in given.items()
    }
    np.testing.assert_array_equal(tiles(shifted)[:, :210], whole[:, 90:300])
    assert network_data.TILE == networks.TILE
