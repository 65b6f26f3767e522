"""One block's thread: take a frame, let the block work, send the result on, acknowledge."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np

from blocks.runtime.block import Source
from blocks.runtime.exchange import CONNECT_SECONDS, Exchange
from blocks.runtime.failure import Failure, failure_of
from blocks.runtime.frame import Frame, pack, tags_of, unpack
from blocks.runtime.intake import ASK_AGAIN_SECONDS, Intake
from blocks.runtime.messages import MessageInlet
from blocks.runtime.plan import Instance, Plan
from blocks.runtime.reframing import Reframer, check_array, empty, fill
from blocks.runtime.report import BlockReport
from blocks.runtime.signals import Aborted, Signals
from blocks.runtime.transport import POLL_SECONDS, Inlet, Outlet

INTERRUPTED = "interrupted"
"""Tag of an end-of-stream frame that came before the source was done."""
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
        exchange: Exchange | None = None,
    ) -> None:
        super().__init__(name=instance.name, daemon=True)
        self.plan, self.instance, self.block = plan, instance, instance.block
        self.signals = signals
        self._exchange = exchange or Exchange(instance.name, (), {}, _no_messages, signals)
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
        self._input_end = 0  # sequence after the end of what comes in
        self._reframer = Reframer(instance.gives) if instance.block.reframes else None

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
            self._exchange.leave()
            self._settle()
            self._exchange.settle()
            self.result = self._measure()
            self.ended = True
            self._await_commit()
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
        self._exchange.open(self._serve)
        self.block.attach(self._exchange)

    def _close(self) -> None:
        """Close the pipes."""
        self.block.attach(None)
        self._exchange.close()
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
            except Aborted:
                pass  # it waited for a message
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
        exchange = self._exchange
        malformed += exchange.malformed
        self.counters.messages_published = exchange.published
        self.counters.messages_received = exchange.received
        self.counters.messages_dropped = exchange.dropped
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
            self._exchange.serve()
            self._sequence = sequence
            block.position = start
            arrays = self._timed(partial(block.work, self.plan.frame))
            count = len(next(iter(arrays.values()))) if arrays else 0
            if not arrays or count == 0:
                cut = {INTERRUPTED: True} if self._exchange.cut_short else {}
                return self._end(stream, sequence, start, tags_of(self._emitted(), cut))
            if count > self.plan.frame:
                raise ValueError(
                    f"work() gave {count} snapshots where at most {self.plan.frame} were asked for"
                )
            frame = Frame(stream, sequence, start, count, time.time_ns(), tags=self._emitted())
            fill(frame, self.instance.gives, arrays)
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
            self._exchange.serve()
            self._sequence = frame.sequence
            self._check(frame)
            block.position, block.tags = frame.start, frame.tags
            wanted = frame.arrays if block.consumes_all else {k: frame.arrays[k] for k in self.instance.takes}
            if frame.count:
                arrays = self._timed(partial(block.work, **wanted))
            else:
                self._timed(block.listen)
                arrays = empty(self.instance.gives)
            frame.tags = tags_of(frame.tags, self._emitted())
            if self._reframer is None:
                fill(frame, self.instance.gives, arrays or {})
                self._send(frame)
            else:
                self._send(self._reframer.reframe(frame, arrays))
            self._count(frame.count)  # first: who hears the acknowledgement may read the counts
            intake.acknowledge(frame.sequence)

    def _end_of(self, frame: Frame, intake: Intake) -> Frame:
        """Take the end of stream from every writer, pass it on once, acknowledge it."""
        tags = tags_of(intake.take_ends(frame), self._emitted())
        sequence, start = frame.sequence, frame.start
        self._input_end = sequence + 1
        if self._reframer is not None:
            sequence += self._flush(frame, self._reframer)
            start, tags = self._reframer.made, tags_of(self._reframer.held, tags)
        end = self._end(frame.stream, sequence, start, tags)
        intake.acknowledge_end(frame)
        return end

    def _flush(self, end: Frame, reframer: Reframer) -> int:
        """Send what the block still holds as one more frame; the number of frames that is."""
        block = self.block
        self._sequence = end.sequence
        block.position, block.tags = end.start, end.tags
        arrays = self._timed(block.flush, "flush")
        if arrays is None:
            reframer.held = tags_of(reframer.held, self._emitted())
            return 0
        self._send(reframer.reframe(replace(end, tags=self._emitted()), arrays, "flush"))
        return 1

    def _check(self, frame: Frame) -> None:
        """What arrives is what was promised when the blocks were connected."""
        for name, field in self.instance.takes.items():
            if name not in frame.arrays:
                raise ValueError(f"the frame lacks the field {name!r}")
            check_array(name, field, frame.arrays[name], frame.count)

    # Both ------------------------------------------------------------------------------------

    def _timed(
        self, call: Callable[[], Mapping[str, np.ndarray] | None], what: str = "work"
    ) -> Mapping[str, np.ndarray] | None:
        """What `work` (or `flush`) returns, and how long it took."""
        began = time.perf_counter()
        try:
            arrays = call()
        finally:
            self.counters.busy_seconds += time.perf_counter() - began
        if arrays is not None and not isinstance(arrays, Mapping):
            raise TypeError(f"{what}() must return a dict of arrays or None, not {type(arrays).__name__}")
        return arrays

    def _count(self, snapshots: int) -> None:
        self.counters.frames += 1
        self.counters.snapshots += snapshots
        now = time.monotonic()
        if now >= self._result_due:
            self.result = self._measure()
            self._result_due = now + RESULT_SECONDS

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
        self._exchange.serve()

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

    def _await_commit(self) -> None:
        """Wait until the whole graph has ended. A lost acknowledgement would keep a writer from it."""
        asked = time.perf_counter()
        while not self.signals.commit.wait(POLL_SECONDS):
            if self.signals.abort.is_set():
                raise Aborted
            self._exchange.serve()
            if time.perf_counter() - asked > ASK_AGAIN_SECONDS:
                asked = time.perf_counter()
                if self._intake is not None:
                    self._intake.ask(self._input_end)

    def _settle(self) -> None:
        """Stay until the readers have taken everything."""
        for group in self._outlets:
            for outlet in group:
                while outlet is not None and not outlet.settled:
                    if self.signals.abort.is_set():
                        raise Aborted
                    outlet.pump(wait=True)
                    self._serve()


def _no_messages(edge: str) -> MessageInlet:
    raise KeyError(edge)
