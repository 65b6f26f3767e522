"""From a finished run of --compare to what is printed, drawn and returned."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

import numpy as np

import interrupts
from blocks.runtime import Report
from compare_options import label
from isac_models.errors import one_line
from isac_models.theory import link_theory
from link_design import artifacts_of
from link_report import print_json, rate_text

if TYPE_CHECKING:
    from isac_compare import Method

ROWS = {
    "ser": "Symbol errors, SER",
    "ber": "Bit errors, BER",
    "p_md": "Missed, P_md",
    "p_fa": "False alarms, P_fa",
    "rmse_rad": "Angle error, RMSE",
    "common_rmse_rad": "… common targets",
}
THEORY = {"ser": ("ser", "theory"), "p_md": ("p_md_genie", "genie")}
PAIRS = (("learned", "baseline"), ("learned", "known_array"))
"""Which methods are set against which."""


def show_comparison(options: argparse.Namespace, report: Report, methods: Mapping[str, Method]) -> int:
    """Print (and draw) the comparison; returns the exit status."""
    summary = summary_of(options, report, methods)
    notes = [f"Trained model: {each['name']}, sha256 {each['sha256'][:12]}…" for each in summary["artifacts"]]
    stopped = report.interrupted
    try:
        interrupts.run_ended()
        for name, method in methods.items() if not stopped else ():
            # The bound on the angle takes a while, and is not in the table.
            receiver = method.detector.matched_filter if options.json else None
            beam = np.asarray(method.precoder.beam)
            summary["methods"][name]["theory"] = link_theory(options.scenario, beam, receiver)
        if options.plot and all("p_md" in values for values in summary["methods"].values()):
            from compare_plot import plot_comparison

            beams = {name: method.precoder.beam for name, method in methods.items()}
            plot_comparison(options.plot, options.scenario, beams, summary, report.results)
            notes.append(f"Plot: {options.plot}")
    except KeyboardInterrupt:
        stopped = True  # what was measured is printed all the same
        if options.plot and f"Plot: {options.plot}" not in notes:
            notes.append("Stopped before the plot was drawn.")
    interrupts.finish()
    if options.json:
        print_json(summary)
    elif not options.quiet:
        notes += [_transfer_note(name, values) for name, values in summary["methods"].items()]
        print_comparison(summary, report, [note for note in notes if note])
    return interrupts.STATUS if stopped else 0


def summary_of(options: argparse.Namespace, report: Report, methods: Mapping[str, Method]) -> dict[str, Any]:
    """Everything that was measured, by method, and what sets the methods apart; fit for JSON."""
    paired = report.results.get("paired_sensing_metrics", {})
    values = report.to_dict()
    return {
        "scenario": options.scenario.to_dict(),
        **{key: getattr(options, key) for key in ("rho", "phi", "seed", "transport", "frame")},
        "snapshots": report.snapshots,
        "methods": {name: _method(options, report, name, method) for name, method in methods.items()},
        "common": paired.get("common", 0),
        "pairs": paired.get("pairs", {}),
        "artifacts": artifacts_of(*(each.detector for each in methods.values())),
        **{key: values[key] for key in ("seconds", "snapshots_per_second", "lost_frames", "repeated_frames")},
        "malformed": report.malformed,
        "interrupted": report.interrupted,
        "blocks": values["blocks"],
    }


def _method(options: argparse.Namespace, report: Report, name: str, method: Method) -> dict[str, Any]:
    """What one method is, and did."""
    found: dict[str, Any] = {
        "estimator": method.detector.estimator,
        "threshold": method.detector.threshold.amplitude,
        "threshold_relative_error": method.detector.threshold.relative_error,
    }
    counters: dict[str, Any] = {}
    for block in ("communication_metrics", "sensing_metrics"):
        result = dict(report.results.get(f"{block}_{name}", {}))
        counters |= result.pop("counters", {})
        found |= result
    found |= report.results.get("paired_sensing_metrics", {}).get("methods", {}).get(name, {})
    if options.file:
        sink = dict(report.results.get(f"message_sink_{name}", {}))
        sink.pop("preview", None)
        written = options.outs[name] if "intact" in sink else None
        found["file"] = {"in": options.file, "out": written, "intact": None, **sink}
    return {**found, "counters": counters, "artifacts": artifacts_of(method.detector), "theory": None}


def print_comparison(
    summary: Mapping[str, Any], report: Report, notes: list[str], out: IO[str] | None = None
) -> None:
    """A column for each method, every rate with its 95 % interval below; then the paired ratios."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    stream: Any = out or sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
    console = Console(file=stream, highlight=False)
    speed = f"{report.snapshots:,} snapshots in {report.seconds:.2f} s"
    stopped = " (stopped early)" if report.interrupted else ""
    title = f"Three ISAC links on the same messages, targets and noise: {speed}{stopped}"
    console.print(one_line(title), style="bold", soft_wrap=True)
    methods = summary["methods"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in methods:
        table.add_column(label(name), justify="right", no_wrap=True)
    for key, text in ROWS.items():
        table.add_row(text, *(_rate(key, values.get(key)) for values in methods.values()))
        table.add_row(
            "  95 % interval", *(_interval(key, values) for values in methods.values()), style="dim"
        )
        if key in THEORY:
            expected, word = THEORY[key]
            theory = [(values["theory"] or {}).get(expected) for values in methods.values()]
            table.add_row(f"  {word}", *(_rate(key, value) for value in theory), style="dim")
    table.add_row("Angle read by", *(str(values["estimator"]) for values in methods.values()))
    ratios = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("Ratio on the same noise", "P_md", "RMSE where both find it"):
        ratios.add_column(column, justify="left" if column.startswith("Ratio") else "right", no_wrap=True)
    for first, second in PAIRS:
        pair = summary["pairs"].get(first, {}).get(second, {})
        texts = [_ratio(pair, key) for key in ("p_md_ratio", "rmse_rad_ratio")]
        ratios.add_row(f"{label(first)} / {label(second)}", *texts)
    for each in (table, ratios):
        whole = console.measure(each, options=console.options.update(width=200))
        console.width = max(console.width, whole.maximum)  # a number is never cut
        console.print(each)
    console.print(f"common targets: the {summary['common']:,} that all three find.", soft_wrap=True)
    console.print("genie: a radar that is told the target's angle and only has to detect it.", soft_wrap=True)
    lost = f"Frames: {report.lost_frames} lost{_where(report)}, {report.repeated_frames} repeated."
    for note in [*notes, lost]:
        console.print(one_line(note), markup=False, soft_wrap=True)


def _rate(key: str, value: float | None) -> str:
    return rate_text("rmse_rad" if key.endswith("rmse_rad") else key, value)


def _interval(key: str, values: Mapping[str, Any]) -> str:
    return " … ".join(_rate(key, values.get(f"{key}_{end}")) for end in ("low", "high"))


def _ratio(pair: Mapping[str, Any], key: str) -> str:
    value, low, high = (rate_text("", pair.get(f"{key}{end}")) for end in ("", "_low", "_high"))
    return f"{value} ({low} … {high})"


def _where(report: Report) -> str:
    """Which branches of a join have lost frames."""
    lost = [
        f"{name}: {count} of {branch}"
        for name, block in report.blocks.items()
        for branch, count in block.lost_on.items()
    ]
    return f" ({', '.join(lost)})" if lost else ""


def _transfer_note(name: str, values: Mapping[str, Any]) -> str:
    """What became of the file with one method; empty where none was sent."""
    if "file" not in values:
        return ""
    file = values["file"]
    what = f"File of {label(name)}: {file.get('payload_bytes', 0):,} bytes received"
    if file["out"] is not None:
        what += f" in {file['out']}"
    if file["intact"] is None:
        return f"{what}, then the run was stopped; nothing was written."
    return f"{what}, intact." if file["intact"] else f"{what}, {file['bytes_differ']:,} of them wrong."
