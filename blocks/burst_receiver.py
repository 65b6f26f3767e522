"""From a burst's samples to its payload symbols and their CSI."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Count, Field, Flags, Real, Signal
from isac_models.waveform import preload, receiver
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.synchronise import Sync

NOISE_MEMORY = 64
"""Bursts that the noise is averaged over."""


class BurstReceiver(Block):
    """Matched filter, header, and the channel κ̂ from the known symbols of each burst, on one antenna.

    `cfo_correction` and `phase_tracking` off are what negative controls are made of. The noise is
    measured in the silence between bursts; payload and κ̂ are scaled so that its power is `noise_power`.

    consumes: window (b, channels, W) complex64, the first channel is used, start (b,) and cfo (b,) float64
    produces: payload (b, N) complex64, csi (b, N) complex64 κ̂ of every payload symbol, number (b,) int64
    from the header, -1 where its checksum fails, snr (b,) float32 |κ̂|²/N0 linear
    """

    consumes = {
        "window": Signal("channels", "width"),
        "start": Field("float64"),
        "cfo": Field("float64"),
        "found": Flags(),
        "lost": Count(),
    }
    produces = {
        "payload": Signal("payload_symbols"),
        "csi": Signal("payload_symbols"),
        "number": Count(),
        "snr": Real(),
    }

    def __init__(
        self,
        layout: BurstFormat,
        width: int,
        noise_power: float = 1.0,
        cfo_correction: bool = True,
        phase_tracking: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        preload()
        self.format, self._noise_power = layout, noise_power
        self.dimensions = {"channels": 1, "width": width, "payload_symbols": layout.payload}
        self._receiver = receiver.BurstReceiver(layout, cfo_correction, phase_tracking)

    def start(self) -> None:
        """Know nothing of the noise."""
        self._noise: float | None = None
        self._heard = 0
        self._bursts = self._headers = self._touched = 0
        self._cfo = 0.0

    def work(
        self,
        window: np.ndarray,
        start: np.ndarray,
        cfo: np.ndarray,
        found: np.ndarray,
        lost: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """Payload, CSI and header of every burst."""
        count, n = len(start), self.format.payload
        payload, csi = np.empty((count, n), np.complex64), np.empty((count, n), np.complex64)
        number, snr = np.full(count, -1, np.int64), np.zeros(count, np.float32)
        for b in range(count):
            sync = Sync(float(start[b]), float(cfo[b]), 0.0, bool(found[b]))
            if not lost[b]:
                self._listen(window[b, 0], sync.start)
            burst = self._receiver.receive(window[b, 0], sync, self._noise)
            scale = np.float32(np.sqrt(self._noise_power))
            payload[b], csi[b] = scale * burst.payload, scale * burst.csi
            if burst.header is not None and not lost[b]:
                number[b] = burst.header[0]
                self._headers += 1
            snr[b] = burst.snr
        self._bursts += count
        self._touched += int(np.count_nonzero(lost))
        if count:
            self._cfo = float(cfo[-1])
        return {"payload": payload, "csi": csi, "number": number, "snr": snr}

    def _listen(self, window: np.ndarray, start: float) -> None:
        """Follow the noise power in the silence around the burst."""
        count, power = receiver.silence(self.format, window, start)
        if count < receiver.LEAST_SILENCE:
            return
        if power == 0:  # nothing was received, or the noise is below the converter's first step
            return
        self._heard = min(self._heard + 1, NOISE_MEMORY)
        before = 0.0 if self._noise is None else self._noise
        self._noise = before + (power - before) / self._heard

    def result(self) -> dict[str, Any]:
        """Bursts, readable headers, and the last carrier offset in cycles per sample."""
        if not hasattr(self, "_bursts"):
            return {}
        return {"bursts": self._bursts, "headers": self._headers, "cfo": self._cfo}
