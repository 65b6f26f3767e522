"""USRPs through UHD's Python API (python3-uhd), written against its documentation: files.ettus.com/manual.

What could be run without a device: `import uhd`, and the error that no device answers. All else is tested
against a stand-in of the documented API, not against hardware.
"""

from __future__ import annotations

import time as clock
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from blocks.radio.interface import (
    TIMEOUT,
    Capabilities,
    Direction,
    Event,
    EventKind,
    Flag,
    RadioError,
    RadioTimeout,
    Received,
    check_channel,
    check_samples,
)
from blocks.radio.software import PlainRadio
from blocks.radio.uhd_bursts import UhdBursts

LEAD_SECONDS = 0.05
"""How far ahead of now a reception begins when no time is given, and a burst should lie."""
MOST_AT_ONCE = (1 << 28) - 1  # num_samps of a stream command has 28 bits
ASYNC = {
    "burst_ack": EventKind.BURST_ACK,
    "underflow": EventKind.UNDERFLOW,
    "underflow_in_packet": EventKind.UNDERFLOW,
    "seq_error": EventKind.SEQUENCE_GAP,
    "seq_error_in_packet": EventKind.SEQUENCE_GAP,
    "time_error": EventKind.LATE,
}
"""Kind of event for each member of uhd.types.TXMetadataEventCode that is one."""


