"""One sitting of a training: the task, its folder, and everything that is written there."""

from __future__ import annotations

import importlib
import math
import os
import platform
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import metadata
from typing import Any

from isac_models.artifact import Artifact, save  # now: hours later the files may be others
from isac_models.errors import UserError
from isac_models.learning import checkpoint, parallel
from isac_models.learning.display import Display
from isac_models.learning.events import Events
from isac_models.learning.folder import Folder
from isac_models.learning.loop import Diverged, Progress, State, Task, Watcher, phases, train
from isac_models.scenario import Scenario

TASKS: dict[str, str] = {
    "model-driven": "isac_models.learning.model_driven:ModelDriven",
    "neural": "isac_models.learning.neural:Neural",
}
"""What trains each kind: module:Class, loaded when it is asked for."""
PACKAGES = ("isac-blocks", "numpy", "numba", "torch", "safetensors")
INSTALL = "pip install 'isac-blocks[learn]'"


class Session:
    """A training from its settings, or from a checkpoint's `state` on.

    Of several processes that train together, each has a session; the one that `leads` writes and prints.

    Raises UserError for settings that do not fit together or the machine, and for a state or a progress that
    is not of this training.
    """

    def __init__(
        self,
        kind: str,
        scenario: Scenario,
        settings: Mapping[str, Any],
        progress: Progress,
        folder: Folder,
        state: State | None = None,
    ) -> None:
        self.progress, self.folder = progress, folder
        self.leads = rank() == 0
        self.new = state is None
        trains = task_class(kind)
        if processes() > 1 and not hasattr(trains, "agree"):
            raise UserError(f"{kind} trains in one process: start it without torchrun")
        self.task: Task = trains(scenario, settings)
        if state is not None:
            _check_place(progress, phases(self.task))
            self.task.load_state(state)
        self._saved: int | None = None if state is None else progress.iteration
        self._events: Events | None = None
        self._open = ExitStack()

    @property
    def total(self) -> int:
        """Iterations of the whole training."""
        return phases(self.task)[-1]

    def take(self) -> None:
        """Take the folder.

        Raises UserError when it cannot be made, or another process has it.
        """
        if self.leads:
            self._open.callback(self.folder.release)
            self.folder.take()

    def begin(self, complain: Callable[[str], Any]) -> None:
        """Keep a first checkpoint; `complain` hears what goes wrong without harm.

        Raises UserError when it cannot be written.
        """
        from threadpoolctl import threadpool_limits

        self._open.enter_context(threadpool_limits(self.task.settings.get("threads")))
        if not self.leads:
            return
        if self.new:
            self._save(self.task.state())
        try:
            self._events = Events(self.folder.path, self.progress, complain)
            self._open.callback(self._events.close)
        except ImportError:
            complain(f"no TensorBoard events without tensorboard: {INSTALL}")

    def train(self, save_every: float, stop: Callable[[], bool], display: Display) -> bool:
        """Run what is left; False when `stop` ended it early. Either way it has been saved.

        Raises UserError when it diverged or could not be saved, and says which checkpoint there is.
        """
        watchers: tuple[Watcher, ...] = (display,) if self._events is None else (display, self._events)
        try:
            return train(
                self.task, self.progress, self._save, watchers=watchers, save_every=save_every, stop=stop
            )
        except Diverged as error:
            rate = self.task.settings.get("learning_rate", math.nan)
            raise UserError(f"{error}; train anew with --lr below {rate:g}{self._kept()}") from None

    def finish(self) -> None:
        """Write the artifact.

        Raises UserError when it cannot be written.
        """
        if not self.leads:
            return
        task, progress = self.task, self.progress
        facts = task.facts()
        held_out_loss = facts.pop("held_out_loss", progress.held_out_loss)
        training = {
            "held_out_every": progress.held_out_every,
            "patience": progress.patience,
            **task.settings,
            **facts,
            "steps": progress.steps,
            "seconds": round(progress.seconds, 3),
            "held_out_losses": [list(each) for each in progress.held_out_losses],
            "command": progress.command,
        }
        artifact = Artifact(
            kind=task.kind,
            scenario=task.scenario,
            tensors=task.artifact_tensors(),
            training=training,
            seed=task.settings["seed"],
            held_out_loss=held_out_loss,
            versions=versions(),
        )
        try:
            save(self.folder.artifact, artifact)
        except UserError as error:
            raise UserError(f"{error}{self._kept()}") from None

    def end(self) -> None:
        """Close what is open, and leave the folder to others."""
        self._open.close()
        parallel.leave()

    def _save(self, state: State) -> None:
        if not self.leads:
            return
        task = self.task
        made = checkpoint.Checkpoint(
            task.kind, task.scenario, task.settings, self.progress, state, versions()
        )
        try:
            checkpoint.save(self.folder.checkpoint, made)
        except UserError as error:
            raise UserError(f"{error}{self._kept()}") from None
        self._saved = self.progress.iteration

    def _kept(self) -> str:
        if self._saved is None:
            return ""
        return f"; the checkpoint of iteration {self._saved:,} is kept in {self.folder.path}"


def _check_place(progress: Progress, ends: tuple[int, ...]) -> None:
    """Raise UserError for an iteration that its phase, of those that end there, does not have."""
    phase = min(progress.phase, len(ends) - 1)
    done = progress.phase == len(ends)
    if progress.phase > len(ends) or not (0, *ends)[phase] <= progress.iteration < ends[phase] + done:
        raise UserError(
            f"checkpoint: iteration {progress.iteration} of phase {progress.phase} is none of this training's"
        )


def task_class(kind: str) -> Any:
    """The class that trains a kind.

    Raises UserError when a package that it needs is not installed.
    """
    module, _, name = TASKS[kind].partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == __name__.partition(".")[0]:
            raise
        raise UserError(f"training needs the package {error.name}: {INSTALL}") from None


def device(name: str) -> str:
    """cpu or cuda for auto, cpu or cuda.

    Raises UserError for cuda where there is none.
    """
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise UserError("--device cuda: there is no GPU that torch can use; leave the option out")
    return "cpu"


def processors() -> int:
    """Threads to use unless told otherwise: OMP_NUM_THREADS, else the processors of this process."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else len(os.sched_getaffinity(0))


def rank() -> int:
    """Number of this process among those that torchrun has started; 0 without torchrun."""
    return _variable("RANK", 0)


def processes() -> int:
    """How many processes train together."""
    return _variable("WORLD_SIZE", 1)


def _variable(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that determine what a training computes."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
