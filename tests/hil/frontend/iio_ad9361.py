"""What an AD9361 shows through IIO: devices, channels and attributes, named as Linux' driver names them.

Names and ranges: drivers/iio/adc/ad9361.c and cf_axi_{adc,dds}.c of Analog Devices' kernel, and what
pyadi-iio reads and writes. Attributes act as far as this front end can: gains, rates and carriers have the
ranges of the chip, and what has no counterpart here (loopback, fast lock, calibration modes) is refused, or
kept without effect where a client sets it on its way (FIR filters, DDS tones, which stay silent).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from xml.sax.saxutils import quoteattr

PHY, RX, TX = "iio:device0", "iio:device3", "iio:device2"
SLOWEST, SLOWEST_WITH_FIR, FASTEST = 25_000_000 // 12 + 1, 25_000_000 // 48 + 1, 61_440_000
STATUS = 0x80000088  # of the converters' cores: underflow is bit 0, overflow bit 2, cleared by writing ones
UNDERFLOW, OVERFLOW = 1, 4
LOCKS = {0x5E: 0x80, 0x247: 0x02, 0x287: 0x02}  # BBPLL, receive and transmit synthesizer
# Clients validate the document: which elements there are, with which attributes.
ELEMENTS = {
    "context": "name version-major version-minor version-git description",
    "context-attribute": "name value",
    "device": "id name label",
    "channel": "id name type",
    "scan-element": "index format scale",
    "attribute": "name filename",
    "debug-attribute": "name",
    "buffer-attribute": "name",
}
DOCUMENT_TYPE = "<!DOCTYPE context [{}]>".format(
    "".join(
        f"<!ELEMENT {name} ANY><!ATTLIST {name} {' CDATA #IMPLIED '.join(attributes.split())} CDATA #IMPLIED>"
        for name, attributes in ELEMENTS.items()
    )
)


class Refused(Exception):
    """An errno for the client."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass
class Attribute:
    """A value as text, checked by `check` before it is changed; None: it cannot be changed."""

    value: str | Callable[[], str]
    check: Callable[[str], str | None] | None = None

    def read(self) -> str:
        """The value."""
        return self.value if isinstance(self.value, str) else self.value()

    def write(self, text: str) -> None:
        """Change the value. Raises Refused."""
        if self.check is None:
            raise Refused(errno.EPERM)
        found = self.check(text)
        if found is not None:
            self.value = found


@dataclass
class Channel:
    """A channel of a device; `form` is given for those that are streamed."""

    id: str
    output: bool
    attributes: dict[str, Attribute]
    name: str = ""
    index: int = -1
    form: str = ""


@dataclass
class Device:
    """A device of the context."""

    id: str
    name: str
    channels: list[Channel]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    buffer: dict[str, Attribute] = field(default_factory=dict)
    debug: dict[str, Attribute] = field(default_factory=dict)

    @property
    def streamed(self) -> int:
        """How many channels are streamed; they come first."""
        return sum(channel.index >= 0 for channel in self.channels)


def number(low: float, high: float, unit: str = "", step: float = 1) -> Callable[[str], str]:
    """A check for numbers of a range, kept in whole steps."""

    def check(text: str) -> str:
        found = re.fullmatch(r"\s*(-?\d{1,15}(?:\.\d{1,9})?)(?:\s*dB)?\s*", text)
        if not found or not low <= float(found[1]) <= high:
            raise Refused(errno.EINVAL)
        value = round(float(found[1]) / step) * step
        return f"{value:.6f}{unit}" if unit or step < 1 else str(int(value))

    return check


def among(*values: str) -> Callable[[str], str]:
    """A check for one of several words."""

    def check(text: str) -> str:
        if text not in values:
            raise Refused(errno.EINVAL)
        return text

    return check


class Board(Protocol):
    """What the chip is soldered to."""

    rate: float
    """Samples/s after power-up."""

    def status(self, device: str, clear: int) -> int:
        """Read, then clear, the status register of a converter."""

    def gain(self, direction: str, place: int) -> float:
        """Gain of a "tx" or "rx" channel in dB."""

    def set_gain(self, direction: str, place: int, gain: float) -> None:
        """Set it."""

    def retune(self) -> None:
        """A carrier has changed."""


