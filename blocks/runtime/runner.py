"""One block's thread: take a frame, let the block work, send the result on, acknowledge."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from blocks.runtime.block import Source
from blocks.runtime.failure import Failure, failure_of
from blocks.runtime.frame import Frame, pack, tags_of, unpack
from blocks.runtime.intake import ASK_AGAIN_SECONDS, Intake
from blocks.runtime.plan import Instance, Plan
from blocks.runtime.port import ResolvedField
from blocks.runtime.report import BlockReport
from blocks.runtime.signals import Aborted, Signals
from blocks.runtime.transport import POLL_SECONDS, Inlet, Outlet

INTERRUPTED = "interrupted"
"""Tag of an end-of-stream frame that came before the source was done."""
CONNECT_SECONDS = 30.0  # how long a writer waits for its reader to introduce itself
RESULT_SECONDS = 0.25  # how often a block is asked for its result while it runs
MAX_RESULT = 1 << 20  # bytes of one block's result


class Runner(threading.Thread):
    """Runs one block instance from its first frame to the end of its stream.

    After the end of stream has been acknowledged by every reader the runner is `ended` and waits
    for the commit of the whole graph, so that no block finishes a file in a run that fails elsewhere.
    """

    def __init__(
        self,
        plan: Plan,
        instance: Instance,
        outlets: Mapping[str, Outlet],
        open_inlet: Callable[[str], Inlet],
        signals: Signals,
    ) -> None:
        super().__init__(name=instance.name, daemon=True)
        self.plan, self.instance, self.block = plan, instance, instance.block
        self.signals = signals
        self.counters = BlockReport()
        self.result: dict[str, Any] | None = None
        self.failure: Failure | None = None
        self.ended = self.interrupted = self._closed = False
        self._outlets = [[outlets[e.name] if e else None for e in group] for group in instance.outputs]
        self._open_inlet = open_inlet
        self._intake: Intake | None = None
        self._blocked_seconds = 0.0  # while readers had no credit left
        self._sequence: int | None = None
        self._result_due = 0.0

    def state(self) -> dict[str, Any]:
        """Counters and latest result, as plain values."""
        self._tally()
        return {
            "counters": asdict(self.counters),
            "result": self.result,
            "interrupted": self.interrupted,
        }

    def run(self) -> None:
        """The thread's life."""
        try:
            self._open()
            # What an earlier run of the same block may have left.
            self.block.position, self.block.tags = 0, {}
            self.block.take_emitted()
            self.block.start()
            end = self._produce() if isinstance(self.block, Source) else self._transform()
            self._settle()
            self.result = self._measure()
            self.ended = True
            self._await_commit(end)
            self.block.tags = end.tags
            self.interrupted = bool(end.tags.get(INTERRUPTED))
            if self.interrupted:
                self._closed = True
                self.block.abort()
            else:
                self.block.finish()
                self._closed = True
            self.result = self._measure()
        except Aborted:
            self._stop_early()
        except BaseException as error:  # noqa: BLE001 - a block's SystemExit must not end the thread unseen
            self._fail(error, self._sequence)
            self._stop_early()
        finally:
            self._close()

    def _open(self) -> None:
        """Open what the block reads."""
        one = self.instance
        if one.inputs:
            self._intake = Intake(
                one.inputs, one.index, one.replicas, self._open_inlet, self.signals, self._serve
            )

    def _close(self) -> None:
        """Close the pipes."""
        if self._intake is not None:
            self._intake.close()
        for group in self._outlets:
            for outlet in group:
                if outlet is not None:
                    outlet.close()

    def _stop_early(self) -> None:
        """Let the block put its files away, whatever failed, and keep what it has measured."""
        for last in (self._abort, self._keep_result):
            try:
                last()
            except BaseException as error:  # noqa: BLE001 - reported like any failure of the block
                self._fail(error, None)

    def _abort(self) -> None:
        if not self._closed:
            self.block.abort()

    def _keep_result(self) -> None:
        self.result = self._measure()

    def _fail(self, error: BaseException, frame: int | None) -> None:
        """Remember the block's first failure."""
        if self.failure is None:
            self.failure = failure_of(self.block.name, frame, error)

    def _measure(self) -> dict[str, Any] | None:
        """The block's result now, as plain values of our own that the block does not change any more."""
        result = self.block.result()
        if result is not None and not isinstance(result, dict):
            raise TypeError(f"result() must return a dict or None, not {type(result).__name__}")
        data = pack(result)
        if len(data) > MAX_RESULT:
            raise ValueError(f"result() of {len(data)} bytes, the limit is {MAX_RESULT}")
        plain: dict[str, Any] | None = unpack(data, MAX_RESULT)
        return plain

    def _emitted(self) -> dict[str, Any]:
        """The tags that the block has emitted, as they arrive whatever the transport."""
        emitted = self.block.take_emitted()
        tags: dict[str, Any] = unpack(pack(emitted)) if emitted else emitted
        return tags

    def _tally(self) -> None:
        """Take over what the pipes have counted; called from any thread."""
        malformed = sum(one.malformed for group in self._outlets for one in group if one is not None)
        waiting = self._blocked_seconds
        intake = self._intake
        if intake is not None:
            malformed += intake.malformed
            waiting += intake.waiting_seconds
            self.counters.lost_frames, self.counters.lost_on = intake.lost, intake.lost_on
            self.counters.repeated_frames = intake.repeated
        self.counters.malformed, self.counters.waiting_seconds = malformed, waiting

    # Sources ---------------------------------------------------------------------------------

    def _produce(self) -> Frame:
        """Run a source to its end, or until the graph drains."""
        sequence = start = 0
        stream, block = self.plan.graph, self.block
        while True:
            if self.signals.drain.is_set():
                return self._end(stream, sequence, start, {INTERRUPTED: True})
            self._sequence = sequence
            block.position = start
            arrays = self._timed(partial(block.work, self.plan.frame))
            count = len(next(iter(arrays.values()))) if arrays else 0
            if not arrays or count == 0:
                return self._end(stream, sequence, start, self._emitted())
            if count > self.plan.frame:
                raise ValueError(
                    f"work() gave {count} snapshots where at most {self.plan.frame} were asked for"
                )
            frame = Frame(stream, sequence, start, count, time.time_ns(), tags=self._emitted())
            self._add(frame, arrays)
            self._send(frame)
            self._count(count)
            sequence, start = sequence + 1, start + count

    # Blocks with an input --------------------------------------------------------------------

    def _transform(self) -> Frame:
        """Run a block or sink until its input ends."""
        intake, block = self._intake, self.block
        assert intake is not None
        while True:
            frame = intake.take()
            if frame.end:
                return self._end_of(frame, intake)
            self._sequence = frame.sequence
            self._check(frame)
            block.position, block.tags = frame.start, frame.tags
            wanted = frame.arrays if block.consumes_all else {k: frame.arrays[k] for k in self.instance.takes}
            arrays = self._timed(partial(block.work, **wanted))
            frame.tags = tags_of(frame.tags, self._emitted())
            self._add(frame, arrays or {})
            self._send(frame)
            intake.acknowledge(frame.sequence)
            self._count(frame.count)

    def _end_of(self, frame: Frame, intake: Intake) -> Frame:
        """Take the end of stream from every writer, pass it on once, acknowledge it."""
        tags = tags_of(intake.take_ends(frame), self._emitted())
        end = self._end(frame.stream, frame.sequence, frame.start, tags)
        intake.acknowledge_end(frame)
        return end

    def _check(self, frame: Frame) -> None:
        """What arrives is what was promised when the blocks were connected."""
        for name, field in self.instance.takes.items():
            if name not in frame.arrays:
                raise ValueError(f"the frame lacks the field {name!r}")
            _check_array(name, field, frame.arrays[name], frame.count)

    # Both ------------------------------------------------------------------------------------

    def _timed(self, call: Callable[[], Mapping[str, np.ndarray] | None]) -> Mapping[str, np.ndarray] | None:
        """What `work` returns, and how long it took."""
        began = time.perf_counter()
        try:
            arrays = call()
        finally:
            self.counters.busy_seconds += time.perf_counter() - began
        if arrays is not None and not isinstance(arrays, Mapping):
            raise TypeError(f"work() must return a dict of arrays or None, not {type(arrays).__name__}")
        return arrays

    def _count(self, snapshots: int) -> None:
        self.counters.frames += 1
        self.counters.snapshots += snapshots
        now = time.monotonic()
        if now >= self._result_due:
            self.result = self._measure()
            self._result_due = now + RESULT_SECONDS

    def _add(self, frame: Frame, arrays: Mapping[str, np.ndarray]) -> None:
        """Put the produced arrays into the frame, checked and read-only."""
        if arrays.keys() != self.instance.gives.keys():
            promised, given = ", ".join(self.instance.gives) or "nothing", ", ".join(arrays) or "nothing"
            raise ValueError(f"work() returned {given} where produces declares {promised}")
        for name, field in self.instance.gives.items():
            array = arrays[name]
            _check_array(name, field, array, frame.count)
            array = np.ascontiguousarray(array).view()
            array.flags.writeable = False
            frame.arrays[name] = array
            frame.raw.pop(name, None)

    def _send(self, frame: Frame) -> None:
        """Send a frame to one replica of every downstream block, when each has credit."""
        for edges, outlets in zip(self.instance.outputs, self._outlets, strict=True):
            outlet = outlets[frame.sequence % len(outlets)]
            edge = edges[frame.sequence % len(edges)]
            assert outlet is not None
            assert edge is not None
            self._await(outlet)
            outlet.send(frame, edge.fields)

    def _serve(self) -> None:
        """Hear every reader while something is waited for: below a join one may hold up the others."""
        for group in self._outlets:
            for outlet in group:
                if outlet is not None:
                    outlet.pump()

    def _await(self, outlet: Outlet) -> None:
        """Wait until the outlet has credit."""
        if outlet.pump():
            return
        began = time.perf_counter()
        while not outlet.pump(wait=True):
            self._serve()
            if self.signals.abort.is_set():
                raise Aborted
            if not outlet.connected and time.perf_counter() - began > CONNECT_SECONDS:
                raise TimeoutError(
                    f"{outlet.name.partition('>')[2]} has not connected to {outlet.endpoint} "
                    f"in {CONNECT_SECONDS:g} s: can its host reach this address?"
                )
        self._blocked_seconds += time.perf_counter() - began

    def _end(self, stream: str, sequence: int, start: int, tags: dict[str, Any]) -> Frame:
        """Send the end of stream to every replica of every downstream block."""
        self._sequence = None
        frame = Frame(stream, sequence, start, 0, time.time_ns(), end=True, tags=tags)
        for group in self._outlets:
            for outlet in group:
                if outlet is not None:
                    self._await(outlet)
                    outlet.send(frame, ())
        return frame

    def _await_commit(self, end: Frame) -> None:
        """Wait until the whole graph has ended. A lost acknowledgement would keep a writer from it."""
        asked = time.perf_counter()
        while not self.signals.commit.wait(POLL_SECONDS):
            if self.signals.abort.is_set():
                raise Aborted
            if time.perf_counter() - asked > ASK_AGAIN_SECONDS:
                asked = time.perf_counter()
                if self._intake is not None:
                    self._intake.ask(end.sequence + 1)

    def _settle(self) -> None:
        """Stay until the readers have taken everything."""
        for group in self._outlets:
            for outlet in group:
                while outlet is not None and not outlet.settled:
                    if self.signals.abort.is_set():
                        raise Aborted
                    outlet.pump(wait=True)
                    self._serve()


def _check_array(name: str, field: ResolvedField, array: Any, count: int) -> None:
    if not isinstance(array, np.ndarray) or not field.accepts(array) or len(array) != count:
        got = f"{array.dtype.name}{array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"the field {name!r} must be {field} with n = {count}, not {got}")
