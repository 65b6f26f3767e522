"""IIO contexts side by side as one array: channels counted through, settings kept and restored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from blocks.radio.iio_unit import Unit
from blocks.radio.interface import Direction, RadioError

Levels = np.ndarray[Any, Any]
Key = tuple[Direction, int]


class IioArray:
    """The contexts at `uris`; channels 2k and 2k + 1 belong to context k, the first `tx_channels` and
    `rx_channels` are used (None: all).

    The automatic gain control of the receive channels in use is turned off.

    Raises RadioError for contexts that cannot be reached or used, or have too few channels.
    """

    def __init__(
        self, uris: Sequence[str], timeout: float, tx_channels: int | None, rx_channels: int | None
    ) -> None:
        self.uris, self._timeout = list(uris), timeout
        self._units = [Unit(uri, timeout) for uri in uris]
        self._places: dict[Key, tuple[int, int]] = {}
        self.tx_channels, self.rx_channels = self._choose("tx", tx_channels), self._choose("rx", rx_channels)
        self.virtual_time = all(unit.virtual_time for unit in self._units)
        """Whether time stands still in all contexts while nothing is received."""
        self.tells = all(unit.tells for unit in self._units)
        """Whether all contexts tell of lost samples."""
        self._rate = self._same({unit.uri: unit.rate() for unit in self._units}, "rate")
        self._gains: dict[Key, float] = {}
        self._frequencies: dict[Key, float] = {}
        for (direction, channel), (k, place) in self._places.items():
            if direction == "rx":
                self._units[k].hold_gain(place)
            self._gains[direction, channel] = self._units[k].gain(direction, place)
            self._frequencies[direction, channel] = self._units[k].frequency(direction)

    def _choose(self, direction: Direction, wanted: int | None) -> int:
        """Give the channels of a direction their places; returns their number."""
        found = [
            (k, channel)
            for k, unit in enumerate(self._units)
            for channel in range(unit.tx_channels if direction == "tx" else unit.rx_channels)
        ]
        if wanted is not None and not 0 <= wanted <= len(found):
            raise RadioError(
                f"{wanted} {direction} channels are wanted, {len(self._units)} contexts have {len(found)}: "
                "give as many contexts as it takes"
            )
        chosen = found[:wanted]
        self._places |= {(direction, channel): place for channel, place in enumerate(chosen)}
        return len(chosen)

    def _used(self, direction: Direction) -> list[tuple[Unit, list[int]]]:
        """Contexts with channels in use, and which those are, counted through."""
        rows: dict[int, list[int]] = {}
        for (side, channel), (k, _) in self._places.items():
            if side == direction:
                rows.setdefault(k, []).append(channel)
        return [(self._units[k], channels) for k, channels in rows.items()]

    def reopen(self) -> None:
        """Connect to all contexts again, and set them as they were. Raises RadioError."""
        self.close_streams(broken=True)
        self._units = [Unit(uri, self._timeout) for uri in self.uris]
        for unit in self._units:
            if unit.rate() != self._rate:
                unit.set_rate(self._rate)
        for (direction, channel), (k, place) in self._places.items():
            if direction == "rx":
                self._units[k].hold_gain(place)
            self._units[k].set_gain(direction, place, self._gains[direction, channel])
            if self._units[k].frequency(direction) != self._frequencies[direction, channel]:
                self._units[k].set_frequency(direction, self._frequencies[direction, channel])

    # Streams, each of which raises RadioError ---------------------------------------------------

    def open_transmit(self, chunk: int, buffers: int) -> None:
        """Begin to transmit, `chunk` samples at a time, of which `buffers` chunks are queued."""
        for unit, channels in self._used("tx"):
            unit.open_transmit(len(channels), chunk, buffers)

    def open_receive(self, chunk: int, buffers: int) -> None:
        """Begin to receive, and forget of what the status registers tell."""
        for unit, channels in self._used("rx"):
            unit.open_receive(len(channels), chunk, buffers)
        for unit in self._units:
            unit.clear()

    def push(self, levels: Levels) -> None:
        """Queue a chunk (tx_channels, chunk) complex64."""
        for unit, channels in self._used("tx"):
            unit.push(levels[channels])

    def refill(self) -> Levels:
        """The next chunk (rx_channels, chunk) complex64."""
        return np.concatenate([unit.refill() for unit, _ in self._used("rx")])

    def overflown(self) -> list[str]:
        """Contexts that have lost received samples."""
        return [unit.uri for unit, _ in self._used("rx") if unit.overflown()]

    def starved(self) -> list[str]:
        """Contexts that had nothing to transmit."""
        return [unit.uri for unit, _ in self._used("tx") if unit.starved()]

    def cancel(self) -> None:
        """Make waits of another thread end; the streams are broken then."""
        for unit in self._units:
            unit.cancel()

    def close_streams(self, broken: bool) -> None:
        """End all streams; broken ones without a word to the other side."""
        for unit in self._units:
            unit.close_streams(broken)

    def close(self) -> None:
        """Let go of the contexts."""
        self.close_streams(broken=False)
        self._units = []

    # Settings -----------------------------------------------------------------------------------

    def set_rate(self, rate: float) -> float:
        """Samples/s of all contexts; returns the actual value.

        Raises RadioError for a rate that a context has not, or contexts that end up at different ones.
        """
        self._rate = self._same({unit.uri: unit.set_rate(rate) for unit in self._units}, "rate")
        return self._rate

    def _same(self, found: Mapping[str, float], what: str) -> float:
        if len(set(found.values())) > 1:
            each = ", ".join(f"{uri} {value:.10g}" for uri, value in found.items())
            raise RadioError(f"{what}: the contexts differ ({each}): set all of them to the same one")
        return next(iter(found.values()))

    def set_gain(self, direction: Direction, channel: int, gain: float) -> float:
        """Gain of a channel in dB; returns the actual value. Raises RadioError."""
        k, place = self._places[direction, channel]
        self._gains[direction, channel] = self._units[k].set_gain(direction, place, gain)
        return self._gains[direction, channel]

    def set_frequency(self, direction: Direction, channel: int, frequency: float) -> float:
        """Carrier in Hz of a channel and of the other one of its context; returns the actual value."""
        k, _ = self._places[direction, channel]
        actual = self._units[k].set_frequency(direction, frequency)
        for (side, other), (unit, _) in self._places.items():
            if side == direction and unit == k:
                self._frequencies[side, other] = actual
        return actual

    def settings(self) -> Mapping[str, object]:
        """rate, and a list over the channels of tx_gain, rx_gain, tx_frequency, rx_frequency."""
        found: dict[str, object] = {"rate": self._rate}
        for name, values in (("gain", self._gains), ("frequency", self._frequencies)):
            for direction in ("tx", "rx"):
                found[f"{direction}_{name}"] = [v for (d, _), v in sorted(values.items()) if d == direction]
        return found

    def locked(self) -> bool:
        """Whether the baseband clocks of all contexts are locked. Raises RadioError."""
        return all(unit.locked() for unit in self._units)
