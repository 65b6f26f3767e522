"""The folder of one training: its checkpoint, its artifact, and nobody else at work in it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from isac_models.errors import UserError
from isac_models.learning.checkpoint import NAME as CHECKPOINT

ARTIFACT = "artifact.safetensors"


class Folder:
    """Where a training keeps its files. `checkpoint` and `artifact` are their paths."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoint = self.path / CHECKPOINT
        self.artifact = self.path / ARTIFACT
        self._made = False
        self._lock: int | None = None

    def check_new(self) -> None:
        """Raise UserError where a new training must not go; changes nothing."""
        try:
            found = next((each for each in (self.checkpoint, self.artifact) if os.path.lexists(each)), None)
            if found is not None:
                raise UserError(
                    f"--out {self.path}: it holds another training already ({found.name}): "
                    f"continue that with --resume {self.path}, or name another folder"
                )
            self.path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"--out {self.path}: {getattr(error, 'strerror', None) or error}") from None
        there = next(each for each in (self.path, *self.path.absolute().parents) if each.exists())
        if not there.is_dir():
            raise UserError(f"--out {self.path}: {there} is a file, name a folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise UserError(f"--out {self.path}: {there} is write-protected")

    def check_resumable(self) -> None:
        """Raise UserError where nothing can be resumed; changes nothing."""
        if not self.path.is_dir():
            raise UserError(f"--resume {self.path}: there is no such folder")
        if not os.path.lexists(self.checkpoint):
            raise UserError(f"--resume {self.path}: no training is kept there ({CHECKPOINT} is missing)")
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise UserError(f"--resume {self.path}: the folder is write-protected")

    def take(self) -> None:
        """Make the folder if need be, take it for this process, and remove what a killed one half wrote.

        Raises UserError when it cannot be made or another process has it.
        """
        try:
            self._made = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise UserError(f"cannot make the folder {self.path}: {error.strerror or error}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                self.release()
                raise UserError(f"{self.path}: another process is training there") from None
            # Some network file systems have no locks; the training does without.
        for name in (CHECKPOINT, ARTIFACT):
            for rest in self.path.glob(f".{name}.*.part"):
                with contextlib.suppress(OSError):
                    rest.unlink()

    def release(self) -> None:
        """Let others in; a folder that this training has made and left empty disappears."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._made:
            with contextlib.suppress(OSError):
                self.path.rmdir()
