"""The best beams: what a transmitter that knows the true array can reach, as a reference in every figure.

At ρ = 1 it is the beam with the largest mean detection probability over the target sector. A target at θ
makes |a(θ)ᴴy|² exponential (Swerling 1), so that a matched filter of level η² finds it there with probability

    P_d(θ) = exp(-η² / (N0 ‖a_rx‖² (1 + S(θ)))),    S(θ) = ‖a_rx‖² |a_tx(θ)ᵀv|² |s|² σ_r² / N0.

At ρ = 0 it is the beam with the least symbol error rate (the Rayleigh closed form, averaged over the
communication sector). Between them, the ρ of a beam says how much of the symbol error rate it may spend: it
is the beam with the largest mean detection among those whose rate is at most c times that of the known
array's least-squares beam (5) of the same ρ, where c is the ratio of the two at ρ = 0. So the thirteen beams
lie on the trade-off front itself, and not on the line that (5) draws between its ends.

Found from several starts by sequential quadratic programming with analytic gradients. The problem is not
convex: each is a local optimum, and a beam better than it would only strengthen the reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.angle_bound import snr_of_pattern
from isac_models.array import Array, hardware
from isac_models.beamforming import Beam, baseline_beam, isac_beam
from isac_models.constellation import Constellation
from isac_models.detection import MatchedFilter
from isac_models.methods import true_steering
from isac_models.scenario import Scenario
from isac_models.theory import best_beam, rayleigh_qam_ser, sector_quadrature, symbol_error_rate

Reals = NDArray[np.float64]
Values = NDArray[Any]
Function = Callable[[Reals, Reals], tuple[float, Reals]]
"""Of the pattern at every node and the nodes' weights: a mean, and its derivative by each pattern value."""

STEPS = 400
EXCESS = 1e-6
"""Excess of ln(symbol error rate) over its limit that counts as rounding."""
SPAN = 1e-6
"""Singular values of the sectors' steering vectors below this share of the largest are outside their span."""


def known_array_filter(scenario: Scenario) -> MatchedFilter:
    """The matched filter (7)-(8) with the true receiving array."""
    return MatchedFilter(scenario, true_steering(scenario), "argmax")


def best_isac_beam(scenario: Scenario, rho: float, matched_filter: MatchedFilter) -> Beam:
    """The best beam, (K,) with ‖v‖² = E_tx, for the threshold of a matched filter with the true array."""
    array = hardware(scenario).transmit
    level = matched_filter.threshold.amplitude**2 / (scenario.noise_power * collected(scenario))
    radar = best_beam(scenario.replace(false_alarm=math.exp(-level)))
    if rho == 1:
        return radar
    best_comm = best_comm_beam(scenario)
    if rho == 0:
        return best_comm
    least = symbol_error_rate(scenario, best_comm)
    at_zero, at_rho = (
        symbol_error_rate(scenario, baseline_beam(scenario, each, array=array)) for each in (0, rho)
    )
    allowed = least * max(1.0, at_rho / at_zero)
    if symbol_error_rate(scenario, radar) <= allowed:
        return radar
    target, comm = (_Sector(scenario, array, each) for each in (scenario.target_sector, scenario.comm_sector))
    basis = _span(np.concatenate([target.steering, comm.steering]))
    missed = _OfBeam(scenario, target, basis, _log(missed_detection(scenario, level)))
    errors = _OfBeam(scenario, comm, basis, _log(symbol_errors(scenario)), upper=math.log(allowed))
    phases = (0.0, math.pi / 2, math.pi, -math.pi / 2)
    starts = [best_comm, *(isac_beam(radar, best_comm, rho, phase) for phase in phases)]
    ends = [_minimum(missed, start @ basis.conj(), errors) for start in starts]
    ends.append(_unit(best_comm @ basis.conj()))  # allowed at any ρ
    within = [end for end in ends if errors(end)[0] <= errors.upper + EXCESS]
    return _scaled(scenario, basis, min(within, key=lambda end: missed(end)[0]))


def best_comm_beam(scenario: Scenario) -> Beam:
    """The beam of the true array with the least mean symbol error rate: (K,), ‖v‖² = E_tx."""
    array = hardware(scenario).transmit
    sector = _Sector(scenario, array, scenario.comm_sector)
    basis = _span(sector.steering)
    errors = _OfBeam(scenario, sector, basis, _log(symbol_errors(scenario)))
    middle = array.steering(np.mean(scenario.comm_sector), np.complex128).conj()
    starts = [baseline_beam(scenario, 0.0, array=array), middle]
    ends = [_minimum(errors, start @ basis.conj()) for start in starts]
    return _scaled(scenario, basis, min(ends, key=lambda end: errors(end)[0]))


