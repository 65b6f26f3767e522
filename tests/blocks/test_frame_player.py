"""The frame player."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blocks import FramePlayer, FrameRecorder
from blocks.runtime import Symbols
from isac_models.errors import UserError


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "a.rec"
    recorder = FrameRecorder(str(path), about={"seed": 5})
    recorder.start()
    for start, size in ((0, 5), (5, 7), (12, 3)):
        recorder.position, recorder.tags = start, {"start": start}
        recorder.work(message=np.arange(start, start + size, dtype=np.uint8))
    recorder.tags = {"last": 1}
    recorder.finish()
    return path


@pytest.mark.parametrize("frame", [1, 3, 5, 7, 100])
def test_a_recording_is_played_to_its_end(recorded: Path, frame: int) -> None:
    player = FramePlayer(str(recorded))
    assert player.produces == {"message": Symbols()}
    assert player.about == {"seed": 5}
    messages: list[np.ndarray] = []
    tags: dict[int, dict[str, object]] = {}
    while (out := player.work(frame)) is not None:
        tags |= {player.position: player.take_emitted()}
        messages.append(out["message"])
        player.position += len(out["message"])
        assert 0 < len(out["message"]) <= frame
    assert np.array_equal(np.concatenate(messages), np.arange(15))
    assert [tags[start] for start in (0, 5, 12)] == [{"start": 0}, {"start": 5}, {"start": 12}]
    assert player.take_emitted() == {"last": 1}
    player.finish()


def test_a_cut_off_recording_is_refused_or_salvaged(recorded: Path) -> None:
    recorded.write_bytes(recorded.read_bytes()[:-1])
    with pytest.raises(UserError, match="after 3 whole frames"):
        FramePlayer(str(recorded))
    result = FramePlayer(str(recorded), salvage=True).result()
    assert result == {"frames": 3, "snapshots": 15, "complete": False, "salvaged": True}


def test_an_empty_recording_is_refused(tmp_path: Path) -> None:
    recorder = FrameRecorder(str(tmp_path / "a.rec"))
    recorder.start()
    recorder.finish()
    with pytest.raises(UserError, match="no frames"):
        FramePlayer(str(tmp_path / "a.rec"))
