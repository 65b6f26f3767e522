"""Checkpoints: all that a training needs to go on exactly where it was. The format is in docs/training.md."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.atomic import write_atomically
from isac_models.errors import ScenarioError, UserError
from isac_models.learning.loop import Progress, State
from isac_models.scenario import Scenario

NAME = "checkpoint.safetensors"
"""What it is called in the folder of its training."""
FORMAT = 1
KEY = "isac-checkpoint"
"""Where the description stands in the metadata of the safetensors file."""
LARGEST_FILE = 1 << 33
LARGEST_HEADER = 1 << 24
MOST_ARRAYS = 10_000
DTYPES = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "U8": np.dtype("u1"),
    "U64": np.dtype("<u8"),
    "BOOL": np.dtype("?"),
}
FIELDS = {
    "format": int,
    "kind": str,
    "scenario": dict,
    "settings": dict,
    "progress": dict,
    "versions": dict,
    "sha256": str,
}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training at rest."""

    kind: str
    scenario: Scenario
    settings: Mapping[str, Any]
    """Of the task, every one, fit for JSON."""
    progress: Progress
    state: State
    """What the task gave and takes back."""
    versions: Mapping[str, str]
    """Versions of the packages that wrote it."""


def save(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all.

    Raises UserError when it cannot be written; what was at `path` before stays as it was.
    """
    from safetensors.numpy import save as encode

    arrays = {name: np.asarray(array, order="C") for name, array in checkpoint.state.items()}
    body = {
        "format": FORMAT,
        "kind": checkpoint.kind,
        "scenario": checkpoint.scenario.to_dict(),
        "settings": dict(checkpoint.settings),
        "progress": asdict(checkpoint.progress),
        "versions": dict(checkpoint.versions),
    }
    text = _canonical({**body, "sha256": _checksum(body, arrays)}).decode()
    try:
        write_atomically(path, encode(arrays, {KEY: text}))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None


def load(path: str | Path) -> Checkpoint:
    """The checkpoint in a file. Nothing in the file is trusted before it has been checked.

    Raises UserError that begins with the path for a file that cannot be read, or that holds anything but a
    complete and undamaged checkpoint.
    """
    from safetensors import SafetensorError, safe_open

    try:
        _check_size(path)
        with safe_open(path, framework="numpy") as file:
            description = _description(file.metadata())
            arrays = {name: _array(file, name) for name in _names(file)}
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except SafetensorError as error:
        raise UserError(f"{path}: damaged or not a checkpoint ({' '.join(str(error).split())})") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    expected = description.pop("sha256")
    try:
        if _checksum(description, arrays) != expected:
            raise UserError("damaged or tampered with: the checksum is another")
        return Checkpoint(
            description["kind"],
            Scenario.from_dict(description["scenario"]),
            description["settings"],
            _progress(description["progress"]),
            arrays,
            description["versions"],
        )
    except (ScenarioError, TypeError, ValueError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None


def _check_size(path: str | Path) -> None:
    """Raise UserError for what need not be opened."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise UserError("not a file")
    if status.st_size > LARGEST_FILE:
        raise UserError(f"larger than {LARGEST_FILE} bytes, which no checkpoint is")
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if not 2 <= header <= min(LARGEST_HEADER, status.st_size - 8):
        raise UserError("damaged or not a checkpoint (it does not begin as one)")


def _description(metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """The description of this version, with every field of its type."""
    if not metadata or KEY not in metadata:
        raise UserError("not a checkpoint of this program")
    try:
        description = json.loads(metadata[KEY])
    except (ValueError, RecursionError):
        description = None
    if not isinstance(description, dict):
        raise UserError("damaged: its description is not JSON")
    version = description.get("format")
    if type(version) is not int or version != FORMAT:
        raise UserError(
            f"format version {str(version)[:20]}, and this program knows {FORMAT}: update isac-blocks"
        )
    if set(description) != set(FIELDS) or any(type(description[key]) is not FIELDS[key] for key in FIELDS):
        raise UserError("damaged: its description is not complete")
    if not all(isinstance(version, str) for version in description["versions"].values()):
        raise UserError("damaged: its versions are not text")
    return description


def _names(file: Any) -> list[str]:
    names: list[str] = file.keys()
    if len(names) > MOST_ARRAYS:
        raise UserError(f"more than {MOST_ARRAYS} arrays, which no checkpoint has")
    return names


def _array(file: Any, name: str) -> NDArray[Any]:
    """An array once its type and the number of its dimensions are such as are written."""
    about = file.get_slice(name)
    if about.get_dtype() not in DTYPES or len(about.get_shape()) > 8:
        raise UserError(f"array {name[:60]!r} of a type that no checkpoint holds")
    array: NDArray[Any] = file.get_tensor(name)
    return array


@cache
def _adapter() -> Any:
    from pydantic import ConfigDict, TypeAdapter, with_config

    return TypeAdapter(with_config(ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))(Progress))


def _progress(values: dict[str, Any]) -> Progress:
    """The progress that is described, once each value is possible."""
    from pydantic import ValidationError

    try:
        progress: Progress = _adapter().validate_json(json.dumps(values))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise UserError(f"damaged: its progress has an impossible {where[:60]}") from None
    counts = (progress.iteration, progress.steps, progress.phase, progress.above, progress.flat_since)
    if min(*counts, progress.seconds, progress.weight, progress.held_out_every - 1) < 0:
        raise UserError("damaged: its progress counts below zero")
    if progress.patience is not None and progress.patience < 1:
        raise UserError("damaged: its progress has an impossible patience")
    return progress


def _canonical(value: Any) -> bytes:
    """One and the same JSON text for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _checksum(body: Mapping[str, Any], arrays: State) -> str:
    """SHA-256 of the description and of all arrays.

    The description as JSON with sorted keys and no spaces, then for each name in order: a line
    ``NAME DTYPE D1,D2`` that a line feed precedes and ends, and the bytes of the array.
    """
    digest = hashlib.sha256(_canonical(body))
    names = {dtype: name for name, dtype in DTYPES.items()}
    for name in sorted(arrays):
        array = arrays[name]
        if array.dtype not in names:
            raise ValueError(f"array {name} of a type that no checkpoint holds, {array.dtype}")
        digest.update(f"\n{name} {names[array.dtype]} {','.join(map(str, array.shape))}\n".encode())
        digest.update(array.reshape(math.prod(array.shape)).view(np.uint8).data)
    return digest.hexdigest()
