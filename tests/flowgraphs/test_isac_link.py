"""The link as a user meets it: the script as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import isac_link
import isac_link_options
import isac_replay

ROOT = Path(__file__).parents[2]
LINK = ROOT / "flowgraphs" / "isac_link.py"
ASSET = ROOT / "flowgraphs" / "assets" / "hopper.png"
STRONG = ("--scenario", "ideal", "--rho", "0", "--snr-comm", "80")  # a channel without errors

RATES = ("ser", "ber", "p_md", "p_fa", "rmse_rad")
KEYS = {
    "scenario",
    "snapshots",
    *(f"{rate}{end}" for rate in RATES for end in ("", "_low", "_high")),
    "threshold",
    "theory",
    "seconds",
    "snapshots_per_second",
    "lost_frames",
    "repeated_frames",
    "blocks",
}


class Program:
    """Runs the scripts in this process, which saves the start-up; standard error must stay silent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def run(self, *arguments: str, main: Callable[[], int] = isac_link.main) -> str:
        """What a run prints on standard output."""
        self._monkeypatch.setattr(sys, "argv", ["program", *arguments])
        status = isac_link_options.run_program(main)
        captured = self._capfd.readouterr()
        assert (status, captured.err) == (0, "")
        return captured.out

    def measured(self, *arguments: str, main: Callable[[], int] = isac_link.main) -> dict[str, Any]:
        """The JSON object of a run."""
        found: dict[str, Any] = json.loads(self.run(*arguments, "--json", main=main))
        return found


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capfd)


def command(*arguments: str) -> list[str]:
    """The link as a process of its own."""
    return [sys.executable, str(LINK), *arguments]


def counts(result: dict[str, Any]) -> dict[str, Any]:
    """What must be the same for the same seed."""
    return {key: result[key] for key in (*RATES, "snapshots", "counters", "threshold")}


def test_the_result_has_every_key_and_agrees_with_theory(program: Program) -> None:
    result = program.measured("--scenario", "ideal", "--snapshots", "2e5", "--seed", "3")
    assert result.keys() >= KEYS
    assert result["snapshots"] == 200_000
    assert (result["lost_frames"], result["interrupted"]) == (0, False)
    assert result["theory"].keys() >= {"ser", "p_md_genie", "rmse_bound_rad"}
    for rate in RATES:
        assert result[f"{rate}_low"] < result[rate] < result[f"{rate}_high"]
    # The 95 % interval is four standard deviations wide: six of them, for a fixed seed.
    for rate, expected in (("ser", result["theory"]["ser"]), ("p_fa", 0.01)):
        half = result[f"{rate}_high"] - result[f"{rate}_low"]
        assert abs(result[rate] - expected) < 1.5 * half
    assert result["p_md"] > result["theory"]["p_md_genie"]
    assert result["rmse_rad"] > result["theory"]["rmse_bound_rad"]
    source = result["blocks"]["message_source"]
    assert (source["frames"], source["snapshots"]) == (13, 200_000)
    assert source.keys() >= {"busy_seconds", "waiting_seconds"}


def test_a_seed_gives_the_same_counts_however_the_link_runs(program: Program) -> None:
    arguments = ("--snapshots", "5e4", "--seed", "7")
    expected = counts(program.measured(*arguments))
    assert counts(program.measured(*arguments, "--transport", "ipc")) == expected
    assert counts(program.measured(*arguments, "--transport", "tcp")) == expected
    assert (
        counts(program.measured(*arguments, "--replicas", "detector=2", "--replicas", "miso_channel=3"))
        == expected
    )
    other = counts(program.measured(*arguments, "--frame", "1000"))
    for key in ("ser", "ber", "p_md", "p_fa", "snapshots"):
        assert other[key] == expected[key]
    assert other["rmse_rad"] == pytest.approx(expected["rmse_rad"], rel=1e-9)


