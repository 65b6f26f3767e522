"""A radio's recording through isac_replay.py: what it counts, what it refuses."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import isac_hil
import isac_link_options
import isac_replay
from tests.blocks.recordings import edited

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A recording of a small array, and what the run said."""
    folder = tmp_path_factory.mktemp("air")
    air = folder / "air.sigmf-meta"
    arguments = ["--radio", "sim", "--antennas", "4", "--bursts", "10", "--rho", "0.6", "--json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["isac_hil.py", *arguments, "--record-samples", str(air)])
        lines: list[str] = []
        patch.setattr("link_report.print", lambda text, **_: lines.append(text), raising=False)
        assert isac_link_options.run_program(isac_hil.main) == 0
    return air, json.loads(lines[0])


@pytest.fixture
def air(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of the recording."""
    for path in made[0].parent.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path / "air.sigmf-meta"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Replays; gives status, standard output and standard error."""

    def attempt(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["isac_replay.py", *arguments])
        try:
            status = isac_link_options.run_program(isac_replay.main)
        except SystemExit as stop:  # a bad option
            status = int(stop.code or 0)
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return attempt


def test_the_recording_and_its_replay_say_the_same(
    made: tuple[Path, dict[str, Any]], air: Path, run: Run
) -> None:
    once = made[1]
    status, out, err = run(str(air), "--json")
    assert (status, err) == (0, "")
    again = json.loads(out)
    assert once["recordings"][0]["path"] == str(made[0])
    assert once["recordings"][0]["annotations"] == 10
    for key in ("ser", "ber", "p_md", "p_fa", "rmse_rad", "without"):
        assert again[key] == pytest.approx(once[key], rel=1e-5), key
    assert again["scenario"] == once["scenario"]
    assert again["recording"]["bursts"] == 10
    assert again["calibrated"] is True


def test_the_table_has_notes_of_the_reception(air: Path, run: Run) -> None:
    status, out, err = run(str(air), "--without", "calibration", "--without", "leakage")
    assert (status, err) == (0, "")
    assert "Recorded from sim:1; corrections left out: calibration, leakage." in out
    assert " lost in 0 gaps, 0 losses found by the burst clock alone, 0 restarts." in out
    assert "Bursts: 10 found, 0 sent and not found" in out
    assert "Leakage" not in out


def test_what_a_recording_lacks_is_said(air: Path, run: Run) -> None:
    def edit(values: dict[str, Any]) -> None:
        values["global"]["isac:interrupted"] = True
        values["global"]["isac:annotations_left_out"] = 4
        values["global"]["isac:radio"]["calibration"] = None
        values["annotations"] = values["annotations"][:6]
        for one in values["annotations"]:
            del one["isac:present"]

    edited(air, edit)
    status, out, err = run(str(air))
    assert (status, err) == (0, "")
    assert "The recording holds no truth: P_md, P_fa and RMSE are unknown." in out
    assert "The recorded run was stopped early." in out
    assert "The recording holds no calibration: the chains count as equal." in out
    assert "What 4 bursts carried is not in the recording: they are not judged." in out
    assert "1,536 snapshots in" in out


def test_a_truth_with_holes_is_said_to_have_them(air: Path, run: Run) -> None:
    edited(air, lambda values: values["annotations"][3].pop("isac:present"))
    status, out, err = run(str(air))
    assert (status, err) == (0, "")
    assert "The truth of 1 of 10 bursts is missing: P_md, P_fa and RMSE are unknown." in out
    assert "holds no truth" not in out


def test_control_characters_of_a_recording_reach_no_terminal(air: Path, run: Run) -> None:
    hardware = "sim\x1b]0;evil\x07\n\x9b31m\u202e"
    edited(air, lambda values: values["global"].update({"core:hw": hardware}))
    status, out, err = run(str(air))
    assert (status, err) == (0, "")
    assert "Recorded from sim" in out
    assert "\\x1b]0;evil\\x07" in out
    assert all(each.isprintable() for each in out.replace("\n", ""))


def test_a_name_of_control_characters_is_shown_and_not_obeyed(tmp_path: Path, run: Run) -> None:
    status, out, err = run(str(tmp_path / "\x1b[2J.sigmf-meta"))
    assert (status, out) == (2, "")
    assert err == f"error: cannot read recording {tmp_path}/\\x1b[2J.sigmf-meta: No such file or directory\n"
    status, out, err = run("a", "--frame", "\x1b[2J")
    assert (status, out) == (2, "")
    assert err[:-1].isprintable()


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], tuple[str, ...], str]] = {
    "an older recording": (
        lambda v: v["global"].pop("isac:radio"),
        (),
        "record anew, with isac_hil.py --record what a detector takes, with --record-samples",
    ),
    "a scenario of another length": (
        lambda v: v["global"]["isac:scenario"].update(coherence=128),
        (),
        "its scenario and its burst format do not agree",
    ),
    "a scenario of other antennas": (
        lambda v: v["global"]["isac:scenario"].update(antennas=5),
        (),
        "the scenario 5 antennas",
    ),
    "no scenario": (lambda v: v["global"].pop("isac:scenario"), (), "does not say its scenario"),
    "code from a recording": (
        lambda v: v["global"]["isac:radio"].update(demodulator="evil:Demodulator"),
        (),
        "made with the demodulator evil:Demodulator: name the one to be used with --demodulator",
    ),
    "an extension of control characters": (
        lambda v: v["global"].update(
            {"core:extensions": [{"name": "\x1b[2J", "version": "1", "optional": False}]}
        ),
        (),
        "x1b[2J",
    ),
    "a field of control characters": (
        lambda v: v["global"]["isac:scenario"].update({"\x1b[2J\x9b": 1}),
        (),
        "x1b[2J",
    ),
    "all and one": (
        lambda v: None,
        ("--without", "none", "--without", "cfo"),
        "--without none: nothing else",
    ),
    "a network that nobody uses": (
        lambda v: None,
        ("--known-array", "--detector", "learned"),
        "no effect on",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_received_is_refused_in_one_line(air: Path, run: Run, name: str) -> None:
    edit, arguments, message = BAD[name]
    edited(air, edit)
    status, out, err = run(str(air), *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("error: ")
    assert message in err
    assert err[:-1].isprintable()


def test_options_for_a_radio_are_refused_for_echoes(tmp_path: Path, run: Run) -> None:
    import numpy as np

    path = tmp_path / "echoes.sigmf-meta"
    np.zeros((10, 4), "<c8").tofile(tmp_path / "echoes.sigmf-data")
    about = {"core:datatype": "cf32_le", "core:version": "1.0.0", "core:num_channels": 4}
    path.write_text(json.dumps({"global": about, "captures": [], "annotations": []}))
    for option in (("--without", "cfo"), ("--demodulator", "ml")):
        status, _, err = run(str(path), "--scenario", "ideal", *option)
        assert status == 2
        assert err == f"error: {option[0]} is for samples of a radio: {path} holds none\n"


@pytest.mark.parametrize("option", ["--record", "--record-samples"])
def test_what_was_sensed_with_a_stale_calibration_is_not_shown_by_a_replay_either(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    path = str(tmp_path / "stale.sigmf-meta")
    with monkeypatch.context() as patch:
        patch.setattr("hil_radio._Simulation.restarted", lambda self: True)
        arguments = ["--radio", "sim", "--antennas", "4", "--bursts", "8", "--quiet", option, path]
        patch.setattr(sys, "argv", ["isac_hil.py", *arguments])
        assert isac_link_options.run_program(isac_hil.main) == 1
    assert json.loads(Path(path).read_text())["global"]["isac:calibration_stale"] is True
    status, out, _ = run(path)
    assert status == 0
    assert "started again during the recorded run" in out
    assert "P_fa " not in out.replace("P_fa and", "")
    assert "SER" in out or option == "--record"
