"""Playing a recording."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Source
from blocks.runtime.frame import Frame
from blocks.runtime.recording import Recording
from isac_models.errors import UserError


class FramePlayer(Source):
    """The fields of a recording as a stream, with the tags they were recorded with.

    Frames keep their recorded borders where the graph's frames are as long or longer. `about` holds
    what was recorded of the run. With `salvage`, the whole frames of a cut-off recording are played.

    produces: the recorded fields

    Raises UserError for a missing file, one that is no recording, an
    empty one, and a cut-off one without `salvage`.
    """

    def __init__(self, path: str, salvage: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        self.recording = Recording(path, salvage)
        if self.recording.frames == 0:
            raise UserError(f"recording {path} holds no frames")
        self.about = self.recording.about
        self.produces = dict(self.recording.fields)
        self._frame: tuple[int, Frame] | None = None

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        """Up to `count` snapshots from `position` on, out of one recorded frame."""
        if self.position >= self.recording.snapshots:
            self.emit(**self.recording.tags)
            return None
        number, first = self.recording.frame_at(self.position)
        if self._frame is None or self._frame[0] != number:
            self._frame = number, self.recording.read(number)
        frame = self._frame[1]
        if first == 0:
            self.emit(**frame.tags)
        return {key: array[first : first + count] for key, array in frame.arrays.items()}

    def finish(self) -> None:
        """Close the file."""
        self.recording.close()

    def abort(self) -> None:
        """Close the file."""
        self.recording.close()

    def result(self) -> dict[str, Any]:
        """What the recording holds."""
        return {
            "frames": self.recording.frames,
            "snapshots": self.recording.snapshots,
            "complete": self.recording.complete,
            "salvaged": self.recording.salvaged,
        }
