"""One IIO context with an AD9361: its streams as levels, its settings as numbers, its errors as lines."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from blocks.radio.interface import Direction, RadioError

STEPS = 2048
"""Steps of full scale: a level y is the integer 2048 y, at most ±2047, in 12 bits."""
PHY, RX, TX = "ad9361-phy", "cf-ad9361-lpc", "cf-ad9361-dds-core-lpc"
STATUS = 0x80000088
"""The converters' status register: underflow (transmit) is bit 0, overflow (receive) bit 2; ones clear it."""
UNDERFLOW, OVERFLOW = 1, 4
BBPLL, BBPLL_LOCKED = 0x05E, 0x80  # AD9361 register map: BBPLL lock
RX_LO, TX_LO = "altvoltage0", "altvoltage1"
NEEDS_FIR = 25e6 / 12
Levels = np.ndarray[Any, Any]


def library() -> Any:
    """The binding of libiio 0.x.

    Raises RadioError where it is missing or another one.
    """
    try:
        found = importlib.import_module("iio")
    except (ImportError, OSError, AttributeError) as error:
        raise RadioError(
            "the iio radio needs libiio and its Python binding: install Debian's libiio0 and "
            f"pip install 'pylibiio<1' ({error})"
        ) from None
    if found.version[0] != 0:
        raise RadioError(f"libiio {found.version[0]} has another interface: pip install 'pylibiio<1'")
    return found


def encode(levels: Levels) -> bytearray:
    """Levels (channels, n) complex64 as the transmitter takes them: int16, I beside Q, the upper 12 bits."""
    floats = np.ascontiguousarray(levels.T).view(np.float32)
    steps = np.clip(np.rint(floats * STEPS), 1 - STEPS, STEPS - 1).astype("<i2")
    return bytearray((steps << 4).tobytes())


def decode(data: bytearray, channels: int) -> Levels:
    """What the receiver gives, as levels (channels, n) complex64."""
    steps = np.frombuffer(data, "<i2").reshape(-1, 2 * channels)
    return np.ascontiguousarray((steps.astype(np.float32) / STEPS).view(np.complex64).T)


def reason(error: OSError) -> str:
    """What an error of libiio says."""
    number = abs(error.errno or 0)
    if number in (errno.EPIPE, errno.EIO):
        return "the connection ended, or the other side does not speak IIO"
    if number == errno.ETIMEDOUT:
        return "no answer in time"
    return os.strerror(number) if number else str(error)


