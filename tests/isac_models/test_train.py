"""The trainer's command line, from start to finish, with a task that takes no time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isac_models.artifact import load
from isac_models.learning import checkpoint, session
from isac_models.scenario import Scenario
from isac_models.train import main
from tests.isac_models.learning.small_task import TRUTH, SmallTask

ROOT = Path(__file__).resolve().parents[2]
SMALL = "tests.isac_models.learning.small_task:SmallTask"
FAILING = "tests.isac_models.learning.small_task:FailingTask"
# The program with the small task in the place of the real one.
PROGRAM = f"""
import signal, sys
from isac_models.learning import session
from isac_models.train import main
session.TASKS["model-driven"] = {FAILING!r}
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(session.TASKS, "model-driven", SMALL)
    monkeypatch.chdir(tmp_path)


def train(*arguments: str) -> int:
    return main(["model-driven", *arguments])


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM, "model-driven", "--device", "cpu", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


def weights(folder: str | Path) -> list[float]:
    """What the small task learned, from its artifact."""
    found: list[float] = load(Path(folder) / "artifact.safetensors").training["weights"]
    return found


def test_a_training_from_start_to_finish(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--out", "new/folder", "--iterations", "600", "--scenario", "limited", "--seed", "7") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert re.fullmatch(
        r"training model-driven: 600 iterations on cpu, \d+ threads?, into new/folder", lines[0]
    )
    assert re.fullmatch(
        r"model-driven trained in \d+ s: 600 iterations, loss 0\.01\d*, held-out loss 0\.01\d*", lines[1]
    )
    assert lines[2] == "written: new/folder/artifact.safetensors"
    assert lines[3] == (
        "use it:  python flowgraphs/isac_link.py --scenario limited --precoder learned "
        "--artifact new/folder/artifact.safetensors"
    )
    artifact = load("new/folder/artifact.safetensors")
    assert (artifact.kind, artifact.scenario, artifact.seed) == (
        "model-driven",
        Scenario.preset("limited"),
        7,
    )
    training = artifact.training
    np.testing.assert_allclose(training["weights"], TRUTH, atol=0.05)
    assert (training["iterations"], training["steps"], training["batch"]) == (600, 600, 32)
    assert [at for at, _ in training["held_out_losses"]] == [0, 500, 600]
    assert artifact.held_out_loss == training["held_out_losses"][-1][1]
    assert {"python", "numpy", "safetensors", "isac-blocks"} <= artifact.versions.keys()
    saved = checkpoint.load("new/folder/checkpoint.safetensors")
    assert saved.progress.iteration == 600
    np.testing.assert_array_equal(saved.state["weights"], training["weights"])
    assert len(list(Path("new/folder").glob("events.out.tfevents.*"))) == 1


def test_the_command_in_the_header_trains_the_same_again() -> None:
    assert train("--out", "a", "--iterations", "50", "--antennas", "8", "--snr-radar", "-3", "--lr", "0.1",
                 "--patience", "40", "--held-out-every", "10", "--threads", "1", "--quiet") == 0  # fmt: skip
    command = shlex.split(load("a/artifact.safetensors").training["command"])
    assert command[:3] == ["python", "-m", "isac_models.train"]
    assert main([*command[3:], "--quiet"]) == 0
    first, again = load("a/artifact.safetensors"), load("DIR/artifact.safetensors")
    assert {**first.training, "seconds": 0} == {**again.training, "seconds": 0}
    assert (first.scenario, first.sha256) == (again.scenario, again.sha256)


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--out", "a", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_what_is_finished_can_be_resumed_and_stays_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--out", "a") == 0
    before = load("a/artifact.safetensors")
    Path("a/artifact.safetensors").unlink()
    capsys.readouterr()
    assert train("--resume", "a") == 0
    assert "continuing model-driven at iteration 100 of 100" in capsys.readouterr().out
    after = load("a/artifact.safetensors")
    assert {**before.training, "seconds": 0} == {**after.training, "seconds": 0}


