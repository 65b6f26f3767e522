"""Antenna arrays: element positions, hardware impairments, steering vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from isac_models.scenario import Scenario

Reals = NDArray[np.float64]
Values = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Array:
    """A linear array: positions p (K,) in wavelengths, complex responses c (K,). Both are read-only."""

    positions: Reals
    response: NDArray[np.complex128]

    def __post_init__(self) -> None:
        for name, kind in (("positions", np.float64), ("response", np.complex128)):
            values = np.array(getattr(self, name), kind)
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    def steering(self, angle: ArrayLike, dtype: DTypeLike = np.complex64) -> Values:
        """Steering vectors a(θ)_k = c_k exp(-j2π p_k sin θ): angles (...) in radians to (..., K)."""
        turns = np.sin(np.asarray(angle, np.float64))[..., None] * self.positions
        vectors: Values = (self.response * np.exp(-2j * np.pi * turns)).astype(dtype, copy=False)
        return vectors


@dataclass(frozen=True, eq=False)
class Hardware:
    """The true arrays of a monostatic base station: one and the same unless the impairment says otherwise."""

    transmit: Array
    receive: Array


def ideal_positions(antennas: int) -> Reals:
    """Half-wavelength uniform linear array, centred: p_k = (k - (K-1)/2)/2 wavelengths, (K,)."""
    return (np.arange(antennas) - (antennas - 1) / 2) / 2


def nominal_array(scenario: Scenario) -> Array:
    """The array as designed, which is all that a receiver without calibration knows."""
    return Array(ideal_positions(scenario.antennas), np.ones(scenario.antennas, np.complex128))


def hardware(scenario: Scenario) -> Hardware:
    """The arrays as built: one realisation of the scenario's impairment for each `impairment_seed`.

    spacing (Sec. V-C): K-1 spacings d_k ~ N(1/2, spacing_std²), positions by cumulative sum, centred on their
    mean. element: p_k = d_k (k - (K-1)/2) with K draws. gain_phase: c_k = (1 + ε_k) exp(jφ_k) with
    ε ~ N(0, gain_std²) and φ ~ N(0, phase_std²), the same for both directions when `reciprocal`.
    With `impaired_side` "transmit" the receiving array is the nominal one.
    """
    random = np.random.default_rng(scenario.impairment_seed)
    antennas = scenario.antennas
    receive = nominal = nominal_array(scenario)
    if scenario.impairment == "none":
        return Hardware(nominal, nominal)
    if scenario.impairment == "spacing":
        spacings = random.normal(0.5, scenario.spacing_std, antennas - 1)
        positions = np.concatenate([[0.0], np.cumsum(spacings)])
        transmit = receive = Array(positions - positions.mean(), nominal.response)
    elif scenario.impairment == "element":
        spacings = random.normal(0.5, scenario.spacing_std, antennas)
        transmit = receive = Array(spacings * (np.arange(antennas) - (antennas - 1) / 2), nominal.response)
    else:
        transmit = receive = Array(nominal.positions, _gain_phase(scenario, random))
        if not scenario.reciprocal:
            receive = Array(nominal.positions, _gain_phase(scenario, random))
    return Hardware(transmit, nominal if scenario.impaired_side == "transmit" else receive)


def _gain_phase(scenario: Scenario, random: np.random.Generator) -> NDArray[np.complex128]:
    """Element responses c (K,) of the gain and phase impairment."""
    gain = 1 + random.normal(0.0, scenario.gain_std, scenario.antennas)
    phase = random.normal(0.0, scenario.phase_std, scenario.antennas)
    return np.asarray(gain * np.exp(1j * phase))


def steering_matrix(array: Array, grid: Reals, dtype: DTypeLike = np.complex128) -> Values:
    """A = [a(θ_1) … a(θ_N)]: (K, N), C order."""
    return np.ascontiguousarray(array.steering(grid, dtype).T)
