"""Recording a stream to disk."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from blocks.runtime import Block, Field
from blocks.runtime.frame import Frame
from blocks.runtime.output import check_writable
from blocks.runtime.recording_writer import SUFFIX, RecordingWriter
from isac_models.errors import UserError
from isac_models.scenario import Scenario


class FrameRecorder(Block):
    """Writes every frame, or the fields in `keep` of it, to a recording (docs/recording.md).

    `about` and the scenario are written ahead of the frames, so that a replay needs to be told neither.
    The recording grows as ``path + ".partial"``. It takes its name when the stream has ended; after
    an early end, what was recorded so far stays in the partial file.

    consumes: every field that reaches it, or those in `keep`

    Raises UserError where `path` cannot be written.
    """

    consumes_all = True

    def __init__(
        self,
        path: str,
        scenario: Scenario | None = None,
        keep: Mapping[str, Field] | None = None,
        about: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if path == "-":
            raise UserError("a recording cannot go to standard output, name a file")
        check_writable(path)
        check_writable(path + SUFFIX)
        if os.path.isfile(path + SUFFIX) and os.path.getsize(path + SUFFIX) > 0:
            raise UserError(
                f"{path + SUFFIX} holds what an earlier run recorded before it was stopped: "
                "move or remove it, or record to another name"
            )
        self.scenario = scenario
        self._path = path
        if keep is not None:
            self.consumes, self.consumes_all = dict(keep), False
        self._about = dict(about or {})
        if scenario is not None:
            self._about["scenario"] = scenario.to_dict()
        self._writer: RecordingWriter | None = None
        self._done: dict[str, Any] = {}

    def start(self) -> None:
        """Open the partial file."""
        self._writer = RecordingWriter(self._path)

    def work(self, **fields: np.ndarray) -> None:
        """Append one frame."""
        assert self._writer is not None
        if self._writer.frames == 0:
            self._writer.describe(fields, self._about)
        self._writer.write(
            Frame(
                stream=self.name,
                sequence=self._writer.frames,
                start=self.position,
                count=len(next(iter(fields.values()))),
                timestamp_ns=time.time_ns(),
                end=False,
                tags=dict(self.tags),
                arrays=fields,
            )
        )

    def finish(self) -> None:
        """Close the recording and give it its name."""
        self._close(complete=True)

    def abort(self) -> None:
        """Close the partial recording; it stays."""
        self._close(complete=False)

    def result(self) -> dict[str, Any]:
        """Frames and snapshots recorded so far, the file they are in, and whether it is complete."""
        if self._writer is None:
            return dict(self._done)
        return self._state(self._writer, self._writer.partial, complete=False)

    def _close(self, complete: bool) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if writer.frames == 0:
            writer.describe({}, self._about)
        path = writer.close(self.tags if complete else {}, complete)
        self._done = self._state(writer, path, complete)

    @staticmethod
    def _state(writer: RecordingWriter, path: str, complete: bool) -> dict[str, Any]:
        return {
            "frames": writer.frames,
            "snapshots": writer.snapshots,
            "path": path,
            "complete": complete,
        }
