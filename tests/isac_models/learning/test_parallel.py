"""Data parallel training: two gloo processes do what one does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isac_models.learning.neural import Neural
from isac_models.learning.parallel import Processes
from isac_models.scenario import Scenario

SETTINGS = {"hidden": 5, "omega": [0.3, 1.0], "iterations": 3, "batch": 333, "threads": 1}
WORKER = f"""
import sys, numpy as np
from isac_models.learning.neural import Neural
from isac_models.learning.parallel import leave
from isac_models.scenario import Scenario

task = Neural(Scenario.preset("limited"), Neural.complete({SETTINGS}))
processes = task.processes
rank = processes.rank
assert processes.world == 2
ones, tens = processes.add(np.full((2, 3), 1 + rank, np.float32), np.array([10.0 + rank], np.float32))
assert ones.shape == (2, 3) and (ones == 3).all() and tens.tolist() == [21], (ones, tens)
assert task.agree(rank == 1) and task.agree(True) and not task.agree(False)
gradients, losses = task._gradients(np.arange(2), 0)
trained = [task.step(iteration) for iteration in range(6)]
np.savez(sys.argv[1] + str(rank), gradients=gradients, first_losses=losses, trained=trained, **task.state())
leave()
"""


def test_a_process_alone_adds_nothing() -> None:
    processes = Processes()
    assert (processes.rank, processes.world) == (0, 1)
    (array,) = processes.add(np.arange(3))
    assert array.tolist() == [0, 1, 2]
    assert (processes.any(True), processes.any(False)) == (True, False)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, np.ndarray]]:
    """What each of two processes has computed."""
    folder = tmp_path_factory.mktemp("parallel")
    (folder / "worker.py").write_text(WORKER)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(folder / "worker.py"), str(folder / "rank")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=Path(__file__).resolve().parents[3],
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONPATH": "."},
    )
    assert done.returncode == 0, done.stderr
    return [dict(np.load(folder / f"rank{rank}.npz")) for rank in range(2)]


def test_both_have_the_same_bits(both: list[dict[str, np.ndarray]]) -> None:
    for name, values in both[0].items():
        np.testing.assert_array_equal(values, both[1][name])


def test_two_processes_are_one_up_to_rounding(both: list[dict[str, np.ndarray]]) -> None:
    task = Neural(Scenario.preset("limited"), Neural.complete(SETTINGS))
    gradients, losses = task._gradients(np.arange(2), 0)
    found = both[0]
    np.testing.assert_allclose(found["first_losses"], losses, rtol=1e-5)
    assert np.linalg.norm(found["gradients"] - gradients) <= 1e-5 * np.linalg.norm(gradients)
    trained = [task.step(iteration) for iteration in range(6)]
    np.testing.assert_allclose(found["trained"], trained, rtol=1e-3)
    # Adam makes a step of 1e-3 of whatever sign a vanishing gradient has.
    moved = found["parameters"] - task.weights.parameters
    assert np.mean(np.abs(moved) > 1e-5) < 0.02
    assert found["updates"] == task.weights.updates == 3
