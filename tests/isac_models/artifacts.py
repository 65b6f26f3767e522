"""Artifacts that stand in for trained ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as safetensors_bytes

from isac_models.array import hardware, steering_matrix
from isac_models.artifact import Artifact
from isac_models.artifact_file import KEY, canonical, encode
from isac_models.grid import angle_grid
from isac_models.network_layout import Layout
from isac_models.scenario import Scenario

TRAINING = {
    "recipe": "paper",
    "iterations": 50_000,
    "sector_mean_deg": [-60.0, 60.0],
    "sector_span_deg": [10.0, 20.0],
    "command": "python -m isac_models.train model-driven --scenario impaired",
}
VERSIONS = {"numpy": "2.0.0", "isac-blocks": "0.1.0"}


def model_driven(scenario: Scenario, matrix: Any = None, **changes: Any) -> Artifact:
    """An artifact with A = `matrix` (K, N), by default the true steering matrix."""
    true = hardware(scenario).transmit
    if matrix is None:
        matrix = steering_matrix(true, angle_grid(scenario.grid_size))
    tensors = {
        "dictionary_real": np.ascontiguousarray(matrix.real),
        "dictionary_imag": np.ascontiguousarray(matrix.imag),
        "element_positions": true.positions,
        "element_response_real": np.ascontiguousarray(true.response.real),
        "element_response_imag": np.ascontiguousarray(true.response.imag),
    }
    values = {"kind": "model-driven", "scenario": scenario, "tensors": tensors, "training": TRAINING}
    return Artifact(**{**values, "seed": 3, "held_out_loss": 1.25e-4, "versions": VERSIONS, **changes})


def neural(
    scenario: Scenario, hidden: int = 5, omega: tuple[float, ...] = (0.0, 1.0), seed: int = 1
) -> Artifact:
    """An artifact with random networks of that hidden width, one set for each ω_r."""
    random = np.random.default_rng(seed)
    tensors: dict[str, Any] = {"omega": np.array(omega)}
    for name, shape in Layout(scenario.antennas, scenario.order, hidden).shapes.items():
        # Biases keep some neuron alive in layers as narrow as these.
        scale = shape[-1] ** -0.5 if name.endswith("weight") else 0.5
        tensors[name] = (scale * random.standard_normal((len(omega), *shape))).astype(np.float32)
    return Artifact("neural", scenario, tensors, TRAINING, 1, 0.5, VERSIONS)


def tampered(
    path: Path,
    artifact: Artifact,
    change: Callable[[dict[str, Any], dict[str, Any]], None],
    sign: bool = True,
) -> None:
    """Write an artifact after `change(description, tensors)`, with a description checksum that fits."""
    data = encode(artifact)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    description = json.loads(header["__metadata__"][KEY])
    tensors = {name: np.array(array) for name, array in artifact.tensors.items()}
    change(description, tensors)
    if sign:
        description.pop("header_sha256")
        description["header_sha256"] = hashlib.sha256(canonical(description)).hexdigest()
    path.write_bytes(safetensors_bytes(tensors, {KEY: json.dumps(description)}))
