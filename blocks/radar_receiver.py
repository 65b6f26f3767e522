"""From the radar array's samples to one echo a snapshot."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from blocks.runtime import Block, Count, Field, Signal
from isac_models.scenario import Scenario
from isac_models.waveform import preload, radar
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.calibration_vectors import Calibration
from isac_models.waveform.radar_stream import RadarStream


class RadarReceiver(Block):
    """Leakage removed, chains calibrated, echo sampled at its delay: y_r of every payload snapshot.

    The transmitter stands beside the receiver: what was sent is known (port `sent`). The leakage is told from
    the echo by its delay, at least one sample earlier, and it gives the burst clock. Noise, measured in
    the silence, is scaled to the scenario's `noise_power`. Windows in which nothing was sent, and those that
    have lost samples, are left out and counted. `leakage_removal` off is for a negative control.

    consumes: window (b, channels, W) complex64, time, lost, slip (b,) int64, start, cfo (b,) float64
    produces, a snapshot on the first axis: echo (n, antennas) complex64, transmit_time (n,) int64, the tick
    at which the snapshot's burst was sent
    subscribes: sent, from a RadioTransmit; unsent, from a RadioReceive
    """

    consumes = {
        "window": Signal("antennas", "width"),
        "time": Count(),
        "start": Field("float64"),
        "cfo": Field("float64"),
        "lost": Count(),
        "slip": Count(),
    }
    produces = {"echo": Signal("antennas"), "transmit_time": Count()}
    subscribes = ("sent", "unsent")
    reframes = True

    def __init__(
        self,
        scenario: Scenario,
        layout: BurstFormat,
        width: int,
        calibration: Calibration | None = None,
        leakage_removal: bool = True,
        offset: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        preload()
        self.scenario, self.format, self._offset = scenario, layout, offset
        self.dimensions = {"width": width}
        self.calibration = calibration
        self._receiver = partial(
            radar.RadarReceiver, layout, calibration, leakage_removal, noise_power=scenario.noise_power
        )

    def start(self) -> None:
        """Know neither noise nor delay."""
        self._stream = RadarStream(self.format, self._receiver(), self._offset)

    def work(
        self,
        window: np.ndarray,
        time: np.ndarray,
        start: np.ndarray,
        cfo: np.ndarray,
        lost: np.ndarray,
        slip: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """The echoes of the bursts that are known."""
        n = self.format.payload
        found = list(self._stream.bursts(window, time, start, cfo, lost, slip, self.messages))
        echo = np.empty((len(found), n, self.scenario.antennas), np.complex64)
        for b, (_, burst) in enumerate(found):
            echo[b] = burst.echo
        sent = np.array([tick for tick, _ in found], np.int64)
        return {
            "echo": echo.reshape(len(found) * n, self.scenario.antennas),
            "transmit_time": np.repeat(sent, n),
        }

    def listen(self) -> None:
        """Hear what was sent where no burst was found."""
        self._stream.listen(self.messages)

    def result(self) -> dict[str, Any]:
        """Bursts used, windows without one, bursts left out for lost samples, leakage and echo delay."""
        return self._stream.result() if hasattr(self, "_stream") else {}
