"""TensorBoard itself reads what was written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isac_models.learning.events import INTERVAL, Events
from isac_models.learning.loop import Progress

ROOT = Path(__file__).resolve().parents[3]


class Watch:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def no_complaint(text: str) -> None:
    raise AssertionError(text)


def read(folder: Path) -> Any:
    """What TensorBoard makes of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(folder).Scalars(tag)]


def test_tensorboard_reads_the_losses(tmp_path: Path) -> None:
    clock, progress = Watch(), Progress()
    events = Events(tmp_path, progress, no_complaint, clock)
    progress.measure(8.0)
    events.measured(progress)
    for _ in range(5):
        clock.now += INTERVAL / 2
        progress.seconds = clock.now
        progress.count(0.5)
        events.update(progress, 5)
    progress.measure(0.25)
    events.measured(progress)
    events.close()
    assert scalars(tmp_path, "loss/held out") == [(0, 8.0), (5, 0.25)]
    assert scalars(tmp_path, "loss/training") == [(2, 0.5), (4, 0.5)]
    assert scalars(tmp_path, "iterations per second") == [(2, 1.0), (4, 1.0)]


def test_iterations_that_are_run_again_are_forgotten(tmp_path: Path) -> None:
    first = Events(tmp_path, Progress(), no_complaint)
    for at, loss in ((0, 4.0), (10, 3.0), (20, 2.0)):
        first.measured(Progress(iteration=at, held_out_losses=[(at, loss)]))
    first.close()
    second = Events(tmp_path, Progress(iteration=10, steps=10), no_complaint)
    second.measured(Progress(iteration=20, held_out_losses=[(20, 2.5)]))
    second.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert scalars(tmp_path, "loss/held out") == [(0, 4.0), (20, 2.5)]


def test_what_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    complaints: list[str] = []
    events = Events(tmp_path / "missing", Progress(), complaints.append)
    events.measured(Progress(held_out_losses=[(0, 1.0)]))
    events.close()
    assert complaints == ["no more TensorBoard events: No such file or directory"]


def test_a_full_disk_is_said_once(tmp_path: Path) -> None:
    code = (
        "import resource, sys\n"
        "from isac_models.learning.events import Events\n"
        "from isac_models.learning.loop import Progress\n"
        "events = Events(sys.argv[1], Progress(), print)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))\n"
        "for at in range(50):\n"
        "    events.measured(Progress(iteration=at, held_out_losses=[(at, 1.0)]))\n"
        "events.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "no more TensorBoard events: File too large\n"), done.stderr


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from isac_models.learning.events import Events\n"
        "from isac_models.learning.loop import Progress\n"
        "Events(sys.argv[1], Progress(), print).close()\n"
        "print(sorted({'torch', 'tensorflow', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("missing", ["tensorboard"])
def test_without_tensorboard_the_import_fails(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    with pytest.raises(ImportError):
        Events(tmp_path, Progress(), no_complaint)
    assert list(tmp_path.iterdir()) == []
