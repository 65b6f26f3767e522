"""The frame recorder."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from blocks import FrameRecorder
from blocks.runtime import Signal, Symbols
from blocks.runtime.recording import Recording
from isac_models.errors import UserError
from isac_models.scenario import Scenario


def test_frames_are_recorded_with_their_tags_and_the_run_is_described(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    recorder = FrameRecorder(str(path), about={"seed": 5})
    assert recorder.consumes_all
    recorder.start()
    for n in range(3):
        recorder.position, recorder.tags = 4 * n, {"n": n}
        recorder.work(message=np.full(4, n, np.uint8), echo=np.zeros((4, 2), np.complex64))
        assert recorder.result()["frames"] == n + 1
    recorder.tags = {"last": 1}
    recorder.finish()
    assert recorder.result() == {"frames": 3, "snapshots": 12, "path": str(path), "complete": True}
    with closing(Recording(str(path))) as recording:
        assert (recording.about, recording.tags) == ({"seed": 5}, {"last": 1})
        frame = recording.read(1)
        assert (frame.start, frame.sequence, frame.tags) == (4, 1, {"n": 1})
        assert frame.arrays["message"].tolist() == [1] * 4
    assert os.listdir(tmp_path) == ["a.rec"]


def test_only_the_wanted_fields_are_asked_for(tmp_path: Path) -> None:
    keep = {"message": Symbols(), "echo": Signal("antennas")}
    recorder = FrameRecorder(str(tmp_path / "a.rec"), Scenario(antennas=8), keep)
    assert recorder.consumes == keep
    assert not recorder.consumes_all
    assert recorder.resolve(keep)["echo"].shape == (8,)


def test_the_scenario_is_recorded(tmp_path: Path) -> None:
    scenario = Scenario.preset("impaired")
    recorder = FrameRecorder(str(tmp_path / "a.rec"), scenario)
    recorder.start()
    recorder.work(message=np.zeros(4, np.uint8))
    recorder.finish()
    assert Scenario.from_dict(Recording(str(tmp_path / "a.rec")).about["scenario"]) == scenario


def test_an_early_end_keeps_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    recorder = FrameRecorder(str(path))
    recorder.start()
    recorder.work(message=np.zeros(4, np.uint8))
    recorder.abort()
    assert recorder.result() == {"frames": 1, "snapshots": 4, "path": f"{path}.partial", "complete": False}
    assert os.listdir(tmp_path) == ["a.rec.partial"]


def test_an_output_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    for path in (str(tmp_path), str(tmp_path / "missing" / "a.rec"), "-"):
        with pytest.raises(UserError):
            FrameRecorder(path)


def test_what_an_earlier_run_left_is_not_overwritten(tmp_path: Path) -> None:
    left = tmp_path / "run.isac.partial"
    left.write_bytes(b"frames")
    with pytest.raises(UserError, match=r"run\.isac\.partial holds what an earlier run recorded"):
        FrameRecorder(str(tmp_path / "run.isac"))
    assert left.read_bytes() == b"frames"
