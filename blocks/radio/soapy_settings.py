"""The settings of a SoapySDR device, as they are, and made again when it begins anew."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from blocks.radio.interface import Capabilities, Direction, EventKind, RadioError, check_channel
from blocks.radio.soapy_device import DIRECTIONS, SoapyDevice
from blocks.radio.software import PlainRadio
from blocks.radio.tick_clock import TickClock


class SoapySettings(PlainRadio):
    """The half of SoapyRadio that sets gains, carriers and clocks. `_tx_lock` guards the device."""

    def __init__(
        self, device: SoapyDevice, rate: float | None, clock_source: str | None, time_source: str | None
    ) -> None:
        super().__init__()
        self._device = device
        self._closed = False
        self._tx_lock, self._rx_lock = threading.Lock(), threading.Lock()  # taken in this order
        self._sources = {"clock": clock_source, "time": time_source}
        for what, source in self._sources.items():
            if source is not None:
                device.set_source(what, source)
        self._clock = TickClock(device.rate() if rate is None else device.set_rate(rate))
        self._settings: dict[tuple[Direction, int], tuple[float, float]] = {
            (direction, channel): (device.gain(direction, channel), device.frequency(direction, channel))
            for direction in DIRECTIONS
            for channel in range(device.channels[direction])
        }

    def _restore(self) -> None:
        """Set a device that begins anew as the last one was."""
        for what, source in self._sources.items():
            if source is not None:
                self._device.set_source(what, source)
        self._device.set_rate(self._clock.rate)
        for (direction, channel), (gain, frequency) in self._settings.items():
            self._device.set_gain(direction, channel, gain)
            self._device.set_frequency(direction, channel, frequency)

    def set_gain(self, direction: Direction, channel: int, gain: float) -> float:
        """Set a channel's gain in dB; returns the actual value."""
        check_channel(self.capabilities, direction, channel)
        with self._tx_lock:
            self._check_open()
            actual = self._device.set_gain(direction, channel, gain)
            self._settings[direction, channel] = (actual, self._settings[direction, channel][1])
            return actual

    def set_frequency(self, direction: Direction, channel: int, frequency: float) -> float:
        """Set a channel's carrier in Hz; returns the actual value."""
        check_channel(self.capabilities, direction, channel)
        with self._tx_lock:
            self._check_open()
            actual = self._device.set_frequency(direction, channel, frequency)
            self._settings[direction, channel] = (self._settings[direction, channel][0], actual)
            return actual

    def settings(self) -> Mapping[str, object]:
        """rate, and a list over the channels of tx_gain, rx_gain, tx_frequency, rx_frequency."""
        found: dict[str, object] = {"rate": self._clock.rate}
        for k, name in enumerate(("gain", "frequency")):
            for direction in DIRECTIONS:
                values = [each[k] for (of, _), each in self._settings.items() if of == direction]
                found[f"{direction}_{name}"] = values
        return found

    def set_clock_source(self, source: str) -> None:
        """Choose one of the device's reference clocks."""
        self._set_source("clock", source)

    def set_time_source(self, source: str) -> None:
        """Choose one of the device's time sources."""
        self._set_source("time", source)

    def _set_source(self, what: str, source: str) -> None:
        with self._tx_lock:
            self._check_open()
            self._device.set_source(what, source)
            self._sources[what] = source

    def clock_locked(self) -> bool:
        """Whether the sensors of the device's locks all say so; True where there are none (`emulated`)."""
        with self._tx_lock:
            self._check_open()
            return self._device.locked()

    def _check_open(self) -> None:
        if self._closed:
            raise RadioError(f"{self.device} is closed: open the radio again")


def declare(device: SoapyDevice, rate: float, phase_coherent: bool | None, lead: int | None) -> Capabilities:
    """What a device can do, where the user did not say so; the lead is 10 ms at `rate` samples/s."""
    emulated = {}
    kinds = {EventKind.OVERFLOW, EventKind.SEQUENCE_GAP}
    if device.tells:
        kinds |= {EventKind.UNDERFLOW, EventKind.LATE, EventKind.BURST_ACK}
    if not device.timed:
        emulated["timestamps"] = "samples are counted: lost ones only show where the driver tells of them"
    if not device.tells_lock:
        emulated["clock_locked"] = "the device has no sensor for it: it is taken to be"
    return Capabilities(
        timestamps=device.timed,
        events=frozenset(kinds),
        tx_channels=device.channels["tx"],
        rx_channels=device.channels["rx"],
        phase_coherent=device.phase_coherent if phase_coherent is None else phase_coherent,
        virtual_time=device.virtual_time,
        timed_transmit=device.timed and device.channels["tx"] > 0,
        lead=(0 if device.virtual_time else round(0.01 * rate)) if lead is None else lead,
        emulated=emulated,
    )
