"""From a finished run over a radio to what is printed and returned."""

from __future__ import annotations

import argparse
import math
import sys
from typing import Any

import interrupts
from blocks.runtime import Report
from hil_radio import Bench
from isac_models.waveform.calibration_vectors import Calibration
from link_design import Design, artifacts_of
from link_report import print_json, print_table

RADIO = ("radio_transmit", "radio_receive", "user_synchroniser", "radar_synchroniser", "burst_receiver")
MORE = ("burst_reference", "radar_receiver", "file_sender", "file_receiver", "detection_counter")


def show_hil(options: argparse.Namespace, report: Report, design: Design, bench: Bench) -> int:
    """Print a run; returns the exit status: 1 for a file that did not arrive as it was sent."""
    results = {name: dict(result) for name, result in report.results.items()}
    rates: dict[str, Any] = {}
    for name in ("communication_metrics", "sensing_metrics"):
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
        **{name: results[name] for name in (*RADIO, *MORE) if name in results},
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
    return 0 if arrived.get("intact") else 1


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
    receive, radar = summary.get("radio_receive", {}), summary.get("radar_receiver", {})
    user, reference = summary.get("user_synchroniser", {}), summary.get("burst_reference", {})
    notes = [_hardware(summary, bench)]
    if "samples" not in receive:  # stopped before anything was received
        return notes
    sent = summary["radio_transmit"].get("bursts", 0)
    notes.append(
        f"Samples: {receive['samples']:,} a channel, {receive['lost_samples']:,} lost in {receive['gaps']} "
        f"gaps, {user['slips']} losses found by the burst clock alone, {user['restarts']} restarts."
    )
    notes.append(
        f"Bursts: {user['found']:,} found, {max(sent - user['found'], 0):,} sent and not found, "
        f"{reference['snapshots_lost'] + radar['snapshots_lost']:,} snapshots lost."
    )
    if receive.get("ended_early"):
        notes.append(f"The reception ended early: {receive['ended_early']}")
    events = {kind: n for kind, n in receive["events"].items() if kind != "burst_ack"}
    if events:
        notes.append("Events: " + ", ".join(f"{n} {kind}" for kind, n in sorted(events.items())) + ".")
    if radar["leakage_db"] is not None and math.isfinite(radar["leakage_db"]):
        notes.append(
            f"Leakage {radar['leakage_db']:.1f} dB over the noise removed, "
            f"echo {radar['echo_delay_samples']:.2f} samples behind it."
        )
    if "file_receiver" in summary:
        notes.append(_file_note(summary["file_receiver"], summary.get("file_sender", {})))
    return notes


def _file_note(sink: dict[str, Any], source: dict[str, Any]) -> str:
    if not sink.get("intact"):
        return f"File: not received ({sink.get('reason') or 'stopped'}); nothing was written."
    return (
        f"File: {sink['payload_bytes']:,} bytes intact, {source.get('bursts', 0):,} bursts of which "
        f"{source.get('repeats', 0):,} repeats, {sink.get('recovered', 0):,} recovered by Reed-Solomon."
    )
