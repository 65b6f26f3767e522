"""From a finished run to what is printed, drawn and returned."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

import interrupts
from blocks import FramePlayer, SigmfPlayer
from blocks.runtime import Report
from isac_models.scenario import Scenario
from isac_models.theory import link_theory
from link_design import Design, artifacts_of, points_of
from link_recording import STALE, stale
from link_report import print_json, print_table

METRICS = ("communication_metrics", "sensing_metrics", "detection_counter")
CHOSEN = ("encoder", "precoder", "rho", "phi", "demodulator", "known_array")


def show_link(options: argparse.Namespace, report: Report, design: Design) -> int:
    """Print (and draw) a run of the link; returns the exit status."""
    scenario: Scenario = options.scenario
    precoder, detector = design.precoder, design.detector
    beam = None if getattr(precoder, "beam", None) is None else np.asarray(precoder.beam)
    points = None if options.encoder == "qam" else points_of(scenario, design.encoder)
    used = artifacts_of(design.encoder, precoder, detector, design.demodulator)
    summary = {
        **{key: getattr(options, key) for key in CHOSEN},
        **measured(options, report, scenario, detector),
        "artifacts": used,
        "theory": None if beam is None else link_theory(scenario, beam, None, points),
    }
    notes = notes_of(used)
    stopped = report.interrupted
    try:
        interrupts.run_ended()
        if beam is not None and hasattr(detector, "matched_filter") and not stopped:  # Ctrl-C means now
            summary["theory"] = link_theory(scenario, beam, detector.matched_filter, points)
        if options.plot and _drawable(report):
            from link_plot import plot_link

            plot_link(options.plot, scenario, beam, report.results, points)
            notes.append(f"Plot: {options.plot}")
    except KeyboardInterrupt:
        stopped = True  # what was measured is printed all the same
        if options.plot and f"Plot: {options.plot}" not in notes:
            notes.append("Stopped before the plot was drawn.")
    interrupts.finish()
    if options.file:
        summary["file"] = _transfer(options, report)
        notes.append(_transfer_note(summary["file"]))
    for recorder in ("frame_recorder", "sigmf_recorder"):
        if options.record and recorder in report.results:
            summary["recording"] = report.results[recorder]
            notes.append(recording_note(summary["recording"]))
    return show(options, report, summary, "ISAC link", notes, stopped)


def show_replay(
    options: argparse.Namespace,
    report: Report,
    scenario: Scenario,
    player: FramePlayer | SigmfPlayer,
    detector: Any,
) -> int:
    """Print a replayed recording; returns the exit status."""
    played = player.result()
    summary = {
        **measured(options, report, scenario, detector),
        "known_array": options.known_array,
        "artifacts": artifacts_of(detector),
        "recording": {"path": options.recording, **played},
    }
    notes = notes_of(artifacts_of(detector))
    if "detections" in summary:
        found = f"{summary['detections']:,} of {summary['of_snapshots']:,} snapshots"
        why = STALE if stale(player) else "The recording holds no truth"
        notes.append(f"{why}: P_md, P_fa and RMSE are unknown. Detected in {found}.")
    if played["salvaged"]:
        notes.append(f"The recording is cut off or damaged: its first {played['frames']} frames were played.")
    elif not played["complete"]:
        notes.append("The recorded run was stopped early.")
    return show(options, report, summary, f"Replay of {options.recording}", notes, report.interrupted)


def notes_of(artifacts: list[dict[str, str]]) -> list[str]:
    """A line for every trained model."""
    return [f"Trained model: {each['name']}, sha256 {each['sha256'][:12]}…" for each in artifacts]


def measured(
    options: argparse.Namespace, report: Report, scenario: Scenario, detector: Any
) -> dict[str, Any]:
    """Scenario, detector, rates and counters of a run; null for what a detector of one's own lacks."""
    estimator, threshold = (getattr(detector, name, None) for name in ("estimator", "threshold"))
    results = {name: dict(report.results[name]) for name in METRICS if name in report.results}
    counters = {
        key: value for result in results.values() for key, value in result.pop("counters", {}).items()
    }
    values = report.to_dict()
    return {
        "detector": options.detector,
        "estimator": estimator if isinstance(estimator, str) else None,
        "scenario": scenario.to_dict(),
        "seed": getattr(options, "seed", None),
        "transport": options.transport,
        "frame": options.frame,
        "snapshots": report.snapshots,
        **{key: value for result in results.values() for key, value in result.items()},
        "counters": counters,
        "threshold": getattr(threshold, "amplitude", None),
        "threshold_relative_error": getattr(threshold, "relative_error", None),
        **{key: values[key] for key in ("seconds", "snapshots_per_second", "lost_frames", "repeated_frames")},
        "malformed": report.malformed,
        "interrupted": report.interrupted,
        "blocks": values["blocks"],
    }


def _transfer(options: argparse.Namespace, report: Report) -> dict[str, Any]:
    """What became of the file."""
    sink = {key: value for key, value in report.results.get("message_sink", {}).items() if key != "preview"}
    written = options.out if "intact" in sink else None
    return {"in": options.file, "out": written, "intact": None, **sink}


def _transfer_note(transfer: dict[str, Any]) -> str:
    what = f"File: {transfer.get('payload_bytes', 0):,} bytes received"
    if transfer["out"] not in (None, "-"):
        what += f" in {transfer['out']}"
    if transfer["intact"] is None:
        return f"{what}, then the run was stopped; nothing was written."
    return (
        f"{what}, intact." if transfer["intact"] else f"{what}, {transfer['bytes_differ']:,} of them wrong."
    )


def recording_note(recording: dict[str, Any]) -> str:
    """What became of a recording."""
    if recording.get("format") == "sigmf":
        if not (recording["complete"] or recording["kept"]):
            return "Recording: discarded with the run that was stopped."
        what = f"Recording: {recording['snapshots']:,} {recording['unit']} in {recording['path']}"
        if not recording["complete"]:
            what += ", kept from the run that was stopped"
        out = recording["annotations_left_out"]
        whole = (
            " (the truth is complete)" if recording["unit"] == "snapshots" else ""
        )  # in a second recording
        more = f", {out:,} of its annotations left out{whole}" if out else ""
        return what + more
    what = f"Recording: {recording['frames']:,} frames in {recording['path']}"
    return what if recording["complete"] else f"{what}, kept from the run that was stopped."


def _drawable(report: Report) -> bool:
    return "constellation_probe" in report.results and "detection_map" in report.results


def show(
    options: argparse.Namespace,
    report: Report,
    summary: dict[str, Any],
    title: str,
    notes: list[str],
    interrupted: bool,
) -> int:
    """Print what was measured; returns the exit status."""
    interrupts.finish()
    if options.json:
        print_json(summary)
    elif not options.quiet:
        rate = f"{report.snapshots_per_second:,.0f} a second"
        speed = f"{report.snapshots:,} snapshots in {report.seconds:.2f} s, {rate}"
        stopped = " (stopped early)" if report.interrupted else ""
        frames = f"Frames: {report.lost_frames} lost, {report.repeated_frames} repeated."
        out = sys.stderr if getattr(options, "out", None) == "-" else sys.stdout
        print_table(summary, f"{title}: {speed}{stopped}", [*notes, frames], out)
    return interrupts.STATUS if interrupted else 0
