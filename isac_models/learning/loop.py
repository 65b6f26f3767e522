"""The training loop: iterations, held-out loss, checkpoints, and when to stop.

Everything that decides what happens next counts iterations and lies in `Progress`, so that a training which
was interrupted and resumed takes the same steps as one that was not. Only when to save follows the clock,
and saving changes nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isac_models.errors import UserError

if TYPE_CHECKING:
    from isac_models.artifact_layout import Kind
    from isac_models.scenario import Scenario

State = Mapping[str, NDArray[Any]]

SMOOTHING = 0.99
"""Weight of the past in the smoothed loss: it averages about 100 iterations."""
FAR = 3.0
"""A smoothed loss this many times the best of its phase, held out or smoothed, …"""
LONG = 1000
"""… for so many iterations on end has diverged."""
MATURE = 0.6
"""Weight from which on the smoothed loss is the mean of enough iterations, 92, to be the best."""
MOST_LOSSES = 2000
"""Held-out losses that are remembered."""
FLAT = 1e-3
"""A held-out loss that falls by less than this share of itself counts as flat."""
SAVING = 0.05
"""Largest share of the time that saving may take."""


class Diverged(UserError):
    """The loss left the realm of useful numbers; the message says where and what to do."""


class Task(Protocol):
    """What the loop trains: `Class(scenario, settings)`, where `Class.complete(given)` gives all settings.

    `settings` are flat and JSON-able, with `iterations` and `seed` among them. Draws depend on the seed and
    the iteration alone. All of what a step changes is in `state`, so that a task that has loaded it takes the
    same next step, bit for bit.

    Two members may be left out. `phases`, tuple[int, ...]: the iteration at which each phase ends, rising,
    for a training in several steps; left out, there is one, of `iterations`. `agree(stop: bool) -> bool`: in
    each of several processes that train together, whether any of them wants to stop.
    """

    @property
    def kind(self) -> Kind:
        """Its name on the command line and in the files: model-driven or neural."""

    @property
    def scenario(self) -> Scenario:
        """What is trained for."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting, defaults included."""

    def step(self, iteration: int) -> float:
        """Run one iteration, counted from 0 over all phases; gives its loss."""

    def held_out(self) -> float:
        """The loss of the present phase on a fixed set of draws that no iteration uses; changes nothing."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Weights, the optimiser's moments, counters: arrays by flat names."""

    def load_state(self, state: State) -> None:
        """Continue from what `state` gave.

        Raises UserError when it does not fit.
        """

    def artifact_tensors(self) -> dict[str, NDArray[Any]]:
        """The trained model: real arrays by the names of docs/artifact.md."""

    def facts(self) -> dict[str, Any]:
        """What the artifact's header says of the training beside the settings.

        `held_out_loss` among them stands for the last one measured, where the model is not the last one.
        """


def phases(task: Task) -> tuple[int, ...]:
    """The iteration at which each phase of a task ends."""
    found: tuple[int, ...] = getattr(task, "phases", (task.settings["iterations"],))
    return found


