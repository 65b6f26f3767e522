"""What isac_hil.py records: echoes for any detector, samples of the radio for both receivers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from blocks import SigmfRecorder
from blocks.radio.interface import RadioError
from blocks.runtime import Flags, Real, Signal
from isac_models.waveform.recorded_bursts import pack_messages
from isac_models.waveform.recorded_run import RecordedRun
from link_design import Design, artifacts_of, points_of

if TYPE_CHECKING:
    from hil_radio import Bench
    from isac_models.waveform.calibration_vectors import Calibration

BURSTS = 20_000
"""Bursts of the samples that are annotated: those behind them cannot be judged in a replay."""


def echo_recorder(bench: Bench) -> SigmfRecorder:
    """The calibrated echo of every snapshot, with what was detected and, where it is known, the truth."""
    options = bench.options
    return SigmfRecorder(
        options.record,
        options.scenario,
        truth={"present": Flags(), "angle": Real()} if bench.lab is not None else {},
        decisions={"detected": Flags(), "estimated_angle": Real()},
        ticks="transmit_time",
        hardware=bench.radio.device,
        description="Calibrated radar echoes behind a radio; sample rate 1: one snapshot a unit of time",
        about=_about(bench),
        closing=partial(_closing, bench),
        keep=True,
        name="echo_recorder",
    )


def sample_recorder(bench: Bench, design: Design, calibration: Calibration | None) -> SigmfRecorder:
    """All receive channels as they come, with what it takes to receive them again."""
    options, settings = bench.options, bench.radio.settings()
    carriers = settings.get("rx_frequency")
    run = RecordedRun(
        bench.layout,
        design.precoder.beam,
        points_of(options.scenario, design.encoder),
        calibration,
        tuple(options.without),
        options.demodulator,
    )
    return SigmfRecorder(
        options.record_samples,
        options.scenario,
        field="samples",
        signal=Signal(bench.radio.capabilities.rx_channels),
        sample_rate=float(settings["rate"]),  # type: ignore[arg-type]
        frequency=float(carriers[0]) if isinstance(carriers, list) and carriers else None,
        hardware=bench.radio.device,
        description="Samples of a radio as they came: the channels of the array, then the user's",
        about={**_about(bench), "artifacts": artifacts_of(design.demodulator)},
        radio=run.to_dict(),
        annotate=BURSTS,
        closing=partial(_closing, bench),
        keep=True,
        name="sample_recorder",
    )


class BurstNotes:
    """What the annotation of a burst says of it: its messages, and what stood before the radar if known.

    A truth that cannot be had ends no reception; it is asked for no more, since that may take a while.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench, self._known = bench, bench.lab is not None

    def __call__(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """The fields; `told`: what RadioTransmit publishes of the burst."""
        message = np.frombuffer(told["message"], np.uint8)
        notes: dict[str, Any] = {"message": pack_messages(message, self._bench.layout.bits)}
        if self._known:
            try:
                notes["present"], notes["angle"] = self._bench.truth(int(told["time"]))
            except RadioError:
                self._known = False
        return notes


def _closing(bench: Bench) -> dict[str, Any]:
    """What a recording says of its run that is known at its end only."""
    return {"isac:calibration_stale": True} if bench.stale() else {}


def _about(bench: Bench) -> dict[str, Any]:
    options = bench.options
    return {
        "program": "isac_hil",
        "seed": options.seed,
        "rho": options.rho,
        "without": options.without,
        **{role: getattr(options, role) for role in ("encoder", "precoder", "detector", "demodulator")},
    }
