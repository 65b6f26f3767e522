"""One edge between a writer and its readers, driven step by step by a test."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zmq

from blocks.runtime.frame import Frame
from blocks.runtime.transport import Inlet, Outlet, Pipes
from tests.blocks.runtime.graphs import DEADLINE

TOKEN = b"0123456789abcdef"
KINDS = ("inproc", "ipc", "tcp")
FAR = ("ipc", "tcp")


class Edge:
    """An outlet and the inlets that were connected to it."""

    def __init__(self, kind: str, folder: Path, window: int = 4, pipes: Pipes | None = None) -> None:
        places = {"inproc": "inproc://edge", "ipc": f"ipc://{folder}/edge", "tcp": "tcp://127.0.0.1:*"}
        self.pipes = pipes or Pipes()
        self.window = window
        self.outlet = Outlet(self.pipes, "a>b", TOKEN, places[kind], window)
        self.inlets: list[Inlet] = []

    def reader(self, wanted: int = 0, token: bytes = TOKEN, name: str = "a>b", via: str = "") -> Inlet:
        """Another reader of the edge."""
        inlet = Inlet(self.pipes, name, token, via or self.outlet.endpoint, self.window, wanted)
        self.inlets.append(inlet)
        return inlet

    def stranger(self) -> zmq.Socket[bytes]:
        """A socket of somebody else, connected to the outlet."""
        foreign: zmq.Socket[bytes] = self.pipes.context.socket(zmq.DEALER)
        foreign.linger = 0
        foreign.connect(self.outlet.endpoint)
        return foreign

    def send(self, *sequences: int) -> None:
        """Send frames, each as soon as there is credit."""
        for sequence in sequences:
            self.until(lambda: self.outlet.ready)
            self.outlet.send(frame(sequence), ["x"])

    def until(self, condition: Callable[[], bool]) -> None:
        """Read what readers send up until the condition holds."""
        deadline = time.monotonic() + DEADLINE
        self.outlet.pump()
        while not condition():
            assert time.monotonic() < deadline
            self.outlet.pump(wait=True)

    def close(self) -> None:
        """Close every socket of the edge."""
        for inlet in self.inlets:
            inlet.close()
        self.outlet.close()
        self.pipes.close()


def frame(sequence: int, size: int = 3) -> Frame:
    """A frame whose array tells which one it is."""
    return Frame("s", sequence, sequence * size, size, arrays={"x": np.full(size, sequence, np.int64)})


def take(inlet: Inlet, expected: int, stride: int = 1) -> Frame:
    """The frame expected next, waited for."""
    deadline = time.monotonic() + DEADLINE
    while (got := inlet.receive(expected, stride, wait=True)) is None:
        assert time.monotonic() < deadline
    return got
