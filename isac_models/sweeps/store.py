"""Finished points on disk: one small JSON file each, so that a sweep goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isac_models.atomic import write_atomically
from isac_models.errors import UserError

FORMAT = 1
LARGEST = 4 << 20
"""Bytes of a file of the store; a longer one is none of ours."""
IGNORED = ".gitignore"
"""Points are a cache: version control leaves the folder alone."""

Result = dict[str, Any]


class Store:
    """A folder of results under the keys of their points.

    A file appears whole or not at all. One that cannot be read, or whose content is not what was written, is
    reported to `warn` and counts as missing.

    Raises UserError when the folder cannot be made.
    """

    def __init__(self, folder: str | Path, warn: Callable[[str], Any] = warnings.warn) -> None:
        self.folder = Path(folder)
        self.warn = warn
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / IGNORED).exists():
                write_atomically(self.folder / IGNORED, b"*\n")
        except OSError as error:
            raise UserError(f"cannot keep points in {folder}: {error.strerror or error}") from None

    def path(self, key: str) -> Path:
        """Where the result of a point is kept."""
        return self.folder / f"{key}.json"

    def load(self, key: str) -> Result | None:
        """The result of a point, None when it is not there or damaged."""
        path = self.path(key)
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.warn(f"{path}: {error.strerror or error}; computing the point again")
            return None
        result = _unpacked(key, data)
        if result is None:
            self.warn(f"{path} is damaged; computing the point again")
        return result

    def save(self, key: str, result: Mapping[str, Any]) -> None:
        """Keep a result; NaN and infinity become null.

        Raises UserError when it cannot be written; what was there before stays.
        """
        body = plain(dict(result))
        packed = {"format": FORMAT, "key": key, "sha256": _checksum(body), "result": body}
        try:
            write_atomically(self.path(key), json.dumps(packed, allow_nan=False).encode())
        except OSError as error:
            raise UserError(
                f"cannot keep a point in {self.folder}: {error.strerror or error}; make room and run the "
                "same command again, what is finished is not computed again"
            ) from None


def plain(value: Any) -> Any:
    """The value as JSON takes it: tuples as lists, NumPy scalars as numbers, not finite ones as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _unpacked(key: str, data: bytes) -> Result | None:
    """What `save` packed under this key, None for anything else."""
    try:
        packed = json.loads(data) if len(data) <= LARGEST else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(packed, dict) or (packed.get("format"), packed.get("key")) != (FORMAT, key):
        return None
    result = packed.get("result")
    if not isinstance(result, dict) or packed.get("sha256") != _checksum(result):
        return None
    return result


def _checksum(result: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(result)).hexdigest()


def canonical(value: Any) -> bytes:
    """One and the same text for equal JSON values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
