"""Our side of benchmarks/radio.py: the receive branches of flowgraphs/isac_hil.py, fed from memory.

python benchmarks/radio_graph.py FOLDER [--part chain|filters|latency] [--transport ipc|inproc]
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import blocks
from blocks.runtime import Block, Field, Flags, Flowgraph, Signal, Source, Symbols
from blocks.runtime.flowgraph import Transport
from isac_models.options import Parser
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.sent import END, SentBurst
from radio_recording import APART, Recording, scenario_and_layout

PASSES = 10
"""How often a recording is played in a measurement of speed, so that the graph's start counts little."""
AT_ONCE = 8
"""Slots of a frame."""
BRANCHES = ("decisions", "detections")
PATIENCE = 0.5
"""Seconds that a latency measurement waits for a decision: the first bursts go into the search."""
WARM = 24
"""Bursts of a run before the one that is measured."""
SETTLE = 8
"""Bursts at the beginning that count for no latency."""


class Progress:
    """How many bursts each branch has decided, and when."""

    def __init__(self, branches: tuple[str, ...], payload: int) -> None:
        self.decided: dict[str, list[float]] = {name: [] for name in branches}
        self._rest = dict.fromkeys(branches, 0)
        self._payload = payload
        self._changed = threading.Condition()

    def add(self, branch: str, snapshots: int) -> None:
        """Snapshots have been decided now."""
        now = time.perf_counter()
        with self._changed:
            self._rest[branch] += snapshots
            while self._rest[branch] >= self._payload:
                self._rest[branch] -= self._payload
                self.decided[branch].append(now)
            self._changed.notify_all()

    def counts(self) -> list[int]:
        """How many each branch has decided so far."""
        with self._changed:
            return [len(times) for times in self.decided.values()]

    def wait(self, before: list[int]) -> None:
        """Until every branch has decided more than `before`; no longer than PATIENCE."""
        with self._changed:
            self._changed.wait_for(
                lambda: all(len(t) > n for t, n in zip(self.decided.values(), before, strict=True)), PATIENCE
            )


class Playback(Source):
    """A radio's samples from memory, as `RadioReceive` gives them.

    With `progress` a slot's samples wait until the burst of the slot before is decided; `handed` holds the
    times (s) at which the last sample of each burst went out.

    produces: samples (n, rx_channels) complex64; publishes: sent
    """

    produces = {"samples": Signal("rx_channels")}
    publishes = ("sent",)

    def __init__(self, recording: Recording, slot: int, progress: Progress | None = None) -> None:
        super().__init__("playback")
        self._recording, self._progress, self._slot = recording, progress, slot
        self.dimensions = {"rx_channels": recording.samples.shape[1]}
        self.handed: list[float] = []
        self._before: list[int] = []

    def start(self) -> None:
        """From the beginning."""
        self._told = 0
        self._ended = False
        self.handed = []

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        """The next samples, after what was sent in them."""
        samples, sent = self._recording.samples, self._recording.sent
        done, first = divmod(self.position, len(samples))
        origin = self._recording.origin + done * APART
        last = min(first + count, len(samples))
        if self._progress is not None:  # up to the end of the slot
            into = (first + origin - int(sent["time"][0])) % self._slot
            last = min(first + self._slot - into, last)
        while self._told < len(sent["time"]) and sent["time"][self._told] < origin + last:
            n = self._told
            number, tick = int(sent["number"][n]), int(sent["time"][n])
            burst = SentBurst(number, tick, sent["message"][n], sent["symbol"][n])
            self.publish("sent", burst.to_dict())
            self._told += 1
        if self._told == len(sent["time"]) and not self._ended:
            self.publish("sent", END)
            self._ended = True
        if done >= self._recording.passes:
            return None
        if self._progress is not None:
            if self.handed:
                self._progress.wait(self._before)
            if len(self.handed) < self._told:
                self._before = self._progress.counts()
                self.handed.append(time.perf_counter())
        self.emit(time=origin + first)
        return {"samples": samples[first:last]}


