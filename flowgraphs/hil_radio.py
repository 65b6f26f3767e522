"""The radio of isac_hil.py: opened, set and calibrated, with a virtual front end where no device is named."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blocks.radio.calibrate import calibrate, key_of
from blocks.radio.interface import Radio, RadioError
from blocks.radio.lab import VirtualFrontEnd, soapy_driver
from blocks.radio.registry import open_radio
from blocks.radio.sim import SimRadio
from hil_receive import AT_ONCE
from isac_models.coding.repeat import Timing
from isac_models.errors import UserError
from isac_models.impairments import Impairments
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.calibration_store import load_calibration, save_calibration
from isac_models.waveform.calibration_vectors import Calibration

PROTOCOLS = {"zmq": "zmq", "soapy": "stream", "iio": "iio"}
"""What the virtual front end speaks to each backend."""

TIMING = Timing(window=4, interval=16, round_trip=24, timeout=32)
QUEUE = 16
"""Slots that may wait in the radio: what waits longer makes a repeat wait."""


@dataclass
class Bench:
    """A radio, and the laboratory around it: the virtual front end, or none."""

    options: argparse.Namespace
    layout: BurstFormat
    radio: Radio
    lab: Any = None

    @property
    def session(self) -> str:
        """Which start of the device this is: another one, and its oscillators have other phases."""
        return str(getattr(self.lab, "session", "unknown"))

    def calibration(self) -> Calibration | None:
        """The array's calibration: from the file if it fits, else measured, and kept if a file is named.

        Raises UserError where there is nothing to measure against, and for a file that cannot be used.
        """
        options = self.options
        if "calibration" in options.without:
            return self._start(None)
        key = key_of(self.radio, self.session)
        if self.lab is not None:  # its address is another one at every start, its session says who it is
            key["device"] = options.radio
        if options.calibration and Path(options.calibration).exists() and not options.calibrate:
            if self.lab is None and not options.same_session:
                raise UserError(
                    f"calibration {options.calibration}: nobody can tell whether the device was "
                    "started again since: say --same-session if it was not, else --calibrate again"
                )
            return self._start(load_calibration(options.calibration, key, self.layout.antennas))
        if self.lab is None and not options.calibrate:
            raise UserError(
                "--device needs --calibration FILE.json of this device as it is set: put a reflector at "
                "boresight and measure one with --calibrate"
            )
        found = calibrate(self.radio, options.scenario, self.layout, key)
        if options.calibration:
            save_calibration(options.calibration, found)
        return self._start(found)

    def _start(self, calibration: Calibration | None) -> Calibration | None:
        """Let the scenario begin."""
        if self.lab is not None:
            self.lab.scene("scenario")
        return calibration

    def source(self) -> Any:
        """What is sent: a file, repeated where the receiver asks for it, or random messages."""
        import blocks

        options, layout = self.options, self.layout
        if options.file is not None:
            return blocks.FileSender(
                options.scenario, options.file, layout.payload, timing=TIMING, bursts=AT_ONCE
            )
        return blocks.MessageSource(options.scenario, options.bursts * layout.payload)

    def stale(self) -> bool:
        """Whether the calibration no longer holds: the front end was started again, if one can tell."""
        if self.lab is None or "calibration" in self.options.without:
            return False
        try:
            return bool(self.lab.restarted())
        except RadioError:  # it is gone
            return False

    def truth(self, tick: int) -> tuple[bool, float]:
        """Whether there was a target in the coherence block sent at a tick, and its angle in radians."""
        one = self.lab.truth(tick)
        return bool(one["present"]), float(one["theta"])


@contextmanager
def open_bench(options: argparse.Namespace, layout: BurstFormat) -> Iterator[Bench]:
    """Open what the options name, with a virtual front end behind it where no device is named."""
    from threadpoolctl import threadpool_limits

    # Small matrices, blocks in threads of their own: more threads of linear algebra would only wait.
    with threadpool_limits(1), ExitStack() as stack:
        if options.radio == "sim":
            radio, lab = _simulated(options, layout)
        elif options.device is None:
            if options.radio not in PROTOCOLS:
                raise UserError(f"--radio {options.radio} needs --device: no virtual front end speaks to it")
            lab = stack.enter_context(
                VirtualFrontEnd(
                    PROTOCOLS[options.radio], options.scenario, options.front_end_seed, options.front_end
                )
            )
            radio = open_radio(options.radio, **_behind(options.radio, lab, layout))
        else:
            lab = None
            radio = open_radio(
                options.radio, **_behind(options.radio, options.device, layout, options.phase_coherent)
            )
        stack.enter_context(radio)
        _set(options, radio)
        yield Bench(options, layout, radio, lab)


class _Simulation:
    """What the virtual front end's door is to it, for a `SimRadio`."""

    session = "in process"

    def restarted(self) -> bool:
        """Never."""
        return False

    def __init__(self, radio: SimRadio) -> None:
        self._radio = radio

    def scene(self, name: str) -> int:
        """Another scene."""
        return self._radio.scene(name)

    def truth(self, tick: int) -> dict[str, Any]:
        """The coherence block at a tick."""
        one = self._radio.truth(tick, 1)
        return {
            "present": bool(one.target.present[0]),
            "theta": float(one.target.angle[0]),
            "alpha": complex(one.target.gain[0]),
            "vartheta": float(one.comm_angle[0]),
            "beta": complex(one.comm_gain[0]),
        }


