"""The transmitting half of a radio, at the end of a graph's transmit branch."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.radio.interface import Radio
from blocks.runtime import Block, Count, Field, Signal
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.sent import END, SentBurst

LEAD = 2
"""Slots between the device's time and the first one that a burst may still be sent in."""


class RadioTransmit(Block):
    """Sends one burst a slot, each at its tick, and tells over the port `sent` what left when.

    A slot that cannot be reached any more (`LEAD` slots ahead of the device's time) stays silent, and the
    burst goes into a later one.

    consumes: samples (b, antennas, L) complex64, number (b,) int64, payload_message (b, N) uint8,
    payload_symbol (b, N) complex64
    publishes: sent, a `SentBurst` as a dict for every burst, and {"end": True} behind the last
    """

    consumes = {
        "samples": Signal("antennas", "burst_samples"),
        "number": Count(),
        "payload_message": Field("uint8", ("payload",)),
        "payload_symbol": Signal("payload"),
    }
    publishes = ("sent",)
    reframes = True  # nothing goes further; its end of stream is where END is told

    def __init__(self, radio: Radio, layout: BurstFormat, name: str | None = None) -> None:
        super().__init__(name)
        self.radio, self.format = radio, layout
        self.dimensions = {
            "antennas": layout.antennas,
            "burst_samples": layout.samples,
            "payload": layout.payload,
        }
        have = radio.capabilities.tx_channels
        if have != layout.antennas:
            from blocks.radio.interface import RadioError

            raise RadioError(
                f"{radio.device} has {have} transmit channels, the scenario {layout.antennas} antennas: "
                "set antennas to match, or open more devices"
            )

    def start(self) -> None:
        """Nothing has been sent."""
        self._next = 0
        self._sent = self._silent = 0

    def work(
        self, samples: np.ndarray, number: np.ndarray, payload_message: np.ndarray, payload_symbol: np.ndarray
    ) -> None:
        """Queue every burst for the next slot that can be reached."""
        slot = self.format.slot
        for b in range(len(number)):
            earliest = -(-(self.radio.now() + LEAD * slot) // slot) * slot
            if self._sent and earliest > self._next:
                self._silent += (earliest - self._next) // slot
            time = max(self._next, earliest)
            self.radio.tx.send(samples[b], time)
            self._next = time + slot
            self._sent += 1
            burst = SentBurst(int(number[b]), time, payload_message[b], payload_symbol[b])
            self.publish("sent", burst.to_dict())

    def flush(self) -> None:
        """Tell the receivers that nothing more will come."""
        self.publish("sent", END)

    def result(self) -> dict[str, Any]:
        """Bursts sent, and slots between them that were left silent."""
        return {"bursts": getattr(self, "_sent", 0), "silent_slots": getattr(self, "_silent", 0)}
