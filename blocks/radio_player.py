"""Playing the samples of a radio that were recorded, as the radio gave them."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np

from blocks.runtime import Signal, Source
from blocks.runtime.sigmf_recording import SigmfRecording
from isac_models.errors import UserError
from isac_models.waveform.recorded_bursts import LAST_TICK, RecordedBurst, recorded_bursts, unpack_messages
from isac_models.waveform.recorded_run import RecordedRun
from isac_models.waveform.sent import END, SentBurst

AHEAD = 16
"""Slots that a burst is told of before the samples that may hold it, as a transmitter's queue has them."""
MOST_AT_ONCE = 900
"""Bursts that are told of with one frame: more go into no letterbox, and a finder gives up so long a gap."""
MAX_FRAME = 1 << 28  # bytes of samples


class RadioPlayer(Source):
    """In place of a RadioReceive and its RadioTransmit: recorded samples, and what was sent when.

    Frames never span a gap; the tags `time` and `lost` are those of `RadioReceive`. Every burst is told
    of before its samples come, and the end together with the last of them, so that no receiver waits.
    Bursts that came too late and were not sent are not told of. `run` is what the recording says of the
    run (`RecordedRun`), `about` and `recording` as a SigmfPlayer has them.

    produces: samples (n, rx_channels) complex64
    publishes: sent, a `SentBurst` as a dict for every burst, and {"end": True} behind the last

    Raises UserError for a recording that is missing, malformed, or was made of anything else than the
    samples of a radio by `isac_hil.py`.
    """

    produces = {"samples": Signal("rx_channels")}
    publishes = ("sent",)

    def __init__(self, recording: SigmfRecording | str, name: str | None = None) -> None:
        super().__init__(name)
        if isinstance(recording, str):
            recording = SigmfRecording(recording, "samples")
        where = f"recording {recording.path}"
        self.recording, self.about = recording, recording.about
        if "isac:radio" not in recording.signal.about:
            raise UserError(
                f"{where} does not say how its bursts were made: record them anew, with isac_hil.py "
                "--record-samples"
            )
        self.run = RecordedRun.from_dict(recording.signal.about["isac:radio"], recording.channels, where)
        self.dimensions = {"rx_channels": recording.channels}
        self._starts, self._ticks = _clock(recording, where)
        self._bursts = recorded_bursts(recording.signal.annotations, self.run.layout, where)
        self._unknown = sum(one.present is None for one in self._bursts)
        self._known = {one.time: one for one in self._bursts}
        left_out = recording.signal.about.get("isac:annotations_left_out", 0)
        if type(left_out) is not int or not 0 <= left_out <= LAST_TICK:
            raise UserError(
                f"{where}: isac:annotations_left_out must be a whole number from 0 to {LAST_TICK}"
            )
        self._left_out = left_out
        self._restart()

    @property
    def knows_truth(self) -> bool:
        """Whether the front end has told of every burst what stood before the radar."""
        return bool(self._bursts) and not self._unknown

    def truth(self, tick: int) -> tuple[bool, float]:
        """Whether there was a target when the burst of this tick was sent, and its angle in radians."""
        one = self._known[tick]
        return bool(one.present), float(one.angle or 0.0)

    def _restart(self) -> None:
        self._told = 0
        self._ended = False
        self._next: int | None = None
        self._samples = self._gaps = self._lost = 0

    def start(self) -> None:
        """Play from the beginning."""
        self.recording.close()
        self._restart()

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        """Up to `count` samples from `position` on, none behind a gap."""
        recording, position = self.recording, self.position
        if position >= recording.snapshots:
            return None
        which = bisect_right(self._starts, position) - 1
        ends = [*self._starts[which + 1 : which + 2], recording.snapshots]
        count = min(count, ends[0] - position, max(1, MAX_FRAME // (8 * recording.channels)))
        time = self._ticks[which] + position - self._starts[which]
        lost = 0
        if position == self._starts[which] and self._next is not None:
            lost = max(time - self._next, 0)
            self._gaps += 1
            self._lost += lost
        self._next = time + count
        self._samples += count
        samples = recording.signal.read(position, count).astype(np.complex64, copy=False)
        self._tell(time + count, position + count == recording.snapshots)
        self.emit(time=time, lost=lost)
        return {"samples": samples}

    def _tell(self, until: int, last: bool) -> None:
        """Say what was sent before tick `until`, and somewhat further; all of it with the last samples."""
        end, ahead = self._told, until + AHEAD * self.run.layout.slot
        # The first behind `ahead` too: a receiver waits for a burst behind what it has received.
        while end < len(self._bursts) and (last or not end or self._bursts[end - 1].time < ahead):
            end += 1
        for one in self._bursts[max(self._told, end - MOST_AT_ONCE) : end]:
            self.publish("sent", self._sent(one))
        self._told = end
        if end == len(self._bursts) and not self._ended:
            self._ended = True
            self.publish("sent", END)

    def _sent(self, one: RecordedBurst) -> dict[str, Any]:
        layout = self.run.layout
        message = unpack_messages(one.packed, layout.payload, layout.bits)
        return SentBurst(one.number, one.time, message, self.run.points[message]).to_dict()

    def finish(self) -> None:
        """Close the files."""
        self.recording.close()

    def abort(self) -> None:
        """Close the files."""
        self.recording.close()

    def result(self) -> dict[str, Any]:
        """Samples played a channel, gaps and samples lost in them, bursts that are known and that are not."""
        return {
            "samples": self._samples,
            "gaps": self._gaps,
            "lost_samples": self._lost,
            "bursts": len(self._bursts),
            "bursts_not_annotated": self._left_out,
            "truth": self.knows_truth,
            "bursts_without_truth": self._unknown,
            "complete": self.recording.signal.about.get("isac:interrupted") is not True,
        }


def _clock(recording: SigmfRecording, where: str) -> tuple[list[int], list[int]]:
    """Where samples follow on each other: the first of each such part, and its tick."""
    starts: list[int] = []
    ticks: list[int] = []
    for capture in recording.signal.captures:
        start, tick = capture.get("core:sample_start"), capture.get("core:global_index")
        if type(start) is not int or type(tick) is not int or not 0 <= tick <= LAST_TICK:
            raise UserError(f"{where}: a capture needs core:global_index, the tick of its first sample")
        if not (starts[-1] < start if starts else start == 0) or start >= recording.snapshots:
            raise UserError(f"{where}: captures must begin at sample 0 and follow on each other")
        if starts and tick < ticks[-1] + start - starts[-1]:
            raise UserError(
                f"{where}: time goes back at sample {start}, to tick {tick}: the radio began anew there, and "
                "what was sent when cannot be told"
            )
        starts.append(start)
        ticks.append(tick)
    if not starts:
        raise UserError(f"{where}: a capture needs core:global_index, the tick of its first sample")
    return starts, ticks
