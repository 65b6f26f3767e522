"""A SoapySDR device behind Python's bindings: streams and settings, every error a line."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from blocks.radio.interface import Direction, RadioError
from blocks.radio.system_packages import system_package

INSTALL = "apt-get install python3-soapysdr"
# SoapySDR/Constants.h, SoapySDR/Errors.h
TX, RX = 0, 1
END_BURST, HAS_TIME = 1 << 1, 1 << 2
TIMEOUT, STREAM_ERROR, CORRUPTION, OVERFLOW, NOT_SUPPORTED, TIME_ERROR, UNDERFLOW = range(-1, -8, -1)
FORMAT = "CF32"
LOCK_SENSORS = ("ref_locked", "clock_locked", "pll_locked", "lo_locked")
DIRECTIONS: tuple[Direction, ...] = ("tx", "rx")
Samples = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Result:
    """What a stream call gave: a count or one of the errors above, flags, ns if HAS_TIME is among them.

    `channels`: a bit for each channel that a status is about; 0: the driver does not say.
    """

    code: int
    flags: int
    time: int | None
    channels: int = 0

    @property
    def ended(self) -> bool:
        """Whether END_BURST is among the flags."""
        return bool(self.flags & END_BURST)


class SoapyDevice:
    """The device that SoapySDR finds for `args`, with streams on its first `tx`, `rx` channels (None: all).

    Raises RadioError, as all methods do: no bindings, no such device, too few channels, no CF32 samples.
    """

    def __init__(self, args: str, tx: int | None, rx: int | None) -> None:
        self._soapy = system_package("SoapySDR", INSTALL)
        with _named(f"no SoapySDR device for {args!r}"):
            self._device: Any = self._soapy.Device(args)
        self._streams: list[Any] = []
        try:
            self.channels = {"tx": self._count(TX, "transmit", tx), "rx": self._count(RX, "receive", rx)}
            with _named(f"{args!r} cannot be asked"):
                info = dict(self._device.getHardwareInfo())
                self.timed = bool(self._device.hasHardwareTime())
                self._sensors = [name for name in LOCK_SENSORS if name in self._device.listSensors()]
            self.phase_coherent = info.get("phase_coherent") == "true"
            self.virtual_time = info.get("time") == "virtual"
            self.tells_lock = bool(self._sensors)
            self._tx, self._rx = self._open(TX, "tx"), self._open(RX, "rx")
            self.tells = False
            if self._tx is not None:
                with _named("the transmit stream cannot be activated"):
                    code = int(self._device.activateStream(self._tx))
                if code not in (0, NOT_SUPPORTED):
                    raise RadioError(f"the transmit stream cannot be activated: {self.says(code)}")
                self.tells = self.status().code != NOT_SUPPORTED
        except BaseException:
            self.close()
            raise

    def _count(self, direction: int, name: str, wanted: int | None) -> int:
        with _named("the device cannot be asked for its channels"):
            there = int(self._device.getNumChannels(direction))
        if wanted is not None and not 0 <= wanted <= there:
            raise RadioError(f"the device has {there} {name} channels, not {wanted}: ask for {there} at most")
        return there if wanted is None else wanted

    def _open(self, direction: int, name: Direction) -> Any:
        count = self.channels[name]
        if not count:
            return None
        with _named(f"no {name} stream of {count} channels with {FORMAT} samples can be had"):
            stream = self._device.setupStream(direction, FORMAT, list(range(count)))
        self._streams.append(stream)
        return stream

    def close(self) -> None:
        """Let go of the device, whatever it says."""
        for stream in self._streams:
            for call in (self._device.deactivateStream, self._device.closeStream):
                with contextlib.suppress(Exception):
                    call(stream)
        self._streams = []
        device, self._device = self._device, _Closed()  # the bindings would reach into freed memory
        if not isinstance(device, _Closed):
            with contextlib.suppress(Exception):
                device.close()

    # Streams ----------------------------------------------------------------------------------

    def now(self) -> int:
        """The device's time in ns."""
        with _named("the device does not tell its time"):
            return int(self._device.getHardwareTime())

    def start(self, time: int | None, n: int) -> int:
        """Begin to receive at `time` (ns; None: now), `n` samples (0: until stopped): 0 or an error."""
        flags = 0 if time is None else HAS_TIME
        with _named("the receive stream cannot be activated"):
            return int(self._device.activateStream(self._rx, flags, time or 0, n))

    def stop(self) -> None:
        """End the reception."""
        with _named("the receive stream cannot be stopped"):
            self._device.deactivateStream(self._rx)

    def read(self, into: Samples, seconds: float) -> Result:
        """Receive into rows (channels, n) complex64, each contiguous."""
        with _named("receiving failed"):
            found = self._device.readStream(
                self._rx, list(into), into.shape[1], timeoutUs=_microseconds(seconds)
            )
        return _result(found)

    def write(self, samples: Samples, time: int | None, end: bool, seconds: float) -> Result:
        """Transmit rows (channels, n) complex64, each contiguous, from `time` (ns) on; the number taken."""
        flags = (END_BURST if end else 0) | (0 if time is None else HAS_TIME)
        with _named("transmitting failed"):
            found = self._device.writeStream(
                self._tx, list(samples), samples.shape[1], flags, time or 0, _microseconds(seconds)
            )
        return _result(found)

    def status(self) -> Result:
        """What has happened to the transmit stream, without waiting."""
        with _named("the transmit stream does not tell its status"):
            return _result(self._device.readStreamStatus(self._tx, 0))

    def says(self, code: int) -> str:
        """An error in words."""
        return str(self._soapy.errToStr(code))

    # Settings ---------------------------------------------------------------------------------

    def set_rate(self, rate: float) -> float:
        """Samples/s of all channels; the actual value."""
        every = [(d, c) for d, name in enumerate(DIRECTIONS) for c in range(self.channels[name])]
        with _named(f"rate {rate:g}"):
            for direction, channel in every:
                _supported("rate", rate, self._device.getSampleRateRange(direction, channel), "samples/s")
            for direction, channel in every:
                self._device.setSampleRate(direction, channel, rate)
        return self.rate()

    def rate(self) -> float:
        """Samples/s. Raises RadioError where channels differ."""
        with _named("the device does not tell its rate"):
            rates = {
                float(self._device.getSampleRate(direction, channel))
                for direction, name in enumerate(DIRECTIONS)
                for channel in range(self.channels[name])
            }
        if len(rates) != 1:
            told = ", ".join(f"{rate:g}" for rate in sorted(rates))
            raise RadioError(f"the channels have different rates ({told}): choose one that all of them have")
        return rates.pop()

    def set_gain(self, direction: Direction, channel: int, gain: float) -> float:
        """dB; the actual value."""
        d = DIRECTIONS.index(direction)
        with _named(f"{direction} channel {channel}, gain {gain:g} dB"):
            _supported("gain", gain, [self._device.getGainRange(d, channel)], "dB")
            self._device.setGain(d, channel, gain)
        return self.gain(direction, channel)

    def gain(self, direction: Direction, channel: int) -> float:
        """dB."""
        with _named(f"the device does not tell the gain of {direction} channel {channel}"):
            return float(self._device.getGain(DIRECTIONS.index(direction), channel))

    def set_frequency(self, direction: Direction, channel: int, frequency: float) -> float:
        """Hz; the actual value."""
        d = DIRECTIONS.index(direction)
        with _named(f"{direction} channel {channel}, frequency {frequency:g} Hz"):
            _supported("frequency", frequency, self._device.getFrequencyRange(d, channel), "Hz")
            self._device.setFrequency(d, channel, frequency)
        return self.frequency(direction, channel)

    def frequency(self, direction: Direction, channel: int) -> float:
        """Hz."""
        with _named(f"the device does not tell the frequency of {direction} channel {channel}"):
            return float(self._device.getFrequency(DIRECTIONS.index(direction), channel))

    def set_source(self, what: str, source: str) -> None:
        """Of "clock" or "time". A device that offers none has "internal"."""
        with _named(f"{what} source {source!r}"):
            one = what == "clock"
            offered = self._device.listClockSources() if one else self._device.listTimeSources()
            if source not in (offered or ("internal",)):
                named = ", ".join(offered or ("internal",))
                raise RadioError(f"{what} source {source!r} is not there: choose one of {named}")
            if offered:
                (self._device.setClockSource if one else self._device.setTimeSource)(source)

    def locked(self) -> bool:
        """Whether every sensor of a lock says so; a device without is taken to be."""
        with _named("the device does not tell whether its clock is locked"):
            return all(str(self._device.readSensor(name)) == "true" for name in self._sensors)


class _Closed:
    """In the place of a device that was closed."""

    def __getattr__(self, name: str) -> Any:
        raise RadioError("the device is gone: receive or send, so that it is reached again")


def _supported(what: str, value: float, ranges: Sequence[Any], unit: str) -> None:
    if not math.isfinite(value):
        raise RadioError(f"{what} must be a number, not {value:g}")
    spans = [(float(each.minimum()), float(each.maximum())) for each in ranges]
    if spans and not any(low <= value <= high for low, high in spans):
        told = ", ".join(f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in spans)
        raise RadioError(f"{what} {value:g} {unit} is not supported: the device has {told}")


def _result(found: Any) -> Result:
    flags = int(found.flags)
    time = int(found.timeNs) if flags & HAS_TIME else None
    return Result(int(found.ret), flags, time, int(getattr(found, "chanMask", 0)))


def _microseconds(seconds: float) -> int:
    return max(int(1e6 * seconds), 0)


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    """Whatever the bindings raise, in one line."""
    try:
        yield
    except RadioError:
        raise
    except Exception as error:  # noqa: BLE001 - SWIG raises many kinds
        why = " ".join(str(error).split()) or type(error).__name__
        raise RadioError(f"{what}: {why}") from None
