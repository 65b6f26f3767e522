"""The losses as TensorBoard event files: ``tensorboard --logdir DIR``."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isac_models.learning.loop import Progress

INTERVAL = 2.0
"""Seconds between values of the training loss."""


class Events:
    """Watches a training and writes its losses into one new event file of a folder.

    The file is told where the training goes on, so that TensorBoard forgets what an interrupted sitting wrote
    of iterations that are now run again. What cannot be written is said once, to `complain`, and from then on
    nothing is written: a training does not end for its log.

    Raises ImportError when tensorboard is not installed.
    """

    def __init__(
        self,
        folder: str | Path,
        progress: Progress,
        complain: Callable[[str], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._complain, self._clock = complain, clock
        self._due = clock() + INTERVAL
        self._steps, self._seconds = progress.steps, progress.seconds
        self._writer: Any = None
        name = f"events.out.tfevents.{time.time_ns() / 1e9:.6f}.{socket.gethostname()}.{os.getpid()}"
        try:
            self._writer = RecordWriter(open(Path(folder) / name, "xb"))  # noqa: SIM115
        except OSError as error:
            self._failed(error)
        log = event_pb2.SessionLog
        self._write(file_version="brain.Event:2")
        self._write(step=progress.iteration, session_log=log(status=log.START))

    def update(self, progress: Progress, total: int) -> None:
        """Write the training loss, now and then."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + INTERVAL
        scalars = {"loss/training": progress.loss}
        if progress.seconds > self._seconds:
            rate = (progress.steps - self._steps) / (progress.seconds - self._seconds)
            scalars["iterations per second"] = rate
            self._steps, self._seconds = progress.steps, progress.seconds
        self._scalars(progress.iteration, scalars)

    def measured(self, progress: Progress) -> None:
        """Write the held-out loss."""
        self._scalars(progress.iteration, {"loss/held out": progress.held_out_loss})

    def close(self) -> None:
        """Nothing more will be written."""
        if self._writer is not None:
            try:
                self._writer.close()
            except OSError as error:
                self._failed(error)
            self._writer = None

    def _scalars(self, iteration: int, scalars: Mapping[str, float]) -> None:
        values = [self._summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._write(step=iteration, summary=self._summary(value=values))

    def _write(self, **content: Any) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write(self._event(wall_time=time.time(), **content).SerializeToString())
            self._writer.flush()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        self._writer = None
        self._complain(f"no more TensorBoard events: {error.strerror or error}")
