"""One picture of a run: sent and received picture, constellation, beampattern, detection map."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from blocks.runtime.output import write_atomically
from isac_models.array import hardware, nominal_array
from isac_models.beamforming import beampattern
from isac_models.constellation import Constellation
from isac_models.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from isac_models.array import Array

TARGET, RECEIVER = "tab:orange", "tab:blue"


def plot_link(
    path: str,
    scenario: Scenario,
    beam: np.ndarray | None,
    results: dict[str, dict[str, Any]],
    points: np.ndarray | None = None,
) -> None:
    """Draw a run into the file at `path` (PNG, PDF or SVG by its ending); no pattern without a beam.

    points: (M,) the symbols that were sent; None: the scenario's QAM.
    """
    if points is None:
        points = Constellation(scenario.order).points
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    pictures = results.get("message_sink", {}).get("preview")
    figure = Figure(figsize=(12, 8 if pictures else 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    if pictures:
        grid = figure.add_gridspec(2, 6)
        for n, (picture, title) in enumerate(zip(pictures, ("sent", "received"), strict=True)):
            draw_picture(figure.add_subplot(grid[0, 2 * n : 2 * n + 2]), picture, title)
        cells = [grid[0, 4:], grid[1, :4], grid[1, 4:]]
    else:
        row = figure.add_gridspec(1, 4)
        cells = [row[0, 0], row[0, 1:3], row[0, 3]]
    _constellation(figure.add_subplot(cells[0]), points, results["constellation_probe"])
    _beampattern(figure.add_subplot(cells[1]), scenario, beam)
    _detection_map(figure.add_subplot(cells[2]), results["detection_map"])

    save_figure(figure, path)


def save_figure(figure: Figure, path: str) -> None:
    """Write a figure, whole or not at all, in the format that `path` ends in."""
    drawn = io.BytesIO()
    kind = os.path.splitext(path)[1].lower().removeprefix(".") or "png"
    figure.savefig(drawn, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)
    write_atomically(path, drawn.getvalue())


def draw_picture(axes: Axes, picture: dict[str, Any], title: str) -> None:
    """A sent or received picture, as MessageSink keeps it."""
    shape = (picture["height"], picture["width"], 3)
    axes.imshow(np.frombuffer(picture["rgb"], dtype=np.uint8).reshape(shape), interpolation="nearest")
    axes.set_title(title)
    axes.set_axis_off()


def _constellation(axes: Axes, points: np.ndarray, probe: dict[str, Any]) -> None:
    """Received symbols after dividing by the channel, coloured by what was sent."""
    colours = "tab10" if len(points) == 4 else "nipy_spectral"
    axes.scatter(probe["i"], probe["q"], c=probe["message"], s=3, cmap=colours, alpha=0.5, linewidths=0)
    axes.plot(points.real, points.imag, "k+", markersize=6)
    reach = 2.2 * float(np.abs([points.real, points.imag]).max())
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="in-phase", ylabel="quadrature")
    axes.set_aspect("equal")
    axes.set_title("constellation, equalised")


def _beampattern(axes: Axes, scenario: Scenario, beam: np.ndarray | None) -> None:
    """Radiated power over angle: by the hardware as it is, and as the beam was designed for."""
    arrays = [("radiated", hardware(scenario).transmit, "k-")]
    if scenario.impairment != "none":
        arrays.append(("as designed", nominal_array(scenario), "k:"))
    for label, array, style in arrays if beam is not None else []:
        assert beam is not None
        draw_pattern(axes, beam, array, style, label)
    frame_pattern(axes, scenario, columns=4)
    axes.set_title("beampattern |a(θ)ᵀv|²")


def draw_pattern(axes: Axes, beam: np.ndarray, array: Array, style: str, label: str) -> None:
    """Power in dB that a beam radiates over angle through an array."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 1441)
    power = beampattern(beam, array, angles)
    axes.plot(np.degrees(angles), 10 * np.log10(np.maximum(power, 1e-4)), style, linewidth=1.2, label=label)


def frame_pattern(axes: Axes, scenario: Scenario, columns: int) -> None:
    """Sectors, limits and legend of a beampattern."""
    for label, sector, colour in (
        ("target sector", scenario.target_sector, TARGET),
        ("receiver sector", scenario.comm_sector, RECEIVER),
    ):
        low, high = np.degrees(sector)
        axes.axvspan(low - 0.1, high + 0.1, color=colour, alpha=0.25, label=label)
    peak = 10 * np.log10(scenario.antennas * scenario.transmit_energy)
    axes.set(xlim=(-90, 90), ylim=(peak - 35, peak + 4), xlabel="angle in degrees", ylabel="power in dB")
    axes.legend(loc="upper center", ncols=columns, fontsize="small")


def _detection_map(axes: Axes, found: dict[str, Any]) -> None:
    """Estimated over true angle of the detected targets."""
    edges = np.degrees(found["edges"])
    counts = np.asarray(found["found"], dtype=np.float64).T
    axes.pcolormesh(
        edges, edges, np.log10(np.where(counts > 0, counts, np.nan)), cmap="viridis", rasterized=True
    )
    axes.set(xlabel="true angle in degrees", ylabel="estimated angle in degrees")
    axes.set_aspect("equal")
    missed, hits = sum(found["missed"]), int(counts.sum())
    axes.set_title(f"targets: {hits:,} found, {missed:,} missed")


def plot_samples(path: Any, rows: list[dict[str, Any]]) -> None:
    """RMSE and P_md of the learned receiver over the labelled echoes, beside the two references."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    learned = [row for row in rows if row["method"] == "learned"]
    for panel, key, label in zip(panels, ("rmse_rad", "p_md"), ("angle RMSE (rad)", "P_md"), strict=True):
        panel.plot([row["echoes"] for row in learned], [row[key] for row in learned], "o", label="learned")
        for row, style in zip(rows[:2], ("--", ":"), strict=True):
            panel.axhline(row[key], ls=style, c="k", label=f"{row['method']}, {row['estimator']}")
        panel.set_xscale("log")
        panel.set_xlabel("labelled echoes of targets")
        panel.set_ylabel(label)
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
