"""Playing a SigMF recording."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Source
from blocks.runtime.sigmf_recording import SigmfRecording

MAX_FRAME = 1 << 28  # bytes of samples


class SigmfPlayer(Source):
    """The samples of a SigMF recording as a stream, with the truth behind them where it was recorded.

    Any recording of complex or real samples in any number of channels plays; the `sigmf` library converts
    other datatypes than cf32_le, integers to -1 … 1. `field` names the samples in the stream. `about` holds
    what a recording of this project says of its run, `recording` the rest (see `SigmfRecording`). Samples
    are checked while they are played: one that is no finite number, and a checksum that differs, end the run.

    produces: `field` (n, channels) complex64, and the recorded truth

    Raises UserError for a recording that is missing, malformed, or not supported.
    """

    def __init__(self, path: str, field: str = "echo", name: str | None = None) -> None:
        super().__init__(name)
        self.recording = SigmfRecording(path, field)
        self.about = self.recording.about
        self.produces = dict(self.recording.fields)

    def start(self) -> None:
        """Play from the beginning."""
        self.recording.close()

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        """Up to `count` snapshots from `position` on."""
        recording = self.recording
        count = min(count, recording.snapshots - self.position, max(1, MAX_FRAME // (8 * recording.channels)))
        return recording.read(self.position, count) if count > 0 else None

    def finish(self) -> None:
        """Close the files."""
        self.recording.close()

    def abort(self) -> None:
        """Close the files."""
        self.recording.close()

    def result(self) -> dict[str, Any]:
        """What the recording holds."""
        recording = self.recording
        return {
            "format": "sigmf",
            "snapshots": recording.snapshots,
            "channels": recording.channels,
            "datatype": recording.signal.datatype,
            "sample_rate": recording.sample_rate,
            "annotations": len(recording.signal.annotations),
            "truth": recording.truth is not None,
            "checksum": "core:sha512" in recording.signal.about,
            "complete": recording.signal.about.get("isac:interrupted") is not True,
            "salvaged": False,
        }