@dataclass
class Progress:
    """How far a training has come, all that the loop decides by, and how it was asked for."""

    command: str = ""
    """What starts this training anew."""
    held_out_every: int = 500
    """Iterations between measurements of the held-out loss."""
    patience: int | None = None
    """A phase ends early when the held-out loss has been flat for so many iterations; None: never."""
    iteration: int = 0
    """The next iteration; one that a phase left out for want of progress counts as passed."""
    steps: int = 0
    """Iterations that were run."""
    phase: int = 0
    """Phase of the next iteration; the number of phases when all is done."""
    seconds: float = 0.0
    """Time spent, over all sittings."""
    held_out_losses: list[tuple[int, float]] = field(default_factory=list)
    """(iteration, loss) of the measurements, over all phases; every other goes when there are too many."""
    accumulated: float = 0.0
    weight: float = 0.0
    best: float | None = None
    """Lowest loss of this phase, held out or smoothed."""
    above: int = 0
    """Iterations on end for which the smoothed loss was far above its best."""
    flat_since: int = 0
    """Iteration of the last held-out loss of this phase that was worth counting as lower …"""
    flat_loss: float | None = None
    """… and that loss."""

    @property
    def loss(self) -> float:
        """The smoothed loss of this phase; NaN before its first iteration."""
        return self.accumulated / self.weight if self.weight else math.nan

    @property
    def held_out_loss(self) -> float:
        """The last one measured; NaN before the first."""
        return self.held_out_losses[-1][1] if self.held_out_losses else math.nan

    def count(self, loss: float) -> None:
        """Take the loss of an iteration.

        Raises Diverged when it is not finite, or when the smoothed loss has been far above its best for long.
        """
        if not math.isfinite(loss):
            raise Diverged(f"the training diverged: the loss of iteration {self.iteration} is {loss}")
        self.accumulated = SMOOTHING * self.accumulated + (1 - SMOOTHING) * loss
        self.weight = SMOOTHING * self.weight + (1 - SMOOTHING)
        smooth = self.loss
        if self.weight >= MATURE:
            self.best = smooth if self.best is None else min(self.best, smooth)
        far = self.best is not None and smooth > FAR * abs(self.best)
        self.above = self.above + 1 if far else 0
        if self.above >= LONG:
            raise Diverged(
                f"the training diverged: since iteration {self.iteration - LONG + 1} the loss is more than "
                f"{FAR:g} times its best, {self.best:.3g}, and now {smooth:.3g}"
            )
        self.iteration += 1
        self.steps += 1

    def measure(self, loss: float) -> None:
        """Take a held-out loss.

        Raises Diverged when it is not finite.
        """
        if not math.isfinite(loss):
            raise Diverged(
                f"the training diverged: the held-out loss at iteration {self.iteration} is {loss}"
            )
        if len(self.held_out_losses) >= MOST_LOSSES:
            del self.held_out_losses[1::2]
        self.held_out_losses.append((self.iteration, loss))
        self.best = loss if self.best is None else min(self.best, loss)
        if self.flat_loss is None or loss < self.flat_loss - FLAT * abs(self.flat_loss):
            self.flat_since, self.flat_loss = self.iteration, loss

    def conclude(self, begin: int) -> None:
        """End the phase that began at that iteration.

        Raises Diverged when its losses, held out and smoothed, end far above its first held-out loss.
        """
        own = (loss for iteration, loss in self.held_out_losses if iteration > begin or not begin)
        first = next(own, math.inf)
        if min(self.held_out_loss, self.loss) > FAR * abs(first):
            raise Diverged(
                f"the training diverged: the held-out loss went from {first:.3g} to {self.held_out_loss:.3g}"
            )

    @property
    def flat(self) -> bool:
        """Whether patience with this phase is at its end."""
        return self.patience is not None and self.iteration - self.flat_since >= self.patience

    def next_phase(self, iteration: int) -> None:
        """Go on at the beginning of the next phase."""
        self.iteration, self.phase = iteration, self.phase + 1
        self.accumulated = self.weight = 0.0
        self.best, self.above = None, 0
        self.flat_since, self.flat_loss = iteration, None


class Watcher(Protocol):
    """Who is told of the progress."""

    def update(self, progress: Progress, total: int) -> None:
        """Called after every iteration."""

    def measured(self, progress: Progress) -> None:
        """Called after every measurement of the held-out loss."""


def finished(task: Task, progress: Progress) -> bool:
    """Whether nothing is left to do."""
    return progress.phase >= len(phases(task))


def train(
    task: Task,
    progress: Progress,
    save: Callable[[State], None],
    *,
    watchers: tuple[Watcher, ...] = (),
    save_every: float = 60.0,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Run the iterations that are left, and save every `save_every` seconds and at the end.

    Gives back False when `stop` ended it early, in which case it has been saved as well. What `save` raises,
    and Diverged, comes through: the last good checkpoint stands. State that is not finite is never saved.
    """
    ends = phases(task)
    agree: Callable[[bool], bool] = getattr(task, "agree", bool)
    before, start = progress.seconds, clock()
    due = start + save_every

    def keep() -> None:
        progress.seconds = before + clock() - start
        state = task.state()
        for name, values in state.items():
            if values.dtype.kind in "fc" and not np.isfinite(values).all():
                raise Diverged(
                    f"the training diverged: after iteration {progress.iteration} {name} is not finite"
                )
        save(state)

    if not progress.held_out_losses:
        progress.measure(task.held_out())
        _tell(watchers, progress)
    while not finished(task, progress):
        if agree(stop()):
            keep()
            return False
        progress.count(task.step(progress.iteration))
        progress.seconds = before + clock() - start
        end = ends[progress.phase]
        over = progress.iteration >= end
        if over or progress.iteration % progress.held_out_every == 0:
            progress.measure(task.held_out())
            _tell(watchers, progress)
            over = over or progress.flat
        for watcher in watchers:
            watcher.update(progress, ends[-1])
        if over:
            progress.conclude(ends[progress.phase - 1] if progress.phase else 0)
            if progress.phase == len(ends) - 1:
                progress.phase += 1  # the losses of the last phase stay, for the report
            else:
                progress.next_phase(end)
        elif clock() >= due:
            begun = clock()
            keep()
            due = clock() + max(save_every, (clock() - begun) / SAVING)
    keep()
    return True


def _tell(watchers: tuple[Watcher, ...], progress: Progress) -> None:
    for watcher in watchers:
        watcher.measured(progress)
