"""A run of flowgraphs/isac_hil.py in this process, with what its detectors and decisions were."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import isac_hil
from blocks.runtime import Block, Count, Flags, Real, Symbols
from hil_radio import Bench, open_bench
from isac_hil_options import parse_arguments
from isac_models.waveform.burst_format import BurstFormat
from link_design import build_design
from tests.hil.reference import Truth


class Collect(Block):
    """Keeps the fields that it is told to."""

    def __init__(self, name: str, **fields: Any) -> None:
        super().__init__(name)
        self.consumes = fields
        self.kept: dict[str, list[np.ndarray]] = {key: [] for key in fields}

    def work(self, **fields: np.ndarray) -> None:
        for key, array in fields.items():
            self.kept[key].append(array.copy())

    def __getitem__(self, key: str) -> np.ndarray:
        return np.concatenate(self.kept[key])


@dataclass
class Outcome:
    """What a run has given: the report, every snapshot, and what the front end says was there."""

    report: Any
    scenario: Any
    design: Any
    detected: np.ndarray
    estimated: np.ndarray
    sent_at: np.ndarray
    wrong: np.ndarray
    truth: Truth
    """Of the bursts of `sensed`, in order."""
    radiated: float
    """Power that the equalised chains of this front end radiate over that of chains without errors, in dB."""

    def result(self, block: str) -> dict[str, Any]:
        """A block's result."""
        found: dict[str, Any] = self.report.results[block]
        return found

    @property
    def rates(self) -> dict[str, Any]:
        """SER, P_md, P_fa and RMSE."""
        return {**self.result("communication_metrics"), **self.result("sensing_metrics")}


def run(
    *arguments: str,
    during: Callable[[Bench, Any], None] | None = None,
    extend: Callable[[Bench, Any, Any], None] | None = None,
) -> Outcome:
    """Run isac_hil.py with these arguments.

    `during(bench, graph)` goes on in a thread beside it, `extend(bench, graph, scenario)` adds blocks before.
    """
    options = parse_arguments([*arguments, "--quiet"])
    layout = BurstFormat(options.scenario.antennas, options.scenario.order)
    options.scenario = options.scenario.replace(coherence=layout.payload)
    design = build_design(options)
    with open_bench(options, layout) as bench:
        graph = isac_hil.build(options, bench, design)
        sensed = Collect("sensed", detected=Flags(), estimated_angle=Real(), transmit_time=Count())
        heard = Collect("heard", decided=Symbols(), message=Symbols())
        graph.connect(design.detector, sensed)
        graph.connect(design.demodulator, heard)
        if extend is not None:
            extend(bench, graph, options.scenario)
        failed: list[BaseException] = []

        def beside() -> None:
            try:
                assert during is not None
                during(bench, graph)
            except BaseException as error:  # noqa: BLE001 - told to the test below
                failed.append(error)

        thread = threading.Thread(target=beside, daemon=True)
        graph.start()
        if during is not None:
            thread.start()
        report = graph.wait()
        if during is not None:
            thread.join(10)
        if failed:
            raise failed[0]
        n = layout.payload
        times = sensed["transmit_time"][::n]
        return Outcome(
            report,
            options.scenario,
            design,
            sensed["detected"].reshape(-1, n),
            sensed["estimated_angle"].reshape(-1, n),
            times,
            (heard["decided"] != heard["message"]).reshape(-1, n),
            truth_of(bench, times),
            radiated(bench),
        )


def radiated(bench: Bench) -> float:
    """`Outcome.radiated`: the equaliser 1/c has mean square 1, what leaves the antennas is 1/rms(1/c)."""
    if not hasattr(bench.lab, "ask"):
        return 0.0
    chains = np.array([1, 1j]) @ np.array(bench.lab.ask("settings")["unknowns"]["tx_errors"])
    return float(-10 * np.log10(np.mean(np.abs(chains) ** -2)))


def truth_of(bench: Bench, times: np.ndarray) -> Truth:
    """What the front end says of the coherence blocks at these transmit ticks."""
    blocks = [bench.lab.truth(int(time)) for time in times]

    def gain(name: str) -> np.ndarray:
        return np.array(
            [one[name] if isinstance(one[name], complex) else complex(*one[name]) for one in blocks]
        )

    return Truth(
        present=np.array([one["present"] for one in blocks], bool),
        angle=np.array([one["theta"] for one in blocks], float),
        gain=gain("alpha"),
        user_angle=np.array([one["vartheta"] for one in blocks], float),
        user_gain=gain("beta"),
    )
