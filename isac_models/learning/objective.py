"""What an echo costs in training: the angle error of (13) alone, as in the paper, or detection as well."""

from __future__ import annotations

import math
from dataclasses import dataclass

from isac_models.array import nominal_array, steering_matrix
from isac_models.calibration import calibrate_threshold
from isac_models.grid import angle_grid, sector_mask
from isac_models.learning.sensing_batch import SPAN
from isac_models.scenario import Scenario


@dataclass(frozen=True)
class Objective:
    """Cost of an echo, rad²: w (θ̂ - θ)² + miss_cost · (1 - P_d).

    The paper's is w = 1 and no second term. With `found_only` an angle error counts only where the echo would
    be found, w = 1[|a(θ)ᴴy|² > level N0 ‖a‖²], since the RMSE is measured on the targets that are found.
    P_d = exp(-level / (1 + S)), S = ‖a‖² |a(θ)ᵀv|² σ_r² / N0, is the Swerling-1 detection probability at the
    true angle. Both take the true array, which the simulation knows; neither is needed at run time.
    """

    miss_cost: float = 0.0
    found_only: bool = False
    level: float = 1.0
    """η² / (N0 ‖a‖²), the level of a matched filter of the scenario's false-alarm probability."""


def joint_objective(scenario: Scenario, miss_cost: float) -> Objective:
    """Angle errors of found targets and missed targets, for the threshold of a sector of mean training width.

    The nominal array sets the level: what is impaired is not known before the training.
    """
    grid = angle_grid(max(scenario.grid_size, 181))
    half = (SPAN[0] + SPAN[1]) / 4
    columns = steering_matrix(nominal_array(scenario), grid)[:, sector_mask(grid, (-half, half))]
    threshold = calibrate_threshold(columns, scenario.noise_power, scenario.false_alarm)
    level = threshold.amplitude**2 / (scenario.noise_power * scenario.antennas)
    return Objective(miss_cost, True, max(level, -math.log(scenario.false_alarm)))