def _simulated(options: argparse.Namespace, layout: BurstFormat) -> tuple[Radio, Any]:
    """The radio in process, impairments drawn from the front end's seed; options are fields as NAME=VALUE."""
    seed = options.front_end_seed
    impairments = Impairments.draw(seed, layout.antennas)
    changes: dict[str, Any] = {}
    for text in options.front_end:
        name, equals, value = text.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if not equals:
            impairments = impairments.without(name.removeprefix("no_"))
            continue
        current = getattr(impairments, name, None)
        if not isinstance(current, int | float):
            raise UserError(f"--front-end {text}: the simulated front end has no number of that name")
        try:
            changes[name] = type(current)(float(value))
        except (ValueError, OverflowError):
            raise UserError(f"--front-end {text}: {value!r} is no number for it") from None
        if not math.isfinite(changes[name]) or changes[name] != float(value):
            raise UserError(f"--front-end {text}: {value!r} is no number for it")
    impairments = replace(impairments, **changes)
    radio = SimRadio(
        options.scenario, impairments, layout, seed=seed, scene="calibration", queue=QUEUE * layout.slot
    )
    return radio, _Simulation(radio)


def _behind(name: str, lab: Any, layout: BurstFormat, coherent: bool = False) -> dict[str, Any]:
    """Options of the backend for a front end's addresses."""
    # A virtual front end holds nothing back and takes a whole frame; what else there is may not.
    ours, frame = not isinstance(lab, str), AT_ONCE * layout.slot
    at_once, queue = {"chunk": frame, "ahead": frame}, {"queue": QUEUE * layout.slot}
    if name == "zmq":
        found = lab.addresses if ours else _ports(lab, layout.antennas)
        size = at_once if ours else {"chunk": layout.slot}
        return {"tx_addresses": found["tx"], "rx_addresses": found["rx"], **size, **queue}
    addresses = lab.split(",") if isinstance(lab, str) else lab.addresses
    channels = {"tx_channels": layout.antennas, "rx_channels": layout.antennas + 1}
    if name == "iio":
        size = at_once if ours else {"chunk": 2 * layout.slot}
        return {"contexts": addresses, "phase_coherent": coherent or ours, **channels, **size, **queue}
    if name == "uhd":
        both = {"tx_channels": range(layout.antennas), "rx_channels": range(layout.antennas + 1)}
        return {"args": str(lab), **both}
    if isinstance(lab, str):
        return {"args": lab, **channels}
    return {"args": f"driver={soapy_driver()},address={addresses[0]}", **channels}


def _ports(base: str, antennas: int) -> dict[str, list[str]]:
    """tcp://HOST:PORT → PORT … for transmit channels, then those for receive channels."""
    host, _, port = base.rpartition(":")
    if not (host.startswith("tcp://") and port.isdigit() and int(port) + 2 * antennas < 65536):
        raise UserError(f"--device {base}: write tcp://HOST:PORT, the first of {2 * antennas + 1} ports")
    at = [f"{host}:{int(port) + n}" for n in range(2 * antennas + 1)]
    return {"tx": at[:antennas], "rx": at[antennas:]}


def _set(options: argparse.Namespace, radio: Radio) -> None:
    """Rate, carrier and gain, where they are given."""
    if options.clock_source is not None:
        radio.set_clock_source(options.clock_source)
    if options.time_source is not None:
        radio.set_time_source(options.time_source)
    if not (radio.capabilities.phase_coherent or options.phase_coherent):
        raise RadioError(
            f"{radio.device} does not say that its channels are phase coherent, which an array needs: "
            "share clock and oscillators, then say --phase-coherent"
        )
    if not radio.clock_locked():
        raise RadioError(
            f"{radio.device}: the reference clock is not locked: look at its cable, or choose another"
        )
    if options.rate is not None:
        radio.set_rate(options.rate)
    counts = (("tx", radio.capabilities.tx_channels), ("rx", radio.capabilities.rx_channels))
    for direction, count in counts:
        for channel in range(count):
            if options.frequency is not None:
                radio.set_frequency(direction, channel, options.frequency)  # type: ignore[arg-type]
            if options.gain is not None:
                radio.set_gain(direction, channel, options.gain)  # type: ignore[arg-type]
