"""Sweeps go on: over killed workers, over Ctrl-C, over damaged files."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isac_models.errors import UserError
from isac_models.sweeps.cluster import SweepError, sweep
from isac_models.sweeps.store import Store

distributed: Any = pytest.importorskip("distributed")


# Functions inside functions travel to the workers by value: these need not find this file.
def make_square() -> Callable[..., dict[str, Any]]:
    def square(number: int) -> dict[str, Any]:
        import os

        return {"square": number**2, "process": os.getpid()}

    return square


def counted(folder: Path) -> Callable[..., dict[str, Any]]:
    """Leaves a file for every call."""

    def count(number: int) -> dict[str, Any]:
        (folder / f"call-{number}-{os.urandom(4).hex()}").write_text("")
        return {"square": number**2}

    return count


TASKS: dict[str, tuple[Any, ...]] = {f"key{n}": (n,) for n in range(6)}
SQUARES = {f"key{n}": n**2 for n in range(6)}


def squares(results: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {key: result["square"] for key, result in results.items()}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
    )
    yield cluster.scheduler_address
    cluster.close()


def test_only_what_is_missing_is_computed(tmp_path: Path) -> None:
    store, calls = Store(tmp_path / "store"), tmp_path
    seen: list[tuple[int, int]] = []
    first = dict(list(TASKS.items())[:4])
    assert squares(sweep(counted(calls), first, store, workers=0)) == {k: SQUARES[k] for k in first}
    results = sweep(counted(calls), TASKS, store, workers=0, progress=lambda *at: seen.append(at))
    assert squares(results) == SQUARES
    assert list(results) == list(TASKS)
    assert seen == [(4, 6), (5, 6), (6, 6)]
    assert len(list(calls.glob("call-*"))) == 6
    sweep(counted(calls), TASKS, store, workers=0)
    assert len(list(calls.glob("call-*"))) == 6


def test_a_damaged_point_is_computed_again_with_a_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    store = Store(tmp_path / "store", warnings.append)
    sweep(counted(tmp_path), TASKS, store, workers=0)
    store.path("key3").write_text("{")
    assert squares(sweep(counted(tmp_path), TASKS, store, workers=0)) == SQUARES
    assert len(list(tmp_path.glob("call-3-*"))) == 2
    assert len(list(tmp_path.glob("call-2-*"))) == 1
    assert len(warnings) == 1
    assert "key3" in warnings[0]


def test_a_finished_sweep_needs_no_cluster(tmp_path: Path) -> None:
    store = Store(tmp_path)
    sweep(make_square(), TASKS, store, workers=0)
    assert squares(sweep(make_square(), TASKS, store, address="tcp://127.0.0.1:1")) == SQUARES


def test_a_killed_worker_costs_nothing_but_time(tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_one(done: int, every: int) -> None:
        if done == 1:
            worker = next(child for child in multiprocessing.active_children() if child.pid is not None)
            assert worker.pid is not None
            killed.append(worker.pid)
            os.kill(worker.pid, signal.SIGKILL)

    before = set(multiprocessing.active_children())
    results = sweep(make_square(), TASKS, Store(tmp_path), workers=2, progress=kill_one)
    assert squares(results) == SQUARES
    assert len(killed) == 1
    assert not set(multiprocessing.active_children()) - before


def test_a_task_whose_worker_dies_once_is_computed_by_another(tmp_path: Path) -> None:
    marker = tmp_path / "died"

    def fatal_once(number: int) -> dict[str, Any]:
        import os
        import signal

        if number == 2 and not marker.exists():
            marker.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return {"square": number**2, "process": os.getpid()}

    results = sweep(fatal_once, TASKS, Store(tmp_path / "store"), workers=1)
    assert squares(results) == SQUARES
    assert results["key2"]["process"] != int(marker.read_text())


def test_a_task_that_kills_every_worker_is_named(tmp_path: Path) -> None:
    def fatal(number: int) -> dict[str, Any]:
        import os
        import signal

        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"square": number**2}

    with pytest.raises(SweepError, match=r"point key1: the worker died each time") as error:
        sweep(fatal, {"key1": (1,)}, Store(tmp_path), workers=1)
    assert "\n" not in str(error.value)


def test_a_given_cluster_is_used_and_left_running(tmp_path: Path, address: str) -> None:
    pids = set()
    for name in ("one", "two"):
        results = sweep(make_square(), TASKS, Store(tmp_path / name), address=address)
        assert squares(results) == SQUARES
        pids |= {result["process"] for result in results.values()}
    assert len(pids) == 1
    assert os.getpid() not in pids


def test_what_a_task_refuses_comes_back_as_it_is(tmp_path: Path, address: str) -> None:
    def refuse(number: int) -> dict[str, Any]:
        from isac_models.errors import UserError

        if number == 3:
            raise UserError("three is not wanted")
        return {"square": number**2}

    def fail(number: int) -> dict[str, Any]:
        raise ArithmeticError(f"no\nroot of {number}")

    for where in ({"address": address}, {"workers": 0}):
        with pytest.raises(UserError, match="three is not wanted"):
            sweep(refuse, TASKS, Store(tmp_path / "refused"), **where)
    with pytest.raises(SweepError, match="point key1: ArithmeticError: no root of 1"):
        sweep(fail, {"key1": (1,)}, Store(tmp_path / "failed"), address=address)


@pytest.mark.parametrize("wrong", ["nonsense", "tcp://127.0.0.1:1", "spam://x:1"])
def test_an_address_without_a_cluster_is_one_line(
    tmp_path: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isac_models.sweeps.cluster.CONNECTING", 0.5)
    with pytest.raises(UserError, match=f"no Dask cluster with workers at {wrong}") as error:
        sweep(make_square(), TASKS, Store(tmp_path), address=wrong)
    assert "\n" not in str(error.value)


INTERRUPTED = """
import os, signal, sys
from isac_models.sweeps.cluster import sweep
from isac_models.sweeps.store import Store

def make():
    def count(number):
        return {"square": number ** 2}
    return count

def stop(done, every):
    if done == 2 and sys.argv[2] == "stop":
        os.killpg(os.getpgid(0), signal.SIGINT)  # as a terminal does: the workers too

if __name__ == "__main__":
    tasks = {f"key{n}": (n,) for n in range(6)}
    try:
        results = sweep(make(), tasks, Store(sys.argv[1]), workers=2, progress=stop)
        print(sorted(result["square"] for result in results.values()))
    except KeyboardInterrupt:
        print("stopped")
"""


def test_ctrl_c_keeps_what_is_finished_and_leaves_no_process(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    for what, expected in (("stop", "stopped"), ("go on", "[0, 1, 4, 9, 16, 25]")):
        done = subprocess.run(
            [sys.executable, str(script), str(tmp_path / "store"), what],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            start_new_session=True,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        assert done.stdout.strip() == expected, done.stderr
        assert done.stderr == ""
        assert len(list((tmp_path / "store").glob("*.json"))) >= 2
