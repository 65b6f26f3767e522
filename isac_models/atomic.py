"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path: str | Path, *parts: bytes | memoryview) -> None:
    """Write `parts` at `path`, one after the other, under the permissions that a new file gets.

    They go to a temporary file beside it, which is forced to the disk and renamed. A symbolic link stays one.
    Raises OSError; what was at `path` before stays as it was, and nothing is left beside it.
    """
    target = os.path.realpath(path)
    folder, base = os.path.split(target)
    if os.path.isdir(target):
        raise IsADirectoryError(f"{path} is a directory, name a file")
    descriptor, temporary = tempfile.mkstemp(suffix=".part", prefix=f".{base[:100]}.", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_mask())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    with contextlib.suppress(OSError):  # some file systems cannot do it, and the file is there already
        _synchronise(folder)


def _synchronise(folder: str) -> None:
    """Force the new name to the disk as well."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mask() -> int:
    """The permissions that new files lack; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
