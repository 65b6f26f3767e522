"""A session keeps the books of one sitting: what the command line's tests do not reach."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from isac_models.artifact import load
from isac_models.errors import UserError
from isac_models.learning import checkpoint, session
from isac_models.learning.display import Display
from isac_models.learning.folder import Folder
from isac_models.learning.loop import Progress
from isac_models.learning.session import Session
from isac_models.scenario import Scenario
from tests.isac_models.learning.small_task import SmallTask

QUIET = Display(quiet=True)


class Chooser(SmallTask):
    """Gives another held-out loss for the model that it keeps."""

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "held_out_loss": 0.125}


class TwoSteps(SmallTask):
    """Has a second phase."""

    phases = (100, 150)


class Endless(SmallTask):
    """Its artifact would be refused."""

    def artifact_tensors(self) -> dict[str, Any]:
        return {name: array * float("nan") for name, array in super().artifact_tensors().items()}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = {"model-driven": "SmallTask", "chooser": "Chooser", "two-steps": "TwoSteps", "endless": "Endless"}
    for name, task in tasks.items():
        module = "small_task" if task == "SmallTask" else "test_session"
        monkeypatch.setitem(session.TASKS, name, f"tests.isac_models.learning.{module}:{task}")


def make(path: Path, kind: str = "model-driven", **settings: Any) -> Session:
    scenario, folder = Scenario.preset("limited"), Folder(path)
    if folder.checkpoint.exists():
        saved = checkpoint.load(folder.checkpoint)
        return Session(kind, scenario, saved.settings, saved.progress, folder, saved.state)
    return Session(kind, scenario, SmallTask.complete(settings), Progress(held_out_every=10), folder)


def run(made: Session, stop_at: int | None = None) -> bool:
    made.take()
    try:
        made.begin(print)
        done = made.train(0.0, lambda: made.progress.iteration == stop_at, QUIET)
        if done:
            made.finish()
        return done
    finally:
        made.end()


def test_three_sittings_give_the_weights_of_one(tmp_path: Path) -> None:
    assert run(make(tmp_path / "whole"))
    for stop in (10, 55):
        assert not run(make(tmp_path / "parts"), stop)
    assert run(make(tmp_path / "parts"))
    whole, parts = (load(tmp_path / name / "artifact.safetensors") for name in ("whole", "parts"))
    assert {**whole.training, "seconds": 0} == {**parts.training, "seconds": 0}
    states = [checkpoint.load(tmp_path / name / checkpoint.NAME).state for name in ("whole", "parts")]
    assert all(states[0][name].tobytes() == states[1][name].tobytes() for name in states[0])


def test_a_first_checkpoint_is_there_from_the_beginning(tmp_path: Path) -> None:
    made = make(tmp_path / "a")
    made.take()
    made.begin(print)
    assert checkpoint.load(made.folder.checkpoint).progress.iteration == 0
    made.end()


def test_a_task_may_say_the_loss_of_what_it_gives(tmp_path: Path) -> None:
    assert run(make(tmp_path / "a", "chooser"))
    artifact = load(tmp_path / "a" / "artifact.safetensors")
    assert artifact.held_out_loss == 0.125
    assert "held_out_loss" not in artifact.training


def test_an_artifact_that_is_refused_loses_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"NaN or infinity; the checkpoint of iteration 100 is kept in "):
        run(make(tmp_path / "a", "endless"))
    assert checkpoint.load(tmp_path / "a" / checkpoint.NAME).progress.iteration == 100


PLACES = [(0, 0), (99, 0), (100, 1), (149, 1), (120, 2), (150, 2)]
"""Iterations and phases of a training of 100 and 50 iterations; the last step may have ended early."""


@pytest.mark.parametrize(
    ("iteration", "phase"), [*PLACES, (100, 0), (10**9, 0), (99, 1), (150, 1), (99, 2), (151, 2), (150, 7)]
)
def test_a_place_that_the_training_does_not_have_is_refused(
    tmp_path: Path, iteration: int, phase: int
) -> None:
    settings, folder = SmallTask.complete({}), Folder(tmp_path)
    state = SmallTask(Scenario.preset("limited"), settings).state()
    progress = Progress(iteration=iteration, phase=phase)

    def resume() -> Session:
        return Session("two-steps", Scenario.preset("limited"), settings, progress, folder, state)

    if (iteration, phase) in PLACES:
        assert resume().total == 150
    else:
        with pytest.raises(UserError, match=f"iteration {iteration} of phase {phase} is none of this"):
            resume()


def test_blas_runs_on_the_threads_that_were_asked_for(tmp_path: Path) -> None:
    from threadpoolctl import threadpool_info

    made = make(tmp_path / "a", threads=1)
    made.take()
    made.begin(print)
    inside = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    made.end()
    assert inside == {1}


def test_processors_are_those_of_the_process_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert session.processors() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert session.processors() == 3
    for odd in ("", "0", "many", "4,2"):
        monkeypatch.setenv("OMP_NUM_THREADS", odd)
        assert session.processors() == len(os.sched_getaffinity(0))


def test_ranks_come_from_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert session.rank() == 0
    monkeypatch.setenv("RANK", "3")
    assert session.rank() == 3


def test_versions_name_what_computes() -> None:
    import numpy as np

    found = session.versions()
    assert found["numpy"] == np.__version__
    assert all(isinstance(version, str) for version in found.values())


def test_a_missing_module_of_our_own_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(session.TASKS, "odd", "isac_models.learning.nowhere:Task")
    with pytest.raises(ModuleNotFoundError):
        session.task_class("odd")