class Kept(Block):
    """Keeps fields (n,) and writes them to a file at the end of the stream; tells that they came."""

    def __init__(
        self, name: str, fields: dict[str, Field], file: Path | None = None, progress: Progress | None = None
    ) -> None:
        super().__init__(name)
        self.consumes = fields
        self._file, self._progress = file, progress
        self._parts: dict[str, list[np.ndarray]] = {}

    def start(self) -> None:
        """Nothing has come."""
        self._parts = {key: [] for key in self.consumes}

    def work(self, **fields: np.ndarray) -> None:
        """Keep one frame."""
        for key, values in fields.items():
            self._parts[key].append(values.copy())
        if self._progress is not None:
            self._progress.add(self.name, len(next(iter(fields.values()))))

    def finish(self) -> None:
        """Write the file."""
        if self._file is not None:
            whole: dict[str, Any] = {key: np.concatenate(parts) for key, parts in self._parts.items()}
            np.savez(self._file, **whole)


class Filters(Block):
    """Carrier offset and matched filter of every channel, what a GNU Radio chain has blocks for.

    consumes: window (b, channels, W), start (b,), cfo (b,); produces: filtered (b, channels, S) complex64
    """

    consumes = {"window": Signal("channels", "width"), "start": Field("float64"), "cfo": Field("float64")}
    produces = {"filtered": Signal("channels", "symbols")}

    def __init__(self, layout: BurstFormat, channels: int, width: int, name: str) -> None:
        super().__init__(name)
        self._format = layout
        self.dimensions = {"channels": channels, "width": width, "symbols": layout.symbols}

    def work(self, window: np.ndarray, start: np.ndarray, cfo: np.ndarray) -> dict[str, np.ndarray]:
        """Symbols of every channel."""
        form = self._format
        out = np.empty((len(start), window.shape[1], form.symbols), np.complex64)
        n = np.arange(window.shape[2])
        for b in range(len(start)):
            turn = np.exp(-2j * np.pi * cfo[b] * (n - start[b])).astype(np.complex64)
            out[b] = form.pulse.sample(window[b] * turn, float(start[b]), form.symbols)
        return {"filtered": out}


def chain(
    recording: Recording, folder: Path | None = None, progress: Progress | None = None
) -> tuple[Flowgraph, Playback]:
    """The whole of both receive branches, each in a process of its own with ipc, and what feeds them.

    What was decided goes to decisions.npz and detections.npz in the folder.
    """
    scenario, layout = scenario_and_layout()
    k, sent = scenario.antennas, recording.sent
    graph = Flowgraph("radio-receive", frame=AT_ONCE * layout.slot, window=2)
    source = Playback(recording, layout.slot, progress)
    user = blocks.BurstSynchroniser(layout, k + 1, (k, k + 1), name="user_synchroniser")
    radar = blocks.BurstSynchroniser(layout, k + 1, (0, k), name="radar_synchroniser")
    receiver = blocks.BurstReceiver(layout, user.width, scenario.noise_power)
    reference = blocks.BurstReference(layout)
    echoes = blocks.RadarReceiver(scenario, layout, radar.width, recording.calibration)
    demodulator, detector = blocks.Demodulator(scenario), blocks.Detector(scenario)
    known = zip(sent["present"].tolist(), sent["angle"].tolist(), strict=True)
    truth = dict(zip(sent["time"].tolist(), known, strict=True))
    files = [None if folder is None else folder / f"{name}.npz" for name in BRANCHES]
    decided = Kept(BRANCHES[0], {"decided": Symbols(), "message": Symbols()}, files[0], progress)
    detected = Kept(BRANCHES[1], {"detected": Flags(), "present": Flags()}, files[1], progress)
    rates = blocks.CommunicationMetrics(scenario), blocks.SensingMetrics(scenario)
    scene = blocks.SceneTruth(truth.__getitem__)
    graph.connect(source, user, receiver, reference, demodulator, decided)
    graph.connect(demodulator, rates[0])
    graph.connect(source, radar, echoes, scene, detector, detected)
    graph.connect(detector, rates[1])
    graph.together(source, user, receiver, reference, demodulator, decided, rates[0])
    graph.together(radar, echoes, scene, detector, detected, rates[1])
    for listener in (reference, echoes):
        graph.message(source, "sent", listener)
    return graph, source


