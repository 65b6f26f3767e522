"""The receiving half of a radio, the source of a graph's receive branches."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from blocks.radio.interface import Flag, Radio, RadioError, RadioTimeout
from blocks.runtime import Signal, Source
from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat

TAIL = 512
"""Samples behind the last slot that its burst may still arrive in."""
SILENCE_SECONDS = 30.0
"""How long nothing may be sent before the reception ends with an error."""


class RadioReceive(Source):
    """Samples of all receive channels as the radio gives them, gaps by timestamps.

    A frame holds samples that follow on each other without a gap; its tag `time` is the tick of the first,
    `lost` how many samples before it never came. Where the radio's time stands still until samples are asked
    for (`Capabilities.virtual_time`), only what the port `sent` announces is received.

    `samples`: receive so many of every channel and end, whatever is sent; the port need not be connected
    then.

    produces: samples (n, rx_channels) complex64
    subscribes: sent, from a RadioTransmit
    """

    produces = {"samples": Signal("rx_channels")}
    subscribes = ("sent",)

    def __init__(
        self, radio: Radio, layout: BurstFormat, samples: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        if samples is not None and samples < 1:
            raise UserError(f"samples must be at least 1, not {samples}")
        self.radio, self.format, self._most = radio, layout, samples
        self.dimensions = {"rx_channels": radio.capabilities.rx_channels}

    def start(self) -> None:
        """Begin to receive."""
        self._horizon = 0
        self._ended = False
        self._next: int | None = None
        self._lost = self._gaps = self._samples = 0
        self._failed: str | None = None
        self._events: Counter[str] = Counter()
        self.radio.rx.start()

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        """The next samples, or None behind the last burst."""
        while True:
            self._hear(0.0)
            while self._waits() and not self._ended:
                if not self._hear(SILENCE_SECONDS):
                    if self.stopping:
                        return None
                    raise RadioError(f"nothing was sent for {SILENCE_SECONDS:g} s: the reception ends")
            if self._waits() or self._samples == self._most:
                return None
            most = count
            if self._most is not None:
                most = min(count, self._most - self._samples)
            elif self.radio.capabilities.virtual_time and self._next is not None:
                most = min(count, self._horizon - self._next)
            try:
                received = self.radio.rx.recv(most)
            except RadioTimeout as error:
                if self._ended and self._most is None:
                    self._failed = str(error)
                    return None
                raise
            finally:
                self._events.update(event.kind.value for event in self.radio.events())
            if received.samples.shape[1]:
                break
        lost = 0
        if self._next is not None and received.time != self._next:
            lost = max(received.time - self._next, 0)
            self._gaps += 1
            self._lost += lost
        elif Flag.GAP in received.flags:
            self._gaps += 1
        self._next = received.time + received.samples.shape[1]
        self._samples += received.samples.shape[1]
        self.emit(time=received.time, lost=lost)
        return {"samples": np.ascontiguousarray(received.samples.T)}

    def _waits(self) -> bool:
        """Whether everything that was announced has been received."""
        if self._most is not None:
            return False
        if self._next is None:
            return self._horizon == 0
        if self.radio.capabilities.virtual_time or self._ended:
            return self._next >= self._horizon
        return False

    def _hear(self, timeout: float) -> bool:
        """Take in what was sent; whether there was anything."""
        messages = self.messages("sent", timeout)
        for message in messages:
            if "end" in message:
                self._ended = True
            else:
                self._horizon = int(message["time"]) + self.format.slot + TAIL
        return bool(messages)

    def finish(self) -> None:
        """Stop receiving."""
        self.radio.rx.stop()

    def abort(self) -> None:
        """Stop receiving."""
        self.radio.rx.stop()

    def result(self) -> dict[str, Any]:
        """Samples received a channel, gaps and samples lost in them, and the radio's events by kind."""
        if not hasattr(self, "_events"):
            return {}
        counts = {"samples": self._samples, "gaps": self._gaps, "lost_samples": self._lost}
        return {**counts, "events": dict(self._events), "ended_early": self._failed}
