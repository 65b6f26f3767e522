"""Training of the dictionary A: the task behind ``python -m isac_models.train model-driven``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isac_models.detection import MatchedFilter
from isac_models.dictionary import Dictionary, FusedDictionary, WindowedDictionary
from isac_models.draws import SnapshotRandom
from isac_models.errors import UserError
from isac_models.learning.objective import Objective, joint_objective
from isac_models.learning.recorded_echoes import digest, load_echoes
from isac_models.learning.sensing_batch import (
    SPAN,
    Batch,
    RecordedBatch,
    Sectors,
    SimulatedBatch,
    initial_matrix,
)
from isac_models.learning.setting_types import check_types
from isac_models.learning.torch_threads import torch_on_one_thread
from isac_models.scenario import Scenario

Values = NDArray[Any]

TRAINING, HELD_OUT = "training", "held_out"
"""Streams of draws: what is trained on, and what the held-out loss is measured on."""
HELD_OUT_SIZE = 50_000
HELD_OUT_SHARE = 5
"""One recorded echo in so many is held out."""
BEST_EVERY = 100
"""Iterations between two looks at the held-out loss of recorded echoes: the best A is kept."""
INITIAL_VARIANCE = 0.1
"""Variance of the noise on the nominal matrix where the training starts, Sec. IV-B."""
NOT_FINITE_TELLS = np.errstate(over="ignore", invalid="ignore", divide="ignore")
"""What diverges is known by its loss: NumPy need not warn of it."""
MISS_COST = 0.1
"""Cost of a missed target in the recipe `joint`, rad²: that of an angle error of 18°."""


@dataclass(frozen=True)
class Recipe:
    """How the learning rate runs, what an echo costs, and which sectors are drawn.

    rate(progress): factor of the learning rate, progress from 0 to 1. objective(scenario): see `Objective`.
    initial_variance: of the noise on the nominal matrix where the training starts.
    """

    learning_rate: float
    rate: Callable[[float], float]
    objective: Callable[[Scenario], Objective]
    sectors: Sectors
    initial_variance: float


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
        "paper": Recipe(1e-3, _constant, _angle_alone, Sectors(), INITIAL_VARIANCE),
        "cosine": Recipe(
            5e-3,
            _half_cosine,
            _angle_alone,
            Sectors(),
            INITIAL_VARIANCE,
        ),
        "joint": Recipe(
            5e-3,
            _half_cosine,
            _joint,
            Sectors(span=(SPAN[0], math.radians(25))),
            0.0,
        ),
    }
)

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "iterations": 50_000,
        "batch": 10_000,
        "recipe": "paper",
        "learning_rate": None,
        "seed": 1,
        "initial_variance": None,
        "from_recording": None,
        "recording_sha256": None,
        "device": "cpu",
        "threads": 1,
    }
)
TYPES: Mapping[str, Any] = MappingProxyType(
    {
        "iterations": int,
        "batch": int,
        "recipe": str,
        "learning_rate": float,
        "seed": int,
        "initial_variance": float,
        "from_recording": list[str],
        "recording_sha256": list[str],
        "device": str,
        "threads": int,
    }
)


class ModelDriven:
    """Trains A with Adam on fresh simulated echoes, eq. (13), or through the receiver alone on recorded ones.

    settings: as `complete` returns them. Draw i of iteration n is number n · batch + i of its stream, so a
    training continues from its state alone. Of recorded echoes, those that the nominal receiver finds are
    drawn with replacement; one in five is held out, and the A with the lowest held-out loss is kept, since
    few echoes are soon learned by heart.

    Raises UserError for a recording that does not serve.
    """

    kind = "model-driven"

    def __init__(self, scenario: Scenario, settings: Mapping[str, Any]) -> None:
        self.scenario, self.settings = scenario, dict(settings)
        self.recipe = RECIPES[settings["recipe"]]
        self.sectors = self.recipe.sectors
        start = initial_matrix(scenario, settings["seed"], settings["initial_variance"])
        objective = self.recipe.objective(scenario)
        self._recorded, self._set_aside = _recorded(scenario, settings)
        on_cpu = settings["device"] == "cpu"
        if on_cpu:
            self.model: Dictionary = FusedDictionary(
                scenario, start, objective=objective, threads=settings["threads"]
            )
        else:
            self.model = WindowedDictionary(scenario, start, objective=objective).to(settings["device"])
        self._ahead: tuple[int, Batch | None] = (-1, None)
        self._best = self.model.planes.detach().clone()
        self._best_loss = math.inf
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=settings["learning_rate"], fused=on_cpu)

    @classmethod
    def complete(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """All settings, those left out with their defaults.

        Raises UserError for an unknown setting, one of another type, or one out of range.
        """
        unknown = [key for key in settings if key not in DEFAULTS]
        if unknown:
            raise UserError(f"unknown setting {unknown[0]!r} of model-driven: {', '.join(DEFAULTS)}")
        given = {key: value for key, value in settings.items() if value is not None}
        full = {**DEFAULTS, **given}
        if isinstance(full["from_recording"], str):
            full["from_recording"] = [full["from_recording"]]
        check_types(full, TYPES)
        if full["recipe"] not in RECIPES:
            raise UserError(f"unknown recipe {full['recipe']!r}: there is {', '.join(RECIPES)}")
        if full["from_recording"] and full["recording_sha256"] is None:
            full["recording_sha256"] = [digest(path) for path in full["from_recording"]]
        if full["from_recording"]:
            _once(full["from_recording"], full["recording_sha256"])
        if full["from_recording"] and full["recipe"] == "joint":
            raise UserError("recipe joint needs the simulator, from_recording has none: take cosine or paper")
        if full["learning_rate"] is None:
            full["learning_rate"] = RECIPES[full["recipe"]].learning_rate
        for key in ("iterations", "batch", "threads"):
            if full[key] < 1:
                raise UserError(f"{key} must be at least 1, not {full[key]}")
        if full["seed"] < 0:
            raise UserError(f"seed must be at least 0, not {full['seed']}")
        if not (math.isfinite(full["learning_rate"]) and full["learning_rate"] > 0):
            raise UserError(
                f"--lr, the learning rate, must be a positive number, not {full['learning_rate']}"
            )
        if full["initial_variance"] is None:  # few echoes do not wash the noise out again
            own = RECIPES[full["recipe"]].initial_variance
            full["initial_variance"] = 0.0 if full["from_recording"] else own
        if not 0 <= full["initial_variance"] <= 1e3:
            raise UserError(f"initial_variance must be from 0 to 1000, not {full['initial_variance']}")
        return full

    @NOT_FINITE_TELLS
    def step(self, iteration: int) -> float:
        """One iteration, 0 first: returns its loss, rad²."""
        if self._recorded is not None and iteration % BEST_EVERY == 0:
            self._keep_best()
        batch = self._next_batch(iteration)
        rate = self.recipe.rate(iteration / self.settings["iterations"])
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings["learning_rate"] * rate
        with torch_on_one_thread():
            loss = self.model.backward(batch)
            self.optimizer.step()
            if self._recorded is not None:
                self._keep_norms()
        return loss

    def _next_batch(self, iteration: int) -> Batch:
        """The batch of an iteration, the same object that was named as next in the iteration before."""
        size = self.settings["batch"]
        ahead, batch = self._ahead
        if ahead != iteration or batch is None:
            batch = self.batch(iteration * size, size)
        if self._recorded is None and isinstance(self.model, FusedDictionary):
            self._ahead = iteration + 1, self.batch((iteration + 1) * size, size)
            self.model.comes_next(self._ahead[1])
        return batch

    def batch(self, start: int, size: int) -> Batch:
        """Snapshots start … start + size - 1 of the training."""
        if self._recorded is not None:
            place = SnapshotRandom(self.settings["seed"], TRAINING).uniform(0, start, size)
            return self._recorded.select((place * self._recorded.size).astype(np.int64))
        return SimulatedBatch(self.scenario, self.settings["seed"], TRAINING, start, size, self.sectors)

    @NOT_FINITE_TELLS
    def held_out(self) -> float:
        """Loss on draws, or on recorded echoes, that are never trained on, rad²."""
        if self._set_aside is not None:
            with torch.no_grad():
                return self.model.loss(self._set_aside).item()
        batch = SimulatedBatch(self.scenario, self.settings["seed"], HELD_OUT, 0, HELD_OUT_SIZE, self.sectors)
        with torch.no_grad():
            return self.model.loss(batch).item()

    def matrix(self) -> Values:
        """A (K, N), complex64; of recorded echoes the best so far."""
        if self._recorded is not None:
            self._keep_best()
        planes = (self.model.planes if self._recorded is None else self._best).detach().cpu().numpy()
        return np.asarray(planes[0] + 1j * planes[1], np.complex64)

    def _keep_norms(self) -> None:
        """Every column keeps the nominal norm √K: a fixed sector would else teach A where targets may be."""
        planes = self.model.planes.detach()
        norms = planes.square().sum(dim=(0, 1)).sqrt()
        planes.mul_(math.sqrt(self.scenario.antennas) / norms)

    def _keep_best(self) -> None:
        loss = self.held_out()
        if loss < self._best_loss:
            self._best_loss = loss
            self._best.copy_(self.model.planes.detach())

    def state(self) -> dict[str, Values]:
        """Weights and moments of Adam, and the best weights on recorded echoes."""
        state = {"planes": self.model.planes.detach().cpu().numpy().copy()}
        if self._recorded is not None:
            state["best"] = self._best.cpu().numpy().copy()
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
        moments = ("exp_avg", "exp_avg_sq", "step")
        weights = ("planes",) if self._recorded is None else ("planes", "best")
        shapes = dict.fromkeys((*weights, *moments), tuple(planes.shape)) | {"step": ()}
        for key, value in state.items():
            if shapes.get(key) != value.shape or value.dtype != np.float32:
                raise UserError(f"checkpoint: {key} {value.dtype}{value.shape} is not of this training")
        if set(state) != set(weights) and set(state) != set(shapes):
            raise UserError("checkpoint: weights or moments are missing")
        loaded = {key: torch.tensor(value, device=planes.device) for key, value in state.items()}
        with torch.no_grad():
            if "best" in loaded:
                planes.copy_(loaded["best"])
                self._best_loss = math.inf
                self._keep_best()
            planes.copy_(loaded["planes"])
        if "step" in loaded:
            self.optimizer.state[planes] = {key: loaded[key] for key in moments}

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
        mean, span = self.sectors.mean, self.sectors.span
        facts: dict[str, Any] = {}
        if self._set_aside is not None:
            sectors = np.unique(np.degrees(np.stack(self._set_aside.sectors(), axis=1)).round(9), axis=0)
            facts["recorded_sectors_deg"] = sectors.tolist()
            self.matrix()  # looks whether the last is the best
            facts["held_out_loss"] = self._best_loss
            return facts
        degrees = {"sector_mean_deg": mean, "sector_span_deg": span}
        return {key: [round(math.degrees(edge), 9) for edge in edges] for key, edges in degrees.items()}


def _once(paths: Sequence[str], digests: Sequence[str]) -> None:
    """Raise UserError for two recordings that are one: what is held out of it would be trained on."""
    if len(digests) != len(paths):
        raise UserError("recording_sha256 must have one for each of from_recording")
    first: dict[str, str] = {}
    for path, known in zip(paths, digests, strict=True):
        if known in first:
            raise UserError(f"from_recording {path}: it is the recording {first[known]} again, name it once")
        first[known] = path


def _recorded(
    scenario: Scenario, settings: Mapping[str, Any]
) -> tuple[RecordedBatch | None, RecordedBatch | None]:
    """Recorded echoes to train on and those held out; None and None without recordings.

    Only echoes that the nominal matched filter finds: the others say little of the array. Echoes of one
    coherence block, which share their angle, stay together.

    Raises UserError for a recording that has changed since the training began, or holds too few targets.
    """
    paths: Sequence[str] | None = settings["from_recording"]
    if not paths:
        return None, None
    for path, known in zip(paths, settings["recording_sha256"], strict=True):
        if digest(path) != known:
            raise UserError(f"recording {path} is not the one that this training began with")
    echoes = load_echoes(paths, scenario)
    found = np.zeros(len(echoes.echo), np.bool_)
    for sector in np.unique(echoes.sector, axis=0):
        rows = np.flatnonzero((echoes.sector == sector).all(axis=1))
        searched = scenario.replace(target_sector=(float(sector[0]), float(sector[1])))
        found[rows] = MatchedFilter(searched).detect(echoes.echo[rows]).detected
    count = int(found.sum())
    least = 2 * HELD_OUT_SHARE
    if count < least:
        raise UserError(f"{', '.join(paths)}: {count} targets were found, at least {least} are needed")
    whole = RecordedBatch(echoes.echo[found], echoes.angle[found], echoes.sector[found], scenario.grid_size)
    block = np.cumsum(np.diff(whole.angle, prepend=np.nan) != 0)
    aside = block % HELD_OUT_SHARE == 0
    return whole.select(np.flatnonzero(~aside)), whole.select(np.flatnonzero(aside))
