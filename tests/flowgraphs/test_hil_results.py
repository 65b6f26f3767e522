"""What isac_hil.py prints and returns, of runs over the simulated radio."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import hil_results
import isac_hil
import isac_link_options
from link_results import recording_note

SMALL = ["--radio", "sim", "--antennas", "4", "--bursts", "12"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Exit status of a run with these options."""
    monkeypatch.setattr(sys, "argv", ["isac_hil.py", *arguments])
    return isac_link_options.run_program(isac_hil.main)


def test_the_json_tells_rates_settings_and_what_was_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *SMALL, "--json", "--front-end-seed", "3") == 0
    out = capsys.readouterr().out
    found: dict[str, Any] = json.loads(out)
    assert out.count("\n") == 1
    assert (found["radio"], found["device"]) == ("sim", "sim:3")
    assert found["settings"]["rate"] == 1e6
    assert found["scenario"]["coherence"] == 256
    assert found["radio_transmit"]["bursts"] == 12
    assert found["radio_receive"]["lost_samples"] == 0
    assert found["burst_reference"]["bursts"] == found["radar_receiver"]["bursts"] == 12
    assert 0 <= found["ser"] <= found["ser_high"]
    assert found["interrupted"] is False
    assert "counters" not in found


def test_the_table_has_notes_for_what_it_has_no_column_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *SMALL) == 0
    out = capsys.readouterr().out
    assert "ISAC over the radio sim:1: 12 bursts in" in out
    assert "no RF hardware was touched." in out
    assert " lost in 0 gaps, 0 losses found by the burst clock alone, 0 restarts." in out
    assert "Bursts: 12 found" in out
    assert "dB over the noise removed" in out


@pytest.mark.parametrize("without", [[], ["--without", "calibration"]])
def test_what_a_front_end_that_was_started_again_has_sensed_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], without: list[str]
) -> None:
    monkeypatch.setattr("hil_radio._Simulation.restarted", lambda self: True)
    assert run(monkeypatch, *SMALL, *without) == (0 if without else 1)
    out = capsys.readouterr().out
    assert ("its calibration no longer holds" in out) is not bool(without)
    assert ("P_fa" in out) is bool(without)
    assert "SER" in out


def test_without_removal_there_is_no_word_of_removed_leakage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *SMALL, "--without", "leakage") == 0
    assert "Leakage" not in capsys.readouterr().out


def test_a_quiet_run_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *SMALL, "--quiet") == 0
    assert capsys.readouterr().out == ""


def test_a_file_arrives_whole_and_a_note_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given, out = tmp_path / "in.bin", tmp_path / "out.bin"
    given.write_bytes(bytes(range(256)))
    arguments = ["--radio", "sim", "--antennas", "4", "--snr-comm", "25"]
    assert run(monkeypatch, *arguments, "--file", str(given), "--out", str(out)) == 0
    assert out.read_bytes() == given.read_bytes()
    assert "File: 256 bytes intact, " in capsys.readouterr().out


def test_a_calibration_alone_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "lab.json"
    assert run(monkeypatch, *SMALL, "--calibrate", "--calibration", str(path)) == 0
    out = capsys.readouterr().out
    assert out.startswith("Calibration: 4 chains each way, standard error 0.0")
    assert out.endswith(f"; written to {path}\n")
    assert json.loads(path.read_text())["format"] == "isac-calibration-1"


def test_a_run_that_was_stopped_before_anything_came_has_notes_all_the_same() -> None:
    class Bench:
        lab = None

    summary = {"radio": "zmq", "device": "fake:0", "radio_receive": {}, "radar_receiver": {}}
    assert hil_results._notes(summary, Bench()) == ["Hardware: fake:0"]  # type: ignore[arg-type]


def test_a_file_that_did_not_arrive_says_why() -> None:
    assert hil_results._file_note({"intact": False, "reason": "3 blocks are missing"}, {}) == (
        "File: not received (3 blocks are missing); nothing was written."
    )
    assert "not received (stopped)" in hil_results._file_note({}, {})


@pytest.mark.parametrize(("unit", "end"), [("samples", ""), ("snapshots", " (the truth is complete)")])
def test_only_a_recording_with_a_truth_beside_it_is_said_to_have_all_of_it(unit: str, end: str) -> None:
    made = {"format": "sigmf", "path": "x", "snapshots": 9, "complete": True, "annotations_left_out": 3}
    note = recording_note({**made, "unit": unit})
    assert note == f"Recording: 9 {unit} in x, 3 of its annotations left out{end}"
