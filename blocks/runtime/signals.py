"""What the threads of one node tell each other."""

from __future__ import annotations

import threading


class Aborted(Exception):
    """The graph stops now; unwinds a runner's thread."""


class Signals:
    """What the threads of one node share: drain (sources stop), abort (all stop), commit (finish)."""

    def __init__(self) -> None:
        self.drain = threading.Event()
        self.abort = threading.Event()
        self.commit = threading.Event()
