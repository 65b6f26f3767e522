"""Gray square QAM: the map, and a fast decision that is the maximum-likelihood decision."""

from __future__ import annotations

import numpy as np
import pytest

from isac_models.constellation import CHUNK, ORDERS, Constellation
from isac_models.errors import UserError


def noisy(
    order: int, count: int, dtype: type[np.complexfloating] = np.complex64, noise: float = 0.3, seed: int = 0
) -> tuple[Constellation, np.ndarray, np.ndarray, np.ndarray]:
    """A constellation, messages, and what the channel makes of them: received and CSI."""
    random = np.random.default_rng(seed)

    def normal() -> np.ndarray:
        return random.normal(size=(count, 2)).view(np.complex128)[:, 0]

    constellation = Constellation(order, dtype)
    message = random.integers(order, size=count, dtype=np.uint8)
    csi = (3 * normal()).astype(dtype)
    received = (csi * constellation.encode(message) + noise * normal()).astype(dtype)
    return constellation, message, received, csi


@pytest.mark.parametrize("order", ORDERS)
def test_points_are_a_square_of_unit_mean_energy(order: int) -> None:
    points = Constellation(order, np.complex128).points
    assert (np.abs(points) ** 2).mean() == pytest.approx(1, rel=1e-14)
    assert abs(points.mean()) < 1e-15
    side = round(order**0.5)
    for part in (points.real, points.imag):
        levels = np.unique(part.round(12))
        assert levels.size == side
        np.testing.assert_allclose(np.diff(levels), 2 * np.sqrt(1.5 / (order - 1)), rtol=1e-10)
    assert np.unique(points.round(12)).size == order


@pytest.mark.parametrize("order", ORDERS)
def test_gray_neighbours_differ_in_one_bit(order: int) -> None:
    points = Constellation(order, np.complex128).points
    distance = np.abs(points[:, None] - points)
    neighbours = np.argwhere((distance > 0) & (distance < 1.01 * distance[distance > 0].min()))
    side = round(order**0.5)
    assert len(neighbours) == 4 * side * (side - 1)
    assert all(int(a ^ b).bit_count() == 1 for a, b in neighbours)


@pytest.mark.parametrize("order", ORDERS)
def test_every_message_comes_back(order: int) -> None:
    constellation = Constellation(order)
    message = np.arange(order, dtype=np.uint8)
    symbol = constellation.encode(message)
    assert symbol.dtype == np.complex64
    np.testing.assert_array_equal(symbol, constellation.points)
    for csi in (1, 1j, 1e-3 - 2e-3j, -40 + 3j, 1e-10, 1e10):
        received = (np.complex128(csi) * symbol).astype(np.complex64)
        np.testing.assert_array_equal(
            constellation.decide(received, np.full(order, csi, np.complex64)), message
        )


@pytest.mark.parametrize("noise", [0.05, 0.3, 3.0])
@pytest.mark.parametrize("order", ORDERS)
def test_the_decision_is_the_maximum_likelihood_decision(order: int, noise: float) -> None:
    constellation, _, received, csi = noisy(order, 50_000, np.complex128, noise)
    decided = constellation.decide(received, csi)
    assert decided.dtype == np.uint8
    np.testing.assert_array_equal(decided, constellation.decide_exhaustive(received, csi))


@pytest.mark.parametrize("order", ORDERS)
def test_single_precision_differs_on_ties_only(order: int) -> None:
    constellation, _, received, csi = noisy(order, 50_000)
    decided = constellation.decide(received, csi)
    other = np.flatnonzero(decided != constellation.decide_exhaustive(received, csi))
    y, k = received[other].astype(np.complex128), csi[other].astype(np.complex128)
    points = Constellation(order, np.complex128).points
    distance = np.abs(y[:, None] - k[:, None] * points)
    chosen = distance[np.arange(other.size), decided[other]]
    np.testing.assert_allclose(chosen, distance.min(axis=1), atol=1e-5)
    assert other.size < 5


@pytest.mark.parametrize("order", ORDERS)
def test_a_batch_may_be_split_anywhere(order: int) -> None:
    count = CHUNK + 137
    constellation, _, received, csi = noisy(order, count)
    whole = constellation.decide(received, csi)
    for cut in (0, 1, 3, 7, 64, 1001, CHUNK - 1, CHUNK, count):
        parts = [constellation.decide(received[p], csi[p]) for p in (slice(0, cut), slice(cut, count))]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    strided = np.empty(2 * count, np.complex64)
    strided[::2] = received
    np.testing.assert_array_equal(constellation.decide(strided[::2], csi), whole)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("order", ORDERS)
def test_a_channel_that_vanishes_gives_some_message(order: int, dtype: type[np.complexfloating]) -> None:
    constellation, message, received, csi = noisy(order, 100, dtype, noise=0)
    csi[::2] = 0
    csi[1] = 1e-30
    received[1] = 1e-30 * constellation.points[message[1]]
    decided = constellation.decide(received, csi)  # warnings are errors
    assert decided.max() < order
    np.testing.assert_array_equal(decided[3::2], message[3::2])


def test_inputs_stay_as_they_were() -> None:
    constellation, _, received, csi = noisy(64, 1000)
    before = received.copy(), csi.copy()
    received.flags.writeable = csi.flags.writeable = False
    constellation.decide(received, csi)
    np.testing.assert_array_equal(received, before[0])
    np.testing.assert_array_equal(csi, before[1])


@pytest.mark.parametrize("order", ORDERS)
def test_empty_batches_stay_empty(order: int) -> None:
    constellation = Constellation(order)
    assert constellation.encode(np.empty(0, np.uint8)).shape == (0,)
    empty = np.empty(0, np.complex64)
    assert constellation.decide(empty, empty).shape == (0,)
    assert constellation.bit_errors(np.empty(0, np.uint8), np.empty(0, np.uint8)) == 0


def test_bit_errors_are_counted() -> None:
    sent = np.array([0b0000, 0b1111, 0b1010, 0b0001], np.uint8)
    decided = np.array([0b0000, 0b0000, 0b0101, 0b0011], np.uint8)
    assert Constellation(16).bit_errors(sent, decided) == 0 + 4 + 4 + 1
    many = np.full(10_000, 255, np.uint8)
    assert Constellation(256).bit_errors(many, np.zeros_like(many)) == 80_000


def test_messages_beyond_the_order_are_refused() -> None:
    with pytest.raises(UserError, match="message 16 must be below the order 16"):
        Constellation(16).encode(np.array([3, 16, 2], np.uint8))


@pytest.mark.parametrize("order", [0, 1, 2, 8, 32, 128, 1024, -4])
def test_orders_that_are_no_square_qam_are_refused(order: int) -> None:
    with pytest.raises(UserError, match="order must be 4, 16, 64 or 256"):
        Constellation(order)