def test_a_picture_crosses_and_is_drawn(program: Program, tmp_path: Path) -> None:
    out, plot = tmp_path / "received.png", tmp_path / "link.png"
    result = program.measured("--file", str(ASSET), "--out", str(out), "--plot", str(plot))
    assert result["snapshots"] == 128 * 128 * 3 * 8 // 2
    assert result["file"]["payload_bytes"] == 128 * 128 * 3
    with Image.open(ASSET) as sent, Image.open(out) as received:
        assert (received.mode, received.size) == (sent.mode, sent.size)
        pairs = zip(sent.tobytes(), received.tobytes(), strict=True)
        assert sum(a != b for a, b in pairs) == result["file"]["bytes_differ"] > 0
    assert result["file"]["intact"] is False
    with Image.open(plot) as picture:
        assert picture.format == "PNG"
    assert sorted(os.listdir(tmp_path)) == ["link.png", "received.png"]


@pytest.mark.parametrize("order", ["4", "64"])
def test_a_file_arrives_with_its_length_and_random_messages_follow(
    program: Program, tmp_path: Path, order: str
) -> None:
    data, out = os.urandom(1001), tmp_path / "out.bin"
    (tmp_path / "in.bin").write_bytes(data)
    arguments = (
        "--file",
        str(tmp_path / "in.bin"),
        "--out",
        str(out),
        "--snapshots",
        "5000",
        "--order",
        order,
    )
    result = program.measured(*STRONG, *arguments)
    assert out.read_bytes() == data
    assert (result["file"]["intact"], result["file"]["bytes_differ"], result["snapshots"]) == (True, 0, 5000)


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_standard_input_goes_to_standard_output(transport: str) -> None:
    data = os.urandom(100_003)
    done = subprocess.run(
        command(*STRONG, "--file", "-", "--out", "-", "--transport", transport),
        input=data,
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == data
    assert b"intact" in done.stderr


def test_a_picture_file_can_go_as_its_bytes(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    program.run(*STRONG, "--file", str(ASSET), "--as-bytes", "--out", str(out), "--quiet")
    assert out.read_bytes() == ASSET.read_bytes()


def test_a_table_is_printed_and_quiet_prints_nothing(program: Program) -> None:
    text = program.run("--snapshots", "2e4")
    for word in ("SER", "BER", "P_md", "P_fa", "RMSE", "95 % interval", "theory", "0 lost"):
        assert word in text
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert program.run("--snapshots", "2e4", "--quiet") == ""


def test_a_recording_replays_to_the_same_result(program: Program, tmp_path: Path) -> None:
    recording = tmp_path / "echoes.rec"
    arguments = ("--snapshots", "5e4", "--frame", "4096")
    result = program.measured(*arguments, "--record", str(recording))
    replayed = program.measured(str(recording), main=isac_replay.main)
    for key in ("p_md", "p_fa", "rmse_rad", "snapshots", "threshold", "scenario"):
        assert replayed[key] == result[key]
    softmax = program.measured(
        str(recording), "--estimator", "softmax", "--false-alarm", "1e-3", main=isac_replay.main
    )
    assert softmax["p_fa"] < result["p_fa"]
    assert softmax["p_md"] > result["p_md"]

    recording.write_bytes(recording.read_bytes()[:-1000])
    salvaged = program.measured(str(recording), "--salvage", main=isac_replay.main)
    assert salvaged["snapshots"] == 12 * 4096
    assert salvaged["recording"]["salvaged"] is True
    assert "cut off" in program.run(str(recording), "--salvage", main=isac_replay.main)


def test_the_detector_of_the_readme_stands_in(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (ROOT / "README.md").read_text()
    code = next(part for part in readme.split("```python\n") if "class EnergyDetector" in part).split("```")[
        0
    ]
    (tmp_path / "readme_energy.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ("--detector", "readme_energy:EnergyDetector")
    recording = tmp_path / "echoes.rec"
    result = program.measured(*arguments, "--snapshots", "2e4", "--record", str(recording))
    assert (result["threshold"], result["estimator"], result["theory"]["rmse_bound_rad"]) == (
        None,
        None,
        None,
    )
    assert result["p_md"] > result["theory"]["p_md_genie"]
    replayed = program.measured(str(recording), *arguments, main=isac_replay.main)
    assert replayed["p_md"] == result["p_md"]


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
def test_ctrl_c_stops_and_prints_what_was_measured(program: Program, tmp_path: Path, transport: str) -> None:
    out, recording = tmp_path / "out.bin", tmp_path / "echoes.rec"
    out.write_bytes(b"before")
    # A pipe that stays open: the run cannot end by itself.
    arguments = (
        "--file",
        "-",
        "--out",
        str(out),
        "--record",
        str(recording),
        "--transport",
        transport,
        "--json",
    )
    reader, writer = os.pipe()
    with subprocess.Popen(
        command(*arguments), stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.write(writer, os.urandom(16384 // 4 * 5))
        partial = Path(f"{recording}.partial")
        wait_for(lambda: partial.exists() and partial.stat().st_size > 3 * 16384 * 16 * 8, process)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    os.close(reader)
    os.close(writer)
    assert process.returncode == 130, stderr.decode()
    assert stderr == b""
    result = json.loads(stdout)
    assert result["interrupted"] is True
    assert result["snapshots"] >= 3 * 16384
    assert result["ser_low"] <= result["ser"] <= result["ser_high"]
    assert out.read_bytes() == b"before"
    assert sorted(os.listdir(tmp_path)) == ["echoes.rec.partial", "out.bin"]
    replayed = program.measured(str(partial), main=isac_replay.main)
    assert replayed["snapshots"] == result["recording"]["snapshots"] >= 3 * 16384


def test_two_nodes_share_the_link_and_only_one_has_the_file(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        control = f"127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "nodes.toml").write_text(
        f'control = "{control}"\n'
        "[nodes.sender]\n"
        'blocks = ["message_source", "qam_encoder", "precoder", '
        '"target_reflector", "detector", "sensing_metrics"]\n'
        "[nodes.receiver]\n"
        'blocks = ["miso_channel", "demodulator", "communication_metrics", "message_sink"]\n'
    )
    data = os.urandom(5000)
    for node in ("sender", "receiver"):
        (tmp_path / node).mkdir()
    (tmp_path / "sender" / "in.bin").write_bytes(data)
    arguments = (
        *STRONG,
        "--file",
        "in.bin",
        "--out",
        "out.bin",
        "--transport",
        "tcp",
        "--nodes",
        "../nodes.toml",
    )
    nodes = [
        subprocess.Popen(
            command(*arguments, "--json", "--node", node),
            cwd=tmp_path / node,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for node in ("sender", "receiver")
    ]
    results = []
    for process in nodes:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr.decode()
        results.append(json.loads(stdout))
    assert (tmp_path / "receiver" / "out.bin").read_bytes() == data
    assert not (tmp_path / "sender" / "out.bin").exists()
    assert all(result["file"]["intact"] is True and result["snapshots"] == 20_000 for result in results)


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
def test_a_failing_block_is_one_line_and_leaves_nothing(tmp_path: Path, transport: str) -> None:
    file, out, recording = tmp_path / "in.bin", tmp_path / "out.bin", tmp_path / "echoes.rec"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 30)
    arguments = ("--file", str(file), "--out", str(out), "--record", str(recording), "--transport", transport)
    with subprocess.Popen(
        command(*arguments, "--verbose"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        partial = Path(f"{recording}.partial")
        wait_for(lambda: partial.exists() and partial.stat().st_size > 0, process)
        os.truncate(file, 10)  # while it is being sent
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stdout == ""
    assert re.search(
        r"^error: block message_source failed at frame \d+: OSError: .* became shorter", stderr, re.MULTILINE
    )
    assert stderr.count("error: ") == 1
    assert stderr.startswith("Traceback")
    assert sorted(os.listdir(tmp_path)) == ["echoes.rec.partial", "in.bin"]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Wait until a condition holds; the process must not end meanwhile."""
    for _ in range(1200):
        if condition():
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            raise AssertionError("the run ended early")
    raise AssertionError("nothing happened")