def missed_detection(scenario: Scenario, level: float) -> Function:
    """1 - mean P_d over the target sector, for level η²/(N0 ‖a_rx‖²)."""
    points = np.abs(Constellation(scenario.order, np.complex128).points) ** 2
    scale = snr_of_pattern(scenario, hardware(scenario)) * points

    def value(pattern: Reals, weights: Reals) -> tuple[float, Reals]:
        gain = 1 + pattern[:, None] * scale
        detection = np.exp(-level / gain)
        slope = -weights * (detection * level / gain**2 * scale).mean(axis=1)
        return 1 - float(weights @ detection.mean(axis=1)), slope

    return value


def symbol_errors(scenario: Scenario) -> Function:
    """Mean Rayleigh symbol error rate over the communication sector."""
    q = 1 - 1 / math.sqrt(scenario.order)
    mean_snr = scenario.comm_gain / scenario.noise_power
    scale = 1.5 / (scenario.order - 1) * mean_snr

    def value(pattern: Reals, weights: Reals) -> tuple[float, Reals]:
        scaled = np.maximum(scale * pattern, 1e-30)  # the slope has a pole where nothing is received
        beta = np.sqrt(scaled / (1 + scaled))
        by_beta = -2 * q + q**2 * 4 / math.pi * (np.arctan(1 / beta) - beta / (1 + beta**2))
        slope = by_beta / (2 * np.sqrt(scaled) * (1 + scaled) ** 1.5) * scale
        return float(weights @ rayleigh_qam_ser(scenario.order, mean_snr * pattern)), weights * slope

    return value


def collected(scenario: Scenario) -> float:
    """‖a_rx‖², the same for all angles."""
    return float((np.abs(hardware(scenario).receive.response) ** 2).sum())


def _log(function: Function) -> Function:
    """ln of a function: over several decades, steps then weigh alike."""

    def value(pattern: Reals, weights: Reals) -> tuple[float, Reals]:
        rate, slope = function(pattern, weights)
        return math.log(rate), slope / rate

    return value


class _Sector:
    """Steering vectors (n, K) and weights (n,) of the nodes that average over a sector."""

    def __init__(self, scenario: Scenario, array: Array, sector: tuple[float, float]) -> None:
        angles, self.weights = sector_quadrature(sector, scenario.antennas)
        self.steering = array.steering(angles, np.complex128)


class _OfBeam:
    """A function of the pattern of the beam `basis @ z`, by the direction of z alone, with its gradient."""

    def __init__(
        self, scenario: Scenario, sector: _Sector, basis: Values, function: Function, upper: float = math.inf
    ) -> None:
        self.responses = sector.steering @ basis
        self.weights = sector.weights
        self.energy = scenario.transmit_energy
        self.function = function
        self.upper = upper
        """What the value must not exceed, where the function is a constraint."""

    def __call__(self, parts: Reals) -> tuple[float, Reals]:
        """Value and gradient at z, given as its real and then its imaginary parts."""
        real, imaginary = np.split(parts, 2)
        z = real + 1j * imaginary
        norm = float(np.vdot(z, z).real) / self.energy
        response = self.responses @ z
        value, slope = self.function((response.real**2 + response.imag**2) / norm, self.weights)
        # d|rᵀz|²/dz* = r* (rᵀz); the gradient of a function of the direction is orthogonal to z
        derivative = self.responses.conj().T @ (slope * response)
        derivative -= z * (np.vdot(z, derivative).real / np.vdot(z, z).real)
        derivative *= 2 / norm
        return value, np.concatenate([derivative.real, derivative.imag])


def _span(steering: Values) -> Values:
    """Orthonormal beams (K, r) that the nodes (n, K) can see: energy outside their span is lost."""
    basis, singular, _ = np.linalg.svd(steering.conj().T, full_matrices=False)
    return np.asarray(basis[:, singular > SPAN * singular[0]])


def _unit(z: Values) -> Reals:
    z = z / np.linalg.norm(z)
    return np.concatenate([z.real, z.imag])


def _minimum(cost: _OfBeam, start: Values, constraint: _OfBeam | None = None) -> Reals:
    """A local minimum of the cost within the constraint, as the parts of a unit z."""
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    within = []
    if constraint is not None:
        within = [
            {
                "type": "ineq",
                "fun": lambda x: constraint.upper - constraint(x)[0],
                "jac": lambda x: -constraint(x)[1],
            }
        ]
    options = {"maxiter": STEPS, "ftol": 1e-12}
    with threadpool_limits(1):  # thousands of products too small to share
        end = minimize(cost, _unit(start), jac=True, method="SLSQP", constraints=within, options=options).x
    return np.asarray(end / np.linalg.norm(end))


def _scaled(scenario: Scenario, basis: Values, parts: Reals) -> Beam:
    real, imaginary = np.split(parts, 2)
    beam: Beam = basis @ (real + 1j * imaginary)
    return beam * (math.sqrt(scenario.transmit_energy) / np.linalg.norm(beam))