def filters(recording: Recording) -> Flowgraph:
    """Synchronisation and matched filters alone."""
    scenario, layout = scenario_and_layout()
    k = scenario.antennas
    graph = Flowgraph("radio-filters", frame=AT_ONCE * layout.slot, window=2)
    source = Playback(recording, layout.slot)
    for name, low, high in (("user", k, k + 1), ("radar", 0, k)):
        synchroniser = blocks.BurstSynchroniser(layout, k + 1, (low, high), name=f"{name}_synchroniser")
        after = Filters(layout, high - low, synchroniser.width, f"{name}_filters")
        graph.connect(source, synchroniser, after)
        last = Kept(f"{name}_last", {"found": Flags()})
        graph.connect(after, last)
        graph.together(*([source] if name == "user" else []), synchroniser, after, last)
    return graph


def throughput(recording: Recording, part: str, transport: Transport, folder: Path) -> dict[str, Any]:
    """Samples a second of a channel, start and end of the graph included."""

    def graph_of(what: Recording) -> Flowgraph:
        return chain(what, folder)[0] if part == "chain" else filters(what)

    graph_of(recording.beginning(WARM)).run()  # loads libraries and tables
    recording = recording.repeated(PASSES)
    graph = graph_of(recording)
    began = time.perf_counter()
    report = graph.run(transport)
    seconds = time.perf_counter() - began
    n, snapshots = PASSES * len(recording.samples), recording.sent["message"].size
    found = {
        "part": part,
        "transport": transport,
        "seconds": seconds,
        "samples_per_second": n / seconds,
        "snapshots_per_second": snapshots / seconds,
        "bursts": len(recording.sent["time"]),
        "busy_seconds": {name: one.busy_seconds for name, one in report.blocks.items()},
    }
    if part == "chain":
        with np.load(folder / "decisions.npz") as one, np.load(folder / "detections.npz") as two:
            found |= rates(one["decided"], one["message"], two["detected"], two["present"])
    return found


def rates(
    decided: np.ndarray, message: np.ndarray, detected: np.ndarray, present: np.ndarray
) -> dict[str, float]:
    """Error rates."""
    return {
        "ser": float(np.mean(decided != message)),
        "p_md": float(np.mean(~detected[present])),
        "p_fa": float(np.mean(detected[~present])),
    }


def latency(recording: Recording) -> dict[str, Any]:
    """Seconds from the last sample of a burst, handed to the graph, to its decision in each branch."""
    layout = scenario_and_layout()[1]
    progress = Progress(BRANCHES, layout.payload)
    graph, source = chain(recording, None, progress)
    graph.run()
    handed = np.array(source.handed)
    found: dict[str, Any] = {"bursts": len(handed) - SETTLE}
    for name, branch in zip(("communication", "radar"), BRANCHES, strict=True):
        came = np.array(progress.decided[branch])  # the first ones may have been missed
        n = min(len(came), len(handed)) - SETTLE
        took = came[-n:] - handed[-n:]
        found[name] = {"median": median(took), "percentile_95": float(np.quantile(took, 0.95))}
    return found


def main() -> None:
    """Run one measurement and print it."""
    parser = Parser(prog="radio_graph.py", description="The receive chain as a flowgraph, fed from memory.")
    parser.add_argument("folder", type=Path, help="what radio_recording.record has kept")
    parser.add_argument("--part", choices=("chain", "filters", "latency"), default="chain")
    parser.add_argument("--transport", choices=("inproc", "ipc"), default="ipc")
    options = parser.parse_args()
    recording = Recording(options.folder)
    if options.part == "latency":
        found = latency(recording)
    else:
        found = throughput(recording, options.part, options.transport, options.folder)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
