"""From the radar array's samples to one response of the array to its own antennas a burst."""

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


class SensingResponse(Block):
    """What the orthogonal pilots bring back from the target: α a(θ) a(θ)ᵀ, one matrix a burst.

    It does not depend on the beam: entry (r, k) is what antenna k sends and antenna r receives, the array of
    K² elements that a MIMO radar works with. It may stand beside a `RadarReceiver`, and then does its
    leakage removal a second time. The pilots' leakage is told from the echo over bursts
    (`ResponseEstimator`, and what that leaves): the first ones bring little.

    consumes: window (b, channels, W) complex64, time, lost, slip (b,) int64, start, cfo (b,) float64
    produces, a burst on the first axis: response (b, antennas, antennas) complex64, its noise power an entry
    `noise_power` / `pilot_repeats`, transmit_time (b,) int64, the tick at which the burst was sent
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
    produces = {"response": Signal("antennas", "antennas"), "transmit_time": Count()}
    subscribes = ("sent", "unsent")
    reframes = True

    def __init__(
        self,
        scenario: Scenario,
        layout: BurstFormat,
        width: int,
        calibration: Calibration | None = None,
        offset: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        preload()
        self.scenario, self.format, self._offset = scenario, layout, offset
        self.dimensions = {"width": width}
        self._receiver = partial(
            radar.RadarReceiver, layout, calibration, noise_power=scenario.noise_power, response=True
        )

    def start(self) -> None:
        """Know neither leakage, noise nor delay."""
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
        """The responses of the bursts that are known."""
        k = self.scenario.antennas
        found = list(self._stream.bursts(window, time, start, cfo, lost, slip, self.messages))
        response = np.empty((len(found), k, k), np.complex64)
        for b, (_, burst) in enumerate(found):
            response[b] = burst.response
        return {"response": response, "transmit_time": np.array([tick for tick, _ in found], np.int64)}

    def listen(self) -> None:
        """Hear what was sent where no burst was found."""
        self._stream.listen(self.messages)

    def result(self) -> dict[str, Any]:
        """Bursts used, windows without one, bursts left out for lost samples, leakage and echo delay."""
        return self._stream.result() if hasattr(self, "_stream") else {}