class Unit:
    """The context at `uri`; no wait of libiio takes longer than `timeout` seconds.

    Raises RadioError for a context that cannot be reached or is no AD9361.
    """

    def __init__(self, uri: str, timeout: float) -> None:
        self.uri = uri
        self._iio = library()
        try:
            self._context = self._iio.Context(uri)
            self._context.set_timeout(max(int(1000 * timeout), 1))
        except (OSError, ValueError, TypeError) as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
            raise RadioError(
                f"no IIO context answers at {uri} ({why}): check the address, and that the device is on"
            ) from None
        self._phy, self._rx, self._tx = (self._device(name) for name in (PHY, RX, TX))
        self.rx_channels, self.tx_channels = self._count(self._rx, False), self._count(self._tx, True)
        self.virtual_time = self._context.attrs.get("local,time") == "virtual"
        self.tells = all("direct_reg_access" in device.debug_attrs for device in (self._rx, self._tx))
        """Whether lost samples are noticed."""
        self._receive: Any = None
        self._transmit: Any = None

    def _device(self, name: str) -> Any:
        found = self._context.find_device(name)
        if found is None:
            raise RadioError(
                f"{self.uri} has no {name}: the iio radio knows the AD9361 (Pluto, FMCOMMS2) alone"
            )
        return found

    def _count(self, device: Any, output: bool) -> int:
        channels = [c for c in device.channels if c.scan_element and c.output == output]
        for channel in channels:
            form = channel.data_format
            if form.length != 16 or not form.is_signed or form.is_be or form.shift:
                raise RadioError(
                    f"{self.uri}: {device.name} {channel.id} has no signed little-endian samples of 16 bits"
                )
        return len(channels) // 2

    # Streams ----------------------------------------------------------------------------------

    def open_transmit(self, channels: int, chunk: int, buffers: int) -> None:
        """Begin to transmit the first `channels` channels, in chunks, of which `buffers` may be queued.

        Raises RadioError, as everything here does.
        """
        with self._named("cannot transmit"):
            for channel in self._tx.channels:
                if channel.output and not channel.scan_element and "raw" in channel.attrs:
                    channel.attrs["raw"].value = "0"  # the tone generators
        self._transmit = self._buffer(self._tx, True, channels, chunk, buffers)

    def open_receive(self, channels: int, chunk: int, buffers: int) -> None:
        """Begin to receive the first `channels` channels."""
        self._receive = self._buffer(self._rx, False, channels, chunk, buffers)
        self._receive_channels, self._chunk = channels, chunk

    def _buffer(self, device: Any, output: bool, channels: int, chunk: int, buffers: int) -> Any:
        for channel in device.channels:
            if channel.scan_element:
                channel.enabled = channel.id in {f"voltage{k}" for k in range(2 * channels)}
        with self._named("cannot stream"):
            device.set_kernel_buffers_count(buffers)
            return self._iio.Buffer(device, chunk, False)

    def push(self, levels: Levels) -> None:
        """Queue a chunk (channels, n)."""
        with self._named("takes no samples"):
            self._transmit.write(encode(levels))
            self._transmit.push()

    def refill(self) -> Levels:
        """The next chunk (channels, n). Another length is an error."""
        with self._named("gives no samples"):
            self._receive.refill()
        data = self._receive.read()
        if len(data) != 4 * self._receive_channels * self._chunk:
            raise RadioError(f"{self.uri} gave {len(data)} bytes instead of {self._chunk} samples")
        return decode(data, self._receive_channels)

    def clear(self) -> None:
        """Forget what the status registers tell so far."""
        with self._named("does not tell its state"):
            for device in (self._rx, self._tx) if self.tells else ():
                device.reg_write(STATUS, UNDERFLOW | OVERFLOW)

    def overflown(self) -> bool:
        """Whether received samples were lost since `clear`."""
        return self._told(self._rx, self._receive, OVERFLOW)

    def starved(self) -> bool:
        """Whether samples to transmit were missing since `clear`."""
        return self._told(self._tx, self._transmit, UNDERFLOW)

    def _told(self, device: Any, buffer: Any, bit: int) -> bool:
        with self._named("does not tell its state"):
            return self.tells and buffer is not None and bool(device.reg_read(STATUS) & bit)

    @contextlib.contextmanager
    def _named(self, what: str) -> Iterator[None]:
        """Errors of libiio as a line with the context's name."""
        try:
            yield
        except OSError as error:
            raise RadioError(f"{self.uri} {what}: {reason(error)}") from None

    def cancel(self) -> None:
        """Make waits of another thread end."""
        for buffer in (self._receive, self._transmit):
            if buffer is not None:
                buffer.cancel()

    def close_streams(self, broken: bool = False) -> None:
        """End both streams; broken ones without a word to the other side."""
        if broken:
            self.cancel()
        self._receive = self._transmit = None

    # Settings ---------------------------------------------------------------------------------

    def _attribute(self, channel: str, output: bool, name: str) -> Any:
        found = self._phy.find_channel(channel, output)
        if found is None or name not in found.attrs:
            raise RadioError(f"{self.uri}: {PHY} has no {channel} {name}")
        return found.attrs[name]

    def _set(self, what: str, channel: str, output: bool, name: str, value: str) -> float:
        attribute = self._attribute(channel, output, name)
        try:
            attribute.value = value
            return float(attribute.value.split()[0])
        except OSError as error:
            raise RadioError(
                f"{self.uri}: {what} is refused ({reason(error)}){self._range(channel, output, name)}"
            ) from None
        except (ValueError, IndexError):
            raise RadioError(f"{self.uri}: {what} was set, but what is read back is no number") from None

    def _range(self, channel: str, output: bool, name: str) -> str:
        try:
            text = str(self._attribute(channel, output, f"{name}_available").value).strip()
        except (OSError, RadioError):
            return ""
        words = text.strip("[]").split()
        return f": it has {words[0]} to {words[2]}" if len(words) == 3 else f": it has {text}"

    def _get(self, channel: str, output: bool, name: str) -> float:
        try:
            return float(self._attribute(channel, output, name).value.split()[0])
        except (OSError, ValueError, IndexError):
            raise RadioError(f"{self.uri}: {PHY} {channel} {name} cannot be read") from None

    def set_rate(self, rate: float) -> float:
        """Samples/s of all channels; returns the actual value. Raises RadioError."""
        try:
            return self._set(f"rate {rate:g}", "voltage0", False, "sampling_frequency", str(round(rate)))
        except RadioError as error:
            hint = (
                ", lower ones once pyadi-iio's sample_rate has loaded a FIR filter"
                if rate < NEEDS_FIR
                else ""
            )
            raise RadioError(f"{error} samples/s{hint}") from None

    def rate(self) -> float:
        """Samples/s."""
        return self._get("voltage0", False, "sampling_frequency")

    def set_gain(self, direction: Direction, channel: int, gain: float) -> float:
        """Gain of a channel in dB; returns the actual value. Raises RadioError."""
        return self._set(
            f"{direction} gain {gain:g} dB",
            f"voltage{channel}",
            direction == "tx",
            "hardwaregain",
            f"{gain:.6f}",
        )

    def gain(self, direction: Direction, channel: int) -> float:
        """Gain of a channel in dB."""
        return self._get(f"voltage{channel}", direction == "tx", "hardwaregain")

    def hold_gain(self, channel: int) -> None:
        """Turn the automatic gain control of a receive channel off. Raises RadioError."""
        try:
            self._attribute(f"voltage{channel}", False, "gain_control_mode").value = "manual"
        except OSError as error:
            raise RadioError(
                f"{self.uri}: the gain control cannot be set to manual ({reason(error)})"
            ) from None

    def set_frequency(self, direction: Direction, frequency: float) -> float:
        """Carrier of all channels of a direction in Hz; returns the actual value. Raises RadioError."""
        lo = TX_LO if direction == "tx" else RX_LO
        return self._set(
            f"{direction} frequency {frequency:g} Hz", lo, True, "frequency", str(round(frequency))
        )

    def frequency(self, direction: Direction) -> float:
        """Carrier in Hz."""
        return self._get(TX_LO if direction == "tx" else RX_LO, True, "frequency")

    def locked(self) -> bool:
        """Whether the baseband clock is locked. Raises RadioError."""
        if "direct_reg_access" not in self._phy.debug_attrs:
            return True  # the driver does not start without
        try:
            return bool(self._phy.reg_read(BBPLL) & BBPLL_LOCKED)
        except OSError as error:
            raise RadioError(f"{self.uri}: the clock's state cannot be read ({reason(error)})") from None
