"""What can be set at a radio over IIO: rate, gains and carriers of its contexts; no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping

from blocks.radio.iio_array import IioArray
from blocks.radio.interface import Direction, RadioError, check_channel
from blocks.radio.software import PlainRadio


class IioSettings(PlainRadio):
    """The half of a radio that sets its `array`; `_closing` ends it."""

    def __init__(self, array: IioArray) -> None:
        super().__init__()
        self._array = array
        self._closing = False
        self.device = f"iio:{array.uris[0]}"

    def set_rate(self, rate: float) -> float:
        """Set samples/s of all contexts; returns the actual value.

        Raises RadioError for a rate that a context has not, or contexts that end up at different ones.
        """
        self._check_number("rate", rate)
        return self._array.set_rate(rate)

    def set_gain(self, direction: Direction, channel: int, gain: float) -> float:
        """Set a channel's gain in dB, of a transmitter 0 and below; returns the actual value."""
        check_channel(self.capabilities, direction, channel)
        self._check_number("gain", gain)
        return self._array.set_gain(direction, channel, gain)

    def set_frequency(self, direction: Direction, channel: int, frequency: float) -> float:
        """Set the carrier in Hz of a channel and the other one of its context; returns the actual value."""
        check_channel(self.capabilities, direction, channel)
        self._check_number("frequency", frequency)
        return self._array.set_frequency(direction, channel, frequency)

    def _check_number(self, what: str, value: float) -> None:
        self._check_open()
        if not math.isfinite(value) or abs(value) > 1e12:
            raise RadioError(f"{what} must be a number that a radio can have, not {value:g}")

    def settings(self) -> Mapping[str, object]:
        """rate, and a list over the channels of tx_gain, rx_gain, tx_frequency, rx_frequency."""
        return self._array.settings()

    def set_clock_source(self, source: str) -> None:
        """Take "internal": which reference an AD9361 has is wired and told to its driver, not chosen."""
        self._only_internal("clock", source)

    def set_time_source(self, source: str) -> None:
        """Take "internal": time is counted in samples."""
        self._only_internal("time", source)

    def _only_internal(self, what: str, source: str) -> None:
        if source != "internal":
            raise RadioError(f"{what} source {source!r}: over IIO there is the internal one alone")

    def clock_locked(self) -> bool:
        """Whether the baseband clocks of all contexts are locked."""
        self._check_open()
        return self._array.locked()

    def _check_open(self) -> None:
        if self._closing:
            raise RadioError(f"{self.device} is closed: open the radio again")
