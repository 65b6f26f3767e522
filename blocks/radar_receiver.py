"""From the radar array's samples to one echo a snapshot."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Block, Count, Field, Signal
from isac_models.scenario import Scenario
from isac_models.waveform import header, preload, radar
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.calibration_vectors import Calibration
from isac_models.waveform.receiver import BurstReceiver
from isac_models.waveform.sent import SentBursts
from isac_models.waveform.synchronise import Sync


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
        beam: np.ndarray,
        calibration: Calibration | None = None,
        leakage_removal: bool = True,
        offset: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        preload()
        self.scenario, self.format, self._offset = scenario, layout, offset
        self.dimensions = {"width": width}
        self._headers = BurstReceiver(layout)
        self._beam, self._calibration, self._removal = beam, calibration, leakage_removal
        self._receiver = self._make()

    def _make(self) -> radar.RadarReceiver:
        return radar.RadarReceiver(
            self.format,
            self._beam,
            self._calibration,
            self._removal,
            noise_power=self.scenario.noise_power,
        )

    def start(self) -> None:
        """Know neither noise nor delay."""
        self._receiver = self._make()
        self._sent = SentBursts(self.format.slot, self._offset)
        self._used = self._unknown = self._touched = 0
        self._last: radar.RadarBurst | None = None

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
        echo = np.empty((len(time), n, self.scenario.antennas), np.complex64)
        sent = np.empty(len(time), np.int64)
        used = 0
        for b in range(len(time)):
            if slip is not None and slip[b]:
                self._sent.doubt()
            received = float(time[b] + start[b] - self.format.pulse.delay)
            number = self._number(window[b], start[b], cfo[b]) if self._sent.doubtful else None
            burst = self._sent.find(received, number, self.messages)
            if burst is None:
                self._unknown += 1
                continue
            if lost[b]:
                self._touched += 1
                continue
            symbols = header.encode(burst.number, 0)
            one = self._receiver.receive(window[b], float(start[b]), float(cfo[b]), burst.symbol, symbols)
            if self._last is None or one.leakage_db > 0:  # a window that the end has cut off holds none
                self._last = one
            echo[used], sent[used] = one.echo, burst.time
            used += 1
        self._used += used
        return {
            "echo": echo[:used].reshape(used * n, self.scenario.antennas),
            "transmit_time": np.repeat(sent[:used], n),
        }

    def _number(self, window: np.ndarray, start: float, cfo: float) -> int | None:
        """The burst's number, read from the leakage on the loudest channel."""
        loudest = window[int(np.argmax(np.sum(np.abs(window) ** 2, axis=1)))]
        found = self._headers.receive(loudest, Sync(float(start), float(cfo), 0.0, True)).header
        return None if found is None else found[0]

    def result(self) -> dict[str, Any]:
        """Bursts used, windows without one, bursts left out for lost samples, leakage and echo delay."""
        if not hasattr(self, "_sent"):
            return {}
        last = self._last
        return {
            "bursts": self._used,
            "empty_windows": self._unknown,
            "bursts_left_out": self._touched,
            "snapshots_lost": self._touched * self.format.payload,
            "leakage_db": None if last is None else float(last.leakage_db),
            "echo_delay_samples": None if last is None else float(last.delay),
        }
