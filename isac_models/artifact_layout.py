"""Which arrays a trained model holds: their names, shapes and what their values may be (docs/artifact.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isac_models.errors import UserError
from isac_models.network_layout import Layout
from isac_models.scenario import Scenario
from isac_models.units import shorten

Values = NDArray[Any]
Shape = tuple[int, ...]
Kind = Literal["model-driven", "neural"]

LARGEST_VALUE = 1e6
"""No weight of a network that works, and no element of A, is anywhere near."""
SMALLEST_COLUMN = 1e-6
"""Norm of a column of A below which single precision would lose it."""
WORST_CONDITION = 1e12
MOST_OMEGAS = 1000


def check_layout(kind: Kind, scenario: Scenario, shapes: Mapping[str, Shape]) -> None:
    """Raise UserError unless the arrays have the names and shapes that kind and scenario ask for."""
    antennas, grid = scenario.antennas, scenario.grid_size
    wanted: dict[str, Shape]
    if kind == "model-driven":
        wanted = {
            "dictionary_real": (antennas, grid),
            "dictionary_imag": (antennas, grid),
            "element_positions": (antennas,),
            "element_response_real": (antennas,),
            "element_response_imag": (antennas,),
        }
    else:
        (omegas,) = shapes.get("omega", ()) if len(shapes.get("omega", ())) == 1 else (1,)
        hidden = (shapes.get("beamformer.0.bias", ()) or (1,))[-1]
        if omegas > MOST_OMEGAS:
            raise UserError(f"array omega may hold {MOST_OMEGAS} values, not {omegas}")
        networks = Layout(antennas, scenario.order, hidden)
        wanted = {"omega": (omegas,)} | {name: (omegas, *shape) for name, shape in networks.shapes.items()}
    for name in sorted(set(wanted) ^ set(shapes)):
        raise UserError(f"it {'lacks' if name in wanted else 'has an unknown'} array {shorten(name)}")
    for name, shape in wanted.items():
        if shapes[name] != shape:
            raise UserError(
                f"array {name} is {'×'.join(map(str, shapes[name]))}, and its scenario with {antennas} "
                f"antennas, grid_size {grid} and order {scenario.order} needs {'×'.join(map(str, shape))}"
            )


def check_values(kind: Kind, tensors: Mapping[str, Values]) -> None:
    """Raise UserError for values that no training leaves behind."""
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise UserError(f"array {name} holds NaN or infinity")
        if np.abs(array).max() > LARGEST_VALUE:
            raise UserError(f"array {name} holds values beyond ±{LARGEST_VALUE:g}")
    if kind == "neural":
        omega = tensors["omega"]
        if not ((omega >= 0) & (omega <= 1)).all() or np.unique(omega).size < omega.size:
            raise UserError("array omega must hold different numbers from 0 to 1")
        return
    matrix = tensors["dictionary_real"] + 1j * tensors["dictionary_imag"].astype(np.float64)
    if np.linalg.norm(matrix, axis=0).min() < SMALLEST_COLUMN:
        raise UserError("the dictionary has a column of zeros")
    eigenvalues = np.linalg.eigvalsh(matrix @ matrix.conj().T)
    if not eigenvalues[0] * WORST_CONDITION > eigenvalues[-1]:
        raise UserError("the rows of the dictionary depend on each other: A*Aᵀ of eq. (4) cannot be inverted")
