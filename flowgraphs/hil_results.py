"""From a finished run over a radio to what is printed and returned."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING, Any

import interrupts
from blocks.runtime import Report
from isac_models.waveform.calibration_vectors import Calibration
from link_design import Design, artifacts_of
from link_report import print_json, print_table
from link_results import recording_note

if TYPE_CHECKING:
    from hil_radio import Bench

RECEIVERS = (
    "user_synchroniser",
    "radar_synchroniser",
    "burst_receiver",
    "burst_reference",
    "radar_receiver",
    "detection_counter",
)
RADIO = ("radio_transmit", "radio_receive", "file_sender", "file_receiver")
RECORDERS = ("echo_recorder", "sample_recorder")


def show_hil(options: argparse.Namespace, report: Report, design: Design, bench: Bench) -> int:
    """Print a run; returns the exit status.

    1 for a file that did not arrive as it was sent, and for a front end that was started again: what was
    sensed with a calibration of before is not shown.
    """
    stale = bench.stale()
    results = {name: dict(result) for name, result in report.results.items()}
    rates: dict[str, Any] = {}
    for name in ("communication_metrics", *(() if stale else ("sensing_metrics",))):
        measured = results.get(name, {})
        measured.pop("counters", None)
        rates |= measured
    capabilities = bench.radio.capabilities
    summary = {
        "radio": options.radio,
        "device": bench.radio.device,
        "settings": dict(bench.radio.settings()),
        "emulated": dict(capabilities.emulated),
        "without": options.without,
        "precoder": options.precoder,
        "detector": options.detector,
        "rho": options.rho,
        "scenario": options.scenario.to_dict(),
        "seconds": report.seconds,
        **rates,
        "theory": None,
        "artifacts": artifacts_of(design.precoder, design.detector),
        "interrupted": report.interrupted,
        "blocks": report.to_dict()["blocks"],
        **{name: results[name] for name in (*RADIO, *RECEIVERS) if name in results},
        "calibration_stale": stale,
        "recordings": [results[name] for name in RECORDERS if name in results],
    }
    interrupts.run_ended()
    interrupts.finish()
    if options.json:
        print_json(summary)
    elif not options.quiet:
        bursts = summary.get("radio_transmit", {}).get("bursts", 0)
        title = f"ISAC over the radio {bench.radio.device}: {bursts:,} bursts in {report.seconds:.2f} s"
        print_table(summary, title, _notes(summary, bench), sys.stdout)
    if report.interrupted:
        return interrupts.STATUS
    arrived = summary.get("file_receiver", {"intact": True})
    return 0 if arrived.get("intact") and not stale else 1


def _hardware(summary: dict[str, Any], bench: Bench) -> str:
    """What was on the other side."""
    if summary["radio"] == "sim":
        return "Hardware: simulated in this process, no protocol; no RF hardware was touched."
    if bench.lab is not None:
        return "Hardware: a virtual front end, protocol in the loop; no RF hardware was touched."
    return f"Hardware: {summary['device']}"


def show_calibration(options: argparse.Namespace, found: Calibration | None) -> int:
    """Say how good a calibration is and where it was written; returns the exit status."""
    assert found is not None
    if not options.quiet:
        print(
            f"Calibration: {found.transmit.size} chains each way, standard error {found.error:.4f}, "
            f"second reflector {found.residual:.4f} of the first; written to {options.calibration}"
        )
    return 0


def _notes(summary: dict[str, Any], bench: Bench) -> list[str]:
    """What a table has no column for."""
    receive = summary.get("radio_receive", {})
    sent = summary.get("radio_transmit", {}).get("bursts", 0)
    notes = [_hardware(summary, bench), *reception_notes(summary, receive, sent)]
    if receive.get("ended_early"):
        notes.append(f"The reception ended early: {receive['ended_early']}")
    if receive.get("trouble"):
        notes.append(f"Beside the last samples: {receive['trouble']}")
    events = {kind: n for kind, n in receive.get("events", {}).items() if kind != "burst_ack"}
    if events:
        notes.append("Events: " + ", ".join(f"{n} {kind}" for kind, n in sorted(events.items())) + ".")
    notes += _calibration_note(summary, bench, events)
    notes += leakage_note(summary)
    notes += [recording_note(each) for each in summary.get("recordings", ())]
    if "file_receiver" in summary:
        notes.append(_file_note(summary["file_receiver"], summary.get("file_sender", {})))
    return notes


def _calibration_note(summary: dict[str, Any], bench: Bench, events: dict[str, int]) -> list[str]:
    """Whether the calibration held to the end of the run."""
    if summary.get("calibration_stale"):
        note = (
            "The front end was started again during the run: its calibration no longer holds, and what was "
            "sensed is not shown. Run again."
        )
    elif bench.lab is None and events.get("sequence_gap"):
        note = (
            "The device broke off and went on: if it was started again, its calibration no longer holds; "
            "--calibrate again."
        )
    else:
        return []
    return [note]


def reception_notes(summary: dict[str, Any], receive: dict[str, Any], sent: int) -> list[str]:
    """What was received and lost; nothing of a run that was stopped before anything came."""
    user, reference, radar = (
        summary.get(name, {}) for name in ("user_synchroniser", "burst_reference", "radar_receiver")
    )
    if not ("samples" in receive and user and reference and radar):
        return []
    late = receive.get("events", {}).get("late", 0)  # announced and not sent
    gone = reference["snapshots_lost"] + radar["snapshots_lost"]
    samples = (
        f"Samples: {receive['samples']:,} a channel, {receive['lost_samples']:,} lost in {receive['gaps']} "
        f"gaps, {user['slips']} losses found by the burst clock alone, {user['restarts']} restarts."
    )
    bursts = (
        f"Bursts: {user['found']:,} found, {max(sent - late - user['found'], 0):,} sent and not found, "
        f"{gone:,} snapshots lost."
    )
    return [samples, bursts]


def leakage_note(summary: dict[str, Any]) -> list[str]:
    """How much leakage was removed, if any was."""
    radar = summary.get("radar_receiver", {})
    level = radar.get("leakage_db")
    if level is None or not math.isfinite(level):
        return []
    delay = radar["echo_delay_samples"]
    return [f"Leakage {level:.1f} dB over the noise removed, echo {delay:.2f} samples behind it."]


def _file_note(sink: dict[str, Any], source: dict[str, Any]) -> str:
    if not sink.get("intact"):
        return f"File: not received ({sink.get('reason') or 'stopped'}); nothing was written."
    return (
        f"File: {sink['payload_bytes']:,} bytes intact, {source.get('bursts', 0):,} bursts of which "
        f"{source.get('repeats', 0):,} repeats, {sink.get('recovered', 0):,} recovered by Reed-Solomon."
    )
