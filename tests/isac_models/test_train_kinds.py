"""The real trainings from the command line: stopped and resumed, in one process and in several."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac_models.artifact import load
from isac_models.learning import checkpoint
from isac_models.train import main

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "model-driven": ["--scenario", "limited", "--iterations", "300", "--batch", "200"],
    "neural": ["--scenario", "limited", "--iterations", "100", "--batch", "200", "--omega", "0.1", "1"],
}
COMMON = ["--seed", "5", "--held-out-every", "50", "--device", "cpu", "--threads", "1"]
RESTORE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(process: subprocess.Popen[str], reached: Callable[[int], bool]) -> None:
    """Wait for a checkpoint of an iteration that was asked for."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("training "), line
    while not reached(checkpoint.load("parts/checkpoint.safetensors").progress.iteration):
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it ended before its time: {process.wait(0.02)}")


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, err


@pytest.mark.parametrize("kind", SMALL)
def test_interrupted_and_resumed_weights_are_those_of_an_uninterrupted_training(kind: str) -> None:
    code = f"{RESTORE}; import sys; from isac_models.train import main; sys.exit(main())"
    options = [*SMALL[kind], *COMMON, "--checkpoint-every", "0"]
    process = start(sys.executable, "-c", code, kind, "--out", "parts", *options)
    until(process, lambda iteration: iteration > 0)
    process.send_signal(signal.SIGINT)
    status, err = finish(process)
    assert status == 130, err
    said = re.fullmatch(r"stopped after (\d+) of \d+ iterations; continue with: (.*)\n", err)
    assert said, err
    assert checkpoint.load("parts/checkpoint.safetensors").progress.iteration == int(said[1])

    status, err = finish(start(*shlex.split(said[2])))
    assert (status, err) == (0, "")
    assert main([kind, "--out", "whole", "--quiet", *options]) == 0
    parts, whole = load("parts/artifact.safetensors"), load("whole/artifact.safetensors")
    assert parts.sha256 == whole.sha256
    assert {**parts.training, "seconds": 0} == {**whole.training, "seconds": 0}
    states = [checkpoint.load(f"{name}/checkpoint.safetensors").state for name in ("parts", "whole")]
    assert states[0].keys() == states[1].keys()
    assert all(states[0][name].tobytes() == states[1][name].tobytes() for name in states[0])


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("model-driven", "--lr 0", "learning rate, must be a positive number"),
        ("model-driven", "--recipe secret", "unknown recipe 'secret'"),
        ("model-driven", "--initial-variance -1", "--initial-variance must be"),
        ("model-driven", "--from-recording none", "none"),
        ("model-driven", "--seed -1", "--seed must be"),
        ("neural", "--hidden 1e6", "--hidden must be"),
        ("neural", "--seed -1", "--seed must be"),
        ("neural", "--sector-mean 80 -80", "--sector-mean must be"),
        ("neural", "--flat 2", "--flat must be"),
        ("neural", "--omega 0.1 0.1", "--omega needs"),
    ],
)
def test_impossible_settings_are_one_line(
    kind: str, options: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([kind, "--out", "a", *options.split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("rate", ["1e3", "1e20"])
def test_a_rate_that_is_far_too_high_stops_the_training(
    rate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--scenario", "limited", "--iterations", "5000", "--batch", "50", "--quiet", *COMMON]
    assert main(["model-driven", "--out", "a", "--lr", rate, *options]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: the training diverged: ")
    assert f"; train anew with --lr below {float(rate):g}; the checkpoint of iteration " in said
    assert said.count("\n") == 1
    state = checkpoint.load("a/checkpoint.safetensors").state
    assert all(np.isfinite(array).all() for array in state.values())


@pytest.mark.parametrize("iterations", ["1", "30"])  # the held-out loss tells, and that of an iteration
def test_a_loss_beyond_all_numbers_is_one_line(iterations: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--scenario", "limited", "--iterations", iterations, "--batch", "64", "--quiet", *COMMON]
    assert main(["model-driven", "--out", "a", "--lr", "1e39", *options]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: the training diverged: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("model-driven", {"batch": "abc"}, "batch must be a whole number, not 'abc'"),
        ("model-driven", {"recipe": ["x"]}, "recipe must be text, not ['x']"),
        ("model-driven", {"batch": None}, "the setting batch is missing"),
        ("neural", {"sector_mean_deg": "ab"}, "sector_mean_deg must be a list of numbers, not 'ab'"),
        ("neural", {"flat": "x"}, "flat must be a number, not 'x'"),
    ],
)
def test_a_checkpoint_with_impossible_settings_is_one_line(
    kind: str, changes: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([kind, "--out", "a", "--quiet", *SMALL[kind], *COMMON, "--iterations", "2"]) == 0
    saved = checkpoint.load("a/checkpoint.safetensors")
    for settings in ({**saved.settings, **changes}, {}):
        checkpoint.save("a/checkpoint.safetensors", replace(saved, settings=settings))
        assert main([kind, "--resume", "a"]) == 2
        expected = words if settings else "the setting "
        said = capsys.readouterr().err
        assert said.startswith(f"error: a/checkpoint.safetensors: {expected}")
        assert said.count("\n") == 1


@pytest.mark.slow
def test_two_processes_train_as_one_stop_together_and_go_on() -> None:
    options = ["--out", "parts", *SMALL["neural"], *COMMON]
    launch = f"{RESTORE}; import runpy; runpy.run_module('torch.distributed.run', None, '__main__')"
    command = [sys.executable, "-c", launch, *TORCHRUN[3:], "-m", "isac_models.train", "neural"]
    process = start(*command, *options, "--checkpoint-every", "0")
    until(process, lambda iteration: iteration > 0)
    process.send_signal(signal.SIGINT)
    status, err = finish(process)
    assert status != 0
    said = re.search(r"stopped after (\d+) of 200 iterations; continue with: (.*)\n", err)
    assert said, err
    assert err.count("continue with") == 1
    assert said[2] == "torchrun --nproc-per-node 2 -m isac_models.train neural --resume parts"
    assert checkpoint.load("parts/checkpoint.safetensors").progress.iteration == int(said[1])

    status, err = finish(start(*TORCHRUN, *shlex.split(said[2])[3:]))
    assert status == 0, err
    status, err = finish(
        start(*TORCHRUN, "-m", "isac_models.train", "neural", "--out", "whole", *options[2:])
    )
    assert status == 0, err
    parts, whole = load("parts/artifact.safetensors"), load("whole/artifact.safetensors")
    assert parts.sha256 == whole.sha256
    assert whole.training["command"].startswith("torchrun --nproc-per-node 2 -m isac_models.train neural ")
    names = sorted(re.sub(r"tfevents.*", "tfevents", path.name) for path in Path("whole").iterdir())
    assert names == ["artifact.safetensors", "checkpoint.safetensors", "events.out.tfevents"]

    assert main(["neural", "--out", "one", "--quiet", *options[2:]]) == 0
    one = load("one/artifact.safetensors")
    for name, array in one.tensors.items():
        np.testing.assert_allclose(whole.tensors[name], array, atol=1e-3)
    assert whole.held_out_loss == pytest.approx(one.held_out_loss, rel=1e-3)


def test_networks_that_end_early_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    stopping = ["--patience", "20", "--check-every", "10", "--flat", "0.9"]
    assert main(["neural", "--out", "a", *SMALL["neural"], *COMMON, *stopping]) == 0
    assert "(4 of 4 steps of an ω_r were flat and ended early, after 20 or more)" in capsys.readouterr().out
    assert load("a/artifact.safetensors").training["stopped_at"] == [[20, 120], [20, 120]]
