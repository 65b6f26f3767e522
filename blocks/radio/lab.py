"""A virtual front end as a process of its own, and the laboratory's door to it: scenes, faults, truth."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

import zmq

from blocks.radio.interface import RadioError
from isac_models.scenario import Scenario

PROGRAM = "tests.hil.frontend"
START_SECONDS = 30.0
ANSWER_SECONDS = 10.0
ROOT = Path(__file__).resolve().parents[2]
TRUTH_BLOCKS = 1024
"""Coherence blocks that are asked for at once."""


class VirtualFrontEnd:
    """The program ``python -m tests.hil.frontend``, started for this scenario and stopped by `close`.

    It shares no code with the link: the scenario travels as a file, samples over the radio's own protocol
    (`addresses`). Its unknowns come from its `seed` and `options`.

    Raises RadioError where it does not start: its own line says why.
    """

    def __init__(
        self,
        protocol: str,
        scenario: Scenario,
        seed: int = 1,
        options: Sequence[str] = (),
        scene: str = "calibration",
    ) -> None:
        if not (ROOT / PROGRAM.replace(".", "/")).is_dir():
            raise RadioError(
                "the virtual front end is part of the repository, not of an installation: clone it"
            )
        self._folder = Path(tempfile.mkdtemp(prefix="isac-"))
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        (self._folder / "scenario.json").write_text(json.dumps(scenario.to_dict()))
        address = {
            "zmq": f"zmq:ipc://{self._folder}",
            "iio": "iio:127.0.0.1:0",
            "stream": "stream:127.0.0.1:0",
        }.get(protocol, "")
        arguments = [
            *("--protocol", protocol, *(("--address", address) if address else ())),
            *("--control", f"ipc://{self._folder}/control", "--scene", scene, "--until-eof"),
            *("--scenario", str(self._folder / "scenario.json"), "--seed", str(seed)),
            *(("--namespace",) if protocol == "zmq" and _may_unshare() else ()),
            *options,
        ]
        with (self._folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=ROOT,
                start_new_session=True,  # Ctrl-C is for the link: this ends when its standard input does
                # One thread for its linear algebra: the link wants a core as well.
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "OMP_NUM_THREADS": "1",
                    "OPENBLAS_NUM_THREADS": "1",
                },
            )
        self._truth: dict[int, dict[str, Any]] = {}
        self._lock = threading.RLock()  # blocks of a graph ask, each in its thread
        try:
            ready = self._ready()
            self.addresses: Any = ready["addresses"]
            self.session: str = str(ready["session"])
            self._control = str(ready["control"])
            self._block = int(self.ask("hello")["block"])
        except BaseException:
            self.close()
            raise

    def _ready(self) -> dict[str, Any]:
        """The line that says that it is ready."""
        assert self._process.stdout is not None
        if select.select([self._process.stdout], [], [], START_SECONDS)[0]:
            line = self._process.stdout.readline()
            if line:
                found: dict[str, Any] = json.loads(line)
                return found
        said = (self._folder / "stderr").read_text(errors="replace").strip().splitlines()
        raise RadioError(f"the virtual front end did not start: {said[-1] if said else 'it says nothing'}")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        """One order over the control socket, and its answer.

        Raises RadioError when there is none in time, or when the order is refused.
        """
        with self._lock:
            if self._socket is None:
                self._socket = self._context.socket(zmq.REQ)
                self._socket.setsockopt(zmq.LINGER, 0)
                self._socket.connect(self._control)
            self._socket.send(json.dumps({"do": do, **details}).encode())
            if not self._answered():
                self._socket.close()
                self._socket = None
                raise RadioError(f"the virtual front end does not answer {do!r}: is it still running?")
            answer: dict[str, Any] = json.loads(self._socket.recv())
        if not answer.get("ok"):
            raise RadioError(f"the virtual front end refuses {do!r}: {answer.get('error')}")
        return answer

    def _answered(self) -> bool:
        """Whether the answer is there, in time and while the process lives."""
        assert self._socket is not None
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self._socket.poll(100):
            if self._process.poll() is not None or time.monotonic() > deadline:
                return bool(self._socket.poll(0))
        return True

    def scene(self, name: str) -> int:
        """Another scene, "scenario" or "calibration"; returns the tick that it begins at."""
        with self._lock:
            self._truth.clear()
            return int(self.ask("scene", scene=name)["first_tick"])

    def restarted(self) -> bool:
        """Whether it was started again since: another session, whose oscillators have other phases."""
        return str(self.ask("hello")["session"]) != self.session

    def truth(self, tick: int) -> dict[str, Any]:
        """The coherence block at a tick: present, theta, alpha, vartheta, beta."""
        first = tick - tick % self._block
        with self._lock:
            if first not in self._truth:
                self._truth.clear()
                blocks = self.ask("truth", first_tick=first, ticks=self._block * TRUTH_BLOCKS)["blocks"]
                self._truth = {int(one["first_tick"]): one for one in blocks}
            if first not in self._truth:
                raise RadioError(f"the virtual front end knows of no coherence block at tick {first}")
            return self._truth[first]

    def close(self) -> None:
        """End it. May be called twice."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        deadline = time.monotonic() + 3
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._context.destroy(linger=0)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@cache
def _may_unshare() -> bool:
    """Whether a process may have a network namespace of its own here."""
    try:
        done = subprocess.run(["unshare", "--net", "true"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def soapy_driver() -> str:
    """Build the SoapySDR driver that the virtual front end is reached by, and let SoapySDR find it; its name.

    Raises RadioError where the compiler, SoapySDR or its headers are missing.
    """
    folder = ROOT / "out" / "soapy"
    sources = [*(ROOT / "tests/hil/soapy_driver").glob("*.[ch]pp")]
    library = folder / "libisacstream.so"
    if not library.exists() or library.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        command = [sys.executable, "-m", "tests.hil.soapy_driver.build", str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise RadioError(f"the SoapySDR driver of the virtual front end cannot be built: {said}")
    others = os.environ.get("SOAPY_SDR_PLUGIN_PATH", "").split(":")
    os.environ["SOAPY_SDR_PLUGIN_PATH"] = ":".join(dict.fromkeys([str(folder), *filter(None, others)]))
    return "isacstream"
