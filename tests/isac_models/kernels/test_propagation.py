"""Compiled precoding, echo and channel against the plain forms."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from isac_models.array import hardware
from isac_models.draws import SnapshotRandom
from isac_models.propagation import MisoModel, Target, TargetModel, precode
from isac_models.scenario import Scenario

CUTS = [0, 1, 2, 3, 66, 130, 257, 258, 500]
SCENARIOS: dict[str, dict[str, Any]] = {
    "ideal": {},
    "spacing": {"impairment": "spacing"},
    "gain and phase": {"impairment": "gain_phase"},
    "two arrays": {"impairment": "gain_phase", "reciprocal": False},
    "one side": {"impairment": "spacing", "impaired_side": "transmit"},
    "one antenna": {"antennas": 1},
    "odd": {"antennas": 5},
    "large": {"antennas": 130, "grid_size": 700},
}


def scenario(name: str) -> Scenario:
    """The ideal preset with the changes of that name."""
    return Scenario.preset("ideal").replace(**SCENARIOS[name])


def complex_values(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """CN(0, 2) values, complex128."""
    return generator.standard_normal(shape) + 1j * generator.standard_normal(shape)


def make(name: str) -> tuple[TargetModel, np.ndarray, Target, np.ndarray]:
    """A model, transmitted snapshots, targets and noise, in double precision."""
    chosen = scenario(name)
    generator = np.random.default_rng(3)
    n, antennas = CUTS[-1], chosen.antennas
    target = Target(
        generator.random(n) < 0.5,
        generator.uniform(-1.5, 1.5, n).astype(np.float32).astype(np.float64),
        complex_values(generator, n),
    )
    transmitted = complex_values(generator, n, antennas)
    return TargetModel(chosen), transmitted, target, complex_values(generator, n, antennas)


def single(target: Target) -> Target:
    """The same targets in single precision."""
    return Target(target.present, target.angle.astype(np.float32), target.gain.astype(np.complex64))


@pytest.mark.parametrize("name", SCENARIOS)
def test_echo_is_that_of_the_plain_form(name: str) -> None:
    model, transmitted, target, noise = make(name)
    expected = model.echo(transmitted, target, noise.copy())
    found = model.echo(transmitted.astype("c8"), single(target), noise.astype("c8"))
    assert found.dtype == np.complex64
    size = model.scenario.antennas
    assert np.abs(found - expected).max() < 1e-5 * size * max(1, size / 16)
    absent = ~target.present
    assert found[absent].tolist() == noise.astype("c8")[absent].tolist()


@pytest.mark.parametrize("name", SCENARIOS)
def test_echo_of_a_row_does_not_depend_on_the_batch(name: str) -> None:
    model, transmitted, target, noise = make(name)
    target, transmitted = single(target), transmitted.astype("c8")
    whole = model.echo(transmitted, target, noise.astype("c8"))
    parts = [
        model.echo(
            transmitted[a:b],
            Target(target.present[a:b], target.angle[a:b], target.gain[a:b]),
            noise[a:b].astype("c8"),
        )
        for a, b in pairwise(CUTS)
    ]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("name", SCENARIOS)
def test_channel_is_that_of_the_plain_form(name: str) -> None:
    chosen = scenario(name)
    generator = np.random.default_rng(4)
    model, n = MisoModel(chosen), CUTS[-1]
    transmitted, symbol = complex_values(generator, n, chosen.antennas), complex_values(generator, n)
    received, csi = model.observe(transmitted.astype("c8"), symbol.astype("c8"), SnapshotRandom(1, "a"), 77)
    double = SnapshotRandom(1, "a", np.float64)
    expected, expected_csi = model.observe(transmitted, symbol, double, 77)
    assert (str(received.dtype), str(expected.dtype)) == ("complex64", "complex128")
    scale = 1e-5 * chosen.antennas * max(1, chosen.antennas / 16) * np.sqrt(chosen.comm_gain)
    assert np.abs(received - expected).max() < scale
    assert (np.abs(csi - expected_csi) * np.abs(symbol)).max() < scale


@pytest.mark.parametrize("name", SCENARIOS)
def test_channel_of_a_row_does_not_depend_on_the_batch(name: str) -> None:
    chosen = scenario(name)
    generator = np.random.default_rng(4)
    model, n = MisoModel(chosen), CUTS[-1]
    transmitted = complex_values(generator, n, chosen.antennas).astype("c8")
    symbol = complex_values(generator, n).astype("c8")
    whole = model.observe(transmitted, symbol, SnapshotRandom(1, "a"), 1000)
    parts = [
        model.observe(transmitted[a:b], symbol[a:b], SnapshotRandom(1, "a"), 1000 + a)
        for a, b in pairwise(CUTS)
    ]
    for one, pieces in zip(whole, zip(*parts, strict=True), strict=True):
        assert np.concatenate(pieces).tobytes() == one.tobytes()


@pytest.mark.parametrize("antennas", [1, 3, 16, 130])
def test_precoding_is_the_outer_product(antennas: int) -> None:
    generator = np.random.default_rng(5)
    symbol = complex_values(generator, CUTS[-1]).astype("c8")
    beam = complex_values(generator, antennas)
    found = precode(symbol, beam)
    assert np.abs(found - symbol[:, None] * beam).max() < 2e-6 * np.abs(found).max()
    parts = [precode(symbol[a:b], beam) for a, b in pairwise(CUTS)]
    assert np.concatenate(parts).tobytes() == found.tobytes()


def test_read_only_strided_and_unaligned_arrays_are_taken() -> None:
    model, transmitted, target, noise = make("ideal")
    target, transmitted = single(target), transmitted.astype("c8")
    expected = model.echo(transmitted, target, noise.astype("c8"))
    for form in (read_only, strided, unaligned):
        changed = Target(form(target.present), form(target.angle), form(target.gain))
        assert model.echo(form(transmitted), changed, noise.astype("c8")).tobytes() == expected.tobytes()


def read_only(values: np.ndarray) -> np.ndarray:
    """A copy that cannot be written."""
    copy = values.copy()
    copy.flags.writeable = False
    return copy


def strided(values: np.ndarray) -> np.ndarray:
    """A copy with gaps between the rows."""
    return np.repeat(values, 2, axis=0)[::2]


def unaligned(values: np.ndarray) -> Any:
    """A copy that begins at an odd address."""
    memory = np.zeros(values.nbytes + 1, np.uint8)[1:]
    copy = memory.view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


def test_the_steering_of_the_kernel_is_that_of_the_array() -> None:
    # A transmit array of one silent-free element turns the echo into the receive steering vector itself.
    chosen = scenario("spacing")
    model = TargetModel(chosen)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 999).astype(np.float32)
    n = angle.size
    unit = np.zeros((n, chosen.antennas), np.complex64)
    steering = hardware(chosen).transmit.steering(angle, np.complex128)
    unit[:, 0] = 1
    found = model.echo(unit, Target(np.ones(n, bool), angle, np.ones(n, "c8")), np.zeros_like(unit))
    assert np.abs(found - steering[:, :1] * steering).max() < 1e-5
