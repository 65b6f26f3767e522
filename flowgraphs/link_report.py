"""What a run shows: a live line, a table, one JSON object. Rich loads when something is printed."""

from __future__ import annotations

import json
import math
import sys
from types import TracebackType
from typing import IO, Any

import interrupts
from isac_models.errors import one_line

LABELS = {
    "ser": "Symbols decided wrongly, SER",
    "ber": "Bits decided wrongly, BER",
    "p_md": "Targets missed, P_md",
    "p_fa": "False alarms, P_fa",
    "rmse_rad": "Angle error when found, RMSE",
}


FOOTNOTES = {
    "genie": "a radar that is told the target's angle and only has to detect it.",
    "bound": "the best mean square angle estimate on the targets found here.",
}
"""What the words in the column of theory mean."""


class LiveLine:
    """One line that follows a run; silent unless `shown` (standard output is a terminal)."""

    def __init__(self, shown: bool, total: int | None) -> None:
        self._shown = shown
        self._total = total
        self._progress: Any = None

    def __enter__(self) -> LiveLine:
        if self._shown:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            bar = [BarColumn(bar_width=20)] if self._total else [SpinnerColumn()]
            columns = [*bar, TextColumn("{task.fields[line]}")]
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task("", total=self._total, line="starting")
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, report: Any) -> None:
        """Show the run as it stands."""
        interrupts.run_started()
        if self._progress is None:
            return
        results = {key: value for result in list(report.results.values()) for key, value in result.items()}
        parts = [f"{report.snapshots:,} snapshots", f"{report.snapshots / max(report.seconds, 1e-9):,.0f}/s"]
        for key, label in (("ser", "SER"), ("p_md", "P_md"), ("rmse_rad", "RMSE")):
            if isinstance(results.get(key), float) and math.isfinite(results[key]):
                parts.append(f"{label} {rate_text(key, results[key])}")
        self._progress.update(self._task, completed=report.snapshots, line="  ".join(parts))


def print_json(summary: dict[str, Any]) -> None:
    """One JSON object on standard output; a rate of nothing is null."""
    print(json.dumps(_finite(summary), allow_nan=False), flush=True)


def print_table(summary: dict[str, Any], title: str, notes: list[str], out: IO[str] | None = None) -> None:
    """Every rate with its 95 % interval and what theory says, for someone who sees it the first time."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    stream: Any = out or sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
    console = Console(file=stream, highlight=False)
    console.print(one_line(title), style="bold", markup=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for column in ("measured", "95 % interval", "theory"):
        table.add_column(column, justify="right", no_wrap=True)
    theory = _theory_column(summary)
    for key, label in LABELS.items():
        if key in summary:
            low, high = (rate_text(key, summary[f"{key}_{end}"]) for end in ("low", "high"))
            rate = rate_text(key, summary[key])
            table.add_row(label, rate, f"{low} … {high}", theory.get(key, ""))
    whole = console.measure(table, options=console.options.update(width=200))
    console.width = max(console.width, whole.maximum)  # a number is never cut
    console.print(table)
    for word, meaning in FOOTNOTES.items():
        if any(text.startswith(word) for text in theory.values()):
            console.print(f"{word}: {meaning}", markup=False, soft_wrap=True)
    for note in notes:
        console.print(one_line(note), markup=False, soft_wrap=True)


def _theory_column(summary: dict[str, Any]) -> dict[str, str]:
    """What each rate is compared with: an exact value, a reference (see FOOTNOTES), or what was asked for."""
    theory = summary.get("theory") or {}
    column = {"p_fa": f"{rate_text('p_fa', summary['scenario']['false_alarm'])} asked"}
    for key, name, word in (
        ("ser", "ser", ""),
        ("p_md", "p_md_genie", "genie "),
        ("rmse_rad", "rmse_bound_rad", "bound "),
    ):
        if theory.get(name) is not None:
            column[key] = word + rate_text(key, theory[name])
    if theory.get("rmse_bound_rad", 0) is None:
        column["rmse_rad"] = "–"
    return column


def rate_text(key: str, value: float | None) -> str:
    """A rate, or for `rmse_rad` an angle in degrees, as people read it; – where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    if key == "rmse_rad":
        return f"{math.degrees(value):.4g}°"
    return f"{value:.3g}"


def _finite(value: Any) -> Any:
    """`value` with what JSON has no word for replaced: NaN and infinity by null, bytes left out."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items() if not isinstance(item, bytes)}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
