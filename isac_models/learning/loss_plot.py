"""The picture of a training: the held-out loss over the iterations that a model's description keeps."""

from __future__ import annotations

import math
from typing import Any

from isac_models.artifact_file import Artifact
from isac_models.errors import UserError
from isac_models.sweeps.plots import compact


def loss_curve(artifact: Artifact) -> bytes:
    """PNG of the held-out loss over the iterations; for networks the mean over ω_r of (11), then of (12).

    Raises UserError for a model whose description keeps no such losses.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    points = _losses(artifact)
    neural = artifact.kind == "neural"
    first = artifact.training.get("iterations") if neural else None
    cut = first if isinstance(first, int) else math.inf
    figure = Figure(figsize=(8, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 1 + (cut < points[-1][0]), squeeze=False)[0]
    # The loss that is measured where the first step ends is still that step's.
    parts = [[point for point in points if point[0] <= cut], [point for point in points if point[0] > cut]]
    for panel, part, name in zip(axes, parts, ("step (11)", "step (12)"), strict=False):
        panel.plot(*zip(*part, strict=True), linewidth=1.2)
        panel.set_yscale("log")
        panel.grid(which="both", alpha=0.3)
        panel.set_xlabel("iteration")
        panel.set_ylabel("held-out loss" + f" of {name}, mean over ω_r" * neural)
    figure.suptitle(_title(artifact), fontsize="medium")
    return compact(figure)


def _losses(artifact: Artifact) -> list[tuple[float, float]]:
    """(iteration, loss), rising."""
    found: Any = artifact.training.get("held_out_losses")
    try:
        points = sorted((float(at), float(loss)) for at, loss in found)
    except (TypeError, ValueError):
        points = []
    if not points or not all(math.isfinite(at) and 0 < loss < math.inf for at, loss in points):
        raise UserError(f"{artifact.name}: its description keeps no held-out losses to plot")
    return points


def _title(artifact: Artifact) -> str:
    """What was trained."""
    scenario, tensors = artifact.scenario, artifact.tensors
    if artifact.kind == "neural":
        omegas = ", ".join(f"{omega:g}" for omega in tensors["omega"].tolist())
        what = f"networks, N = {tensors['beamformer.0.bias'].shape[-1]}, ω_r = {omegas}"
    else:
        what = f"learned A, N = {scenario.grid_size}"
    return f"{what}\n{scenario.impairment} impairment, hardware seed {scenario.impairment_seed}"
