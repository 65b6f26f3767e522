"""Metadata of SigMF recordings: reading untrusted ones, writing valid ones (docs/sigmf.md).

The `sigmf` library checks what is read and what is written against the schema of the specification.
"""

from __future__ import annotations

import json
import os
import stat
import warnings
from collections.abc import Mapping
from typing import Any, NoReturn

from isac_models.errors import UserError

META, DATA = ".sigmf-meta", ".sigmf-data"
COMPANION = "-truth"
"""Ends the name of the recording that holds the truth behind another one."""
NAMESPACE, EXTENSION_VERSION = "isac", "1.0.0"

MAX_META = 16 << 20  # bytes
MAX_CONTAINERS = 100_000  # objects and lists in them: an empty one is 2 bytes there, 64 in memory


def is_sigmf(path: str) -> bool:
    """Whether a name is that of a SigMF recording's metadata."""
    return path.endswith(META)


def base_of(path: str) -> str:
    """The name without its ending. Raises UserError for another ending than .sigmf-meta."""
    if not is_sigmf(path) or os.path.basename(path) == META:
        raise UserError(f"a SigMF recording is named by its metadata, NAME{META}, not {path}")
    return path.removesuffix(META)


def files_of(path: str) -> list[str]:
    """Every file that belongs to a recording: metadata and samples, and those of the truth behind it."""
    base = base_of(path)
    return [base + part + ending for part in ("", COMPANION) for ending in (DATA, META)]


def load_meta(path: str) -> dict[str, Any]:
    """Global object, captures and annotations of an untrusted file, valid against the schema.

    Raises UserError for a file that is missing, too large, not JSON, or not valid SigMF.
    """
    values = _parse(path, _read(path))
    if not isinstance(values, dict) or not isinstance(values.get("global"), dict):
        raise UserError(f"{path} is not SigMF metadata: it has no global object")
    for part in ("captures", "annotations"):
        values.setdefault(part, [])
    try:
        validate(values)
    except ValueError as error:
        raise UserError(f"{path} is not valid SigMF: {error}") from None
    for extension in values["global"].get("core:extensions", []):
        if not extension["optional"] and extension["name"] != NAMESPACE:
            raise UserError(
                f"{path} cannot be read without the extension {extension['name'][:60]!r}, "
                "which is not known here"
            )
    return values


def validate(values: dict[str, Any]) -> None:
    """Check metadata by the `sigmf` library. Raises ValueError that says in one line what is wrong."""
    try:
        import sigmf
    except ImportError:
        raise UserError("SigMF recordings need the sigmf library: pip install sigmf") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            sigmf.SigMFFile(metadata=values).validate()
        except sigmf.validate.jsonschema.exceptions.ValidationError as error:
            raise ValueError(f"{error.json_path}: {' '.join(error.message.split())[:160]}") from None
        except (sigmf.error.SigMFError, AttributeError, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{type(error).__name__}: {' '.join(str(error).split())[:160]}") from None


def make_meta(
    datatype: str,
    channels: int,
    more: Mapping[str, Any],
    captures: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
) -> bytes:
    """The bytes of a metadata file, in the order of samples.

    `more` are further global fields, those of this project under ``isac:``. Raises ValueError where the
    result would not be valid.
    """
    from sigmf import __specification__

    values: dict[str, Any] = {
        "global": {
            "core:datatype": datatype,
            "core:version": __specification__,
            "core:num_channels": channels,
            "core:extensions": [{"name": NAMESPACE, "version": EXTENSION_VERSION, "optional": True}],
            **more,
        },
        "captures": sorted(captures, key=_start) or [{"core:sample_start": 0}],
        "annotations": sorted(annotations, key=_start),
    }
    data = json.dumps(values, indent=1, allow_nan=False).encode() + b"\n"
    # Through JSON, as a reader will see them: tuples and the like have become what they are there.
    validate(json.loads(data))
    return data


def _start(item: Mapping[str, Any]) -> int:
    return int(item["core:sample_start"])


def _read(path: str) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would wait for ever
            raise UserError(f"cannot read recording {path}: it is not a regular file")
        with open(path, "rb") as file:
            data = file.read(MAX_META + 1)
    except OSError as error:
        raise UserError(f"cannot read recording {path}: {error.strerror}") from error
    if len(data) > MAX_META:
        raise UserError(f"{path} is larger than {MAX_META >> 20} MiB, too large for SigMF metadata")
    if data.count(b"{") + data.count(b"[") > MAX_CONTAINERS:
        raise UserError(f"{path} holds more than {MAX_CONTAINERS} objects and lists")
    return data


def _parse(path: str, data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except RecursionError:
        raise UserError(f"{path} is not SigMF metadata: nested too deeply") from None
    except ValueError as error:  # not UTF-8, not JSON, NaN, an integer of thousands of digits
        raise UserError(f"{path} is not SigMF metadata: {' '.join(str(error).split())[:160]}") from None


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")
