"""Bad input: one clear line on standard error, exit status 2, nothing written."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import isac_link
import isac_link_options
import isac_replay

ASSET = Path(__file__).parents[2] / "flowgraphs" / "assets" / "hopper.png"
Attempt = Callable[..., str]
BLOCKS = [
    "message_source",
    "qam_encoder",
    "precoder",
    "miso_channel",
    "demodulator",
    "communication_metrics",
    "target_reflector",
    "detector",
    "sensing_metrics",
]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Attempt:
    """Runs a program in an empty folder; gives back the line that it refuses with."""
    monkeypatch.chdir(tmp_path)

    def attempt(*arguments: str, main: Callable[[], int] = isac_link.main) -> str:
        before = snapshot(tmp_path)
        monkeypatch.setattr(sys, "argv", ["program", *arguments])
        with pytest.raises(SystemExit) as stop:
            sys.exit(isac_link_options.run_program(main))
        captured = capfd.readouterr()
        assert stop.value.code == 2, captured.err
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1
        assert captured.err.endswith("\n")
        assert snapshot(tmp_path) == before
        return captured.err

    return attempt


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file of a folder with its content."""
    return {str(p): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


SCENARIOS: dict[str, tuple[list[str], str]] = {
    "unknown preset": (["--scenario", "imparied"], "did you mean impaired?"),
    "missing scenario file": (["--scenario", "missing.toml"], "missing.toml"),
    "reversed sector": (["--target-sector", "20", "-20"], "--target-sector"),
    "sector beyond ±90°": (["--comm-sector", "30", "91"], "--comm-sector"),
    "sector between grid points": (["--target-sector", "10.1", "10.2", "--grid-size", "100"], "grid"),
    "order that is no square QAM": (["--order", "8"], "--order"),
    "order that is no number": (["--order", "four"], "--order"),
    "zero antennas": (["--antennas", "0"], "--antennas"),
    "fractional antennas": (["--antennas", "2.5"], "--antennas"),
    "grid too small": (["--grid-size", "12"], "--grid-size"),
    "P_fa of zero": (["--false-alarm", "0"], "--false-alarm"),
    "P_fa of one": (["--false-alarm", "1"], "--false-alarm"),
    "P_fa that is no number": (["--false-alarm", "nan"], "--false-alarm"),
    "infinite SNR": (["--snr-comm", "inf"], "--snr-comm"),
    "SNR that is no number": (["--snr-radar", "nan"], "--snr-radar"),
    "unknown impairment": (["--impairment", "rust"], "spacing"),
    "negative impairment seed": (["--impairment-seed", "-1"], "--impairment-seed"),
}

CHOICES: dict[str, tuple[list[str], str]] = {
    "share of sensing below 0": (["--rho", "-0.1"], "rho"),
    "share of sensing above 1": (["--rho", "1.1"], "rho"),
    "share that is no number": (["--rho", "nan"], "--rho"),
    "infinite phase": (["--phi", "inf"], "--phi"),
    "beams that cancel": (
        ["--comm-sector", "-40", "-20", "--rho", "0.5", "--phi", "3.141592653589793"],
        "cancel",
    ),
    "unknown precoder": (["--precoder", "learnt"], "did you mean learned?"),
    "unknown encoder": (["--encoder", "psk"], "there is qam, neural"),
    "unknown detector": (["--detector", "matched"], "matched-filter"),
    "unknown demodulator": (["--demodulator", "x"], "ml"),
    "empty precoder": (["--precoder", ""], "--precoder: '' is no name"),
    "empty encoder": (["--encoder", ""], "--encoder: '' is no name"),
    "empty detector": (["--detector", " "], "--detector: ' ' is no name"),
    "empty demodulator": (["--demodulator", ""], "--demodulator: '' is no name"),
    "unknown estimator": (["--estimator", "max"], "argmax"),
    "unknown option": (["--snapshot", "5"], "--snapshot"),
    "unknown transport": (["--transport", "udp"], "inproc"),
    "zero snapshots": (["--snapshots", "0"], "--snapshots"),
    "negative snapshots": (["--snapshots", "-5"], "--snapshots"),
    "fractional snapshots": (["--snapshots", "1.5"], "--snapshots"),
    "infinite snapshots": (["--snapshots", "inf"], "--snapshots"),
    "zero frame": (["--frame", "0"], "--frame"),
    "huge frame": (["--frame", "1e9"], "--frame"),
    "huge frame for the array": (
        ["--frame", "1e5", "--antennas", "1024", "--grid-size", "2048"],
        "at most 32768",
    ),
    "deployment without a node": (["--transport", "tcp", "--nodes", "n.toml"], "--node"),
    "negative seed": (["--seed", "-1"], "--seed"),
    "replicas of an unknown block": (["--replicas", "detectr=2"], "did you mean detector?"),
    "replicas of a sink": (["--replicas", "sensing_metrics=2"], "sensing_metrics"),
    "replicas without a number": (["--replicas", "detector"], "BLOCK=N"),
    "node without a deployment": (["--transport", "tcp", "--node", "a"], "--nodes"),
    "deployment without tcp": (["--nodes", "n.toml", "--node", "a"], "--transport tcp"),
    "missing deployment": (["--transport", "tcp", "--nodes", "n.toml", "--node", "a"], "n.toml"),
}

FILES: dict[str, tuple[list[str], str]] = {
    "missing file": (["--file", "missing"], "no such file"),
    "empty file": (["--file", "empty"], "the file is empty"),
    "empty file name": (["--file", ""], "--file"),
    "directory": (["--file", "folder"], "directory"),
    "device": (["--file", "/dev/zero"], "device"),
    "broken picture": (["--file", "broken.png"], "broken picture"),
    "too few snapshots": (["--file", "kept", "--snapshots", "3"], "needs 16 snapshots"),
    "output without a file": (["--out", "new"], "--file"),
    "output in a missing folder": (["--file", "kept", "--out", "none/new"], "none"),
    "output that is a directory": (["--file", "kept", "--out", "folder"], "directory"),
    "two things for standard output": (["--file", "kept", "--out", "-", "--json"], "--json"),
    "recording in a missing folder": (["--record", "none/new"], "none"),
    "recording on standard output": (["--record", "-"], "recording"),
    "plot in a missing folder": (["--plot", "none/new.png"], "none"),
    "plot of an unknown kind": (["--plot", "new.gif"], ".png"),
    "two outputs of one name": (["--record", "same.png", "--plot", "same.png"], "same.png"),
    "bad input with an output": (["--file", "missing", "--out", "kept"], "no such file"),
    "bad beam with an output": (["--file", "kept", "--out", "empty", "--rho", "7"], "rho"),
    "output over the input": (["--file", "kept", "--out", "kept"], "same file"),
}


@pytest.mark.parametrize("name", [*SCENARIOS, *CHOICES])
def test_values_that_cannot_be(refused: Attempt, name: str) -> None:
    arguments, reason = {**SCENARIOS, **CHOICES}[name]
    assert reason in refused(*arguments)


@pytest.mark.parametrize("name", FILES)
def test_files_that_cannot_be_read_or_written(refused: Attempt, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "kept").write_bytes(b"keep")
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.png").write_bytes(ASSET.read_bytes()[:1000])
    arguments, reason = FILES[name]
    assert reason in refused(*arguments)


def test_a_plot_without_matplotlib(refused: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "--plot needs matplotlib: pip install 'isac-blocks[plot]'" in refused("--plot", "new.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read and write anything")
def test_files_without_permission(refused: Attempt, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.write_bytes(b"x")
    locked.chmod(0o400)
    assert "write-protected" in refused("--file", str(ASSET), "--out", "locked")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("antennas = [", "bad.toml"),
        ("antenas = 8", "antennas"),
        ("antennas = '8'", "antennas"),
        ("target_sector = [-40, -20]", "target_sector_deg"),
        ("false_alarm = nan", "false_alarm"),
        ("[deep]\nx = 1", "deep"),
        ("\0", "bad.toml"),
    ],
)
def test_scenario_files_that_cannot_be_used(refused: Attempt, tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    assert reason in refused("--scenario", "bad.toml")


def test_a_busy_port_is_named(refused: Attempt, tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        control = f"127.0.0.1:{busy.getsockname()[1]}"
        (tmp_path / "nodes.toml").write_text(f'control = "{control}"\n[nodes.one]\nblocks = {BLOCKS}\n')
        assert control in refused("--transport", "tcp", "--nodes", "nodes.toml", "--node", "one")


def test_recordings_that_cannot_be_played(refused: Attempt, tmp_path: Path) -> None:
    import numpy as np

    from blocks import FrameRecorder

    recorder = FrameRecorder(str(tmp_path / "plain.rec"))
    recorder.start()
    recorder.work(message=np.zeros(4, np.uint8))
    recorder.finish()
    whole = (tmp_path / "plain.rec").read_bytes()
    (tmp_path / "cut.rec").write_bytes(whole[:-5])
    (tmp_path / "other").write_bytes(b"something else")
    assert "--salvage" in refused("cut.rec", main=isac_replay.main)
    assert "not a recording" in refused("other", main=isac_replay.main)
    assert "missing" in refused("missing", main=isac_replay.main)
    assert "scenario" in refused("plain.rec", main=isac_replay.main)
    assert "RECORDING" in refused(main=isac_replay.main)
    assert "--detector: '' is no name" in refused("plain.rec", "--detector", "", main=isac_replay.main)
