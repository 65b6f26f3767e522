"""The one interface of every radio: timed bursts out, timed samples in, events beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag, StrEnum
from typing import Literal, Self

import numpy as np

from isac_models.errors import UserError

Direction = Literal["tx", "rx"]
TIMEOUT = 5.0
"""Seconds that a wait lasts unless told otherwise. Every wait ends."""


class RadioError(UserError):
    """A radio that cannot be reached, set or trusted; one line that says what to do."""


class RadioTimeout(RadioError):
    """Nothing came, or nothing could be sent, in time; what was received before is kept."""


class EventKind(StrEnum):
    """What a radio reports beside the samples."""

    UNDERFLOW = "underflow"
    """A burst went on too late; `time`: the first tick that was silent instead."""
    OVERFLOW = "overflow"
    """Received samples were lost inside the host or device; `time`: the first of them."""
    LATE = "late"
    """A burst came after its time and was not sent; `time`: the tick it was meant for."""
    SEQUENCE_GAP = "sequence_gap"
    """Samples were lost on the way, or the other side began anew."""
    BURST_ACK = "burst_ack"
    """The last sample of a burst has left; `time`: the tick of its first."""


@dataclass(frozen=True)
class Event:
    """Something that happened at the tick `time` (None: unknown), `samples` of it lost (0: none known)."""

    kind: EventKind
    time: int | None = None
    samples: int = 0
    detail: str = ""


class Flag(IntFlag):
    """What `recv` says about its samples."""

    NONE = 0
    GAP = 1
    """Samples between the last ones and these are missing: `time` tells how many."""
    END = 2
    """The last samples of a timed reception of n."""


@dataclass(frozen=True)
class Received:
    """Samples (channels, n) complex64, the tick of the first, and flags."""

    samples: np.ndarray
    time: int
    flags: Flag = Flag.NONE


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do by itself; what it emulates is named, with how; the rest it refuses."""

    timestamps: bool
    """Samples carry the device's time; where False, ticks are counted from the first sample on."""
    events: frozenset[EventKind]
    tx_channels: int
    rx_channels: int
    phase_coherent: bool
    virtual_time: bool = False
    """Time stands still until samples are asked for."""
    timed_transmit: bool = True
    lead: int = 0
    """Ticks that a burst's time must lie ahead of what was received last, so as not to be late."""
    emulated: Mapping[str, str] = field(default_factory=dict)


class Transmitter(ABC):
    """The transmitting half."""

    @abstractmethod
    def send(
        self,
        samples: np.ndarray,
        time: int | None = None,
        start_of_burst: bool = True,
        end_of_burst: bool = True,
        timeout: float = TIMEOUT,
    ) -> None:
        """Queue samples (channels, n) complex64, |re|, |im| ≤ 1, to leave from tick `time` on.

        `time` None follows on what was sent last. Between bursts the radio is silent. A time that has
        passed gives a LATE event and nothing of the burst is sent. Bursts are queued in order of time.

        Raises RadioError for another shape, dtype or value, RadioTimeout when the queue stays full.
        """


class Receiver(ABC):
    """The receiving half."""

    @abstractmethod
    def start(self, time: int | None = None, n: int | None = None) -> None:
        """Receive from tick `time` (None: now) on, `n` samples (None: until stopped).

        Raises RadioError for a time that has passed.
        """

    @abstractmethod
    def recv(self, most: int = 65536, timeout: float = TIMEOUT) -> Received:
        """The next samples in order, at least one and at most `most` of every channel.

        Raises RadioTimeout when none came.
        """

    @abstractmethod
    def stop(self) -> None:
        """End the reception."""


class Radio(ABC):
    """A radio: `tx`, `rx`, events, settings. Time is an integer count of sample ticks.

    `device` names driver and unit, e.g. ``zmq:tcp://…``: calibrations are kept under it.
    """

    device: str
    capabilities: Capabilities
    tx: Transmitter
    rx: Receiver

    @abstractmethod
    def events(self) -> list[Event]:
        """What has happened since the last call, oldest first."""

    @abstractmethod
    def set_rate(self, rate: float) -> float:
        """Set samples/s of both directions; returns the actual value. RadioError names what is supported."""

    @abstractmethod
    def set_gain(self, direction: Direction, channel: int, gain: float) -> float:
        """Set a channel's gain in dB; returns the actual value."""

    @abstractmethod
    def set_frequency(self, direction: Direction, channel: int, frequency: float) -> float:
        """Set a channel's carrier in Hz; returns the actual value."""

    @abstractmethod
    def settings(self) -> Mapping[str, object]:
        """rate, and gain and frequency of every channel, as they are: what a calibration is keyed by."""

    @abstractmethod
    def set_clock_source(self, source: str) -> None:
        """Choose the reference clock ("internal", "external", …)."""

    @abstractmethod
    def set_time_source(self, source: str) -> None:
        """Choose what time is counted by ("internal", "external", …)."""

    @abstractmethod
    def clock_locked(self) -> bool:
        """Whether the reference clock is locked."""

    @abstractmethod
    def now(self) -> int:
        """The tick that the device is at."""

    @abstractmethod
    def close(self) -> None:
        """Stop and let go of the device. May be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_samples(samples: np.ndarray, channels: int) -> None:
    """That `samples` is what `send` takes: (channels, n ≥ 1) complex64, finite, |re|, |im| ≤ 1.

    Raises RadioError otherwise.
    """
    kind = getattr(samples, "dtype", type(samples).__name__)  # whatever a user gives
    if kind != np.complex64:
        raise RadioError(f"send: samples must be complex64, not {kind}: convert them with .astype(complex64)")
    if samples.ndim != 2 or samples.shape[0] != channels or not samples.shape[1]:
        raise RadioError(
            f"send: samples must have the shape ({channels}, n), a row for each channel, not {samples.shape}"
        )
    floats = np.ascontiguousarray(samples).view(np.float32)
    largest = max(float(floats.max()), -float(floats.min()))
    if not largest <= 1:  # NaN is neither
        if np.isfinite(floats).all():
            raise RadioError(f"send: a sample of {largest:.4g} is over full scale 1: scale the burst down")
        raise RadioError("send: samples must be finite, and some are NaN or infinite")


def check_channel(capabilities: Capabilities, direction: Direction, channel: int) -> None:
    """That the radio has this channel.

    Raises RadioError otherwise.
    """
    if direction not in ("tx", "rx"):
        raise RadioError(f"direction must be tx or rx, not {direction!r}")
    count = capabilities.tx_channels if direction == "tx" else capabilities.rx_channels
    if not 0 <= channel < count:
        raise RadioError(f"there is no {direction} channel {channel}: this radio has {count}, counted from 0")
