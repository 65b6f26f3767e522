"""The file of a trained model: safetensors with a JSON description (docs/artifact.md), checked throughout."""

from __future__ import annotations

import hashlib
import json
import math
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, get_args

import numpy as np
from numpy.typing import NDArray

from isac_models.artifact_layout import Kind, Shape, check_layout, check_values
from isac_models.errors import ScenarioError, UserError
from isac_models.scenario import Scenario
from isac_models.units import shorten

Values = NDArray[Any]

FORMAT = 1
KEY = "isac-artifact"
"""Where the description stands in the metadata of the safetensors file."""
LARGEST_FILE = 1 << 30
LARGEST_HEADER = 1 << 20
DTYPES: Mapping[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
SUFFIX = ".safetensors"
LOSSES = ("literal_loss", "mask", "angle_unit")
"""Settings by which losses of networks differ that the paper does not settle."""
FIELDS = {
    "format",
    "kind",
    "scenario",
    "training",
    "seed",
    "held_out_loss",
    "versions",
    "sha256",
    "header_sha256",
}


@dataclass(frozen=True, eq=False)
class Artifact:
    """A trained model: its arrays, and all that is needed to judge and to repeat the training.

    kind "model-driven": `dictionary_real`, `dictionary_imag` (K, N), and the hardware it was trained on:
    `element_positions` (K,) in wavelengths, `element_response_real`, `element_response_imag` (K,).
    kind "neural": `omega` (W,) and, for each network, `encoder.0.weight` (W, out, in), `encoder.0.bias`
    (W, out) and so on: see `network_layout.Layout`.
    """

    kind: Kind
    scenario: Scenario
    """What it was trained on."""
    tensors: Mapping[str, Values]
    """Real arrays by name."""
    training: Mapping[str, Any]
    """Every setting of the training, fit for JSON."""
    seed: int
    held_out_loss: float
    versions: Mapping[str, str]
    """Versions of the packages that trained it."""
    name: str = ""
    """The shipped name or the path that it was loaded from."""

    @cached_property
    def sha256(self) -> str:
        """Checksum of the arrays, as in the file."""
        return checksum(self.tensors)

    @property
    def identity(self) -> dict[str, Any]:
        """Which one it is, and by which of the losses that the paper leaves open, as results say it."""
        losses = {key: self.training[key] for key in LOSSES if key in self.training}
        return {"name": self.name, "kind": self.kind, "sha256": self.sha256, **losses}

    @cached_property
    def dictionary(self) -> NDArray[np.complex128]:
        """The learned A (K, N) of a model-driven artifact."""
        real, imaginary = (self.tensors[f"dictionary_{part}"] for part in ("real", "imag"))
        matrix = np.empty(real.shape, np.complex128)
        matrix.real, matrix.imag = real, imaginary
        return matrix


def encode(artifact: Artifact) -> bytes:
    """The file that holds an artifact. Raises UserError for one that `read` would refuse."""
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(array) for name, array in artifact.tensors.items()}
    layout = {name: (_dtype(name, array), array.shape) for name, array in tensors.items()}
    description = {
        "format": FORMAT,
        "kind": artifact.kind,
        "scenario": artifact.scenario.to_dict(),
        "training": dict(artifact.training),
        "seed": artifact.seed,
        "held_out_loss": artifact.held_out_loss,
        "versions": dict(artifact.versions),
        "sha256": checksum(tensors),
    }
    try:
        description["header_sha256"] = hashlib.sha256(canonical(description)).hexdigest()
        text = canonical(description).decode()
    except (TypeError, ValueError) as error:
        raise UserError(f"the description of an artifact must be fit for JSON: {error}") from None
    _described(json.loads(text), layout)
    check_values(artifact.kind, tensors)
    data = save(tensors, {KEY: text})
    if int.from_bytes(data[:8], "little") > LARGEST_HEADER or len(data) > LARGEST_FILE:
        raise UserError(f"an artifact's header may have {LARGEST_HEADER} bytes, its file {LARGEST_FILE}")
    return data


def read(path: Path) -> Artifact:
    """The artifact in a file, with an empty name.

    Raises UserError, without the name of the file, for one that cannot be read or is not exactly as described
    in docs/artifact.md. Arrays are made only once their dtypes, shapes and the size of the file fit together.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        mode = path.stat()
        if not stat.S_ISREG(mode.st_mode):
            raise UserError("it is no regular file")
        if mode.st_size > LARGEST_FILE:
            raise UserError(f"larger than {LARGEST_FILE} bytes, which no artifact is")
        with path.open("rb") as file:
            header, data_at = _header(file, mode.st_size)
            description, layout = _split(header)
            scenario, kind = _described(description, layout)
            expected = data_at + sum(DTYPES[d].itemsize * math.prod(shape) for d, shape in layout.values())
            if mode.st_size < expected:
                raise UserError(f"cut off: {mode.st_size} of {expected} bytes are there")
            file.seek(0)
            content = file.read(expected + 1)
    except OSError as error:
        raise UserError(error.strerror or str(error)) from None
    except ValueError as error:  # a null byte in the path; UserError comes through as it is
        raise UserError(str(error)) from None
    if len(content) != expected:
        raise UserError(f"damaged: it must have {expected} bytes")
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise UserError(f"damaged: {' '.join(str(error).split())}") from None
    if checksum(tensors) != description["sha256"]:
        raise UserError("damaged or tampered with: the checksum of its arrays is another")
    check_values(kind, tensors)
    for array in tensors.values():
        array.flags.writeable = False
    return Artifact(
        kind=kind,
        scenario=scenario,
        tensors=tensors,
        training=description["training"],
        seed=description["seed"],
        held_out_loss=float(description["held_out_loss"]),
        versions=description["versions"],
    )


def checksum(tensors: Mapping[str, Values]) -> str:
    """SHA-256 of arrays in the order of their names: a line ``NAME DTYPE D1,D2\\n``, then their bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name]
        dtype = _dtype(name, array)
        digest.update(f"{name} {dtype} {','.join(map(str, array.shape))}\n".encode())
        digest.update(np.ascontiguousarray(array, DTYPES[dtype]).data)
    return digest.hexdigest()


