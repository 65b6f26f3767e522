"""Output files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from typing import IO

from isac_models.errors import UserError

STDOUT = "-"


def check_writable(path: str) -> None:
    """Whether a file could be written at `path`, tried without leaving anything there.

    Raises UserError when `path` is a directory, is write-protected, or lies in a directory that is
    missing or cannot be written; for standard output, when it is closed.
    """
    if path == STDOUT:
        if sys.stdout is None or getattr(sys.stdout, "name", None) == os.devnull:
            raise UserError("cannot write standard output: it is closed")
        return
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        mode = 0
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        raise UserError(f"cannot write {path}: it is a directory, name a file")
    if mode and not os.access(target, os.W_OK):
        raise UserError(f"cannot write {path}: the file is write-protected")
    if mode and not stat.S_ISREG(mode):
        return
    if not os.path.isdir(folder):
        raise UserError(f"cannot write {path}: the directory {folder} does not exist")
    try:
        if len(os.path.basename(target)) > os.pathconf(folder, "PC_NAME_MAX") - len(".part") - 10:
            raise UserError(f"cannot write {path}: the file name is too long")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror} in {folder}") from error


class AtomicFile:
    """A binary file written beside its path under a temporary name, renamed over it by `commit`.

    What exists at `path` stays untouched until then. Where `path` is a pipe or a device, or "-" for
    standard output, the finished bytes are copied into it instead.
    """

    def __init__(self, path: str) -> None:
        target = path if path == STDOUT else os.path.realpath(path)
        self._target = target
        self._renames = target != STDOUT and (not os.path.exists(target) or os.path.isfile(target))
        folder, base = os.path.split(target) if self._renames else (None, "isac")
        descriptor, self._name = tempfile.mkstemp(suffix=".part", prefix=f".{base}.", dir=folder)
        self.file: IO[bytes] = os.fdopen(descriptor, "w+b")

    def commit(self) -> None:
        """Put what was written at the path."""
        self.file.flush()
        if self._renames:
            os.chmod(self._name, _mode(self._target))
            self.file.close()
            os.replace(self._name, self._target)
            return
        self.file.seek(0)
        if self._target == STDOUT:
            shutil.copyfileobj(self.file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with open(self._target, "wb") as out:
                shutil.copyfileobj(self.file, out)
        self.discard()

    def discard(self) -> None:
        """Forget what was written."""
        self.file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._name)


def write_atomically(path: str, data: bytes) -> None:
    """Write `data` at `path`, whole or not at all."""
    out = AtomicFile(path)
    try:
        out.file.write(data)
        out.commit()
    except BaseException:
        out.discard()
        raise


def _mode(path: str) -> int:
    """The permissions of the file at `path`, or those a new file gets."""
    with contextlib.suppress(FileNotFoundError):
        return stat.S_IMODE(os.stat(path).st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
