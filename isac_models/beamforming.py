"""Transmit beams: least-squares beampattern synthesis (3)-(4) and the ISAC combination (5)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac_models.array import Array, nominal_array, steering_matrix
from isac_models.errors import UserError
from isac_models.grid import angle_grid, sector_mask

if TYPE_CHECKING:
    from isac_models.scenario import Scenario

Values = NDArray[Any]
Beam = NDArray[np.complex128]

CANCELLED = 1e-9
"""Norm below which two combined unit beams count as cancelling each other: what is left is rounding."""


def least_squares_beam(matrix: Values, mask: NDArray[np.bool_], energy: float = 1.0) -> Beam:
    """Beam x = (A* Aᵀ)⁻¹ A* b of eq. (4), scaled to ‖x‖² = energy: (K,).

    matrix A (K, N): steering vectors of the grid. mask (N,): grid points to be lit; b is K there and 0
    elsewhere, eq. (3).

    Raises UserError when A* Aᵀ is singular or the beam vanishes.
    """
    matrix = np.asarray(matrix, np.complex128)
    conjugate = matrix.conj()
    pattern = len(matrix) * np.asarray(mask, np.float64)
    beam: Beam
    try:
        beam = np.linalg.solve(conjugate @ matrix.T, conjugate @ pattern)
    except np.linalg.LinAlgError:
        beam = np.full(len(matrix), np.nan + 0j)
    norm = float(np.linalg.norm(beam))
    if not math.isfinite(norm):
        raise UserError("steering matrix: A*Aᵀ of eq. (4) cannot be inverted; take a finer angle grid")
    if norm == 0:
        raise UserError("beam of eq. (4) is zero: the sector must hold a grid point that the array can light")
    return beam * (math.sqrt(energy) / norm)


def isac_beam(radar: Values, comm: Values, rho: float, phi: float = 0.0, energy: float = 1.0) -> Beam:
    """ISAC beam v(ρ, φ) of eq. (5) from a radar and a communication beam (K,), with ‖v‖² = energy.

    Both beams are first brought to unit norm. rho in [0, 1] weighs the radar beam; phi in radians.

    Raises UserError for rho outside [0, 1], a phi that is not finite, or beams that cancel.
    """
    if not 0 <= rho <= 1:
        raise UserError(f"rho must be a number from 0 to 1, not {rho}")
    if not math.isfinite(phi):
        raise UserError(f"phi must be a finite angle in radians, not {phi}")
    radar, comm = (np.asarray(beam, np.complex128) / np.linalg.norm(beam) for beam in (radar, comm))
    beam: Beam = math.sqrt(rho) * radar + math.sqrt(1 - rho) * np.exp(1j * phi) * comm
    norm = float(np.linalg.norm(beam))
    if norm < CANCELLED:
        raise UserError(
            f"radar and communication beam cancel in eq. (5) with rho = {rho:g} and phi = {phi:g}: "
            "change rho, phi or a sector"
        )
    return beam * (math.sqrt(energy) / norm)


def baseline_beam(scenario: Scenario, rho: float = 0.5, phi: float = 0.0, array: Array | None = None) -> Beam:
    """The baseline's ISAC beam for the scenario's two sectors: (K,), ‖v‖² = transmit_energy.

    `array` is what the transmitter believes its array to be; None takes the nominal one.
    """
    known = nominal_array(scenario) if array is None else array
    return matrix_beam(scenario, steering_matrix(known, angle_grid(scenario.grid_size)), rho, phi)


def matrix_beam(scenario: Scenario, matrix: Values, rho: float = 0.5, phi: float = 0.0) -> Beam:
    """The ISAC beam (5) for the scenario's sectors from steering vectors A (K, N) of its angle grid: (K,)."""
    grid = angle_grid(scenario.grid_size)
    radar = least_squares_beam(matrix, sector_mask(grid, scenario.target_sector))
    comm = least_squares_beam(matrix, sector_mask(grid, scenario.comm_sector))
    return isac_beam(radar, comm, rho, phi, scenario.transmit_energy)


def beampattern(beam: Values, array: Array, angles: ArrayLike) -> NDArray[np.float64]:
    """Power |a(θ)ᵀv|² that a beam (K,) sends towards angles (...) in radians: (...)."""
    amplitude = array.steering(angles, np.complex128) @ beam
    return np.asarray(amplitude.real**2 + amplitude.imag**2)
