"""How a training shows its progress: a live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import IO, Any

from isac_models.learning.loop import Progress

LIVE = 0.25
"""Seconds between changes of the live line."""
PLAIN = 10.0
"""Seconds between plain lines."""
WIDE = 110
"""Columns of a terminal that has room for a bar as well."""
RECENT = 30.0
"""Seconds of which the rate is the mean."""


class Display:
    """Watches a training. Where whoever reads has left, it falls silent and the training goes on.

    `quiet` shows nothing at all; `stream` is standard output unless given.
    """

    def __init__(
        self,
        quiet: bool = False,
        stream: IO[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream: IO[str] | None = None if quiet else stream or sys.stdout
        self._clock = clock
        self._bar: Any = None
        self._due = -math.inf
        self._marks: deque[tuple[float, int]] = deque()
        self._live = self._stream is not None and self._stream.isatty()

    def update(self, progress: Progress, total: int) -> None:
        """Show rate, losses and time left, now and then."""
        now = self._clock()
        if self._stream is None or now < self._due:
            return
        first = not self._marks
        self._due = now + (LIVE if self._live else PLAIN)
        self._marks.append((now, progress.steps))
        while len(self._marks) > 2 and now - self._marks[0][0] > RECENT:
            self._marks.popleft()
        if first:
            return  # nothing is known yet of the rate
        (since, steps), elapsed = self._marks[0], now - self._marks[0][0]
        rate = (progress.steps - steps) / elapsed if now > since else math.nan
        text = describe(progress, total, rate)
        if self._live:
            self._show(text, progress.iteration, total)
        else:
            self.note(text)

    def measured(self, progress: Progress) -> None:
        """The held-out loss shows with the next change."""

    def note(self, text: str) -> None:
        """Print a line."""
        if self._stream is None:
            return
        self.close()
        try:
            print(text, file=self._stream, flush=True)
        except OSError:
            self._leave()

    def close(self) -> None:
        """Take the live line away."""
        if self._bar is not None:
            bar, self._bar = self._bar, None
            try:
                bar.stop()
            except OSError:
                self._leave()

    def _show(self, text: str, iteration: int, total: int) -> None:
        try:
            if self._bar is None:
                from rich.console import Console
                from rich.progress import BarColumn, Progress, TextColumn

                console = Console(file=self._stream)
                words = TextColumn("{task.description}", markup=False)
                columns = [BarColumn(bar_width=20), words] if console.width >= WIDE else [words]
                self._bar = Progress(*columns, console=console, transient=True, auto_refresh=False)
                self._bar.start()
                self._bar.add_task(text, total=total)
            self._bar.update(0, completed=iteration, description=text, refresh=True)
        except OSError:
            self._leave()

    def _leave(self) -> None:
        """Nobody reads any more."""
        self._stream = self._bar = None


def describe(progress: Progress, total: int, rate: float) -> str:
    """Progress on one line: `rate` in iterations a second, NaN where it is not known."""
    parts = [f"{progress.iteration:,} of {total:,}"]
    if not math.isnan(rate):
        parts.append(f"{rate:,.1f}/s")
    parts += [f"loss {progress.loss:.4g}", f"held out {progress.held_out_loss:.4g}"]
    if rate > 0:
        parts.append(f"{duration((total - progress.iteration) / rate)} left")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as people read them: 48 s, 4 min 5 s, 3 h 20 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
