"""Writing recordings: nothing that exists is lost."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from blocks.runtime.frame import Frame
from blocks.runtime.recording import Recording
from blocks.runtime.recording_writer import RecordingWriter

ARRAYS = {"message": np.arange(4, dtype=np.uint8)}


def test_the_name_is_taken_when_the_recording_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    path.write_bytes(b"before")
    writer = RecordingWriter(str(path))
    writer.describe(ARRAYS, {})
    writer.write(Frame("s", 0, 0, 4, 0, arrays=ARRAYS))
    assert path.read_bytes() == b"before"
    assert writer.close({}, complete=True) == str(path)
    assert os.listdir(tmp_path) == ["a.rec"]
    assert Recording(str(path)).snapshots == 4


def test_an_early_end_leaves_the_recording_before_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    path.write_bytes(b"before")
    writer = RecordingWriter(str(path))
    writer.describe(ARRAYS, {})
    writer.write(Frame("s", 0, 0, 4, 0, arrays=ARRAYS))
    assert writer.close({}, complete=False) == f"{path}.partial"
    assert path.read_bytes() == b"before"
    assert Recording(f"{path}.partial").snapshots == 4


def test_frames_are_counted(tmp_path: Path) -> None:
    writer = RecordingWriter(str(tmp_path / "a.rec"))
    writer.describe(ARRAYS, {})
    for sequence in range(3):
        writer.write(Frame("s", sequence, 4 * sequence, 4, 0, arrays=ARRAYS))
    assert (writer.frames, writer.snapshots) == (3, 12)
    writer.close({}, complete=True)
