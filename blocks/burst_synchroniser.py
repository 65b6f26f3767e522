"""From samples to bursts."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Count, Field, Flags, Signal
from isac_models.waveform import preload
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.finder import BurstFinder, FoundBurst


class BurstSynchroniser(Block):
    """Finds bursts by their preamble and follows their clock: time, fractional delay, carrier offset.

    `channels` names the receive channels (first, last + 1) that share a clock and an oscillator; the others
    are left out. The tag `time` is the tick of a frame's first sample; where it jumps, samples are missing,
    and the windows that they belong to say how many. A burst that is due and not found comes all the same, at
    the place and carrier offset that the ones before it predict.

    consumes: samples (n, rx_channels) complex64 produces, a burst on the first axis: window (b, channels,
    W) complex64, time (b,) int64 the tick of its first sample, start (b,) float64 where symbol 0 is in it
    (samples), cfo (b,) float64 (cycles per sample), found (b,) bool, lost (b,) int64 samples of the window
    that never came, slip (b,) int64, other than 0 where the burst clock had to be set anew
    """

    consumes = {"samples": Signal("rx_channels")}
    produces = {
        "window": Signal("channels", "width"),
        "time": Count(),
        "start": Field("float64"),
        "cfo": Field("float64"),
        "found": Flags(),
        "lost": Count(),
        "slip": Count(),
    }
    reframes = True

    def __init__(
        self,
        layout: BurstFormat,
        rx_channels: int,
        channels: tuple[int, int],
        false_alarm: float = 1e-6,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        preload()
        self.format = layout
        self._false_alarm = false_alarm
        self._channels = slice(*channels)
        self._count = channels[1] - channels[0]
        self._finder = BurstFinder(layout, self._count, false_alarm)
        self.width = self._finder.width
        """Samples of a window."""
        self.dimensions = {"rx_channels": rx_channels, "channels": self._count, "width": self.width}

    def start(self) -> None:
        """Search from the beginning."""
        self._finder = BurstFinder(self.format, self._count, self._false_alarm)
        self._hit = 0

    def work(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        """The bursts that are complete now."""
        time = self.tags.get("time")
        if not isinstance(time, int):
            time = self.position
        return self._arrays(self._finder.push(samples[:, self._channels].T, time))

    def flush(self) -> dict[str, np.ndarray] | None:
        """The last burst, whose window the end of the stream has cut."""
        found = self._finder.flush()
        return self._arrays(found) if found else None

    def _arrays(self, bursts: list[FoundBurst]) -> dict[str, np.ndarray]:
        self._hit += sum(burst.lost > 0 for burst in bursts)
        count = len(bursts)
        window = np.empty((count, self._count, self._finder.width), np.complex64)
        for b, burst in enumerate(bursts):
            window[b] = burst.window
        return {
            "window": window,
            "time": np.array([b.time for b in bursts], np.int64),
            "start": np.array([b.sync.start for b in bursts], np.float64),
            "cfo": np.array([b.sync.cfo for b in bursts], np.float64),
            "found": np.array([b.sync.detected for b in bursts], bool),
            "lost": np.array([b.lost for b in bursts], np.int64),
            "slip": np.array([b.slip for b in bursts], np.int64),
        }

    def result(self) -> dict[str, Any]:
        """Bursts found and missed, samples lost, jumps of the burst clock, restarts of the device's."""
        finder = self._finder
        return {
            "found": finder.found,
            "missed": finder.missed,
            "lost_samples": finder.lost,
            "bursts_hit_by_losses": getattr(self, "_hit", 0),
            "slips": finder.slips,
            "slipped_samples": finder.slipped,
            "restarts": finder.restarts,
        }
