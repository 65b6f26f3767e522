"""A module that looks like UHD's as far as its documentation goes, with a USRP in a loop of virtual time.

Two channels each way; receive channel r hears transmit channel r. Time goes on with what is received.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

CHANNELS, MOST = 2, 363  # samples of a packet


class TimeSpec:
    """Seconds, as whole ones and a fraction."""

    def __init__(self, seconds: float, fraction: float = 0.0) -> None:
        self.full, self.fraction = int(seconds), seconds % 1 + fraction

    @staticmethod
    def from_ticks(ticks: int, rate: float) -> TimeSpec:
        whole, rest = divmod(ticks, round(rate))
        return TimeSpec(whole, rest / rate)

    def to_ticks(self, rate: float) -> int:
        return round(self.full * rate) + round(self.fraction * rate)


class _Range:
    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def start(self) -> float:
        return self.low

    def stop(self) -> float:
        return self.high


class StreamMode(Enum):
    start_cont, stop_cont, num_done, num_more = range(4)


class RXMetadataErrorCode(Enum):
    none, timeout, late, broken_chain, overflow, alignment, bad_packet = range(7)


class TXMetadataEventCode(Enum):
    burst_ack, underflow, seq_error, time_error, underflow_in_packet, seq_error_in_packet = range(6)


class StreamCMD:
    def __init__(self, mode: StreamMode) -> None:
        self.mode, self.num_samps, self.stream_now, self.time_spec = mode, 0, True, TimeSpec(0.0)


class _Metadata:
    """TXMetadata, RXMetadata and TXAsyncMetadata in one."""

    def __init__(self) -> None:
        self.has_time_spec = self.start_of_burst = self.end_of_burst = self.out_of_sequence = False
        self.time_spec, self.channel = TimeSpec(0.0), 0
        self.error_code, self.event_code = RXMetadataErrorCode.none, TXMetadataEventCode.burst_ack


class _TuneRequest:
    def __init__(self, target_freq: float = 0.0) -> None:
        self.target_freq = target_freq


class _StreamArgs:
    def __init__(self, cpu: str, wire: str) -> None:
        assert (cpu, wire) == ("fc32", "sc16")
        self.channels: list[int] = []


class _Sensor:
    def to_bool(self) -> bool:
        return True


class MultiUSRP:
    """The device; `found` is False where there is none."""

    found = True
    latest: MultiUSRP

    def __init__(self, args: str) -> None:
        if not type(self).found:
            raise RuntimeError("LookupError: KeyError: No devices found for ----->\nEmpty Device Address")
        type(self).latest = self
        self.args, self.rate, self.ticks = args, 1e6, 0
        self.values: dict[tuple[str, str, int], float] = {}
        self.air: dict[int, np.ndarray] = {}
        self.messages: deque[tuple[TXMetadataEventCode, int]] = deque()
        self.lost: tuple[int, int] | None = None
        self.refuses = False

    def __getattr__(self, name: str) -> Any:
        """set_ and get_ of gain, freq, rate, ranges, channels for tx and rx."""
        verb, direction, *rest = name.split("_")
        what = "_".join(rest)
        if verb not in ("set", "get") or direction not in ("tx", "rx"):
            raise AttributeError(name)
        if what == "num_channels":
            return lambda: CHANNELS
        if what == "rate":
            return self._set_rate if verb == "set" else lambda: self.rate
        limits = {"rates": (1e5, 1e7), "gain_range": (0, 76), "freq_range": (7e7, 6e9)}
        if what in limits:
            return lambda _=0: _Range(*limits[what])
        if verb == "set":
            return partial(self._note, direction, what)
        return lambda channel: self.values[direction, what, channel]

    def _note(self, direction: str, what: str, value: Any, channel: int) -> None:
        self.values[direction, what, channel] = float(getattr(value, "target_freq", value))

    def _set_rate(self, rate: float) -> None:
        self.rate = 1e7 / round(1e7 / rate)  # as a divider of the master clock gives it

    def get_num_mboards(self) -> int:
        return 1

    def get_clock_sources(self, _: int) -> list[str]:
        return ["internal", "external", "gpsdo"]

    get_time_sources = get_clock_sources

    def set_clock_source(self, source: str) -> None:
        self.clock = source

    def set_time_source(self, source: str) -> None:
        self.time = source

    def get_mboard_sensor_names(self, _: int) -> list[str]:
        return ["ref_locked"]

    def get_mboard_sensor(self, _: str, __: int) -> _Sensor:
        return _Sensor()

    def set_time_now(self, time: TimeSpec) -> None:
        self.ticks = time.to_ticks(self.rate)

    set_time_unknown_pps = set_time_now

    def get_time_now(self) -> TimeSpec:
        return TimeSpec.from_ticks(self.ticks, self.rate)

    def get_tx_stream(self, arguments: _StreamArgs) -> _TxStreamer:
        return _TxStreamer(self, len(arguments.channels))

    def get_rx_stream(self, arguments: _StreamArgs) -> _RxStreamer:
        return _RxStreamer(self, len(arguments.channels))


class _TxStreamer:
    def __init__(self, usrp: MultiUSRP, channels: int) -> None:
        self.usrp, self.channels, self.end, self.late, self.told = usrp, channels, 0, False, 0

    def send(self, samples: np.ndarray, metadata: _Metadata, timeout: float) -> int:
        assert samples.dtype == np.complex64
        assert samples.shape[0] == self.channels
        usrp = self.usrp
        if usrp.refuses:
            return 0
        if metadata.start_of_burst:
            self.late = False
        if metadata.has_time_spec:
            self.end = metadata.time_spec.to_ticks(usrp.rate)
            if self.end < usrp.ticks:
                self.late = True
                usrp.messages.append((TXMetadataEventCode.time_error, usrp.ticks))
        elif metadata.start_of_burst:
            self.end = max(self.end, usrp.ticks)
        if not self.late:
            usrp.air[self.end] = samples.copy()
            self.end += samples.shape[1]
            if metadata.end_of_burst:
                usrp.messages.append((TXMetadataEventCode.burst_ack, self.end))
        return len(samples[0])

    def recv_async_msg(self, metadata: _Metadata, timeout: float) -> bool:
        if not self.usrp.messages:
            return False
        metadata.event_code, ticks = self.usrp.messages[0]
        metadata.channel, self.told = self.told, (self.told + 1) % self.channels  # each of them answers
        if not self.told:
            self.usrp.messages.popleft()
        metadata.has_time_spec, metadata.time_spec = True, TimeSpec.from_ticks(ticks, self.usrp.rate)
        return True


class _RxStreamer:
    def __init__(self, usrp: MultiUSRP, channels: int) -> None:
        self.usrp, self.channels, self.on, self.left = usrp, channels, False, 0
        self.at = 0

    def get_max_num_samps(self) -> int:
        return MOST

    def issue_stream_cmd(self, command: StreamCMD) -> None:
        self.on = command.mode != StreamMode.stop_cont
        self.left = command.num_samps if command.mode == StreamMode.num_done else 1 << 60
        if self.on:
            assert not command.stream_now
            self.at = command.time_spec.to_ticks(self.usrp.rate)

    def recv(self, out: np.ndarray, metadata: _Metadata, timeout: float) -> int:
        usrp = self.usrp
        metadata.error_code, metadata.has_time_spec = RXMetadataErrorCode.none, True
        n = min(int(out.shape[1]), self.left, MOST)
        if not self.on or not n or self.at - usrp.ticks > timeout * usrp.rate:
            metadata.error_code, metadata.has_time_spec = RXMetadataErrorCode.timeout, False
            return 0
        if usrp.lost is not None and self.at + n > usrp.lost[0]:
            first, count = usrp.lost
            if self.at < first:
                n = first - self.at
            else:
                usrp.lost = None
                metadata.error_code = RXMetadataErrorCode.overflow
                metadata.time_spec = TimeSpec.from_ticks(first, usrp.rate)
                self.at, self.left = first + count, self.left - count
                return 0
        out[:, :n] = 0
        for begin, samples in usrp.air.items():
            low, high = max(begin, self.at), min(begin + samples.shape[1], self.at + n)
            if low < high:
                rows = np.arange(self.channels) % samples.shape[0]
                out[:, low - self.at : high - self.at] = samples[rows, low - begin : high - begin]
        metadata.time_spec = TimeSpec.from_ticks(self.at, usrp.rate)
        self.at, self.left = self.at + n, self.left - n
        usrp.ticks = max(usrp.ticks, self.at)
        return n


def stand_in() -> ModuleType:
    """The module, to be put under the name uhd."""
    found: Any = ModuleType("uhd")
    found.usrp, found.types = ModuleType("uhd.usrp"), ModuleType("uhd.types")
    found.usrp.MultiUSRP = type("MultiUSRP", (MultiUSRP,), {})
    found.usrp.StreamArgs = _StreamArgs
    found.types.TXMetadata = found.types.RXMetadata = found.types.TXAsyncMetadata = _Metadata
    for each in (TimeSpec, StreamMode, StreamCMD, RXMetadataErrorCode, TXMetadataEventCode):
        setattr(found.types, each.__name__, each)
    found.types.TuneRequest = _TuneRequest
    module: ModuleType = found
    return module