class Ad9361:
    """The control side of a context: two transmit and two receive channels behind an AD9361."""

    def __init__(self, serial: str, board: Board) -> None:
        self.locked = True
        self._board, self._status = board, board.status
        self._rate, self._fir = str(round(board.rate)), "1" if board.rate < SLOWEST else "0"
        self._register = 0
        modes = among("manual", "slow_attack", "fast_attack", "hybrid")
        self.gain_modes = [Attribute("slow_attack", modes) for _ in range(2)]
        self.gains = {side: [self._gain(side, k) for k in range(2)] for side in ("tx", "rx")}
        self.devices = [self._phy(), self._converter(TX), self._converter(RX)]
        self.attributes = {
            "hw_model": "Virtual front end, PlutoSDR and FMCOMMS2 compatible (AD9361)",
            "hw_serial": serial,
            "ad9361-phy,model": "ad9361",
            "local,kernel": "none",
            "local,time": "virtual",
        }

    def find(self, name: str) -> Device:
        """The device of an id or a name. Raises Refused."""
        for device in self.devices:
            if name in (device.id, device.name):
                return device
        raise Refused(errno.ENODEV)

    def _gain(self, side: str, place: int) -> Attribute:
        """Gain of a channel. The automatic gain control leaves it as it was."""
        check = number(-3, 71, " dB") if side == "rx" else number(-89.75, 0, " dB", 0.25)

        def change(text: str) -> None:
            if side == "rx" and self.gain_modes[place].read() != "manual":
                raise Refused(errno.EOPNOTSUPP)
            self._board.set_gain(side, place, float(check(text).split()[0]))

        return Attribute(lambda: f"{self._board.gain(side, place):.6f} dB", change)

    def _carrier(self) -> Attribute:
        check = number(70_000_000, 6_000_000_000)
        carrier = Attribute("2400000000")

        def change(text: str) -> str:
            found = check(text)
            if found != carrier.read():
                self._board.retune()
            return found

        carrier.check = change
        return carrier

    def _set_rate(self, text: str) -> None:
        low = SLOWEST_WITH_FIR if self._fir == "1" else SLOWEST
        self._rate = number(low, FASTEST)(text)

    def _set_fir(self, text: str) -> None:
        on = among("0", "1", "False", "True", "N", "Y")(text) in ("1", "True", "Y")
        if not on and int(self._rate) < SLOWEST:
            raise Refused(errno.EINVAL)
        self._fir = "1" if on else "0"

    def _paths(self, names: str) -> str:
        """Clock rates of a path: half-band filters of 2, a FIR of 4 where it is on."""
        converter, *between, fir, sample = names.split()
        rate = int(self._rate)
        last = rate * (4 if self._fir == "1" else 1)
        rates = [last * 2 ** max(len(between) - k, 0) for k in range(len(between) + 1)]
        steps = zip([converter, *between, fir, sample], [*rates, last, rate], strict=True)
        return "BBPLL:983040000 " + " ".join(f"{name}:{value}" for name, value in steps)

    def _phy(self) -> Device:
        fixed = Attribute
        rate = {
            "sampling_frequency": Attribute(lambda: self._rate, self._set_rate),
            "sampling_frequency_available": fixed(f"[{SLOWEST} 1 {FASTEST}]"),
            "filter_fir_en": Attribute(lambda: self._fir, self._set_fir),
        }
        widths = {name: Attribute("18000000", number(200_000, 56_000_000)) for name in ("rx", "tx")}
        channels = []
        for k in range(2):
            receive = {
                **rate,
                "gain_control_mode": self.gain_modes[k],
                "gain_control_mode_available": fixed("manual fast_attack slow_attack hybrid"),
                "hardwaregain": self.gains["rx"][k],
                "hardwaregain_available": fixed("[-3 1 71]"),
                "rf_bandwidth": widths["rx"],
                "rf_bandwidth_available": fixed("[200000 1 56000000]"),
                "rf_port_select": Attribute("A_BALANCED", among("A_BALANCED")),
                "rssi": fixed("0.00 dB"),
            }
            transmit = {
                **rate,
                "hardwaregain": self.gains["tx"][k],
                "hardwaregain_available": fixed("[-89.750000 0.250000 0.000000]"),
                "rf_bandwidth": widths["tx"],
                "rf_bandwidth_available": fixed("[200000 1 40000000]"),
                "rf_port_select": Attribute("A", among("A")),
                "rssi": fixed("0.00 dB"),
            }
            channels += [Channel(f"voltage{k}", False, receive), Channel(f"voltage{k}", True, transmit)]
        for k, name in enumerate(("RX_LO", "TX_LO")):
            carrier = {
                "frequency": self._carrier(),
                "frequency_available": fixed("[70000000 1 6000000000]"),
                "external": Attribute("0", among("0")),
                "powerdown": Attribute("0", among("0", "1")),
            }
            channels.append(Channel(f"altvoltage{k}", True, carrier, name))
        channels.append(
            Channel("out", False, {"voltage_filter_fir_en": Attribute(lambda: self._fir, self._set_fir)})
        )
        channels.append(Channel("temp0", False, {"input": fixed("25000")}))
        attributes = {
            "calib_mode": Attribute("auto", among("auto", "manual")),
            "calib_mode_available": fixed("auto manual"),
            "dcxo_tune_coarse": Attribute("8", number(0, 63)),
            "dcxo_tune_fine": Attribute("5904", number(0, 8191)),
            "ensm_mode": Attribute("fdd", among("fdd", "alert", "sleep", "wait")),
            "ensm_mode_available": fixed("sleep wait alert fdd"),
            "filter_fir_config": Attribute("FIR Rx: 128,4 Tx: 128,4", self._filter),
            "rx_path_rates": fixed(lambda: self._paths("ADC R2 R1 RF RXSAMP")),
            "trx_rate_governor": Attribute("nominal", among("nominal", "highest_osr")),
            "tx_path_rates": fixed(lambda: self._paths("DAC T2 T1 TF TXSAMP")),
            "xo_correction": Attribute("40000000", number(39_990_000, 40_010_000)),
        }
        debug = {
            "direct_reg_access": Attribute(self._read_phy, self._choose_phy),
            "loopback": Attribute("0", among("0")),
        }
        return Device(PHY, "ad9361-phy", channels, attributes, {}, debug)

    def _filter(self, text: str) -> str:
        taps = re.findall(r"^\s*-?\d{1,6}\s*,\s*-?\d{1,6}\s*$", text, re.MULTILINE)
        if not 16 <= len(taps) <= 128 or len(taps) % 16:
            raise Refused(errno.EINVAL)
        return f"FIR Rx: {len(taps)},4 Tx: {len(taps)},4"

    def _choose_phy(self, text: str) -> None:
        self._register, _ = register(text)

    def _read_phy(self) -> str:
        return hex(LOCKS.get(self._register, 0) if self.locked else 0)

    def _converter(self, device: str) -> Device:
        output = device == TX
        channels = []
        for k in range(4):
            attributes = {
                "calibphase": Attribute("0.000000", number(0, 0, step=0.5)),
                "calibscale": Attribute("1.000000", number(1, 1, step=0.5)),
                "sampling_frequency": Attribute(lambda: self._rate),
                "sampling_frequency_available": Attribute(lambda: f"{self._rate} {int(self._rate) // 8}"),
            }
            form = "le:S16/16>>0" if output else "le:S12/16>>0"
            name = f"TX{k // 2 + 1}_{'IQ'[k % 2]}" if output else ""
            channels.append(Channel(f"voltage{k}", output, attributes, name, k, form))
        for k in range(8 if output else 0):
            tone = {
                "frequency": Attribute("0", number(0, FASTEST)),
                "phase": Attribute("0", number(0, 360_000)),
                "raw": Attribute("0", among("0", "1")),
                "sampling_frequency": Attribute(lambda: self._rate),
                "scale": Attribute("0.000000", number(0, 1, step=1e-6)),
            }
            name = f"TX{k // 4 + 1}_{'IQ'[k // 2 % 2]}_F{k % 2 + 1}"
            channels.append(Channel(f"altvoltage{k}", True, tone, name))
        buffer = {"length_align_bytes": Attribute("8"), "watermark": Attribute("1", number(1, 1 << 22))}
        chosen = [0]

        def choose(text: str) -> None:
            chosen[0], value = register(text)
            if value is not None and chosen[0] == STATUS:
                self._status(device, value)

        def read() -> str:
            return hex(self._status(device, 0) if chosen[0] == STATUS else 0)

        debug = {"direct_reg_access": Attribute(read, choose)}
        return Device(
            device, "cf-ad9361-dds-core-lpc" if output else "cf-ad9361-lpc", channels, {}, buffer, debug
        )

    def xml(self) -> str:
        """The context as libiio's document type has it."""
        parts = [
            '<?xml version="1.0" encoding="utf-8"?>',
            DOCUMENT_TYPE,
            '<context name="network" version-major="0" version-minor="24" version-git="virtual"',
            ' description="virtual front end">',
            *(
                f"<context-attribute name={quoteattr(name)} value={quoteattr(value)} />"
                for name, value in self.attributes.items()
            ),
        ]
        for device in self.devices:
            parts.append(f'<device id="{device.id}" name="{device.name}">')
            for channel in device.channels:
                name = f' name="{channel.name}"' if channel.name else ""
                kind = "output" if channel.output else "input"
                parts.append(f'<channel id="{channel.id}"{name} type="{kind}">')
                if channel.index >= 0:
                    form = quoteattr(channel.form)
                    parts.append(f'<scan-element index="{channel.index}" format={form} />')
                stem = f"{'out' if channel.output else 'in'}_{channel.id}"
                parts += [f'<attribute name="{a}" filename="{stem}_{a}" />' for a in channel.attributes]
                parts.append("</channel>")
            for kind, names in (
                ("", device.attributes),
                ("debug-", device.debug),
                ("buffer-", device.buffer),
            ):
                parts += [f'<{kind}attribute name="{name}" />' for name in names]
            parts.append("</device>")
        return "".join([*parts, "</context>"])


def register(text: str) -> tuple[int, int | None]:
    """Address, and the value where one is written. Raises Refused."""
    words = text.split()
    if not 1 <= len(words) <= 2 or any(len(word) > 12 for word in words):
        raise Refused(errno.EINVAL)
    try:
        found = [int(word, 0) & 0xFFFFFFFF for word in words]
    except ValueError:
        raise Refused(errno.EINVAL) from None
    return found[0], found[1] if len(found) == 2 else None
