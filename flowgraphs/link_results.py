"""From a finished run to what is printed, drawn and returned."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from blocks import FramePlayer
from blocks.runtime import Report
from isac_models.scenario import Scenario
from isac_models.theory import link_theory
from link_report import print_json, print_table

METRICS = ("communication_metrics", "sensing_metrics")
INTERRUPTED = 130


def show_link(options: argparse.Namespace, report: Report, precoder: Any, detector: Any) -> int:
    """Print (and draw) a run of the link; returns the exit status."""
    scenario: Scenario = options.scenario
    choices = ("precoder", "rho", "phi", "detector", "estimator", "demodulator")
    summary = {
        **{key: getattr(options, key) for key in choices},
        **_measured(options, report, scenario, detector),
        "theory": None,
    }
    if not report.interrupted:  # Ctrl-C means now
        summary["theory"] = link_theory(scenario, precoder.beam, detector.matched_filter)
    notes = []
    if options.file:
        summary["file"] = _transfer(options, report)
        notes.append(_transfer_note(summary["file"]))
    if options.record and "frame_recorder" in report.results:
        summary["recording"] = report.results["frame_recorder"]
        notes.append(_recording_note(summary["recording"]))
    if options.plot and _drawable(report):
        from link_plot import plot_link

        plot_link(options.plot, scenario, np.asarray(precoder.beam), report.results)
        notes.append(f"Plot: {options.plot}")
    return _show(options, report, summary, "ISAC link", notes)


def show_replay(
    options: argparse.Namespace, report: Report, scenario: Scenario, player: FramePlayer, detector: Any
) -> int:
    """Print a replayed recording; returns the exit status."""
    played = player.result()
    summary = {
        "detector": options.detector,
        "estimator": options.estimator,
        **_measured(options, report, scenario, detector),
        "recording": {"path": options.recording, **played},
    }
    notes = []
    if played["salvaged"]:
        notes.append(f"The recording is cut off: its {played['frames']} whole frames were played.")
    elif not played["complete"]:
        notes.append("The recorded run was stopped early.")
    return _show(options, report, summary, f"Replay of {options.recording}", notes)


def _measured(
    options: argparse.Namespace, report: Report, scenario: Scenario, detector: Any
) -> dict[str, Any]:
    """Scenario, rates and counters of a run."""
    results = {name: dict(report.results[name]) for name in METRICS if name in report.results}
    counters = {key: value for result in results.values() for key, value in result.pop("counters").items()}
    values = report.to_dict()
    return {
        "scenario": scenario.to_dict(),
        "seed": getattr(options, "seed", None),
        "transport": options.transport,
        "frame": options.frame,
        "snapshots": report.snapshots,
        **{key: value for result in results.values() for key, value in result.items()},
        "counters": counters,
        "threshold": detector.threshold.amplitude,
        "threshold_relative_error": detector.threshold.relative_error,
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


def _recording_note(recording: dict[str, Any]) -> str:
    what = f"Recording: {recording['frames']:,} frames in {recording['path']}"
    return what if recording["complete"] else f"{what}, kept from the run that was stopped."


def _drawable(report: Report) -> bool:
    return "constellation_probe" in report.results and "detection_map" in report.results


def _show(
    options: argparse.Namespace, report: Report, summary: dict[str, Any], title: str, notes: list[str]
) -> int:
    if options.json:
        print_json(summary)
    elif not options.quiet:
        rate = f"{report.snapshots_per_second:,.0f} a second"
        speed = f"{report.snapshots:,} snapshots in {report.seconds:.2f} s, {rate}"
        stopped = " (stopped early)" if report.interrupted else ""
        frames = f"Frames: {report.lost_frames} lost, {report.repeated_frames} repeated."
        out = sys.stderr if getattr(options, "out", None) == "-" else sys.stdout
        print_table(summary, f"{title}: {speed}{stopped}", [*notes, frames], out)
    return INTERRUPTED if report.interrupted else 0
