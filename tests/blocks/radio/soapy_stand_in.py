"""A stand-in for the SoapySDR module: a device that has as little as a driver may have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

TIMEOUT, STREAM_ERROR, CORRUPTION, OVERFLOW, NOT_SUPPORTED, TIME_ERROR, UNDERFLOW = range(-1, -8, -1)


class Span:
    """SoapySDR's Range."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def minimum(self) -> float:
        """The least value."""
        return self.low

    def maximum(self) -> float:
        """The greatest value."""
        return self.high


class PlainDevice:
    """One channel each way, no hardware time, no status, no clock to choose, no bursts to ask for.

    A sample received is its number; `answers` come before samples, as the codes of readStream.
    """

    def __init__(self, args: str) -> None:
        if "none" in args:
            raise RuntimeError("SoapySDR::Device::make()\nno match")
        self.rates, self.gains, self.frequencies = {0: 1e6, 1: 1e6}, {0: 0.0, 1: 0.0}, {0: 1e9, 1: 1e9}
        self.answers: list[int] = []
        self.count, self.sent, self.closed, self.active = 0, 0, 0, False
        self.gone = False
        self.refuses = 0  # what writeStream says instead of taking samples

    def getNumChannels(self, direction: int) -> int:
        return 1

    def getHardwareInfo(self) -> dict[str, str]:
        return {}

    def hasHardwareTime(self) -> bool:
        return False

    def listSensors(self) -> tuple[str, ...]:
        return ("temperature",)

    def setupStream(self, direction: int, form: str, channels: list[int]) -> str:
        if form != "CF32":
            raise ValueError("unsupported format")
        return "rx" if direction else "tx"

    def activateStream(self, stream: str, flags: int = 0, time: int = 0, n: int = 0) -> int:
        if n:
            return NOT_SUPPORTED
        self.active = stream == "rx" or self.active
        return 0

    def deactivateStream(self, stream: str) -> int:
        self.active = self.active and stream != "rx"
        return 0

    def closeStream(self, stream: str) -> None:
        self.closed += 1

    def close(self) -> None:
        self.closed += 1

    def readStream(self, stream: str, rows: list[np.ndarray], n: int, timeoutUs: int) -> Any:
        if self.gone:
            return SimpleNamespace(ret=STREAM_ERROR, flags=0, timeNs=0)
        if self.answers:
            return SimpleNamespace(ret=self.answers.pop(0), flags=0, timeNs=0)
        n = min(n, 100)
        rows[0][:n] = np.arange(self.count, self.count + n)
        self.count += n
        return SimpleNamespace(ret=n, flags=0, timeNs=0)

    def writeStream(
        self, stream: str, rows: list[np.ndarray], n: int, flags: int, time: int, timeout: int
    ) -> Any:
        if self.refuses:
            return SimpleNamespace(ret=self.refuses, flags=0, timeNs=0)
        self.sent += n
        return SimpleNamespace(ret=n, flags=flags, timeNs=0)

    def readStreamStatus(self, stream: str, timeout: int) -> Any:
        return SimpleNamespace(ret=NOT_SUPPORTED, flags=0, timeNs=0)

    def getSampleRateRange(self, direction: int, channel: int) -> list[Span]:
        return [Span(1e5, 1e5), Span(1e6, 2e6)]

    def setSampleRate(self, direction: int, channel: int, rate: float) -> None:
        self.rates[direction] = float(round(rate, -3))

    def getSampleRate(self, direction: int, channel: int) -> float:
        return self.rates[direction]

    def getGainRange(self, direction: int, channel: int) -> Span:
        return Span(-10, 70)

    def setGain(self, direction: int, channel: int, gain: float) -> None:
        self.gains[direction] = float(round(gain))

    def getGain(self, direction: int, channel: int) -> float:
        return self.gains[direction]

    def getFrequencyRange(self, direction: int, channel: int) -> list[Span]:
        return []

    def setFrequency(self, direction: int, channel: int, frequency: float) -> None:
        self.frequencies[direction] = frequency

    def getFrequency(self, direction: int, channel: int) -> float:
        return self.frequencies[direction]

    def listClockSources(self) -> tuple[str, ...]:
        return ()

    def listTimeSources(self) -> tuple[str, ...]:
        return ()


def module() -> Any:
    """What `import SoapySDR` gives; `made` are its devices."""
    made: list[PlainDevice] = []

    def make(args: str) -> PlainDevice:
        made.append(PlainDevice(args))
        return made[-1]

    return SimpleNamespace(Device=make, errToStr=lambda code: f"error {code}", made=made)
