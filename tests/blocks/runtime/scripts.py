"""Programs that run a graph, started as a user would and watched from outside."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.blocks.runtime.graphs import DEADLINE, alive, children_of

ROOT = Path(__file__).resolve().parents[3]
STOP_SECONDS = 2.0
"""How long a graph may take to stop once it has been told to."""

HEAD = """
import json, os, sys, threading
from blocks.runtime import Flowgraph, FlowgraphError
from isac_models.errors import UserError
from tests.blocks.runtime.graphs import *

said = False

def status(report):
    global said
    if not said and report.blocks["numbers"].frames > 0:
        said = True
        print("running", flush=True)

def finish(graph, *options, **named):
    try:
        report = graph.run(*options, **named)
    except FlowgraphError as error:
        print("failed", json.dumps([str(error), error.report and error.report.to_dict()]), flush=True)
        sys.exit(1)
    except UserError as error:
        print("refused", json.dumps(str(error)), flush=True)
        sys.exit(2)
    print("done", json.dumps(report.to_dict()), flush=True)
    sys.exit(130 if report.interrupted else 0)
"""


class Script:
    """A Python program of its own session, whose temporary files lie in `folder`."""

    def __init__(self, folder: Path, text: str, *arguments: str, via: tuple[str, ...] = ()) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        path = folder / "script.py"
        path.write_text(HEAD + text)
        with (folder / "stderr").open("w") as stderr:
            self.process = subprocess.Popen(
                [*via, sys.executable, str(path), *arguments],
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        self._text = b""

    @property
    def stderr(self) -> str:
        """What the program has complained about."""
        return (self.folder / "stderr").read_text()

    def read(self, seconds: float = DEADLINE) -> str | None:
        """The next line of output, or None when the output is closed."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._text:
            left = max(0.0, deadline - time.monotonic())
            assert select.select([self.process.stdout], [], [], left)[0], f"silent: {self.stderr}"
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                return None
            self._text += data
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def expect(self, word: str, seconds: float = DEADLINE) -> Any:
        """Read on to the line that begins with `word`; what follows it, read as JSON."""
        seen = []
        while (line := self.read(seconds)) is not None:
            if line.split(" ")[0] == word:
                return json.loads(line.partition(" ")[2] or "null")
            seen.append(line)
        raise AssertionError(f"no {word!r} in {seen}; {self.stderr}")

    def children(self, count: int) -> list[int]:
        """Process ids of the program's children, when there are `count`."""
        wait_for(lambda: len(children_of(self.process.pid)) == count)
        return children_of(self.process.pid)

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group, as a terminal does."""
        os.killpg(self.process.pid, number)

    def leave(self) -> int:
        """Wait for the end: the exit status, when nothing is left behind."""
        status = self.process.wait(DEADLINE)
        wait_for(lambda: not self.left_behind())
        return status

    def left_behind(self) -> list[str]:
        """Folders and processes of the program's session that still exist."""
        folders = [path.name for path in self.folder.glob("isac-*")]
        processes = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.process.pid:
                with contextlib.suppress(OSError, IndexError):
                    session = (entry / "stat").read_text().rpartition(")")[2].split()[3]
                    if int(session) == self.process.pid and alive(int(entry.name)):
                        processes.append(entry.name)
        return folders + processes

    def close(self) -> None:
        """End whatever still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()


def wait_for(condition: Callable[[], bool]) -> None:
    """Return when the condition holds, which it does soon."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        select.select([], [], [], 0.02)