def canonical(value: Any) -> bytes:
    """One and the same JSON text for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _dtype(name: str, array: Values) -> str:
    for dtype, kind in DTYPES.items():
        if array.dtype == kind:
            return dtype
    raise UserError(f"array {name} must be float32 or float64, not {array.dtype}")


def _header(file: IO[bytes], size: int) -> tuple[dict[str, Any], int]:
    """The JSON header of a safetensors file, and where its data begin."""
    foreign = "not a safetensors file"
    length = int.from_bytes(file.read(8), "little")
    if size < 9 or not 2 <= length <= LARGEST_HEADER:
        raise UserError(foreign)
    text = file.read(length)
    if not text.startswith(b"{"):
        raise UserError(foreign)
    if len(text) < length:
        raise UserError("cut off in the middle of its header")
    try:
        header = _parsed(text.decode())
    except (ValueError, RecursionError):
        raise UserError(f"{foreign}: its header is no JSON") from None
    return header, 8 + length


def _parsed(text: str) -> dict[str, Any]:
    """A JSON object. Raises ValueError or RecursionError for anything else, doubled keys and NaN included."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands twice")
        return found

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no JSON")

    value = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _split(header: dict[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[str, Shape]]]:
    """The description, and the dtype and shape of every array."""
    metadata = header.pop("__metadata__", None)
    if not (isinstance(metadata, dict) and isinstance(metadata.get(KEY), str)):
        raise UserError(f"a safetensors file of another program: its metadata have no {KEY!r}")
    try:
        description = _parsed(metadata[KEY])
    except (ValueError, RecursionError) as error:
        raise UserError(f"damaged: its description is no JSON object ({error})") from None
    layout = {}
    for name, entry in header.items():
        dtype, shape = (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (None, None)
        if dtype not in DTYPES:
            raise UserError(f"array {shorten(name)} must be F32 or F64, not {shorten(dtype)}")
        if not (isinstance(shape, list) and len(shape) <= 3 and all(type(d) is int and d > 0 for d in shape)):
            raise UserError(f"array {shorten(name)} has an impossible shape, {shorten(shape)}")
        layout[name] = (str(dtype), tuple(shape))
    return description, layout


def _described(description: dict[str, Any], layout: Mapping[str, tuple[str, Shape]]) -> tuple[Scenario, Kind]:
    """Scenario and kind, once the description is complete and the arrays are those that it promises."""
    version = description.get("format")
    if type(version) is not int or version < 1:
        raise UserError("damaged: its description has no format version")
    if version > FORMAT:
        raise UserError(
            f"its format version is {version}, and this program knows version {FORMAT}: update isac-blocks"
        )
    if set(description) != FIELDS:
        wrong = min(set(description) ^ FIELDS)
        raise UserError(
            f"damaged: its description {'lacks' if wrong in FIELDS else 'has an unknown'} {shorten(wrong)}"
        )
    body = {key: value for key, value in description.items() if key != "header_sha256"}
    if hashlib.sha256(_canonical_or_nothing(body)).hexdigest() != description["header_sha256"]:
        raise UserError("damaged or tampered with: the checksum of its description is another")
    kind = description["kind"]
    if kind not in get_args(Kind):
        raise UserError(f"unknown kind {shorten(kind)}: there is {', '.join(get_args(Kind))}")
    for key, wanted in (("scenario", dict), ("training", dict), ("versions", dict), ("sha256", str)):
        if not isinstance(description[key], wanted):
            raise UserError(f"damaged: {key} must be a JSON {'object' if wanted is dict else 'string'}")
    if type(description["seed"]) is not int or description["seed"] < 0:
        raise UserError(f"seed must be a whole number from 0, not {shorten(description['seed'])}")
    loss = description["held_out_loss"]
    if type(loss) not in (int, float) or not abs(loss) <= sys.float_info.max:
        raise UserError(f"held_out_loss must be a finite number, not {shorten(loss)}")
    if not all(isinstance(version, str) for version in description["versions"].values()):
        raise UserError("damaged: versions must be strings")
    try:
        scenario = Scenario.from_dict(description["scenario"])
    except (ScenarioError, TypeError) as error:
        raise UserError(f"its scenario is impossible: {error}") from None
    check_layout(kind, scenario, {name: shape for name, (_, shape) in layout.items()})
    return scenario, kind


def _canonical_or_nothing(value: Any) -> bytes:
    try:
        return canonical(value)
    except (ValueError, RecursionError):  # 1e999 is valid JSON and becomes infinity
        return b""
