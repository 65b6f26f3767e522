"""The cost of an echo against the theory of detection."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from isac_models.array import hardware, steering_matrix
from isac_models.beamforming import beampattern
from isac_models.dictionary import Dictionary
from isac_models.grid import angle_grid
from isac_models.learning.objective import Objective, joint_objective
from isac_models.learning.sensing_batch import SimulatedBatch
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("impaired")


def test_the_level_lies_between_one_angle_and_independent_angles() -> None:
    """One angle asks for ln(1/P_fa); G independent ones for the quantile of the maximum of G exponentials."""
    level = joint_objective(SCENARIO, 1.0).level
    alone = -math.log(SCENARIO.false_alarm)
    independent = -math.log(1 - (1 - SCENARIO.false_alarm) ** (1 / 42))
    assert alone < level < independent


def test_missed_targets_cost_what_the_swerling_formula_says() -> None:
    """P_md of the matched filter at the true angle, by counting echoes."""
    matrix = steering_matrix(hardware(SCENARIO).transmit, angle_grid(500))
    batch = SimulatedBatch(SCENARIO, 1, "training", 0, 40_000)
    chunk = batch.chunk(0, batch.size)
    objective = Objective(miss_cost=1.0, level=6.0)
    model = Dictionary(SCENARIO, matrix, objective=objective)
    with torch.no_grad():
        angles = Dictionary(SCENARIO, matrix).cost(chunk)
        missed = (model.cost(chunk) - angles).numpy()
        echo = model.echo(chunk).numpy()
    true = hardware(SCENARIO).receive.steering(chunk.angle)
    found = np.abs((true.conj() * echo).sum(axis=1)) ** 2 > objective.level * 16
    error = 5 * math.sqrt(0.25 / batch.size)
    assert np.mean(missed) == pytest.approx(1 - np.mean(found), abs=error)


def test_only_found_targets_cost_an_angle_error() -> None:
    matrix = steering_matrix(hardware(SCENARIO).transmit, angle_grid(500))
    chunk = SimulatedBatch(SCENARIO, 1, "training", 0, 2000).chunk(0, 2000)
    model = Dictionary(SCENARIO, matrix, objective=Objective(found_only=True, level=6.0))
    with torch.no_grad():
        cost = model.cost(chunk).numpy()
        every = Dictionary(SCENARIO, matrix).cost(chunk).numpy()
        echo = model.echo(chunk).numpy()
    true = hardware(SCENARIO).receive.steering(chunk.angle)
    found = np.abs((true.conj() * echo).sum(axis=1)) ** 2 > 6.0 * 16
    assert np.allclose(cost[found], every[found])
    assert not cost[~found].any()
    assert 0.02 < 1 - found.mean() < 0.3


def test_a_beam_that_lights_the_target_costs_less() -> None:
    """The cost falls with |a(θ)ᵀv|² of the beams, as the Swerling formula does."""
    matrix = steering_matrix(hardware(SCENARIO).transmit, angle_grid(500))
    chunk = SimulatedBatch(SCENARIO, 1, "training", 0, 300).chunk(0, 300)
    model = Dictionary(SCENARIO, matrix, torch.float64, Objective(miss_cost=1.0, level=6.0))
    with torch.no_grad():
        missed = (model.cost(chunk) - Dictionary(SCENARIO, matrix, torch.float64).cost(chunk)).numpy()
        beams = model.beams(chunk).numpy()
    array = hardware(SCENARIO).transmit
    lit = np.array([beampattern(v, array, a) for v, a in zip(beams, chunk.angle, strict=True)])
    assert np.allclose(missed, 1 - np.exp(-6.0 / (1 + 16 * lit)), atol=1e-6)
