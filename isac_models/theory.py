"""What theory predicts for a beam over the true hardware: error rates, bounds, and the best beam.

Averages over a sector use composite Gauss-Legendre quadrature. A beam v is (K,) complex with ‖v‖² = E_tx.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac_models.angle_bound import angle_rmse_bound, snr_of_pattern
from isac_models.array import hardware
from isac_models.beamforming import Beam, baseline_beam, beampattern
from isac_models.constellation import Constellation

if TYPE_CHECKING:
    from isac_models.detection import MatchedFilter
    from isac_models.scenario import Scenario

__all__ = [
    "angle_rmse_bound",
    "best_beam",
    "genie_missed_detection",
    "link_theory",
    "rayleigh_qam_ser",
    "swerling1_detection",
    "symbol_error_rate",
]

Reals = NDArray[np.float64]
Values = NDArray[Any]

NODES = 32
"""Quadrature nodes of a panel; a panel spans at most two periods of the finest beampattern ripple."""
RANDOM_STARTS = 6
FINALISTS = 3
SHORT, LONG = 40, 1000
"""Iterations of the climb from every start, and of the finalists' climb."""


def swerling1_detection(snr: ArrayLike, false_alarm: float) -> Reals:
    """P_d = P_fa^{1/(1+S)}: one exponential variable against its threshold, snr S linear, any shape."""
    return np.exp(math.log(false_alarm) / (1 + np.asarray(snr, np.float64)))


def genie_missed_detection(scenario: Scenario, beam: Values, points: Values | None = None) -> float:
    """Missed detections of a radar that knows θ: Swerling-1, averaged over the target sector and |s|².

    S = ‖a_rx(θ)‖² |a_tx(θ)ᵀv|² |s|² σ_r² / N0, where ‖a_rx(θ)‖² = K unless the impairment changes gains.
    """
    angles, weights = sector_quadrature(scenario.target_sector, scenario.antennas)
    energies, shares = _symbol_energies(scenario.order, points)
    pattern = beampattern(beam, hardware(scenario).transmit, angles)
    snr = snr_of_pattern(scenario, hardware(scenario)) * pattern[:, None] * energies
    return float(1 - weights @ swerling1_detection(snr, scenario.false_alarm) @ shares)


def rayleigh_qam_ser(order: int, mean_snr: ArrayLike) -> Reals:
    """Symbol error rate of square M-QAM over flat Rayleigh fading with known CSI; mean SNR linear, any shape.

    2q(1-β) - q²(1 - (4/π) β atan(1/β)) with q = 1 - 1/√M, β² = gγ/(1+gγ), g = 3/(2(M-1)); Simon and Alouini,
    Digital Communication over Fading Channels. Written without differences of almost equal numbers.
    """
    q = 1 - 1 / math.sqrt(order)
    scaled = 1.5 / (order - 1) * np.asarray(mean_snr, np.float64)
    beta = np.sqrt(scaled / (1 + scaled))
    one_minus = 1 / ((1 + scaled) * (1 + beta))  # 1 - β
    # atan(1/β) = π/4 + atan((1-β)/(1+β))
    square = one_minus - 4 / math.pi * beta * np.arctan(one_minus / (1 + beta))
    return np.asarray(2 * q * one_minus - q**2 * square)


def symbol_error_rate(scenario: Scenario, beam: Values) -> float:
    """Rayleigh SER of (2) with ML decisions, averaged over the communication sector."""
    angles, weights = sector_quadrature(scenario.comm_sector, scenario.antennas)
    pattern = beampattern(beam, hardware(scenario).transmit, angles)
    mean_snr = pattern * (scenario.comm_gain / scenario.noise_power)
    return float(weights @ rayleigh_qam_ser(scenario.order, mean_snr))


def best_beam(scenario: Scenario) -> Beam:
    """The beam of the true array with the largest mean Swerling-1 detection over the target sector: (K,).

    Local maxima by L-BFGS with the analytic gradient: a short climb from several starts (least-squares beam,
    beams at single angles, random ones), then the best few to the top. The beam's gain in the middle of the
    sector is real and positive.
    """
    from threadpoolctl import threadpool_limits

    array = hardware(scenario).transmit
    angles, weights = sector_quadrature(scenario.target_sector, scenario.antennas)
    steering = array.steering(angles, np.complex128)
    # Energy outside the span of the sector's steering vectors is lost: search inside it.
    basis, singular, _ = np.linalg.svd(steering.conj().T, full_matrices=False)
    basis = basis[:, singular > 1e-6 * singular[0]]
    climb = _Climb(scenario, steering @ basis, weights)
    single = array.steering(np.linspace(*scenario.target_sector, 3), np.complex128).conj()
    starts = [baseline_beam(scenario, rho=1.0, array=array) @ basis.conj(), *(single @ basis.conj())]
    random = np.random.default_rng(0).standard_normal((RANDOM_STARTS, basis.shape[1], 2))
    starts += list(random.view(np.complex128)[..., 0])
    with threadpool_limits(1):  # thousands of products too small to share: threads would only wait
        found = sorted((climb.run(start, SHORT) for start in starts), key=lambda end: end[0])
        top = min((climb.run(end, LONG) for _, end in found[:FINALISTS]), key=lambda end: end[0])[1]
    beam: Beam = basis @ top
    middle = complex(array.steering(np.mean(scenario.target_sector), np.complex128) @ beam)
    phase = middle / abs(middle) if middle else 1.0
    return beam * (math.sqrt(scenario.transmit_energy) / np.linalg.norm(beam) / phase)


