"""The one interface of every radio: timed bursts out, timed samples in, events beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag, StrEnum
from typing import Literal

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
    OVERFLOW = "overflow"
    LATE = "late"
    SEQUENCE_GAP = "sequence_gap"
    BURST_ACK = "burst_ack"


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
        passed gives a LATE event and nothing is sent.

        Raises RadioError for another shape, dtype or value, RadioTimeout when the queue stays full.
        """


class Receiver(ABC):
    """The receiving half."""

    @abstractmethod
    def start(self, time: int | None = None, n: int | None = None) -> None:
        """Receive from tick `time` (None: now) on, `n` samples (None: until stopped)."""

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
