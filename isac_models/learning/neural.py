"""Training of the neural baseline: the task behind ``python -m isac_models.train neural``.

The networks of all ω_r train side by side on the same draws, each as if alone: its weights do not depend on
which others there are. Step (11) comes first, then step (12) with Adam afresh.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isac_models.errors import UserError
from isac_models.learning.neural_data import HELD_OUT_STREAM, TRAINING_STREAM, Draws
from isac_models.learning.neural_engine import Engine, KernelEngine, TorchEngine
from isac_models.learning.neural_settings import angle_weight, complete, scales
from isac_models.learning.neural_weights import HostWeights, TorchWeights, Weights
from isac_models.learning.parallel import Processes
from isac_models.network_layout import Layout
from isac_models.scenario import Scenario

Values = NDArray[Any]

HELD_OUT = 32_768
"""Snapshots that the held-out loss is measured on."""
WIDEST_FOR_KERNELS = 64
"""Hidden neurons up to which the compiled kernels are faster than matrix products."""
TRAINED = {
    1: ("encoder", "beamformer", "presence", "receiver"),
    2: ("encoder", "beamformer", "angle", "receiver"),
}
"""Networks that each step updates."""
SECTORS = ("sector_mean_deg", "sector_span_deg")


class Neural:
    """Trains the five networks of Table I for every ω_r with Adam.

    settings: as `complete` returns them. Draw i of iteration n is number n · batch + i of its stream, and all
    else that a step depends on is in `state`. Of several processes that torch.distributed joins, each draws
    its share of every batch.
    """

    kind: Literal["neural"] = "neural"
    complete = staticmethod(complete)

    def __init__(self, scenario: Scenario, settings: Mapping[str, Any]) -> None:
        self.scenario, self.settings = scenario, dict(settings)
        self.omegas = np.array(settings["omega"], np.float64)
        self.layout = Layout(scenario.antennas, scenario.order, settings["hidden"])
        self.phases = (settings["iterations"], 2 * settings["iterations"])
        self.scales = scales(scenario, settings["scale_inputs"])
        self.angle_weight = angle_weight(settings)
        self.processes = Processes()
        if settings["batch"] < self.processes.world:
            raise UserError(
                f"a batch of {settings['batch']} is too small for {self.processes.world} processes"
            )
        self.engine = self._engine()
        self.training = self._draws(TRAINING_STREAM)
        self._held_out: tuple[int, Values] | None = None
        self._measured: tuple[int, Values] | None = None

        start = np.stack([self.layout.initial(settings["seed"], omega) for omega in self.omegas.tolist()])
        on_torch = isinstance(self.engine, TorchEngine)
        self.weights: Weights = TorchWeights(start, settings["device"]) if on_torch else HostWeights(start)
        self.step_number = 1
        self.losses = np.full((len(self.omegas), 2), np.nan, np.float32)
        """Sensing and communication loss of each ω_r in its last iteration."""
        self.mark = np.full((len(self.omegas), 2), np.inf)
        """Held-out losses of this step that were the last to be worth counting as lower …"""
        self.mark_at = np.zeros((len(self.omegas), 2), np.int64)
        """… and their iterations."""
        self.frozen = np.full((len(self.omegas), 2), -1, np.int64)
        """Iteration at which each step of each ω_r was stopped early, -1: never."""

    def _engine(self) -> Engine:
        settings, wanted = self.settings, self.settings["engine"]
        if wanted == "auto":
            narrow = settings["hidden"] <= WIDEST_FOR_KERNELS and settings["precision"] == "float32"
            wanted = "torch" if settings["device"] != "cpu" else "kernels" if narrow else "products"
        energy = self.scenario.transmit_energy
        if wanted != "torch":
            arguments = (
                self.layout,
                math.sqrt(energy),
                self.scales["radar_scale"],
                self.scales["comm_scale"],
                settings["literal_loss"],
                settings["mask"],
                settings["threads"],
            )
            if wanted == "kernels":
                return KernelEngine(*arguments)
            from isac_models.learning.neural_products import ProductEngine

            return ProductEngine(*arguments, settings["precision"])
        from isac_models.networks import Options

        options = Options(
            energy,
            self.scales["radar_scale"],
            self.scales["comm_scale"],
            settings["literal_loss"],
            settings["mask"],
        )
        return TorchEngine(
            self.layout, options, settings["device"], settings["threads"], settings["precision"]
        )

    def _draws(self, stream: str) -> Draws:
        low, high = (tuple(math.radians(edge) for edge in self.settings[key]) for key in SECTORS)
        return Draws(
            self.scenario,
            self.settings["seed"],
            stream,
            mean=(low[0], low[1]),
            span=(high[0], high[1]),
            angle_scale=self.scales["angle_scale"],
        )

    def step(self, iteration: int) -> float:
        """One iteration, 0 first; gives the mean over ω_r of the loss (11) or (12)."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a loss that is not finite tells
            return self._step(iteration)

    def _step(self, iteration: int) -> float:
        self._enter(1 if iteration < self.phases[0] else 2, iteration)
        if self.settings["patience"] is not None and iteration % self.settings["check_every"] == 0:
            self._freeze(iteration)
        active = np.flatnonzero(self.frozen[:, self.step_number - 1] < 0)
        if active.size:
            gradients, losses = self._gradients(active, iteration)
            self.losses[active] = losses
            self._update(active, gradients)
        return self._total(self.losses)

    def _enter(self, step: int, iteration: int) -> None:
        """Begin step (12), with Adam afresh, when it is time."""
        if step != self.step_number:
            self.step_number = step
            self.weights.restart()
            self.mark[:], self.mark_at[:] = np.inf, iteration
            self._measured = None

    def _gradients(self, active: Values, iteration: int) -> tuple[Any, Values]:
        """Gradients and losses of the active ω_r, summed over the processes."""
        batch, rank, world = self.settings["batch"], self.processes.rank, self.processes.world
        first, last = batch * rank // world, batch * (rank + 1) // world
        tiles = self.training.tiles(iteration * batch + first, last - first, present=self.step_number == 2)
        omegas = self._shares()[active].tolist()
        gradients, losses = self.engine.gradients(
            self.weights.rows(active), omegas, tiles, last - first, batch, self.step_number
        )
        if world > 1:
            here = gradients if isinstance(gradients, np.ndarray) else gradients.cpu().numpy()
            gradients, losses = self.processes.add(here, losses)
        return gradients, losses

    def _update(self, active: Values, gradients: Any) -> None:
        """One step of Adam for the networks that are trained."""
        for row, total in enumerate(self._loss_weights()[active].sum(axis=1).tolist()):
            gradients[row] *= total
        parts = [self.layout.slices[name] for name in TRAINED[self.step_number]]
        self.weights.step(active, gradients, parts, self.settings["learning_rate"])
        self._measured = None

    def _freeze(self, iteration: int) -> None:
        """Stop the ω_r whose held-out losses, sensing's and communication's, have been flat for too long."""
        measured = self.held_out_losses()
        lower = measured < self.mark * (1 - self.settings["flat"])
        self.mark[lower] = measured[lower]
        self.mark_at[lower] = iteration
        counted = np.stack([self.omegas > 0, self.omegas < 1], axis=1)
        flat = (iteration - self.mark_at >= self.settings["patience"]) | ~counted
        stopped = flat.all(axis=1) & (self.frozen[:, self.step_number - 1] < 0)
        self.frozen[stopped, self.step_number - 1] = iteration

    def held_out_losses(self) -> Values:
        """Sensing and communication loss of each ω_r on draws that are never trained on: (W, 2)."""
        if self._held_out is None or self._held_out[0] != self.step_number:
            tiles = self._draws(HELD_OUT_STREAM).tiles(0, HELD_OUT, present=self.step_number == 2)
            self._held_out = self.step_number, tiles
        if self._measured is None:
            _, losses = self.engine.gradients(
                self.weights.rows(np.arange(len(self.omegas))),
                self._shares().tolist(),
                self._held_out[1],
                HELD_OUT,
                HELD_OUT,
                self.step_number,
            )
            self._measured = self.step_number, losses.astype(np.float64)
        return self._measured[1]

    def held_out(self) -> float:
        """Mean over ω_r of the present step's loss on draws that are never trained on."""
        return self._total(self.held_out_losses())

    def _total(self, losses: Values) -> float:
        """Mean over ω_r of (11) or (12)."""
        return float((self._loss_weights() * losses).sum(axis=1).mean())

    def _loss_weights(self) -> Values:
        """What the present step weighs the sensing and the communication loss by: (W, 2)."""
        sensing = self.angle_weight if self.step_number == 2 else 1.0
        return np.stack([sensing * self.omegas, 1 - self.omegas], axis=1)

    def _shares(self) -> Values:
        """The weights of sensing (W,) where both are scaled to add up to 1, as the engines have them."""
        weights = self._loss_weights()
        return np.asarray(weights[:, 0] / weights.sum(axis=1))

    def state(self) -> dict[str, Values]:
        """Weights, moments of Adam, and what decides when an ω_r stops."""
        return {
            **self.weights.state(),
            "updates": np.array(self.weights.updates, np.int64),
            "step": np.array(self.step_number, np.int64),
            "losses": np.nan_to_num(self.losses, nan=-1.0),
            "mark": np.where(np.isfinite(self.mark), self.mark, -1.0),
            "mark_at": self.mark_at.copy(),
            "frozen": self.frozen.copy(),
        }

    def load_state(self, state: Mapping[str, Values]) -> None:
        """Continue from what `state` gave.

        Raises UserError when it is of another training.
        """
        own = self.state()
        for name, array in own.items():
            found = state.get(name)
            if found is None or found.shape != array.shape or found.dtype != array.dtype:
                what = "is missing" if found is None else f"{found.dtype}{found.shape} does not fit"
                raise UserError(f"checkpoint: {name} {what}: it is of another training")
        if len(state) != len(own) or int(state["step"]) not in TRAINED or int(state["updates"]) < 0:
            raise UserError("checkpoint: it is of another training")
        self.weights.load(state, int(state["updates"]))
        self.step_number = int(state["step"])
        self.losses = np.where(state["losses"] < 0, np.float32(np.nan), state["losses"])
        self.mark = np.where(state["mark"] < 0, np.inf, state["mark"])
        self.mark_at, self.frozen = state["mark_at"].copy(), state["frozen"].copy()
        self._measured = None

    def agree(self, stop: bool) -> bool:
        """Whether any of the processes that train together wants to stop."""
        return self.processes.any(stop)

    def artifact_tensors(self) -> dict[str, Values]:
        """The weights by the names of docs/artifact.md, and the ω_r that they are for."""
        tensors = self.layout.tensors(self.weights.state()["parameters"])
        return {
            "omega": self.omegas.copy(),
            **{name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
        }

    def facts(self) -> dict[str, Any]:
        """What an artifact's header says beyond the settings; losses are those of the last step."""
        measured = self.held_out_losses()
        return {
            **self.scales,
            "parameters": self.layout.size,
            "held_out_snapshots": HELD_OUT,
            "held_out_sensing_losses": measured[:, 0].tolist(),
            "held_out_communication_losses": measured[:, 1].tolist(),
            "stopped_at": [[None if at < 0 else at for at in steps] for steps in self.frozen.tolist()],
        }