class _Climb:
    """Mean missed detection over a sector as a function of the direction of z, the beam in some basis."""

    def __init__(self, scenario: Scenario, responses: Values, weights: Reals) -> None:
        self.responses = responses
        """Response of each basis beam at each node: (nodes, r)."""
        self.weights = weights
        energies, self.shares = _symbol_energies(scenario.order)
        self.scale = snr_of_pattern(scenario, hardware(scenario)) * scenario.transmit_energy * energies
        self.exponent = math.log(scenario.false_alarm)

    def missed(self, parts: Reals) -> tuple[float, Reals]:
        """Mean missed detection at z, given as its real and then its imaginary parts, and the gradient."""
        real, imaginary = np.split(parts, 2)
        z = real + 1j * imaginary
        energy = float(np.vdot(z, z).real)
        response = self.responses @ z
        pattern = (response.real**2 + response.imag**2) / energy
        gain = 1 + pattern[:, None] * self.scale
        detection = np.exp(self.exponent / gain)
        # dP_d/dS = -ln(P_fa) P_d / (1+S)²; d|rᵀz|²/dz* = r* (rᵀz)
        slope = self.weights * ((detection / gain**2 * self.scale) @ self.shares) * -self.exponent
        derivative = self.responses.conj().T @ (slope * response) - float(slope @ pattern) * z
        derivative *= -2 / energy
        value = float(1 - self.weights @ detection @ self.shares)
        return value, np.concatenate([derivative.real, derivative.imag])

    def run(self, start: Values, iterations: int) -> tuple[float, Values]:
        """Missed detection and z after at most so many iterations of L-BFGS."""
        from scipy.optimize import minimize

        unit = start / np.linalg.norm(start)
        parts = np.concatenate([unit.real, unit.imag])
        options = {"maxiter": iterations, "ftol": 1e-12, "gtol": 1e-9}
        end = minimize(self.missed, parts, jac=True, method="L-BFGS-B", options=options)
        real, imaginary = np.split(end.x, 2)
        return float(end.fun), real + 1j * imaginary


def link_theory(
    scenario: Scenario, beam: Values, matched_filter: MatchedFilter | None, points: Values | None = None
) -> dict[str, float | None]:
    """SER, genie missed detection, angle bound and its standard error, under the keys of a link's report.

    `points` (M,): the symbols, where they are not QAM. None stands for what nobody has a formula for: the SER
    of other symbols, and the angle bound with them or without a matched filter.
    """
    bound, error = None, None
    if matched_filter is not None and points is None:
        bound, error = angle_rmse_bound(scenario, beam, matched_filter)
    return {
        "ser": symbol_error_rate(scenario, beam) if points is None else None,
        "p_md_genie": genie_missed_detection(scenario, beam, points),
        "rmse_bound_rad": bound,
        "rmse_bound_rad_error": error,
    }


def sector_quadrature(sector: tuple[float, float], antennas: int) -> tuple[Reals, Reals]:
    """Angles (n,) in radians and weights (n,), which sum to one, for the mean over a sector.

    Fine enough for functions of the beampattern of a half-wavelength array of that many antennas, with the
    cusps that error rates have at its nulls.
    """
    low, high = sector
    panels = 1 + math.ceil(8 * antennas * (high - low))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    edges = np.linspace(low, high, panels + 1)
    centres, half = (edges[:-1] + edges[1:]) / 2, (high - low) / panels / 2
    return (centres[:, None] + half * nodes).reshape(-1), np.tile(weights / (2 * panels), panels)


def _symbol_energies(order: int, points: Values | None = None) -> tuple[Reals, Reals]:
    """The energies |s|² of QAM or of other points (M,), and the share of the symbols that has each."""
    points = Constellation(order, np.complex128).points if points is None else points
    energies = np.abs(points) ** 2
    values, counts = np.unique(energies.round(12), return_counts=True)
    return values, counts / points.size