def test_a_flat_loss_ends_the_training_early(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--out", "a", "--iterations", "20000", "--held-out-every", "100", "--patience", "500") == 0
    training = load("a/artifact.safetensors").training
    assert training["steps"] < 10_000
    assert f"{training['steps']:,} iterations of 20,000, flat before the end" in capsys.readouterr().out
    assert train("--resume", "a", "--quiet") == 0
    assert load("a/artifact.safetensors").training["steps"] == training["steps"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_saves_and_goes_on_as_if_nothing_had_been(number: signal.Signals) -> None:
    options = ["--iterations", "400", "--seed", "3", "--threads", "1"]
    process = start("--out", "my folder", *options, SMALL_TASK_PAUSE="0.02")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("training ")
    process.send_signal(number)
    status, out, err = finish(process)
    assert (status, out) == (130, "")
    said = re.fullmatch(r"stopped after (\d+) of 400 iterations; continue with: (.*)\n", err)
    assert said, err
    saved = checkpoint.load("my folder/checkpoint.safetensors")
    assert saved.progress.iteration == int(said[1]) < 400
    assert not Path("my folder/artifact.safetensors").exists()

    interpreter, dash, module, *arguments = shlex.split(said[2])
    assert (dash, module) == ("-m", "isac_models.train")
    assert os.path.samefile(interpreter, sys.executable)
    assert main([*arguments, "--quiet"]) == 0
    assert train("--out", "whole", "--quiet", *options) == 0
    assert weights("my folder") == weights("whole")


def test_a_killed_training_goes_on_from_its_checkpoint() -> None:
    options = ["--iterations", "300", "--threads", "1"]
    process = start("--out", "a", "--checkpoint-every", "0", *options, SMALL_TASK_PAUSE="0.01")
    try:
        assert process.stdout is not None
        process.stdout.readline()
        iteration = 0
        while iteration == 0 and process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
            iteration = checkpoint.load("a/checkpoint.safetensors").progress.iteration
    finally:
        process.kill()
        process.communicate()
    assert 0 < checkpoint.load("a/checkpoint.safetensors").progress.iteration < 300
    assert train("--resume", "a", "--quiet") == 0
    assert train("--out", "whole", "--quiet", *options) == 0
    assert weights("a") == weights("whole")


def test_a_second_ctrl_c_ends_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(session.TASKS, "model-driven", FAILING)
    monkeypatch.setenv("SMALL_TASK_FAILURE", "impatience")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
    try:
        assert train("--out", "a", "--quiet") == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"error: stopped at once; continue from the last checkpoint with: .* model-driven --resume a\n", said
    )
    assert checkpoint.load("a/checkpoint.safetensors").progress.iteration == 0
    monkeypatch.delenv("SMALL_TASK_FAILURE")
    assert train("--resume", "a", "--quiet") == 0


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("disk", r"cannot write a/checkpoint\.safetensors: File too large; .* iteration (\d+) "),
        (
            "loss",
            r"diverged: the loss of iteration 60 is nan; train anew with --lr below 0\.05; .* (\d+) is kept",
        ),
        ("memory", "not enough memory: give a smaller --batch"),
    ],
)
def test_a_failure_on_the_way_is_one_line_and_keeps_the_checkpoint(failure: str, words: str) -> None:
    process = start("--out", "a", "--checkpoint-every", "0", "--threads", "1", SMALL_TASK_FAILURE=failure)
    status, _, err = finish(process)
    assert status == 1
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    found = re.search(words, err)
    assert found, err
    saved = checkpoint.load("a/checkpoint.safetensors")
    assert saved.progress.iteration <= 61
    assert found.lastindex is None or saved.progress.iteration == int(found[1])
    assert [path.name for path in Path("a").glob(".*")] == []
    assert train("--resume", "a", "--quiet") == 0
    assert train("--out", "whole", "--threads", "1", "--quiet") == 0
    assert weights("a") == weights("whole")


def test_a_bug_is_not_dressed_up() -> None:
    status, _, err = finish(start("--out", "a", SMALL_TASK_FAILURE="bug"))
    assert status == 1
    assert err.endswith("RuntimeError: a bug\n")


def test_a_disk_that_is_full_from_the_start_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100, 1000))\n{PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", code, "model-driven", "--out", "a", "--device", "cpu"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: cannot write a/checkpoint.safetensors: File too large\n"
    assert not Path("a").exists()


def test_the_same_settings_may_be_repeated() -> None:
    options = ["--lr", "0.05", "--iterations", "100", "--scenario", "impaired", "--antennas", "8", "--quiet"]
    assert train("--out", "a", *options) == 0
    assert train("--resume", "a", *options) == 0
    assert train("--resume", "a", "--antennas", "8", "--quiet") == 0


def test_other_threads_and_packages_are_remarked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train("--out", "a", "--quiet", "--threads", "1") == 0
    monkeypatch.setattr(session, "versions", lambda: {"numpy": "99"})
    assert train("--resume", "a", "--threads", "2") == 0
    remark = capsys.readouterr().out.splitlines()[1]
    assert remark.startswith(
        "the weights may differ in their last digits from here on: threads is 2, was 1, "
    )
    assert "numpy is 99, was" in remark


def test_only_the_first_of_several_processes_writes_and_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(SmallTask, "agree", lambda task, stop: stop, raising=False)
    assert train("--out", "a") == 0
    assert capsys.readouterr() == ("", "")
    assert not Path("a").exists()


def test_without_tensorboard_the_training_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    assert train("--out", "a") == 0
    assert "no TensorBoard events without tensorboard" in capsys.readouterr().out
    assert not list(Path("a").glob("events*"))


def test_help_explains_both_kinds_without_the_heavy_libraries() -> None:
    code = (
        "import json, sys\n"
        "from isac_models.train import main\n"
        "try:\n"
        "    main(json.loads(sys.argv[1]))\n"
        "except SystemExit:\n"
        "    heavy = {'numba', 'rich', 'safetensors', 'scipy', 'tensorboard', 'torch'}\n"
        "    print(sorted(heavy & set(sys.modules)))\n"
    )
    for arguments, words in (
        (["--help"], ("the five networks", "the matrix A", "--resume")),
        (["model-driven", "--help"], ("--recipe", "--from-recording", "--grid-size")),
        (["neural", "--help"], ("--hidden", "--omega", "--literal-loss")),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert all(word in done.stdout for word in words)
        assert done.stdout.splitlines()[-1] == "[]"
