"""Small blocks that the tests of the runtime put together, and what they look for afterwards."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from blocks.runtime import Block, Count, Field, Flowgraph, Real, Signal, Source

DEADLINE = 20.0
"""Seconds after which a test gives up on what should have come at once."""
TRANSPORTS = ("inproc", "ipc", "tcp")


class Numbers(Source):
    """Counts snapshots: `index` (n,), and `wave` (n, 3) that nobody needs to want. total None: endless."""

    produces = {"index": Count(), "wave": Signal("width")}
    dimensions = {"width": 3}

    def __init__(self, total: int | None = 1000, name: str | None = None) -> None:
        super().__init__(name)
        self.total = total
        self.ended = multiprocessing.Event()

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        left = count if self.total is None else min(count, self.total - self.position)
        self.emit(first=self.position)
        if left <= 0:
            self.emit(total=self.total)
            self.ended.set()
            return None
        index = np.arange(self.position, self.position + left)
        return {"index": index, "wave": np.repeat(index[:, None], 3, axis=1).astype(np.complex64)}


class Noise(Block):
    """Adds `noise` (n,), drawn by the block's own counter-based generator."""

    consumes = {"index": Count()}
    produces = {"noise": Real()}
    replicable = True

    def work(self, index: np.ndarray) -> dict[str, np.ndarray]:
        return {"noise": self.random.normal(0, self.position, len(index))[:, 0]}


class Double(Block):
    """Adds `double` = 2 · index (n,)."""

    consumes = {"index": Count()}
    produces = {"double": Count()}
    replicable = True

    def work(self, index: np.ndarray) -> dict[str, np.ndarray]:
        return {"double": 2 * index}


class Quadruple(Block):
    """Replaces `double` by its double (n,)."""

    consumes = {"double": Count()}
    produces = {"double": Count()}
    replicable = True

    def work(self, double: np.ndarray) -> dict[str, np.ndarray]:
        return {"double": 2 * double}


class Pass(Block):
    """Adds nothing, and makes a branch longer."""

    replicable = True

    def work(self) -> dict[str, np.ndarray]:
        return {}


class Meeting(Block):
    """Joins `left` and `right`: `gap` (n,) is the index again, if the frames of both belong together."""

    consumes = {"left_index": Count(), "left_double": Count(), "right_index": Count(), "right_noise": Real()}
    produces = {"gap": Count()}
    replicable = True

    def work(
        self,
        left_index: np.ndarray,
        left_double: np.ndarray,
        right_index: np.ndarray,
        right_noise: np.ndarray,
    ) -> dict[str, np.ndarray]:
        assert left_index[0] == self.position
        return {"gap": left_double - right_index + (left_index - right_index) ** 2}


class Sink(Block):
    """Digests the fields it wants, whatever the frame size; keeps a diary of what is asked of it."""

    def __init__(
        self, *wanted: str, name: str | None = None, diary: Path | None = None, every: bool = False
    ) -> None:
        super().__init__(name)
        fields: dict[str, Field] = {
            "index": Count(), "double": Count(), "noise": Real(), "wave": Signal("width"),
            "gap": Count(), "left_double": Count(), "right_noise": Real(), "right_wave": Signal("width"),
        }  # fmt: skip
        self.consumes = {key: fields[key] for key in wanted}
        self.consumes_all = every
        self.dimensions = {"width": 3}
        self.diary = diary
        self.write("")

    def write(self, word: str) -> None:
        """Add a word to the diary file, which outlives the process of the block."""
        if self.diary is not None:
            with self.diary.open("a") as file:
                file.write(word)

    def start(self) -> None:
        self.snapshots = 0
        self.digests: dict[str, Any] = {}
        self.tags_seen: dict[str, Any] = {}
        self.write("start ")

    def work(self, **fields: np.ndarray) -> None:
        for key, array in fields.items():
            self.digests.setdefault(key, hashlib.sha256()).update(array.tobytes())
        self.snapshots += len(next(iter(fields.values())))
        self.tags_seen.update(self.tags)

    def finish(self) -> None:
        self.tags_seen.update(self.tags)
        self.write("finish ")

    def abort(self) -> None:
        self.write("abort ")

    def result(self) -> dict[str, Any]:
        digests = {key: digest.hexdigest() for key, digest in self.digests.items()}
        return {"digests": digests, "tags": self.tags_seen, "snapshots": self.snapshots}


class Trouble(Block):
    """Does something bad when asked for `where` ("start", "work", "finish", "result", "abort")."""

    consumes = {"index": Count()}
    produces = {"double": Count()}

    def __init__(self, where: str, what: Any = None, frame: int = 0, name: str | None = None) -> None:
        super().__init__(name)
        self.where, self.what, self.frame, self.count = where, what, frame, 0
        if isinstance(self, TroubledSink):
            self.produces = {}

    def strike(self, where: str) -> Any:
        """Raise, call or return `what` if this is the place."""
        if where != self.where or self.count <= self.frame:
            return None
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what() if callable(self.what) else self.what

    def start(self) -> None:
        self.count = self.frame + 1 if self.where == "start" else 0
        self.strike("start")

    def work(self, index: np.ndarray) -> Any:
        self.count += 1
        bad = self.strike("work")
        good = {"double": 2 * index} if self.produces else None
        return good if bad is None else bad

    def finish(self) -> None:
        self.strike("finish")

    def abort(self) -> None:
        self.strike("abort")

    def result(self) -> Any:
        return self.strike("result")


class TroubledSink(Trouble):
    """The same as the last block of a branch."""


class Gate(Block):
    """A sink that takes a frame only while its gate is open (threads of one process only)."""

    consumes = {"index": Count()}

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.reached, self.open = threading.Event(), threading.Event()
        self.taken = 0

    def work(self, index: np.ndarray) -> None:
        self.reached.set()
        self.open.wait(DEADLINE)
        self.taken += len(index)


def stuck() -> None:
    """Never come back."""
    threading.Event().wait()


def chain(total: int | None = 1000, frame: int = 64, **options: Any) -> tuple[Flowgraph, Sink]:
    """A source, a random block and a sink that digests everything."""
    graph = Flowgraph("chain", frame=frame, **options)
    sink = Sink("index", "noise", "wave")
    graph.connect(Numbers(total), Noise(), sink)
    return graph, sink


def diamond(
    total: int | None = 1000, depth: int = 2, diary: Path | None = None, **options: Any
) -> tuple[Flowgraph, Sink]:
    """A source, two branches of different length, the block that joins them and a sink below."""
    graph = Flowgraph("diamond", **options)
    source, left, right, meeting = Numbers(total), Double(), Noise(), Meeting()
    passes = [Pass(f"pass_{n}") for n in range(depth)]
    graph.connect(source, left, *passes)
    graph.connect(source, right)
    graph.join(meeting, left=passes[-1] if passes else left, right=right)
    sink = Sink("gap", "left_double", "right_noise", diary=diary)
    graph.connect(meeting, sink)
    return graph, sink


def leftovers() -> set[str]:
    """The folders of ipc runs that exist now."""
    return {path.name for path in Path(tempfile.gettempdir()).glob("isac-*")}


def open_files() -> int:
    """Open file descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def children_of(pid: int) -> list[int]:
    """Process ids of the children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
