"""Recording a stream as SigMF."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from blocks.runtime import Block, Count, Field, Signal
from blocks.runtime.output import check_writable
from blocks.runtime.sigmf_annotations import Annotations
from blocks.runtime.sigmf_meta import COMPANION, META, base_of, files_of
from blocks.runtime.sigmf_recording import SCALARS
from blocks.runtime.sigmf_writer import SigmfWriter, commit
from isac_models.block_annotations import BlockAnnotator
from isac_models.errors import UserError
from isac_models.scenario import Scenario

PER_BLOCK = {"present": "present", "angle": "angle"}
DECIDED = {"detected": "detected", "estimate": "estimated_angle"}
MOST_ANNOTATIONS = 20_000
"""What can be asked for: metadata of more could not be read again."""


class SigmfRecorder(Block):
    """Writes the complex field `field` as a SigMF recording of interleaved cf32_le, one channel a column.

    `truth` and `decisions` are further fields, one bool, uint8 or float32 a snapshot: all of their values go
    into a second recording beside it (docs/sigmf.md), so that a replay counts what the run counted.

    Annotations come from upstream, in the tag ``annotations``: a list of maps with sample_start (counted like
    `position`), sample_count, label, comment, … and fields of one's own; captures in the tag ``captures``
    (sample_start, frequency, global_index, …); how many annotations are not told of (yet) in the tag
    ``annotations_missing``. Of a stream with present and angle, every coherence block of the scenario gets
    an annotation of its own. `ticks` names a field with the tick at which the burst of each snapshot was
    sent: every coherence block is annotated as a burst then, and tags are not looked at, which count the
    samples that the bursts were found in. At most `annotate` of each kind are kept; the metadata and
    `result` say how many were left out.

    `sample_rate` in samples/s, `frequency` in Hz, `hardware` and `description` as people read them, `about`
    what else is to be known of the run, `radio` what receiving the samples again takes (`RecordedRun`),
    `closing` gives global fields that are known at the end only. The recording appears when the stream has
    ended; a run that ends early leaves nothing of its own, and what was there before. With `keep` it leaves
    what had come until then, marked `isac:interrupted`: what a radio has received does not come again.

    consumes: `field` as `signal` says, the fields of `truth` and `decisions`, and `ticks` (n,) int64

    Raises UserError for a name that does not end in .sigmf-meta or cannot be written.
    """

    def __init__(
        self,
        path: str,
        scenario: Scenario | None = None,
        field: str = "echo",
        signal: Field | None = None,
        truth: Mapping[str, Field] | None = None,
        decisions: Mapping[str, Field] | None = None,
        ticks: str | None = None,
        sample_rate: float | None = 1.0,
        frequency: float | None = None,
        hardware: str = "simulated",
        description: str = "",
        about: Mapping[str, Any] | None = None,
        radio: Mapping[str, Any] | None = None,
        closing: Callable[[], Mapping[str, Any]] | None = None,
        annotate: int = 10_000,
        keep: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        for file in files_of(path):
            check_writable(file)
        if not 0 <= annotate <= MOST_ANNOTATIONS:
            raise UserError(f"annotate must be from 0 to {MOST_ANNOTATIONS}, not {annotate}")
        self.scenario, self._path, self._field, self._annotate = scenario, path, field, annotate
        self._keep, self._ticks, self._closing = keep, ticks, closing
        self._roles = {
            **dict.fromkeys(truth or {}, "truth"),
            **dict.fromkeys(decisions or {}, "decision"),
        }
        scalars = {**(truth or {}), **(decisions or {})}
        told = {} if ticks is None else {ticks: Count()}
        self.consumes = {field: signal or Signal("antennas"), **scalars, **told}
        for key, each in scalars.items():
            if each.dtype not in SCALARS or each.shape != ():
                raise UserError(
                    f"{key}: a recording of the truth takes one bool, uint8 or float32 a snapshot"
                )
        self._scalars = scalars
        self._global = {
            "core:recorder": "isac-blocks",
            "core:hw": hardware,
            **({"core:sample_rate": float(sample_rate)} if sample_rate else {}),
            **({"core:description": description} if description else {}),
            **({"isac:run": dict(about)} if about else {}),
            **({"isac:radio": dict(radio)} if radio else {}),
            **({} if scenario is None else {"isac:scenario": scenario.to_dict()}),
        }
        self._frequency = {} if frequency is None else {"core:frequency": float(frequency)}
        self._writers: list[SigmfWriter] = []
        self._done: dict[str, Any] = {}

    def start(self) -> None:
        """Open the temporary files."""
        shape = self.resolve(self.consumes)[self._field].shape
        if len(shape) > 1:
            raise UserError(f"{self._field}: a recording takes samples of shape (n,) or (n, channels)")
        self._writers = [SigmfWriter(self._path, shape[0] if shape else 1)]
        if self._scalars:
            path = base_of(self._path) + COMPANION + META
            self._writers.append(SigmfWriter(path, len(self._scalars), "rf32_le"))
        self._notes, self._began, self._origin = Annotations(self._annotate), "", 0
        self._taken: Mapping[str, Any] | None = None
        self._blocks: BlockAnnotator | None = None
        known = self._ticks is not None or all(key in self._scalars for key in PER_BLOCK)
        if self.scenario is not None and known:
            self._blocks = BlockAnnotator(self.scenario.coherence, self._annotate)

    def work(self, **fields: np.ndarray) -> None:
        """Append one frame."""
        main = self._writers[0]
        if not self._began:
            self._began = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            self._origin = self.position
        self._take_tags()
        main.write(fields[self._field])
        if self._scalars:
            self._writers[1].write(
                np.stack([fields[key].astype(np.float32) for key in self._scalars], axis=1)
            )
        if self._blocks is not None:
            count = len(fields[self._field])
            said = {
                name: fields[key]
                for pair in (PER_BLOCK, DECIDED)
                if all(key in self._scalars for key in pair.values())
                for name, key in pair.items()
            }
            if self._ticks is not None:
                said["tick"] = fields[self._ticks]
            self._blocks.add(self.position - self._origin, count, **said)

    def _take_tags(self) -> None:
        """Once for every frame, and for the end of the stream, which has tags of its own."""
        if self._ticks is None and self.tags is not self._taken:
            self._taken = self.tags
            self._notes.take(self.tags, self._origin)

    def finish(self) -> None:
        """Write the metadata and show the recording."""
        self._commit({})

    def _commit(self, more: dict[str, Any]) -> None:
        writers, self._writers = self._writers, []
        try:
            self._global |= {**more, **({} if self._closing is None else self._closing())}
            self._take_tags()
            self._prepare(writers)
            stale = [] if len(writers) > 1 else [base_of(os.path.realpath(self._path)) + COMPANION + META]
            commit(writers, stale)
        except BaseException:
            for writer in writers:
                writer.discard()
            raise
        self._done = {**self._state(writers[0]), "complete": not more, "kept": True}

    def abort(self) -> None:
        """Leave nothing of the recording, or what has come of it."""
        if self._keep and self._writers and self._writers[0].samples:
            self._commit({"isac:interrupted": True})
            return
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.discard()
        if writers:
            self._done = {**self._state(writers[0]), "complete": False}

    def result(self) -> dict[str, Any]:
        """Snapshots and annotations recorded, how many of those were left out, whether it is complete."""
        return {**self._state(self._writers[0]), "complete": False} if self._writers else dict(self._done)

    def _state(self, writer: SigmfWriter) -> dict[str, Any]:
        blocks = self._blocks
        return {
            "format": "sigmf",
            "path": self._path,
            "snapshots": writer.samples,
            "unit": "samples" if self._field == "samples" else "snapshots",
            "kept": False,
            "channels": writer.channels,
            "annotations": len(self._notes.annotations) + (blocks.blocks - blocks.left_out if blocks else 0),
            "annotations_left_out": self._notes.left_out + (blocks.left_out if blocks else 0),
        }

    def _prepare(self, writers: list[SigmfWriter]) -> None:
        main = writers[0]
        own: dict[str, Any] = {}
        if len(writers) > 1:
            columns = [
                {"name": key, "dtype": field.dtype, "role": self._roles[key]}
                for key, field in self._scalars.items()
            ]
            more = {key: value for key, value in self._global.items() if not key.startswith("isac:")}
            writers[1].prepare({**more, "isac:fields": columns})
            own["isac:truth"] = {"fields": columns, "sha512": writers[1].checksum}
        if self._blocks is not None:
            self._notes.extend(self._blocks.annotations(), self._blocks.left_out)
            self._blocks = None
        if self._notes.left_out:
            own["isac:annotations_left_out"] = self._notes.left_out
        first = {"core:sample_start": 0, **({"core:datetime": self._began} if self._began else {})}
        captures = self._notes.captures_after({**first, **self._frequency})
        main.prepare({**self._global, **own}, captures, self._notes.annotations)