class UhdRadio(PlainRadio):
    """Channels `tx_channels` and `rx_channels` of the USRPs that `args` names, e.g. ``addr=192.168.10.2``.

    Ticks count from the opening, when the device's time is set to 0 (at the next pulse where `time_source` is
    not internal). `phase_coherent`: whether the channels share oscillators, which no device tells.
    rate in samples/s, frequency in Hz, gains in dB, for all channels; each can be set alone later.

    Raises RadioError where UHD is not installed, no device answers, or a setting is not supported.
    """

    def __init__(
        self,
        args: str = "",
        tx_channels: Sequence[int] = (0,),
        rx_channels: Sequence[int] = (0,),
        *,
        rate: float = 1e6,
        frequency: float = 2.45e9,
        tx_gain: float = 0.0,
        rx_gain: float = 0.0,
        clock_source: str = "internal",
        time_source: str = "internal",
        phase_coherent: bool = False,
    ) -> None:
        self._uhd, self._usrp = _open(args)
        self._numbers: dict[Direction, list[int]] = {"tx": [*tx_channels], "rx": [*rx_channels]}
        for direction, numbers in self._numbers.items():
            there = int(getattr(self._usrp, f"get_{direction}_num_channels")())
            if not numbers or not all(0 <= number < there for number in numbers):
                raise RadioError(f"{direction}_channels {numbers}: this device has {there}, counted from 0")
        self.device = f"uhd:{args or 'any'}"
        self.capabilities = Capabilities(
            timestamps=True,
            events=frozenset(EventKind),
            tx_channels=len(tx_channels),
            rx_channels=len(rx_channels),
            phase_coherent=phase_coherent or len(tx_channels) == len(rx_channels) == 1,
            lead=round(LEAD_SECONDS * rate),
        )
        super().__init__()
        self._events: deque[Event] = deque(maxlen=10_000)
        self._bursts = UhdBursts()
        self._expected: int | None = None  # the next tick, while a reception is on
        self._stop: int | None = None
        self._closed = False
        self._tx: Any = None
        self._rx: Any = None
        self.set_clock_source(clock_source)
        self.set_time_source(time_source)
        self.set_rate(rate)
        for direction, gain in (("tx", tx_gain), ("rx", rx_gain)):
            for channel in range(len(self._numbers[direction])):
                self.set_gain(direction, channel, gain)
                self.set_frequency(direction, channel, frequency)
        zero = self._uhd.types.TimeSpec(0.0)
        if time_source == "internal" and self._usrp.get_num_mboards() == 1:
            self._usrp.set_time_now(zero)
        else:
            self._usrp.set_time_unknown_pps(zero)

    # Settings ----------------------------------------------------------------------------------

    def set_rate(self, rate: float) -> float:
        """Set the rate of both directions; returns the actual one. Not while a reception is on."""
        if self._expected is not None:
            raise RadioError("set_rate: a reception is on: stop it first")
        for direction in ("tx", "rx"):
            _check_range("rate", rate, getattr(self._usrp, f"get_{direction}_rates")())
        self._usrp.set_tx_rate(rate)
        self._usrp.set_rx_rate(rate)
        sent, received = float(self._usrp.get_tx_rate()), float(self._usrp.get_rx_rate())
        if sent != received:
            raise RadioError(
                f"rate {rate:g} becomes {sent:g} to send, {received:g} to receive: choose another"
            )
        self._rate = sent
        self._tx = self._rx = None  # streamers belong to a rate, and so do ticks and answers
        self._bursts = UhdBursts()
        return sent

    def set_gain(self, direction: Direction, channel: int, gain: float) -> float:
        """Set a channel's gain in dB; returns the actual one."""
        return self._set("gain", direction, channel, gain, float(gain))

    def set_frequency(self, direction: Direction, channel: int, frequency: float) -> float:
        """Set a channel's carrier in Hz; returns the actual one."""
        request = self._uhd.types.TuneRequest(float(frequency))
        return self._set("freq", direction, channel, frequency, request)

    def _set(self, what: str, direction: Direction, channel: int, value: float, given: Any) -> float:
        check_channel(self.capabilities, direction, channel)
        number = self._numbers[direction][channel]
        _check_range(what, value, getattr(self._usrp, f"get_{direction}_{what}_range")(number))
        getattr(self._usrp, f"set_{direction}_{what}")(given, number)
        return float(getattr(self._usrp, f"get_{direction}_{what}")(number))

    def settings(self) -> Mapping[str, object]:
        """rate, and a list over the channels of tx_gain, rx_gain, tx_frequency, rx_frequency."""
        found: dict[str, object] = {"rate": self._rate}
        for name, what in (("gain", "gain"), ("frequency", "freq")):
            for direction, numbers in self._numbers.items():
                read = getattr(self._usrp, f"get_{direction}_{what}")
                found[f"{direction}_{name}"] = [float(read(number)) for number in numbers]
        return found

    def set_clock_source(self, source: str) -> None:
        """Choose one of the device's clock sources."""
        _check_source("clock", source, self._usrp.get_clock_sources(0))
        self._usrp.set_clock_source(source)

    def set_time_source(self, source: str) -> None:
        """Choose one of the device's time sources."""
        _check_source("time", source, self._usrp.get_time_sources(0))
        self._usrp.set_time_source(source)

    def clock_locked(self) -> bool:
        """What the sensors say; a device without one has only its own clock."""
        return all(
            bool(self._usrp.get_mboard_sensor("ref_locked", board).to_bool())
            for board in range(self._usrp.get_num_mboards())
            if "ref_locked" in self._usrp.get_mboard_sensor_names(board)
        )

    def now(self) -> int:
        """The tick that the device is at."""
        return self._ticks(self._usrp.get_time_now())

    # Sending -----------------------------------------------------------------------------------

    def send(
        self, samples: np.ndarray, time: int | None, start_of_burst: bool, end_of_burst: bool, timeout: float
    ) -> None:
        """See `Transmitter.send`. Whether a burst was late the device tells, in `events`."""
        check_samples(samples, self.capabilities.tx_channels)
        self._check_open()
        if self._tx is None:
            self._tx = self._usrp.get_tx_stream(self._stream_arguments("tx"))
        metadata = self._uhd.types.TXMetadata()
        metadata.start_of_burst, metadata.end_of_burst = start_of_burst, end_of_burst
        metadata.has_time_spec = time is not None
        if time is not None:
            metadata.time_spec = self._time_spec(time)
        n, sent = samples.shape[1], 0
        self._bursts.begin(time, n, start_of_burst, end_of_burst)  # before: it may be told late meanwhile
        try:
            sent = int(self._tx.send(np.ascontiguousarray(samples), metadata, timeout))
        finally:
            if sent < n:
                self._bursts.cut(n - sent)
        if sent < n:
            raise RadioTimeout(f"send: the device took {sent} of {n} samples within {timeout:g} s")

    def events(self) -> list[Event]:
        """What has happened since the last call: what the device has told, and what `recv` has met."""
        if self._tx is not None:
            metadata = self._uhd.types.TXAsyncMetadata()
            while self._tx.recv_async_msg(metadata, 0.0):
                kind = ASYNC.get(metadata.event_code.name)
                if kind is None or (metadata.channel and kind in (EventKind.BURST_ACK, EventKind.LATE)):
                    continue  # every channel answers, see UHD's examples/tx_bursts.cpp: the first counts
                tick = self._ticks(metadata.time_spec) if metadata.has_time_spec else None
                if kind == EventKind.BURST_ACK:
                    tick = self._bursts.acknowledged(tick)
                elif kind == EventKind.LATE:
                    tick = self._bursts.late(tick)
                self._events.append(Event(kind, tick, detail=f"{metadata.event_code.name} on {self.device}"))
        found = list(self._events)
        self._events.clear()
        return found

    # Receiving ---------------------------------------------------------------------------------

    def start(self, time: int | None, n: int | None) -> None:
        """See `Receiver.start`. "Now" is LEAD_SECONDS ahead, so that all channels begin at one tick."""
        self._check_open()
        if n is not None and not 1 <= n <= MOST_AT_ONCE:
            raise RadioError(f"start: n must be from 1 to {MOST_AT_ONCE}, not {n}")
        if self._expected is not None:
            self.stop()
        now = self.now()
        first = now + round(LEAD_SECONDS * self._rate) if time is None else time
        if first < now:
            raise RadioError(f"start: tick {first} has passed, it is {now}: choose a later one")
        if self._rx is None:
            self._rx = self._usrp.get_rx_stream(self._stream_arguments("rx"))
        modes = self._uhd.types.StreamMode
        command = self._uhd.types.StreamCMD(modes.start_cont if n is None else modes.num_done)
        if n is not None:
            command.num_samps = n
        command.stream_now = False
        command.time_spec = self._time_spec(first)
        self._rx.issue_stream_cmd(command)
        self._expected, self._stop = first, None if n is None else first + n

    def recv(self, most: int, timeout: float) -> Received:
        """See `Receiver.recv`. After an overflow of a timed reception the device may send no more."""
        self._check_open()
        if self._expected is None:
            raise RadioError("recv: nothing is being received: call start() first")
        if most < 1:
            raise RadioError(f"recv: most must be at least 1, not {most}")
        deadline = clock.monotonic() + timeout
        count = min(most, int(self._rx.get_max_num_samps()))
        samples = np.empty((self.capabilities.rx_channels, count), np.complex64)
        metadata = self._uhd.types.RXMetadata()
        while (left := deadline - clock.monotonic()) > 0:
            n = int(self._rx.recv(samples, metadata, left))
            code = metadata.error_code.name
            tick = self._ticks(metadata.time_spec) if metadata.has_time_spec else self._expected
            if code == "overflow":
                kind = EventKind.SEQUENCE_GAP if metadata.out_of_sequence else EventKind.OVERFLOW
                self._events.append(Event(kind, tick, detail=f"reported by {self.device}"))
            elif code == "late":
                self._expected = None
                raise RadioError(f"start: {self.device} found the tick to begin at had passed: start later")
            elif code not in ("none", "timeout"):
                raise RadioError(f"{self.device}: {code} while receiving: start the reception again")
            if n:
                return self._received(samples[:, :n], tick)
        raise RadioTimeout(f"no samples within {timeout:g} s from {self.device}: check clock and connection")

    def _received(self, samples: np.ndarray, tick: int) -> Received:
        flags = Flag.NONE if tick == self._expected else Flag.GAP
        self._expected = tick + samples.shape[1]
        if self._stop is not None and self._expected >= self._stop:
            samples = samples[:, : max(self._stop - tick, 0)]
            self._expected, flags = None, flags | Flag.END
        if not samples.shape[1]:
            raise RadioError(f"the samples up to tick {self._stop} were lost: start the reception again")
        return Received(samples, tick, flags)

    def stop(self) -> None:
        """See `Receiver.stop`. What is still on its way is thrown away."""
        if self._expected is None or self._closed:
            return
        self._expected = None
        self._rx.issue_stream_cmd(self._uhd.types.StreamCMD(self._uhd.types.StreamMode.stop_cont))
        rest = np.empty((self.capabilities.rx_channels, int(self._rx.get_max_num_samps())), np.complex64)
        metadata = self._uhd.types.RXMetadata()
        deadline = clock.monotonic() + TIMEOUT
        while clock.monotonic() < deadline and (
            self._rx.recv(rest, metadata, 0.01) or metadata.error_code.name != "timeout"
        ):
            pass

    def close(self) -> None:
        """Stop and let go of the device. May be called twice."""
        self.stop()
        self._closed = True
        self._tx = self._rx = None

    # -------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise RadioError(f"{self.device} is closed: open the radio again")

    def _stream_arguments(self, direction: Direction) -> Any:
        arguments = self._uhd.usrp.StreamArgs("fc32", "sc16")
        arguments.channels = self._numbers[direction]
        return arguments

    def _time_spec(self, tick: int) -> Any:
        return self._uhd.types.TimeSpec.from_ticks(tick, self._rate)

    def _ticks(self, time_spec: Any) -> int:
        return int(time_spec.to_ticks(self._rate))


def _open(args: str) -> tuple[Any, Any]:
    """UHD's module, and the device."""
    try:
        import uhd  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        why = "is not installed for this Python" if isinstance(error, ModuleNotFoundError) else str(error)
        raise RadioError(
            f"the uhd radio needs UHD's Python module, which {why}: build UHD for it (Debian's is "
            "for the system's Python and NumPy 1)"
        ) from None
    try:
        return uhd, uhd.usrp.MultiUSRP(args)
    except (RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise RadioError(f"no USRP answers to {args!r} ({why}): look with uhd_find_devices") from None


def _check_range(what: str, value: float, allowed: Any) -> None:
    if not allowed.start() <= value <= allowed.stop():  # NaN is in no range
        raise RadioError(f"{what} must be from {allowed.start():g} to {allowed.stop():g}, not {value:g}")


def _check_source(what: str, source: str, known: Sequence[str]) -> None:
    if source not in known:
        raise RadioError(f"there is no {what} source {source!r}: this device has {', '.join(known)}")
