"""What a block instance takes in: the frames of its input, or those of every branch that it joins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import lcm
from typing import Any

from blocks.runtime.frame import Frame, tags_of
from blocks.runtime.plan import Edge
from blocks.runtime.port import arrives_as
from blocks.runtime.signals import Aborted, Signals
from blocks.runtime.transport import Inlet
from blocks.runtime.wiring import ALONE

ASK_AGAIN_SECONDS = 1.0  # silence after which a reader on ipc or tcp asks its writer again


class Intake:
    """Takes every `stride`-th frame from number `index` on, in order, one of each branch at a time.

    `inputs[branch][k]` is the edge from replica k upstream on that branch; frame s comes from replica
    s mod len. A frame that one branch has lost is left out on the others too, so that what is joined
    always belongs together. Frames stay unacknowledged while a block works on them: the window of each
    edge bounds how far one branch runs ahead of another. `idle` is called while nothing comes: readers
    further down may need to be heard before anything can.
    """

    def __init__(
        self,
        inputs: Mapping[str, list[Edge | None]],
        index: int,
        stride: int,
        open_inlet: Callable[[str], Inlet],
        signals: Signals,
        idle: Callable[[], object] = lambda: None,
    ) -> None:
        self._branches = {
            branch: [open_inlet(edge.name) if edge else None for edge in edges]
            for branch, edges in inputs.items()
        }
        self.inlets = [one for inlets in self._branches.values() for one in inlets if one is not None]
        self._signals, self._idle = signals, idle
        self._next, self._stride = index, stride
        self._early: dict[Inlet, Frame] = {}  # came when an earlier one was lost
        self._late = 0  # frames that came where none was due
        self.waiting_seconds = 0.0

    @property
    def lost(self) -> int:
        """Frames missing, on all branches together."""
        return sum(inlet.lost for inlet in self.inlets)

    @property
    def lost_on(self) -> dict[str, int]:
        """Frames missing on each branch of a join that misses any."""
        lost = {
            branch: sum(inlet.lost for inlet in inlets if inlet is not None)
            for branch, inlets in self._branches.items()
        }
        return {branch: count for branch, count in lost.items() if count and branch != ALONE}

    @property
    def repeated(self) -> int:
        """Frames that came more than once, or where none was due."""
        return sum(inlet.repeated for inlet in self.inlets) + self._late

    @property
    def malformed(self) -> int:
        """Messages that broke the format."""
        return sum(inlet.malformed for inlet in self.inlets)

    def take(self) -> Frame:
        """The next frame, of a join one made of all branches; or the end of the stream.

        Raises ValueError naming a branch whose frame does not match those of the others.
        """
        while True:
            sequence = self._next
            self._next += self._stride
            frames = self._round(sequence)
            there = {branch: frame for branch, frame in frames.items() if frame is not None}
            if end := next((frame for frame in there.values() if frame.end), None):
                for branch, frame in frames.items():
                    if frame is None or not frame.end:
                        raise ValueError(_unlike(branch, "goes on", end))
            if len(there) == len(frames):
                return joined(there)
            for branch in there:  # its frame has lost its counterpart, and its writer wants credit
                self._inlet(branch, sequence).acknowledge(sequence + 1, now=True)
            if len(self._early) == len(self.inlets):
                ahead = min(frame.sequence for frame in self._early.values()) - self._next
                self._next += max(0, -(-ahead // self._stride)) * self._stride

    def acknowledge(self, sequence: int) -> None:
        """Frame `sequence` is done with."""
        for branch in self._branches:
            self._inlet(branch, sequence).acknowledge(sequence + 1)

    def take_ends(self, end: Frame) -> dict[str, Any]:
        """Wait for the end of stream `end` from every replica; the tags of all of them."""
        last = self._gather(dict.fromkeys(self.inlets, 1), end.sequence)
        for branch, inlets in self._branches.items():
            for frame in (last[inlet] for inlet in inlets if inlet is not None):
                if not frame.end or frame.sequence != end.sequence:
                    how = f"ends after {frame.sequence} frames" if frame.end else "goes on"
                    raise ValueError(_unlike(branch, how, end))
        return tags_of(*(last[inlet].tags for inlet in reversed(self.inlets)))

    def acknowledge_end(self, end: Frame) -> None:
        """The end of stream is done with."""
        for inlet in self.inlets:
            inlet.acknowledge(end.sequence + 1, now=True)

    def ask(self, sequence: int) -> None:
        """Say again to writers in other processes what is wanted next: a lost word keeps them waiting."""
        for inlet in self.inlets:
            if inlet.remote:
                inlet.ask(sequence)

    def close(self) -> None:
        """Close the sockets."""
        for inlet in self.inlets:
            inlet.close()

    def _inlet(self, branch: str, sequence: int) -> Inlet:
        """Where frame `sequence` of a branch comes from."""
        inlets = self._branches[branch]
        inlet = inlets[sequence % len(inlets)]
        assert inlet is not None
        return inlet

    def _round(self, sequence: int) -> dict[str, Frame | None]:
        """Frame `sequence` of every branch or its end of stream; None where the frame is lost."""
        inlets = {branch: self._inlet(branch, sequence) for branch in self._branches}
        strides = {inlet: lcm(self._stride, len(self._branches[branch])) for branch, inlet in inlets.items()}
        got = self._gather(strides, sequence)
        # What came too early waits for its turn, and an end of stream for those of the other replicas.
        self._early |= {i: frame for i, frame in got.items() if frame.end or frame.sequence > sequence}
        return {
            branch: None if got[inlet].sequence > sequence else got[inlet] for branch, inlet in inlets.items()
        }

    def _gather(self, strides: Mapping[Inlet, int], expected: int) -> dict[Inlet, Frame]:
        """The next frame of each inlet, waited for: number `expected`, a later one, or the end of stream."""
        got: dict[Inlet, Frame] = {}
        began = asked = time.perf_counter()
        try:
            while not self._sweep(strides, expected, got):
                if self._signals.abort.is_set():
                    raise Aborted
                self._idle()
                now = time.perf_counter()
                if now - asked > ASK_AGAIN_SECONDS:
                    asked = now
                    for inlet in strides:
                        if inlet not in got and (inlet.remote or inlet.gap):
                            inlet.ask(expected)
        finally:
            self.waiting_seconds += time.perf_counter() - began
        return got

    def _sweep(self, strides: Mapping[Inlet, int], expected: int, got: dict[Inlet, Frame]) -> bool:
        """Look once at every inlet that is not in `got`, and wait a while for one; whether all are there."""
        wait = True
        for inlet, stride in strides.items():
            while inlet not in got:
                frame = self._early.pop(inlet, None) or inlet.receive(expected, stride, wait)
                if frame is None:
                    wait = False
                    break
                if frame.end or frame.sequence >= expected:
                    got[inlet] = frame
                else:
                    self._late += 1
        return len(got) == len(strides)


def joined(frames: Mapping[str, Frame]) -> Frame:
    """One frame of those of all branches, each field under its branch's name; the first branch's tags win.

    Raises ValueError for frames of other snapshots.
    """
    branches, whole = list(frames), list(frames.values())
    first = whole[0]
    if branches == [ALONE]:
        return first
    tags = tags_of(*(frame.tags for frame in reversed(whole)))
    one = replace(first, tags=tags, arrays={}, raw={})
    for branch, frame in frames.items():
        if (frame.start, frame.count) != (first.start, first.count) and not frame.end:
            raise ValueError(
                f"branch {branch} has {frame.count} snapshots from number {frame.start} on in this frame, "
                f"branch {branches[0]} has {first.count} from {first.start} on"
            )
        one.arrays |= {arrives_as(branch, name): array for name, array in frame.arrays.items()}
        one.raw |= {arrives_as(branch, name): part for name, part in frame.raw.items()}
    return one


def _unlike(branch: str, what: str, end: Frame) -> str:
    where = f"branch {branch}" if branch else "a replica"
    return f"{where} {what} where another ended after {end.sequence} frames"
