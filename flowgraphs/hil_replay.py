"""A radio's recording through the whole receive chain again: in place of the radio stands a RadioPlayer."""

from __future__ import annotations

import argparse
from typing import Any

from blocks import RadioPlayer
from blocks.registry import DEMODULATORS
from blocks.registry import build as build_block
from blocks.runtime import Flowgraph, Report
from hil_receive import AT_ONCE, Reception
from hil_results import RECEIVERS, leakage_note, reception_notes
from isac_link_options import live_line
from isac_models.artifact import warnings_as_lines
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from isac_replay_options import build_detector, recorded_scenario
from link_design import artifact_of, artifacts_of
from link_recording import STALE, stale
from link_results import measured, notes_of, show


def replay_radio(options: argparse.Namespace, player: RadioPlayer) -> int:
    """Receive what was recorded, show what it measured; returns the exit status."""
    from threadpoolctl import threadpool_limits

    graph, reception = build(options, player)
    options.snapshots = None
    with threadpool_limits(1), live_line(options) as line:
        report = graph.run(options.transport, on_status=line.update)
    return show_radio(options, report, player, reception)


def build(options: argparse.Namespace, player: RadioPlayer) -> tuple[Flowgraph, Reception]:
    """The graph, and what its receivers are made of: as in the run, but for what the options say.

    Raises UserError for a recording that contradicts itself, and as `build_detector` does.
    """
    run, where = player.run, f"recording {options.recording}"
    scenario = recorded_scenario(options, player)
    layout = run.layout
    if (scenario.antennas, scenario.order, scenario.coherence) != (
        layout.antennas,
        layout.order,
        layout.payload,
    ):
        raise UserError(f"{where}: its scenario and its burst format do not agree")
    without = run.without if options.without is None else tuple(options.without)
    calibration = None if "calibration" in without else run.calibration
    demodulator = _demodulator(options, player, scenario, where)
    reception = Reception(
        scenario,
        layout,
        calibration,
        without,
        demodulator,
        build_detector(options, player.about, scenario, ("detector", "demodulator")),
        player.truth if player.knows_truth and not stale(player) else None,
    )
    frame = min(options.frame, AT_ONCE * layout.slot)
    graph = Flowgraph("isac-replay", frame=frame, window=2)
    reception.connect(graph, player, player)
    return graph, reception


def _demodulator(options: argparse.Namespace, player: RadioPlayer, scenario: Scenario, where: str) -> Any:
    """The run's, or the one that the options name. A recording does not say which code is loaded."""
    name = player.run.demodulator
    if options.demodulator is None and name not in DEMODULATORS:
        raise UserError(
            f"{where} was made with the demodulator {name}: name the one to be used with --demodulator"
        )
    options.demodulator = options.demodulator or name
    rho = player.about.get("rho")
    offers = {"rho": rho if isinstance(rho, float) else None, "artifact": artifact_of(options)}
    with warnings_as_lines():
        return build_block("demodulator", options.demodulator, scenario, offers)


def show_radio(options: argparse.Namespace, report: Report, player: RadioPlayer, reception: Reception) -> int:
    """Print a radio's recording that was replayed; returns the exit status."""
    detector, demodulator = reception.detector, reception.demodulator
    played = player.result()
    played |= report.results.get(player.name, {})
    artifacts = artifacts_of(detector, demodulator)
    summary = {
        **measured(options, report, reception.scenario, detector),
        "demodulator": options.demodulator,
        "known_array": options.known_array,
        "without": list(reception.without),
        "calibrated": reception.calibration is not None,
        "artifacts": artifacts,
        "recording": {"path": options.recording, **played},
        **{name: dict(report.results[name]) for name in RECEIVERS if name in report.results},
    }
    unknown = played["bursts_not_annotated"]
    radio = str(player.recording.signal.about.get("core:hw", "an unknown radio"))[:80]
    notes = [
        f"Recorded from {radio}; corrections left out: {', '.join(reception.without) or 'none'}.",
        *reception_notes(summary, played, played["bursts"] + unknown),
        *leakage_note(summary),
        *notes_of(artifacts),
    ]
    if reception.calibration is None and "calibration" not in reception.without:
        notes.append("The recording holds no calibration: the chains count as equal.")
    if unknown:
        notes.append(f"What {unknown:,} bursts carried is not in the recording: they are not judged.")
    if reception.truth is None:
        gone, known = played["bursts_without_truth"], played["bursts"]
        why = f"The truth of {gone:,} of {known:,} bursts is missing"
        if gone == known:
            why = "The recording holds no truth"
        notes.append(f"{STALE if stale(player) else why}: P_md, P_fa and RMSE are unknown.")
    if not played["complete"]:
        notes.append("The recorded run was stopped early.")
    return show(options, report, summary, f"Replay of {options.recording}", notes, report.interrupted)
