"""Bursts through a simulated radio, kept as plain arrays: what both sides of benchmarks/radio.py receive."""

from __future__ import annotations

import json
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from blocks import BurstModulator, Precoder
from blocks.radio.calibrate import calibrate
from blocks.radio.sim import SimRadio
from isac_models.constellation import Constellation
from isac_models.detection import MatchedFilter
from isac_models.impairments import Impairments
from isac_models.scenario import Scenario
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.calibration_vectors import Calibration

SEED = 1
APART = 1 << 22
"""Ticks from one pass of a recording to the next: so long a gap is a restart of the radio."""
OF_BURSTS = ("time", "number", "message", "symbol", "present", "angle")
RHO = 0.5
TAIL = 512
"""Samples before the first slot and behind the last."""


def scenario_and_layout() -> tuple[Scenario, BurstFormat]:
    """What is sent, and how."""
    scenario = Scenario.preset("ideal")
    layout = BurstFormat(scenario.antennas, scenario.order)
    return scenario.replace(coherence=layout.payload), layout


def record(folder: Path, bursts: int) -> None:
    """Send bursts of random messages through a `SimRadio` with every impairment and keep what arrives.

    samples.npy (n, 17) complex64; sent.npz: times (b,), numbers (b,), messages and symbols (b, N), present
    and angle (b,), transmit and receive chains (K,), residual and error of the calibration, beam (K,),
    threshold of the detector; origin.json: the tick of the first sample.
    """
    scenario, layout = scenario_and_layout()
    k, slot = scenario.antennas, layout.slot
    radio = SimRadio(scenario, Impairments.draw(SEED, k), layout, seed=SEED, scene="calibration")
    chains = calibrate(radio, scenario, layout, {})
    radio.scene("scenario")
    precoder = Precoder(scenario, RHO)
    modulator = BurstModulator(scenario, layout, precoder.beam, chains.equaliser)
    modulator.start()
    random = np.random.default_rng(SEED)
    messages = random.integers(scenario.order, size=(bursts, layout.payload)).astype(np.uint8)
    symbols = Constellation(scenario.order).encode(messages.reshape(-1)).reshape(messages.shape)
    first = -(-(radio.now() + 2 * slot) // slot) * slot
    origin = first - TAIL
    held = radio.rx.recv(1)
    while held.time + held.samples.shape[1] < origin:
        held = radio.rx.recv(origin - held.time - held.samples.shape[1])
    samples = np.empty((first - origin + bursts * slot + TAIL, k + 1), np.complex64)
    filled = 0
    for number in range(bursts):
        transmitted = (np.asarray(precoder.beam)[None] * symbols[number][:, None]).astype(np.complex64)
        burst = modulator.work(transmitted=transmitted, symbol=symbols[number], message=messages[number])
        radio.tx.send(burst["samples"][0], first + number * slot)
        wanted = samples.shape[0] if number == bursts - 1 else first - origin + number * slot
        while filled < wanted:
            part = radio.rx.recv(wanted - filled).samples
            samples[filled : filled + part.shape[1]] = part.T
            filled += part.shape[1]
    times = first + slot * np.arange(bursts)
    truth = radio.truth(first, bursts * slot)
    np.save(folder / "samples.npy", samples)
    np.savez(
        folder / "sent.npz",
        time=times,
        number=np.arange(bursts),
        message=messages,
        symbol=symbols,
        present=truth.target.present,
        angle=truth.target.angle,
        transmit=chains.transmit,
        receive=chains.receive,
        residual=chains.residual,
        error=chains.error,
        beam=np.asarray(precoder.beam, np.complex128),
        threshold=MatchedFilter(scenario).threshold.amplitude,
    )
    (folder / "origin.json").write_text(json.dumps({"origin": origin, "slot": slot}), encoding="utf-8")


class Recording:
    """What `record` has kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self.samples: Any = np.load(folder / "samples.npy")
        with np.load(folder / "sent.npz") as kept:
            self.sent: dict[str, Any] = {name: kept[name] for name in kept.files}
        self.passes = 1
        self.origin: int = json.loads((folder / "origin.json").read_text(encoding="utf-8"))["origin"]
        """Tick of the first sample."""

    def beginning(self, bursts: int) -> Recording:
        """The first bursts of it."""
        part = copy(self)
        last = int(self.sent["time"][min(bursts, len(self.sent["time"]) - 1)]) - self.origin
        part.samples = self.samples[:last]
        part.sent = {
            name: values[:bursts] if name in OF_BURSTS else values for name, values in self.sent.items()
        }
        return part

    def repeated(self, passes: int) -> Recording:
        """The same again and again, each time APART ticks later: what lies between never comes."""
        many = copy(self)
        many.passes = passes
        shift = APART * np.repeat(np.arange(passes), len(self.sent["time"]))
        many.sent = {
            name: np.concatenate([values] * passes) if name in OF_BURSTS else values
            for name, values in self.sent.items()
        }
        many.sent["time"] = many.sent["time"] + shift
        return many

    @property
    def calibration(self) -> Calibration:
        """The chains."""
        sent = self.sent
        return Calibration(sent["transmit"], sent["receive"], float(sent["residual"]), float(sent["error"]))
