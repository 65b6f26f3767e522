"""Training of the dictionary A: the task behind ``python -m isac_models.train model-driven``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isac_models.dictionary import Dictionary, FusedDictionary, WindowedDictionary
from isac_models.errors import UserError
from isac_models.learning.objective import Objective, joint_objective
from isac_models.learning.sensing_batch import MEAN, SPAN, Batch, Sectors, SimulatedBatch, initial_matrix
from isac_models.scenario import Scenario

Values = NDArray[Any]

TRAINING, HELD_OUT = "training", "held_out"
"""Streams of draws: what is trained on, and what the held-out loss is measured on."""
HELD_OUT_SIZE = 50_000
MISS_COST = 2e-3
"""Cost of a missed target in the recipe `joint`, rad²: that of an angle error of 2.6°."""


@dataclass(frozen=True)
class Recipe:
    """How the learning rate runs, and what an echo costs.

    rate(progress): factor of the learning rate, progress from 0 to 1. objective(scenario): see `Objective`.
    """

    learning_rate: float
    rate: Callable[[float], float]
    objective: Callable[[Scenario], Objective]
    about: str


def _constant(_: float) -> float:
    return 1.0


def _half_cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _angle_alone(_: Scenario) -> Objective:
    return Objective()


def _joint(scenario: Scenario) -> Objective:
    return joint_objective(scenario, MISS_COST)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "paper": Recipe(1e-3, _constant, _angle_alone, "the paper's: a constant rate of 1e-3"),
        "cosine": Recipe(
            5e-3, _half_cosine, _angle_alone, "a rate of 5e-3 that falls to 0 along half a cosine"
        ),
        "joint": Recipe(5e-3, _half_cosine, _joint, "as cosine, and missed targets cost as well"),
    }
)

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "iterations": 50_000,
        "batch": 10_000,
        "recipe": "paper",
        "learning_rate": None,
        "seed": 1,
        "initial_variance": 0.1,
        "device": "cpu",
        "threads": 1,
    }
)


class ModelDriven:
    """Trains A on fresh simulated echoes, eq. (13), with Adam.

    settings: as `complete` returns them. Draw i of iteration n is number n · batch + i of its stream, so a
    training continues from its state alone.
    """

    kind = "model-driven"

    def __init__(self, scenario: Scenario, settings: Mapping[str, Any]) -> None:
        self.scenario, self.settings = scenario, dict(settings)
        self.sectors = Sectors()
        self.recipe = RECIPES[settings["recipe"]]
        start = initial_matrix(scenario, settings["seed"], settings["initial_variance"])
        objective = self.recipe.objective(scenario)
        on_cpu = settings["device"] == "cpu"
        if on_cpu:
            self.model: Dictionary = FusedDictionary(
                scenario, start, objective=objective, threads=settings["threads"]
            )
        else:
            self.model = WindowedDictionary(scenario, start, objective=objective).to(settings["device"])
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=settings["learning_rate"], fused=on_cpu)

    @classmethod
    def complete(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """All settings, those left out with their defaults.

        Raises UserError for an unknown setting, or one out of range.
        """
        unknown = [key for key in settings if key not in DEFAULTS]
        if unknown:
            raise UserError(f"unknown setting {unknown[0]!r} of model-driven: {', '.join(DEFAULTS)}")
        given = {key: value for key, value in settings.items() if value is not None}
        full = {**DEFAULTS, **given}
        if full["recipe"] not in RECIPES:
            raise UserError(f"unknown recipe {full['recipe']!r}: there is {', '.join(RECIPES)}")
        if full["learning_rate"] is None:
            full["learning_rate"] = RECIPES[full["recipe"]].learning_rate
        for key in ("iterations", "batch", "threads"):
            if full[key] < 1:
                raise UserError(f"{key} must be at least 1, not {full[key]}")
        if full["seed"] < 0:
            raise UserError(f"seed must be at least 0, not {full['seed']}")
        if not (math.isfinite(full["learning_rate"]) and full["learning_rate"] > 0):
            raise UserError(f"the learning rate must be a positive number, not {full['learning_rate']}")
        if not 0 <= full["initial_variance"] <= 1e3:
            raise UserError(f"initial_variance must be from 0 to 1000, not {full['initial_variance']}")
        return full

    def step(self, iteration: int) -> float:
        """One iteration, 0 first: returns its loss, rad²."""
        size = self.settings["batch"]
        batch = self.batch(iteration * size, size)
        rate = self.recipe.rate(iteration / self.settings["iterations"])
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings["learning_rate"] * rate
        self.optimizer.zero_grad()
        loss = self.model.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.item()

    def batch(self, start: int, size: int) -> Batch:
        """Snapshots start … start + size - 1 of the training."""
        return SimulatedBatch(self.scenario, self.settings["seed"], TRAINING, start, size, self.sectors)

    def held_out(self) -> float:
        """Loss on draws that are never trained on, rad²."""
        batch = SimulatedBatch(self.scenario, self.settings["seed"], HELD_OUT, 0, HELD_OUT_SIZE, self.sectors)
        with torch.no_grad():
            return self.model.loss(batch).item()

    def matrix(self) -> Values:
        """A (K, N), complex64."""
        planes = self.model.planes.detach().cpu().numpy()
        return np.asarray(planes[0] + 1j * planes[1], np.complex64)

    def state(self) -> dict[str, Values]:
        """Weights and moments of Adam."""
        state = {"planes": self.model.planes.detach().cpu().numpy().copy()}
        moments = self.optimizer.state.get(self.model.planes, {})
        for key in ("exp_avg", "exp_avg_sq", "step"):
            if key in moments:
                state[key] = moments[key].detach().cpu().numpy().copy()
        return state

    def load_state(self, state: Mapping[str, Values]) -> None:
        """Continue from what `state` returned.

        Raises UserError when it is of another training.
        """
        planes = self.model.planes
        shapes = {key: tuple(planes.shape) for key in ("planes", "exp_avg", "exp_avg_sq")} | {"step": ()}
        for key, value in state.items():
            if shapes.get(key) != value.shape or value.dtype != np.float32:
                raise UserError(f"checkpoint: {key} {value.dtype}{value.shape} is not of this training")
        if "planes" not in state or len(state) not in (1, len(shapes)):
            raise UserError("checkpoint: weights or moments are missing")
        with torch.no_grad():
            planes.copy_(torch.from_numpy(state["planes"].copy()))
        if len(state) > 1:
            moments = [key for key in shapes if key != "planes"]
            loaded = {key: torch.tensor(state[key], device=planes.device) for key in moments}
            self.optimizer.state[planes] = loaded

    def artifact_tensors(self) -> dict[str, Values]:
        """What an artifact of this training holds."""
        matrix = self.matrix()
        array = self.model.transmit_array
        return {
            "dictionary_real": np.ascontiguousarray(matrix.real),
            "dictionary_imag": np.ascontiguousarray(matrix.imag),
            "element_positions": array.positions,
            "element_response_real": np.ascontiguousarray(array.response.real),
            "element_response_imag": np.ascontiguousarray(array.response.imag),
        }

    def facts(self) -> dict[str, Any]:
        """What an artifact's header says beyond the settings."""
        degrees = {"sector_mean_deg": MEAN, "sector_span_deg": SPAN}
        return {key: [round(math.degrees(edge), 9) for edge in edges] for key, edges in degrees.items()}
