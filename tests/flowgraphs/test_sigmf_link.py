"""The link's SigMF recordings, as a user meets them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sigmf

import isac_link
import isac_link_options
import isac_replay
from isac_models.scenario import Scenario

Run = Callable[..., tuple[int, str, str]]
SHORT = ("--snapshots", "3e4", "--frame", "4096")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a script in an own folder; gives status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def attempt(*arguments: str, main: Callable[[], int] = isac_link.main) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["program", *arguments])
        try:
            status = isac_link_options.run_program(main)
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return attempt


def measured(run: Run, *arguments: str, main: Callable[[], int] = isac_link.main) -> dict[str, Any]:
    status, out, err = run(*arguments, "--json", main=main)
    assert (status, err) == (0, "")
    values: dict[str, Any] = json.loads(out)
    return values


def foreign(path: str, data: np.ndarray, channels: int) -> None:
    """A recording without a word of this project."""
    data.astype("<c8").tofile(path.replace("-meta", "-data"))
    about = {"core:datatype": "cf32_le", "core:version": "1.0.0", "core:num_channels": channels}
    Path(path).write_text(json.dumps({"global": about, "captures": [], "annotations": []}))


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
@pytest.mark.parametrize("coherence", ["1", "100"])
def test_a_recording_replays_to_the_counts_of_the_run(run: Run, transport: str, coherence: str) -> None:
    arguments = (*SHORT, "--coherence", coherence, "--transport", transport)
    result = measured(run, *arguments, "--record", "a.sigmf-meta")
    assert result["recording"]["snapshots"] == 30_000
    blocks = 30_000 // int(coherence)
    kept = min(blocks, 10_000)
    assert result["recording"]["annotations"] == kept
    assert result["recording"]["annotations_left_out"] == blocks - kept
    same = ("--transport", transport, "--frame", "4096")  # sums of squares round by the frame
    replayed = measured(run, "a.sigmf-meta", *same, main=isac_replay.main)
    for key in ("p_md", "p_fa", "rmse_rad", "snapshots", "threshold", "scenario"):
        assert replayed[key] == result[key]
    for key in ("p_md", "p_fa", "rmse_rad"):
        assert replayed["counters"][key] == result["counters"][key]
    sigmf.fromfile("a.sigmf-meta").validate()
    other = measured(run, "a.sigmf-meta", "--false-alarm", "1e-3", main=isac_replay.main)
    assert other["p_fa"] < result["p_fa"]


def test_both_formats_hold_the_same_run(run: Run) -> None:
    measured(run, *SHORT, "--record", "a.sigmf-meta")
    measured(run, *SHORT, "--record", "a.rec")
    same = ("--frame", "4096")
    values = [measured(run, name, *same, main=isac_replay.main) for name in ("a.sigmf-meta", "a.rec")]
    assert values[0]["counters"] == values[1]["counters"]


def test_a_recording_of_another_origin_is_detected_without_truth(run: Run) -> None:
    rng = np.random.default_rng(1)
    noise = (rng.standard_normal((20_000, 16)) + 1j * rng.standard_normal((20_000, 16))) / np.sqrt(2)
    foreign("a.sigmf-meta", noise, 16)
    result = measured(run, "a.sigmf-meta", "--scenario", "ideal", main=isac_replay.main)
    assert "p_md" not in result
    asked = Scenario.preset("ideal").false_alarm
    assert abs(result["detections"] - 20_000 * asked) < 5 * np.sqrt(20_000 * asked) + 0.05 * 20_000 * asked
    status, out, err = run("a.sigmf-meta", "--scenario", "ideal", main=isac_replay.main)
    assert (status, err) == (0, "")
    assert f"holds no truth: P_md, P_fa and RMSE are unknown. Detected in {result['detections']} of" in out


def test_a_single_channel_goes_with_a_scenario_of_one_antenna(run: Run) -> None:
    made = sigmf.SigMFGenerator(seed=1).tone().sample_rate(48_000).duration(0.1).generate()
    made.tofile("tone")
    Path("one.toml").write_text(Scenario.preset("ideal").replace(antennas=1).to_toml())
    result = measured(run, "tone.sigmf-meta", "--scenario", "one.toml", main=isac_replay.main)
    assert result["snapshots"] == len(made.read_samples())


def test_bad_recordings_are_refused_in_one_line(run: Run) -> None:
    measured(run, "--snapshots", "2000", "--record", "good.sigmf-meta")
    foreign("foreign.sigmf-meta", np.zeros((10, 3)), 3)
    foreign("nan.sigmf-meta", np.full((10, 16), np.nan), 16)
    foreign("cut.sigmf-meta", np.zeros(31), 16)
    Path("text.sigmf-meta").write_text("text")
    data = Path("good.sigmf-data").read_bytes()
    for name in ("damaged", "short"):
        Path(f"{name}.sigmf-meta").write_text(Path("good.sigmf-meta").read_text())
        for ending in ("meta", "data"):
            Path(f"{name}-truth.sigmf-{ending}").write_bytes(Path(f"good-truth.sigmf-{ending}").read_bytes())
    Path("damaged.sigmf-data").write_bytes(data[:-1] + b"\x00")
    Path("short.sigmf-data").write_bytes(data[:-128])
    scenario = ("--scenario", "ideal")
    for status, reason, *arguments in (
        (2, "--scenario", "foreign.sigmf-meta"),
        (2, "antennas = 3", "foreign.sigmf-meta", *scenario),
        (2, "leave --scenario out", "good.sigmf-meta", *scenario),
        (2, "--salvage", "good.sigmf-meta", "--salvage"),
        (2, "named by its metadata", "good.sigmf-data"),
        (2, "named by its metadata", "good.sigmf"),
        (2, "No such file", "missing.sigmf-meta"),
        (2, "no multiple of", "cut.sigmf-meta", *scenario),
        (2, "not SigMF metadata", "text.sigmf-meta"),
        (2, "holds 1999 samples, not the 2000", "short.sigmf-meta"),
        (1, "sample 0 is not a finite number", "nan.sigmf-meta", *scenario),
        (1, "is damaged: the checksum", "damaged.sigmf-meta"),
    ):
        found = run(*map(str, arguments), main=isac_replay.main)
        assert (found[0], found[1]) == (status, ""), arguments
        assert str(reason) in found[2]
        assert found[2].count("\n") == 1, found[2]
        assert found[2].startswith("error: ")


def test_names_that_no_recording_can_have_are_refused(run: Run) -> None:
    for name in ("a.sigmf-data", "a.sigmf", "none/a.sigmf-meta"):
        status, out, err = run("--record", name)
        assert (status, out, err.count("\n")) == (2, "", 1)
    for arguments in (("--record", "a.sigmf-meta", "--plot", "a.png", "--frame", "0"),):
        assert run(*arguments)[0] == 2
    Path("in").write_bytes(b"x" * 100)
    status, _, err = run("--file", "in", "--out", "a.sigmf-data", "--record", "a.sigmf-meta")
    assert status == 2
    assert "same file" in err
    assert os.listdir() == ["in"]
