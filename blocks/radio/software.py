"""What radios without hardware have in common: settings that are noted down, one clock, no gain."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from blocks.radio.interface import (
    TIMEOUT,
    Direction,
    Radio,
    RadioError,
    Received,
    Receiver,
    Transmitter,
    check_channel,
)


class PlainRadio(Radio):
    """A radio whose two halves are methods of its own: `tx.send` is `send`, `rx.recv` is `recv`."""

    def __init__(self) -> None:
        self.tx, self.rx = _Transmitter(self), _Receiver(self)

    @abstractmethod
    def send(
        self, samples: np.ndarray, time: int | None, start_of_burst: bool, end_of_burst: bool, timeout: float
    ) -> None:
        """See `Transmitter.send`."""

    @abstractmethod
    def start(self, time: int | None, n: int | None) -> None:
        """See `Receiver.start`."""

    @abstractmethod
    def recv(self, most: int, timeout: float) -> Received:
        """See `Receiver.recv`."""

    @abstractmethod
    def stop(self) -> None:
        """See `Receiver.stop`."""


class SoftwareRadio(PlainRadio):
    """Keeps rate and frequencies as they are set: nothing but a calibration's key depends on them.

    There is no amplifier to set: 0 dB is the only gain, the internal one the only clock and time.
    """

    def __init__(self, rate: float, frequency: float) -> None:
        super().__init__()
        self._rate = 0.0
        self.set_rate(rate)
        self._gains: dict[tuple[Direction, int], float] = {}
        self._frequencies: dict[tuple[Direction, int], float] = {}
        counts: tuple[tuple[Direction, int], ...] = (
            ("tx", self.capabilities.tx_channels),
            ("rx", self.capabilities.rx_channels),
        )
        for direction, count in counts:
            for channel in range(count):
                self.set_gain(direction, channel, 0.0)
                self.set_frequency(direction, channel, frequency)

    @property
    def kind(self) -> str:
        """The name of the backend."""
        return self.device.partition(":")[0]

    def set_rate(self, rate: float) -> float:
        """Note down samples/s: any positive number. Time is counted in ticks all the same."""
        if not (math.isfinite(rate) and rate > 0):
            raise RadioError(f"rate must be a positive number of samples/s, not {rate:g}")
        self._rate = float(rate)
        return self._rate

    def set_gain(self, direction: Direction, channel: int, gain: float) -> float:
        """Take 0 dB, refuse the rest."""
        check_channel(self.capabilities, direction, channel)
        if gain != 0:
            raise RadioError(f"the {self.kind} radio has no amplifier: gain must be 0 dB, not {gain:g}")
        self._gains[direction, channel] = 0.0
        return 0.0

    def set_frequency(self, direction: Direction, channel: int, frequency: float) -> float:
        """Note down a carrier in Hz: any number from 0 on."""
        check_channel(self.capabilities, direction, channel)
        if not (math.isfinite(frequency) and frequency >= 0):
            raise RadioError(f"frequency must be a number of Hz from 0 on, not {frequency:g}")
        self._frequencies[direction, channel] = float(frequency)
        return float(frequency)

    def settings(self) -> Mapping[str, object]:
        """rate, and a list over the channels of tx_gain, rx_gain, tx_frequency, rx_frequency."""
        found: dict[str, object] = {"rate": self._rate}
        for name, values in (("gain", self._gains), ("frequency", self._frequencies)):
            for direction in ("tx", "rx"):
                found[f"{direction}_{name}"] = [v for (d, _), v in values.items() if d == direction]
        return found

    def set_clock_source(self, source: str) -> None:
        """Take "internal", refuse the rest."""
        self._only_internal("clock", source)

    def set_time_source(self, source: str) -> None:
        """Take "internal", refuse the rest."""
        self._only_internal("time", source)

    def _only_internal(self, what: str, source: str) -> None:
        if source != "internal":
            raise RadioError(f"{what} source {source!r}: the {self.kind} radio has the internal one alone")

    def clock_locked(self) -> bool:
        """Nothing is there to unlock."""
        return True


class _Transmitter(Transmitter):
    def __init__(self, radio: PlainRadio) -> None:
        self._radio = radio

    def send(
        self,
        samples: np.ndarray,
        time: int | None = None,
        start_of_burst: bool = True,
        end_of_burst: bool = True,
        timeout: float = TIMEOUT,
    ) -> None:
        self._radio.send(samples, time, start_of_burst, end_of_burst, timeout)


class _Receiver(Receiver):
    def __init__(self, radio: PlainRadio) -> None:
        self._radio = radio

    def start(self, time: int | None = None, n: int | None = None) -> None:
        self._radio.start(time, n)

    def recv(self, most: int = 65536, timeout: float = TIMEOUT) -> Received:
        return self._radio.recv(most, timeout)

    def stop(self) -> None:
        self._radio.stop()
