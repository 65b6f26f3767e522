"""One picture of a comparison: received pictures, beampatterns, and rates with their intervals by method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from compare_options import label
from isac_models.array import hardware
from isac_models.scenario import Scenario
from link_plot import draw_pattern, draw_picture, frame_pattern, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = {"baseline": "k--", "learned": "g-", "known_array": "m:"}
PANELS = (
    ("ser", "symbol errors, SER", "ser"),
    ("p_md", "targets missed, P_md", "p_md_genie"),
    ("common_rmse_rad", "angle RMSE in degrees,\ncommon targets", ""),
)
"""Rate, title, and the theory beside it."""


def plot_comparison(
    path: str,
    scenario: Scenario,
    beams: Mapping[str, np.ndarray],
    summary: Mapping[str, Any],
    results: Mapping[str, Mapping[str, Any]],
) -> None:
    """Draw a comparison into the file at `path` (PNG, PDF or SVG by its ending).

    `beams` (K,) by method, `summary` as compare_results makes it, `results` of the blocks by name.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    previews = {name: results.get(f"message_sink_{name}", {}).get("preview") for name in beams}
    pictures = [preview for preview in previews.values() if preview]
    figure = Figure(figsize=(13, 7.6 if pictures else 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.add_gridspec(2 if pictures else 1, 1, height_ratios=[0.9, 1] if pictures else None)
    if pictures:
        shown = {"sent": pictures[0][0]}
        shown |= {f"received, {label(name)}": each[1] for name, each in previews.items() if each}
        cells = rows[0].subgridspec(1, len(shown))
        for n, (title, picture) in enumerate(shown.items()):
            draw_picture(figure.add_subplot(cells[n]), picture, title)
    cells = rows[-1].subgridspec(1, 6)
    axes = figure.add_subplot(cells[:3])
    true = hardware(scenario).transmit
    for name, beam in beams.items():
        draw_pattern(axes, beam, true, STYLES[name], label(name))
    frame_pattern(axes, scenario, columns=3)
    axes.set_title("radiated by the true array, |a(θ)ᵀv|²")
    for n, (key, title, theory) in enumerate(PANELS):
        _rates(figure.add_subplot(cells[3 + n]), summary["methods"], key, title, theory)
    save_figure(figure, path)


def _rates(axes: Axes, methods: Mapping[str, Mapping[str, Any]], key: str, title: str, theory: str) -> None:
    """One rate of every method with its 95 % interval, and what theory says of its beam."""
    scale = math.degrees(1) if key.endswith("_rad") else 1.0
    for n, (name, values) in enumerate(methods.items()):
        rate, low, high = (scale * values.get(f"{key}{end}", math.nan) for end in ("", "_low", "_high"))
        if math.isfinite(rate) and math.isfinite(high):
            colour = STYLES[name][0]
            axes.errorbar(n, rate, [[rate - low], [high - rate]], fmt="o", color=colour, capsize=5)
        expected = (values.get("theory") or {}).get(theory)
        if expected is not None:
            axes.plot(n, expected, "x", color="gray", label="genie" if theory == "p_md_genie" else "theory")
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(handles[:1], labels[:1], fontsize="small")
    names = [label(name).replace(" ", "\n") for name in methods]
    axes.set_xticks(range(len(methods)), names, fontsize="small")
    axes.tick_params(axis="y", labelsize="small")
    axes.set_xlim(-0.6, len(methods) - 0.4)
    axes.set_title(title, fontsize="medium")
    axes.grid(axis="y", alpha=0.3)
