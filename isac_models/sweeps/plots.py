"""Pictures of a study: each method's curve with its 95 % intervals, beside the references and theory."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isac_models.sweeps.studies import Study
from isac_models.sweeps.tables import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Style = dict[str, Any]

STYLES: dict[str, Style] = {
    "baseline": {"color": "black", "marker": "s"},
    "known": {"color": "tab:green", "marker": "^", "linestyle": "--"},
    "best": {"color": "tab:gray", "marker": "v", "linestyle": "--"},
    "learned-500": {"color": "tab:blue", "marker": "o"},
    "learned-156": {"color": "tab:cyan", "marker": "o", "fillstyle": "none"},
    "neural-wide": {"color": "tab:red", "marker": "D"},
    "neural-narrow": {"color": "tab:orange", "marker": "D", "fillstyle": "none"},
}
OTHERS: Sequence[Style] = (
    {"color": "tab:purple", "marker": "P"},
    {"color": "tab:pink", "marker": "X"},
    {"color": "tab:brown", "marker": "*"},
)
CLOSED_FORM: Style = {"linestyle": ":", "linewidth": 1.0, "alpha": 0.8}
BOUND: Style = {"color": "tab:gray", "linestyle": "-.", "linewidth": 1.0}
NAMES = {
    "p_md": "missed targets P_md",
    "rmse_rad": "angle RMSE of found targets in rad",
    "ser": "symbol error rate SER",
    "p_d": "found targets P_d",
}
DPI = 110
COLOURS = 128
COLUMNS = 3
WIDTH = 180
"""Characters of a line of notes."""


def picture(study: Study, rows: Sequence[Row], stamp: str = "") -> bytes:
    """PNG of a study. `stamp` is printed across its top, for what must not be overlooked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = 3 if study.axis == "snr_radar_db" else 2
    notes = [line for each in _notes(study) for line in textwrap.wrap(each, WIDTH)]
    shown = sum(curve.shown for curve in study.curves)
    rows_below = {"legend": 0.2 * (1 + math.ceil((shown + 3) / COLUMNS)), "notes": 0.14 * len(notes) + 0.02}
    height = 5.0 + sum(rows_below.values())
    figure = Figure(figsize=(11, height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(3, panels, height_ratios=[5.0, *rows_below.values()])
    axes = [figure.add_subplot(grid[0, n]) for n in range(panels)]
    if study.axis == "rho":
        _trade_off(axes, study, rows)
    elif study.axis == "false_alarm":
        _operating(axes, study, rows)
    else:
        _over_snr(axes, study, rows)
    for each in axes:
        each.grid(which="major", alpha=0.35, linewidth=0.6)
        each.grid(which="minor", alpha=0.15, linewidth=0.4)
    _title(figure, study, rows, stamp)
    _below(figure.add_subplot(grid[1, :]), figure.add_subplot(grid[2, :]), axes, notes)
    return compact(figure)


def _trade_off(axes: Sequence[Axes], study: Study, rows: Sequence[Row]) -> None:
    """SER over P_md and over the RMSE, as in Figs. 3 to 5."""
    for panel, metric in zip(axes, ("p_md", "rmse_rad"), strict=True):
        for label, style, curve in _curves(study, rows):
            _measured(panel, curve, metric, "ser", {**style, "label": label})
            closed = [(row[metric], row["ser_theory"]) for row in curve if _there(row, metric, "ser_theory")]
            panel.plot(*_columns(closed), color=style["color"], **CLOSED_FORM)
        best = [row for row in rows if row["name"] == "best"]
        if metric == "p_md":
            genie = [
                (r["p_md_genie"], r["ser_theory"]) for r in best if _there(r, "p_md_genie", "ser_theory")
            ]
            panel.plot(*_columns(genie), label="genie knowing θ, best beam", **BOUND)
        else:
            bound = [
                (r["rmse_bound_rad"], r["ser_theory"])
                for r in best
                if _there(r, "rmse_bound_rad", "ser_theory")
            ]
            style = {**BOUND, "linestyle": (0, (5, 1, 1, 1, 1, 1))}
            panel.plot(*_columns(bound), label="bound √E[Var(θ|y,x)], best beam", **style)
        panel.set(xscale="log", yscale="log", xlabel=NAMES[metric])
        panel.xaxis.set_minor_formatter(_twos_and_fives)
    axes[0].plot([], [], color="black", label="SER in closed form", **CLOSED_FORM)
    axes[0].set_ylabel(NAMES["ser"])
    _degrees(axes[1])


def _twos_and_fives(value: float, _: float) -> str:
    """Labels between the powers of ten, few enough not to run into each other."""
    return f"{value:g}" if f"{value:.0e}"[0] in "25" else ""


def _operating(axes: Sequence[Axes], study: Study, rows: Sequence[Row]) -> None:
    """P_d and P_md over the measured false-alarm rate."""
    for panel, missed in zip(axes, (False, True), strict=True):
        for label, style, curve in _curves(study, rows):
            seen = [row if missed else _found(row) for row in curve]
            _measured(panel, seen, "p_fa", "p_md" if missed else "p_d", {**style, "label": label})
        for row_name, label in (("best", "genie knowing θ, best beam"),):
            genie = [r for r in rows if r["name"] == row_name and _there(r, "p_md_genie")]
            points = [(r["value"], r["p_md_genie"] if missed else 1 - r["p_md_genie"]) for r in genie]
            panel.plot(*_columns(points), label=label, **BOUND)
        panel.set(xscale="log", xlabel="false alarms P_fa", ylabel=NAMES["p_md" if missed else "p_d"])
    axes[1].set_yscale("log")


def _over_snr(axes: Sequence[Axes], study: Study, rows: Sequence[Row]) -> None:
    """P_md, RMSE and SER over the radar SNR."""
    theory = {"p_md": "p_md_genie", "rmse_rad": "rmse_bound_rad", "ser": "ser_theory"}
    says = {
        "p_md": "genie knowing θ, best beam",
        "rmse_rad": "bound √E[Var(θ|y,x)], best beam",
        "ser": "SER in closed form, best beam",
    }
    for panel, metric in zip(axes, theory, strict=True):
        for label, style, curve in _curves(study, rows):
            _measured(panel, curve, "value", metric, {**style, "label": label})
        best = [
            (r["value"], r[theory[metric]]) for r in rows if r["name"] == "best" and _there(r, theory[metric])
        ]
        pattern = {"p_md": "-.", "rmse_rad": (0, (5, 1, 1, 1, 1, 1)), "ser": ":"}[metric]
        panel.plot(*_columns(best), label=says[metric], **{**BOUND, "linestyle": pattern})
        panel.set(yscale="log", xlabel="radar SNR in dB", ylabel=NAMES[metric])


def _curves(study: Study, rows: Sequence[Row]) -> list[tuple[str, Style, list[Row]]]:
    """Label, style and rows of every curve that is shown, rows in the order of the axis."""
    found = []
    spare = iter(OTHERS)
    for curve in study.curves:
        own = sorted((row for row in rows if row["name"] == curve.name), key=lambda row: row["value"])
        if own:
            style = STYLES.get(curve.name) or next(spare, OTHERS[-1])
            found.append((f"{curve.label} ({_false_alarms(own)})", style, own))
    return found


def _false_alarms(rows: Sequence[Row]) -> str:
    """The measured P_fa of a curve, as far as it is one number for all of its points."""
    if len({row["false_alarm"] for row in rows}) > 1:
        return "P_fa measured"
    low, high = (100 * bound(row["p_fa"] for row in rows) for bound in (min, max))
    return f"P_fa {low:.2f} %" if f"{low:.2f}" == f"{high:.2f}" else f"P_fa {low:.2f}–{high:.2f} %"


def _measured(panel: Axes, rows: Sequence[Row], x: str, y: str, style: Style) -> None:
    """A curve with the 95 % intervals of both coordinates."""
    there = [row for row in rows if _there(row, x, y) and row[y] > 0]
    xs, ys = ([row[key] for row in there] for key in (x, y))
    errors: dict[str, Any] = {}
    for key, values, name in ((x, xs, "xerr"), (y, ys, "yerr")):
        if f"{key}_low" in (there[0] if there else {}):
            low = [
                max(0.0, value - (row[f"{key}_low"] or 0.0)) for row, value in zip(there, values, strict=True)
            ]
            high = [
                max(0.0, (row[f"{key}_high"] or value) - value)
                for row, value in zip(there, values, strict=True)
            ]
            errors[name] = [low, high]
    panel.errorbar(
        xs,
        ys,
        **errors,
        linewidth=1.2,
        markersize=4,
        elinewidth=0.8,
        capsize=1.5,
        markeredgewidth=0.8,
        **style,
    )


def _found(row: Row) -> Row:
    """The row with P_d beside its P_md."""
    if not _there(row, "p_md"):
        return row
    ends = {"p_d": 1 - row["p_md"], "p_d_low": 1 - row["p_md_high"], "p_d_high": 1 - row["p_md_low"]}
    return {**row, **ends}


def _there(row: Row, *keys: str) -> bool:
    """Whether a row has finite values under all of the keys."""
    return all(row.get(key) is not None and math.isfinite(row[key]) for key in keys)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _degrees(panel: Axes) -> None:
    """A second axis in degrees."""
    import numpy as np

    above = panel.secondary_xaxis("top", functions=(np.degrees, np.radians))
    above.xaxis.set_major_formatter("{x:g}°")
    above.tick_params(labelsize="small")


def _notes(study: Study) -> list[str]:
    """What the reader of the picture has to know."""
    notes = []
    if study.scenario.impairment == "none":
        notes.append("known array: the same as the baseline, as the array is as designed.")
    notes += [f"not shown: {each}" for each in study.missing]
    return notes


def _title(figure: Figure, study: Study, rows: Sequence[Row], stamp: str) -> None:
    snapshots = sorted({row["snapshots"] for row in rows})
    count = " … ".join(f"{n:,}" for n in dict.fromkeys((snapshots[0], snapshots[-1]))) if snapshots else "no"
    lines = [study.title, f"{study.setting}; {count} snapshots a point, 95 % intervals"]
    figure.suptitle("\n".join([*lines, *([" "] if stamp else [])]), fontsize="medium")
    if stamp:
        above = 0.98 - 0.42 / figure.get_figheight()  # in the third line of the title
        figure.text(
            0.5, above, stamp, color="tab:red", ha="center", va="center", weight="bold", fontsize="small"
        )


def _below(legend: Axes, text: Axes, panels: Sequence[Axes], notes: Sequence[str]) -> None:
    """One legend for all panels, and the notes."""
    entries: dict[str, Any] = {}
    for each in panels:
        handles, labels = each.get_legend_handles_labels()
        entries |= {label: handle for handle, label in zip(handles, labels, strict=True)}
    for each in (legend, text):
        each.set_axis_off()
    legend.legend(list(entries.values()), list(entries), loc="center", ncols=COLUMNS, fontsize="small")
    text.text(0, 1, "\n".join(notes), fontsize=7, color="dimgray", va="top", transform=text.transAxes)


def compact(figure: Figure) -> bytes:
    """PNG with a palette, a third of the size."""
    from PIL import Image

    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(COLOURS).save(packed, format="png", optimize=True)
    return packed.getvalue()
