"""Ctrl-C and the signals that ask a process to end: a training finishes its iteration and saves."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Within a ``with``, what a signal does depends on `running`.

    While it is False, a signal raises KeyboardInterrupt. While it is True, the first one sets `asked`, and a
    second Ctrl-C raises KeyboardInterrupt; with `patient`, for processes whose launcher repeats Ctrl-C as a
    signal of its own, none does. Signals that were ignored stay so. Outside the main thread, which alone
    may handle signals, all of this does nothing.
    """

    def __init__(self, patient: bool = False) -> None:
        self.running = False
        self.asked = False
        self._patient = patient
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        impatient = self.asked and number == signal.SIGINT and not self._patient
        if impatient or not self.running:
            raise KeyboardInterrupt
        self.asked = True
