"""Ctrl-C at any moment of a script: one line, exit status 130, never a traceback.

A script imports this module first. While it imports the rest and builds its graph, Ctrl-C ends it at once;
`wait` hands it to the run, which stops and prints what was measured; from `finish` on it is ignored, since
the result is being printed. In a process whose main program is another one, all of this does nothing.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

STATUS = 130
"""Exit status of a run that Ctrl-C has stopped."""


def _is_script() -> bool:
    """Whether the main program is a script of this folder."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    here = os.path.dirname(os.path.abspath(__file__))
    return isinstance(path, str) and os.path.dirname(os.path.abspath(path)) == here


def _leave(_signum: int, _frame: Any) -> None:
    os.write(2, b"error: stopped\n")
    os._exit(STATUS)


_ours = _is_script() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
_running = False
_pending = False
if _ours:
    signal.signal(signal.SIGINT, _leave)


def _interrupt(_signum: int, _frame: Any) -> None:
    global _pending  # noqa: PLW0603 - a signal handler has nowhere else to leave word
    if not _running:
        raise KeyboardInterrupt
    _pending = True


def wait() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt, or what a run makes of it."""
    if _ours:
        signal.signal(signal.SIGINT, _interrupt)


def run_started() -> None:
    """From here on Ctrl-C, where it is not the run's, waits for `run_ended`: a result is on its way."""
    global _running  # noqa: PLW0603
    _running = True


def run_ended() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt again; raises it for one that was kept."""
    global _running, _pending  # noqa: PLW0603
    _running = False
    if _pending:
        _pending = False
        raise KeyboardInterrupt


def finish() -> None:
    """From here on Ctrl-C does nothing."""
    if _ours:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
