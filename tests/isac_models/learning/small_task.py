"""A task small enough to know all about: stochastic least squares by Adam."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.array import hardware
from isac_models.artifact_layout import Kind
from isac_models.draws import SnapshotRandom
from isac_models.errors import UserError
from isac_models.grid import angle_grid
from isac_models.learning.loop import State
from isac_models.scenario import Scenario

TRUTH = np.array([1.0, -2.0, 0.5, 3.0])
NOISE = 0.1
HELD_OUT = 4096
DEFAULTS = {
    "iterations": 100,
    "batch": 32,
    "learning_rate": 0.05,
    "seed": 1,
    "device": "cpu",
    "threads": 1,
    "recipe": "paper",
}


class SmallTask:
    """Finds TRUTH from noisy products with N(0, 1) vectors; the loss at TRUTH is NOISE²."""

    kind: Kind = "model-driven"

    def __init__(self, scenario: Scenario, settings: Mapping[str, Any]) -> None:
        self.scenario = scenario
        self.settings: dict[str, Any] = dict(settings)
        self.weights, self.mean, self.square = np.zeros(4), np.zeros(4), np.zeros(4)
        self.count = 0
        self.random = SnapshotRandom(self.settings["seed"], "small", np.float64)
        self.seen: list[int] = []
        self.pause = float(os.environ.get("SMALL_TASK_PAUSE", "0"))

    @classmethod
    def complete(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        if unknown := sorted(settings.keys() - DEFAULTS.keys()):
            raise UserError(f"{unknown[0]} is no setting of model-driven training")
        completed = {**DEFAULTS, **settings}
        if completed["learning_rate"] <= 0:
            raise UserError(f"learning_rate must be above 0, not {completed['learning_rate']:g}")
        return completed

    def step(self, iteration: int) -> float:
        if self.pause:
            time.sleep(self.pause)
        self.seen.append(iteration)
        self.count += 1
        batch = self.settings["batch"]
        x, error = self._errors(iteration * batch, batch, 0)
        gradient = 2 * error @ x / batch
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        scale = np.sqrt(self.square / (1 - 0.999**self.count)) + 1e-8
        self.weights = (
            self.weights - self.settings["learning_rate"] * self.mean / (1 - 0.9**self.count) / scale
        )
        return float(np.mean(error**2))

    def held_out(self) -> float:
        return float(np.mean(self._errors(0, HELD_OUT, 2)[1] ** 2))

    def _errors(self, start: int, size: int, lane: int) -> tuple[NDArray[Any], NDArray[Any]]:
        x = self.random.normal(lane, start, size, 4)
        return x, x @ (self.weights - TRUTH) + NOISE * self.random.normal(lane + 1, start, size)[:, 0]

    def state(self) -> dict[str, NDArray[Any]]:
        return {
            "weights": self.weights, "mean": self.mean, "square": self.square, "count": np.array(self.count)
        }  # fmt: skip

    def load_state(self, state: State) -> None:
        if set(state) != {"weights", "mean", "square", "count"} or state["weights"].shape != (4,):
            raise UserError("this is the state of another task")
        self.weights, self.mean, self.square = (state[name].copy() for name in ("weights", "mean", "square"))
        self.count = int(state["count"])

    def artifact_tensors(self) -> dict[str, NDArray[Any]]:
        array = hardware(self.scenario).transmit
        matrix = array.steering(angle_grid(self.scenario.grid_size)).T
        return {
            "dictionary_real": np.ascontiguousarray(matrix.real),
            "dictionary_imag": np.ascontiguousarray(matrix.imag),
            "element_positions": array.positions,
            "element_response_real": np.ascontiguousarray(array.response.real),
            "element_response_imag": np.ascontiguousarray(array.response.imag),
        }

    def facts(self) -> dict[str, Any]:
        return {"sector_mean_deg": [-60, 60], "sector_span_deg": [10, 20], "weights": self.weights.tolist()}


class FailingTask(SmallTask):
    """Meets at iteration 60 what SMALL_TASK_FAILURE names."""

    def step(self, iteration: int) -> float:
        loss = super().step(iteration)
        failure = os.environ.get("SMALL_TASK_FAILURE") if iteration == 60 else None
        if failure == "disk":
            # From here on no file grows beyond 100 bytes, and writing fails as on a full disk.
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        elif failure == "memory":
            raise MemoryError
        elif failure == "impatience":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        elif failure == "bug":
            raise RuntimeError("a bug")
        return np.nan if failure == "loss" else loss
