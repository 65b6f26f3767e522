"""``python -m tests.hil.frontend`` as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hil.control_client import LabControl
from tests.hil.frontend.__main__ import parser, start

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "tests.hil.frontend"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The program, started with a scenario; killed at the end if it still runs."""
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps({"antennas": 3, "comm_gain": 10.0}))
    arguments = [
        "--address",
        f"zmq:ipc://{tmp_path}",
        "--scenario",
        str(scenario),
        "--until-eof",
        "--cfo",
        "0.002",
    ]
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, env=ENVIRONMENT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        yield process
        if process.poll() is None:
            process.kill()


def ready(process: subprocess.Popen[str]) -> dict[str, object]:
    """The line that it prints."""
    assert process.stdout is not None
    line: dict[str, object] = json.loads(process.stdout.readline())
    assert line["ready"] is True
    return line


def test_it_says_where_it_is_and_ends_with_its_standard_input(running: subprocess.Popen[str]) -> None:
    line = ready(running)
    assert (line["tx_channels"], line["rx_channels"]) == (3, 4)
    with LabControl(str(line["control"])) as lab:
        assert lab.hello()["session"] == line["session"]
        assert lab.settings()["unknowns"]["cfo"] == 0.002
        assert lab.settings()["settings"]["scenario"]["comm_gain"] == 10.0
    assert running.stdin is not None
    running.stdin.close()
    assert running.wait(10) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_on_a_signal(running: subprocess.Popen[str], number: signal.Signals) -> None:
    ready(running)
    running.send_signal(number)
    assert running.wait(10) == 0


def test_it_ends_when_told_to(running: subprocess.Popen[str]) -> None:
    with LabControl(str(ready(running)["control"])) as lab:
        lab.quit()
    assert running.wait(10) == 0


@pytest.mark.namespaces
def test_in_a_network_of_its_own_it_is_reached_through_files(tmp_path: Path) -> None:
    control = f"ipc://{tmp_path}/control"
    arguments = ["--address", f"zmq:ipc://{tmp_path}", "--control", control, "--namespace", "--until-eof"]
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, env=ENVIRONMENT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        if not process.stdout.readline():
            pytest.skip(process.stderr.read().strip())
        assert Path(f"/proc/{process.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
        with LabControl(control) as lab:
            assert lab.hello()["rx_channels"] == 17
            lab.quit()
        assert process.wait(10) == 0


def test_what_it_cannot_do_it_says_in_a_line() -> None:
    done = subprocess.run(
        [*COMMAND, "--leakage-delay", "1"], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "error: leakage_delay must be from 4 to 4096, not 1\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--scenario", "/nonexistent.json"], "No such file"),
        (["--paced", "1e9"], "--paced must be from 1 to 100000"),
        (["--address", "zmq:udp://x"], "give zmq:tcp://HOST:PORT"),
        (["--address", "zmq:ipc://{folder}", "--control", "nonsense"], "control at nonsense"),
    ],
)
def test_what_cannot_be_started_is_refused(tmp_path: Path, arguments: list[str], reason: str) -> None:
    arguments = [text.replace("{folder}", str(tmp_path)) for text in arguments]
    with pytest.raises(ValueError, match=reason):
        start(parser().parse_args(arguments), threading.Event())


def test_help_names_every_unknown() -> None:
    done = subprocess.run(
        [*COMMAND, "--help"],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    for option in ("--cfo", "--clock-ppm", "--ue-delay", "--leakage-db", "--bits", "--seed", "--control"):
        assert option in done.stdout
