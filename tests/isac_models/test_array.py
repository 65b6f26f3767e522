"""Positions, steering vectors and impairments against their definitions."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest

from isac_models.array import (
    Array,
    hardware,
    ideal_positions,
    nominal_array,
    steering_matrix,
)
from isac_models.grid import angle_grid
from isac_models.scenario import Scenario

MANY = 1000
"""Antennas of the arrays whose statistics are tested."""


def many(**changes: object) -> Scenario:
    return Scenario(antennas=MANY, grid_size=2000).replace(**changes)


def within(sample: float, expected: float, standard_error: float) -> bool:
    """Whether a statistic lies within five standard errors."""
    return abs(sample - expected) < 5 * standard_error


@pytest.mark.parametrize("antennas", [1, 2, 5, 16])
def test_the_ideal_array_is_centred_with_half_wavelength_spacing(antennas: int) -> None:
    positions = ideal_positions(antennas)
    assert positions.shape == (antennas,)
    assert positions.sum() == 0
    np.testing.assert_array_equal(np.diff(positions), 0.5)


def test_steering_vectors_follow_their_definition() -> None:
    random = np.random.default_rng(5)
    array = Array(random.normal(size=7), random.normal(size=7) + 1j * random.normal(size=7))
    angles = random.uniform(-np.pi / 2, np.pi / 2, (3, 4))
    vectors = array.steering(angles, np.complex128)
    assert vectors.shape == (3, 4, 7)
    for i in range(3):
        for j in range(4):
            for k in range(7):
                phase = -2j * math.pi * array.positions[k] * math.sin(angles[i, j])
                assert vectors[i, j, k] == pytest.approx(array.response[k] * cmath.exp(phase), rel=1e-13)


def test_steering_vectors_are_complex64_unless_asked_otherwise() -> None:
    array = nominal_array(Scenario(antennas=1024, grid_size=2048))
    angles = np.linspace(-1.5, 1.5, 50)
    single = array.steering(angles)
    assert single.dtype == np.complex64
    np.testing.assert_allclose(single, array.steering(angles, np.complex128), atol=2e-7)
    assert array.steering(0.3).shape == (1024,)


def test_the_matrix_holds_the_steering_vectors_of_the_grid() -> None:
    scenario = Scenario(antennas=8, grid_size=64)
    grid = angle_grid(64)
    matrix = steering_matrix(nominal_array(scenario), grid)
    assert matrix.shape == (8, 64)
    assert matrix.dtype == np.complex128
    assert matrix.flags.c_contiguous
    # Sec. II-A, with d = λ/2 and k = 0 … K-1
    k = np.arange(8)[:, None]
    np.testing.assert_allclose(matrix, np.exp(-2j * np.pi * (k - 3.5) * 0.5 * np.sin(grid)), atol=1e-14)
    assert steering_matrix(nominal_array(scenario), grid, np.complex64).dtype == np.complex64


def test_arrays_cannot_be_changed() -> None:
    array = nominal_array(Scenario())
    with pytest.raises(ValueError, match="read-only"):
        array.positions[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        array.response[0] = 1


@pytest.mark.parametrize("impairment", ["spacing", "element", "gain_phase"])
def test_one_seed_is_one_realisation(impairment: str) -> None:
    scenario = Scenario(impairment=impairment, impairment_seed=3)
    first, again, other = (
        hardware(scenario),
        hardware(scenario),
        hardware(scenario.replace(impairment_seed=4)),
    )
    for name in ("positions", "response"):
        np.testing.assert_array_equal(getattr(first.transmit, name), getattr(again.transmit, name))
    assert not (
        np.array_equal(first.transmit.positions, other.transmit.positions)
        and np.array_equal(first.transmit.response, other.transmit.response)
    )


@pytest.mark.parametrize("changes", [{"impairment": "none"}, {"impairment": "spacing", "spacing_std": 0.0}])
def test_without_impairment_the_hardware_is_the_nominal_array(changes: dict[str, object]) -> None:
    scenario = Scenario().replace(**changes)
    nominal = nominal_array(scenario)
    for array in (hardware(scenario).transmit, hardware(scenario).receive):
        np.testing.assert_allclose(array.positions, nominal.positions, atol=1e-14)
        np.testing.assert_array_equal(array.response, 1)


def test_spacings_are_normal_and_the_array_is_centred() -> None:
    array = hardware(many(impairment="spacing")).transmit
    spacings = np.diff(array.positions)
    deviation = 1 / 30
    assert abs(array.positions.mean()) < 1e-10
    assert within(spacings.mean(), 0.5, deviation / math.sqrt(MANY))
    assert within(spacings.std(), deviation, deviation / math.sqrt(2 * MANY))
    assert abs(np.corrcoef(spacings[1:], spacings[:-1])[0, 1]) < 5 / math.sqrt(MANY)
    np.testing.assert_array_equal(array.response, 1)


def test_element_positions_have_a_spacing_of_their_own_each() -> None:
    array = hardware(many(impairment="element", spacing_std=0.02)).transmit
    spacings = array.positions / (np.arange(MANY) - (MANY - 1) / 2)
    assert within(spacings.mean(), 0.5, 0.02 / math.sqrt(MANY))
    assert within(spacings.std(), 0.02, 0.02 / math.sqrt(2 * MANY))


def test_gains_and_phases_are_normal() -> None:
    arrays = hardware(many(impairment="gain_phase"))
    gain, phase = np.abs(arrays.transmit.response), np.angle(arrays.transmit.response)
    assert within(gain.mean(), 1, 0.1 / math.sqrt(MANY))
    assert within(gain.std(), 0.1, 0.1 / math.sqrt(2 * MANY))
    assert within(phase.mean(), 0, math.radians(15) / math.sqrt(MANY))
    assert within(phase.std(), math.radians(15), math.radians(15) / math.sqrt(2 * MANY))
    np.testing.assert_array_equal(arrays.transmit.positions, ideal_positions(MANY))
    assert arrays.receive is arrays.transmit


def test_hardware_that_is_not_reciprocal_has_errors_of_its_own_on_receive() -> None:
    arrays = hardware(many(impairment="gain_phase", reciprocal=False))
    transmit, receive = (np.angle(array.response) for array in (arrays.transmit, arrays.receive))
    assert abs(np.corrcoef(transmit, receive)[0, 1]) < 5 / math.sqrt(MANY)
    assert receive.std() > 0.1
    same = hardware(many(impairment="gain_phase"))
    np.testing.assert_array_equal(same.transmit.response, arrays.transmit.response)


@pytest.mark.parametrize("impairment", ["spacing", "element", "gain_phase"])
def test_both_sides_are_one_array_unless_only_the_transmitter_is_impaired(impairment: str) -> None:
    scenario = Scenario(impairment=impairment)
    both = hardware(scenario)
    assert both.receive is both.transmit
    one = hardware(scenario.replace(impaired_side="transmit"))
    np.testing.assert_array_equal(one.transmit.positions, both.transmit.positions)
    np.testing.assert_array_equal(one.transmit.response, both.transmit.response)
    np.testing.assert_array_equal(one.receive.positions, ideal_positions(16))
    np.testing.assert_array_equal(one.receive.response, 1)


@pytest.mark.parametrize("impairment", ["none", "spacing", "element", "gain_phase"])
def test_a_single_antenna_is_an_array(impairment: str) -> None:
    arrays = hardware(Scenario(antennas=1, impairment=impairment))
    np.testing.assert_array_equal(arrays.transmit.positions, [0.0])
