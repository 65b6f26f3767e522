"""Command line of isac_hil.py: what is bad is one line on standard error and exit status 2."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import isac_hil
import isac_link_options
from isac_hil_options import RANDOM_BURSTS, parse_arguments

BAD: dict[str, tuple[list[str], str]] = {
    "unknown radio": (["--radio", "lamp"], "--radio"),
    "no bursts": (["--bursts", "0"], "--bursts"),
    "bursts that are no number": (["--bursts", "many"], "--bursts"),
    "unknown correction": (["--without", "luck"], "--without"),
    "rate that is no number": (["--rate", "nan"], "--rate"),
    "frequency that is no number": (["--frequency", "fast"], "--frequency"),
    "output without a file": (["--out", "x"], "--out needs --file"),
    "a file and bursts": (["--file", "x", "--bursts", "3"], "--file and --bursts"),
    "coherence": (["--coherence", "64"], "--coherence: a burst is one coherence block"),
    "a front end beside a device": (
        ["--radio", "zmq", "--device", "tcp://127.0.0.1:1", "--front-end=--cfo=0"],
        "--front-end is for the virtual front end",
    ),
    "a device of the simulation": (["--radio", "sim", "--device", "x"], "the simulated radio has none"),
    "a recording of another kind": (["--record", "x.png"], "must end in .sigmf-meta"),
    "samples of another kind": (["--record-samples", "x.png"], "--record-samples x.png: the name must end"),
    "both recordings in one": (
        ["--record", "x.sigmf-meta", "--record-samples", "x.sigmf-meta"],
        "--record and --record-samples name the same file",
    ),
    "both recordings in one by another name": (
        ["--record", "x.sigmf-meta", "--record-samples", "./x.sigmf-meta"],
        "--record and --record-samples name the same file, x.sigmf-data",
    ),
    "samples in the truth of the echoes": (
        ["--record", "a.sigmf-meta", "--record-samples", "a-truth.sigmf-meta"],
        "--record and --record-samples name the same file, a-truth.sigmf-data",
    ),
    "echoes where the truth of the samples would be": (
        ["--record", "a-truth.sigmf-meta", "--record-samples", "a.sigmf-meta"],
        "--record and --record-samples name the same file, a-truth.sigmf-data",
    ),
    "calibrating to nowhere": (["--calibrate"], "--calibrate needs --calibration"),
    "a calibration in no directory": (["--calibration", "no/where.json"], "directory no does not exist"),
    "seed too large": (["--seed", str(1 << 63)], "--seed"),
    "order that is no square QAM": (["--order", "8"], "--order"),
    "a radio that needs a device": (["--radio", "uhd"], "--radio uhd needs --device"),
    "an address without a port": (["--radio", "zmq", "--device", "tcp://host"], "write tcp://HOST:PORT"),
    "a rate that cannot be": (["--radio", "sim", "--rate", "-1"], "rate must be a positive number"),
    "a gain that is not there": (["--radio", "sim", "--gain", "3"], "gain must be 0 dB"),
    "an impairment that is no number": (
        ["--radio", "sim", "--front-end=--cfo=fast"],
        "'fast' is no number for it",
    ),
    "an impairment that is not finite": (["--radio", "sim", "--front-end=--cfo=nan"], "is no number for it"),
    "endless bits": (["--radio", "sim", "--front-end=bits=inf"], "is no number for it"),
    "half a bit": (["--radio", "sim", "--front-end=bits=7.5"], "is no number for it"),
    "bits that cannot be": (["--radio", "sim", "--front-end=bits=99"], "bits from 0 to 24"),
    "an impairment of no number": (["--radio", "sim", "--front-end=transmit=1"], "no number of that name"),
    "an unknown impairment": (["--radio", "sim", "--front-end=no-rust"], "no impairment 'rust'"),
    "an option that no front end has": (["--front-end=--rust"], "unrecognized arguments: --rust"),
    "a file that is not there": (["--radio", "sim", "--file", "missing"], "cannot send missing"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_options_are_one_line_and_status_2(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, message = BAD[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["isac_hil.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        sys.exit(isac_link_options.run_program(isac_hil.main))
    captured = capfd.readouterr()
    assert stop.value.code == 2, captured.err
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_calibration_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab.json"
    path.write_text("{}")
    arguments = ["--radio", "sim", "--antennas", "2", "--calibration", str(path)]
    monkeypatch.setattr(sys, "argv", ["isac_hil.py", *arguments])
    assert isac_link_options.run_program(isac_hil.main) == 2
    assert capfd.readouterr().err == f"error: calibration {path}: not a calibration file of this program\n"


def test_random_bursts_are_sent_where_no_file_is_named() -> None:
    options = parse_arguments(["--radio", "sim", "--antennas", "8"])
    assert options.bursts == RANDOM_BURSTS
    assert options.scenario.antennas == 8
    assert (options.without, options.front_end, options.seed) == ([], [], 1)
    assert parse_arguments(["--file", "x"]).bursts is None


def test_two_recordings_in_one_through_a_link_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    names = [str(tmp_path / folder / "x.sigmf-meta") for folder in ("there", "link")]
    with pytest.raises(SystemExit):
        parse_arguments(["--record", names[0], "--record-samples", names[1]])
    assert "name the same file" in capsys.readouterr().err


def test_options_may_be_repeated() -> None:
    given = ["--without", "cfo", "--without", "leakage", "--front-end=--cfo=0", "--front-end=--bits=8"]
    options = parse_arguments(given)
    assert options.without == ["cfo", "leakage"]
    assert options.front_end == ["--cfo=0", "--bits=8"]
