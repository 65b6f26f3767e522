"""The transmitting half of a radio, at the end of a graph's transmit branch."""

from __future__ import annotations

import time as clock
from typing import Any

import numpy as np

from blocks.radio.interface import Radio
from blocks.runtime import Block, Count, Field, Signal
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.sent import END, IDLE_SECONDS, TAIL, SentBurst

SEND_SECONDS = 30.0
"""How long a burst may wait for room in the radio's queue: kernels may have to be compiled further down."""


class RadioTransmit(Block):
    """Sends one burst a slot, each at its tick, and tells over the port `sent` what left when.

    A slot that cannot be reached any more stays silent, and the burst goes into a later one: the radio needs
    `Capabilities.lead` ticks, and where its time stands still until samples are asked for, a `RadioReceive`
    has gone on behind the last burst when nothing came for a while.

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
        self._told = 0.0  # when the last burst was announced
        self._sent = self._silent = 0

    def work(
        self, samples: np.ndarray, number: np.ndarray, payload_message: np.ndarray, payload_symbol: np.ndarray
    ) -> None:
        """Queue every burst for the next slot that can be reached."""
        slot = self.format.slot
        for b in range(len(number)):
            time = self._slot()
            if self._sent:
                self._silent += (time - self._next) // slot
            self.radio.tx.send(samples[b], time, timeout=SEND_SECONDS)
            self._told = clock.monotonic()
            self._next = time + slot
            self._sent += 1
            burst = SentBurst(int(number[b]), time, payload_message[b], payload_symbol[b])
            self.publish("sent", burst.to_dict())

    def _slot(self) -> int:
        """The tick of the next slot that can be reached."""
        slot, able = self.format.slot, self.radio.capabilities
        waits = able.virtual_time and self._sent and clock.monotonic() - self._told < IDLE_SECONDS / 2
        if waits:  # the receiver has stopped short of the next slot
            return self._next
        behind = self._next + TAIL if able.virtual_time and self._sent else 0
        earliest = max(self.radio.now() + slot, behind) + able.lead
        return max(self._next, -(-earliest // slot) * slot)

    def flush(self) -> None:
        """Tell the receivers that nothing more will come."""
        self.publish("sent", END)

    def result(self) -> dict[str, Any]:
        """Bursts sent, and slots between them that were left silent."""
        return {"bursts": getattr(self, "_sent", 0), "silent_slots": getattr(self, "_silent", 0)}
