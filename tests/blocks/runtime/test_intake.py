"""What a block takes in, on real sockets whose writer is the test: order, losses by name, ends, credit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.runtime import intake as intake_module
from blocks.runtime.frame import Frame
from blocks.runtime.intake import Intake, joined
from blocks.runtime.plan import Edge
from blocks.runtime.signals import Aborted, Signals
from blocks.runtime.transport import Inlet, Outlet, Pipes
from blocks.runtime.wiring import ALONE
from tests.blocks.runtime.edges import FAR, KINDS, frame
from tests.blocks.runtime.graphs import DEADLINE


class Writers:
    """The writers of a block's edges, `copies` of them on each branch, in the hands of the test."""

    def __init__(self, kind: str, folder: Path, window: int = 4, stride: int = 1, **copies: int) -> None:
        self.pipes, self.signals, self.window = Pipes(), Signals(), window
        branches = copies or {"left": 1, "right": 1}
        self.outlets: dict[str, list[Outlet]] = {}
        inputs: dict[str, list[Edge | None]] = {}
        for branch, count in branches.items():
            edges = [Edge(f"{branch}{n}>joint", branch, "joint", ("x",)) for n in range(count)]
            places = {
                "inproc": "inproc://{}",
                "ipc": f"ipc://{folder}/{{}}",
                "tcp": "tcp://127.0.0.1:*",
            }
            # An edge that comes from no other branch is the block's one input.
            name = ALONE if len(branches) == 1 else branch
            inputs[name] = list(edges)
            self.outlets[branch] = [
                Outlet(
                    self.pipes, e.name, e.name.encode(), places[kind].format(e.name.replace(">", "-")), window
                )
                for e in edges
            ]
        self.all = [outlet for group in self.outlets.values() for outlet in group]
        self.known = {outlet.name: outlet.endpoint for outlet in self.all}
        self.then: Callable[[], object] = lambda: None
        self.deadline = time.monotonic() + DEADLINE
        self.intake = Intake(inputs, 0, stride, self._inlet, self.signals, self.pump)
        self.until(lambda: all(outlet.connected for outlet in self.all))

    def _inlet(self, name: str) -> Inlet:
        return Inlet(self.pipes, name, name.encode(), self.known[name], self.window)

    def pump(self) -> None:
        """Hear what the block says, as its writers do while they wait."""
        assert time.monotonic() < self.deadline
        for outlet in self.all:
            outlet.pump()
        self.then()

    def until(self, condition: Callable[[], bool]) -> None:
        """Pump until the condition holds."""
        while not condition():
            assert time.monotonic() < self.deadline
            for outlet in self.all:
                outlet.pump(wait=not outlet.ready)

    def send(self, branch: str, *sequences: int) -> None:
        """Send frames of a branch, each over its replica's edge as soon as there is credit."""
        group = self.outlets[branch]
        for sequence in sequences:
            outlet = group[sequence % len(group)]
            self.until(lambda outlet=outlet: outlet.ready)  # type: ignore[misc]
            outlet.send(frame(sequence), ["x"])

    def end(self, branch: str, frames: int, **tags: Any) -> None:
        """Send the end of a branch's stream."""
        for outlet in self.outlets[branch]:
            self.until(lambda outlet=outlet: outlet.ready)  # type: ignore[misc]
            outlet.send(Frame("s", frames, 3 * frames, 0, end=True, tags=tags), ())

    @property
    def settled(self) -> bool:
        """Whether everything sent has been acknowledged."""
        return all(outlet.settled for outlet in self.all)

    def close(self) -> None:
        """Close every socket."""
        self.intake.close()
        for outlet in self.all:
            outlet.close()
        self.pipes.close()


@pytest.fixture
def writers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Writers]]:
    """Makes writers whose reader asks again soon; they are closed with the test."""
    monkeypatch.setattr(intake_module, "ASK_AGAIN_SECONDS", 0.1)
    made: list[Writers] = []

    def make(kind: str, **options: Any) -> Writers:
        made.append(Writers(kind, tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_frames_of_all_branches_become_one(writers: Callable[..., Writers], kind: str) -> None:
    w = writers(kind)
    w.send("right", 0, 1)
    w.send("left", 0, 1)
    for sequence in (0, 1):
        got = w.intake.take()
        assert (got.sequence, got.start, got.count, got.end) == (sequence, 3 * sequence, 3, False)
        assert list(got.arrays) == ["left_x", "right_x"]
        for array in got.arrays.values():
            np.testing.assert_array_equal(array, [sequence] * 3)
        # What came over a network goes on without a copy, under its new name.
        assert set(got.raw) == (set() if kind == "inproc" else {"left_x", "right_x"})
        assert not w.settled
        w.intake.acknowledge(sequence)
    w.end("left", 2, mark="left", one=1)
    w.end("right", 2, mark="right", two=2)
    end = w.intake.take()
    assert end.end
    assert w.intake.take_ends(end) == {"mark": "left", "one": 1, "two": 2}
    w.intake.acknowledge_end(end)
    w.until(lambda: w.settled)
    assert (w.intake.lost, w.intake.lost_on, w.intake.repeated, w.intake.malformed) == (0, {}, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("window", [1, 4])
def test_a_lost_frame_is_named_and_left_out_on_every_branch(
    writers: Callable[..., Writers], kind: str, window: int
) -> None:
    """Even where the edges hold one frame: what is left out is acknowledged, or its writer would wait."""
    w = writers(kind, window=window)
    taken: list[int] = []
    script = {"left": [0, 1, 2, 3, 4, 5], "right": [0, 3, 5]}

    def send_on() -> None:
        for branch, left in script.items():
            if left and w.outlets[branch][0].ready:
                w.outlets[branch][0].send(frame(left.pop(0)), ["x"])

    w.then = send_on
    while any(script.values()) or not taken or taken[-1] < 5:
        got = w.intake.take()
        taken.append(got.sequence)
        np.testing.assert_array_equal(got.arrays["left_x"], got.arrays["right_x"])
        w.intake.acknowledge(got.sequence)
        w.pump()
    assert taken == [0, 3, 5]
    assert (w.intake.lost, w.intake.lost_on) == (3, {"right": 3})


@pytest.mark.parametrize("copies", [{"right": 2}, {"left": 1, "right": 2}], ids=["alone", "joined"])
def test_a_loss_at_one_replica_costs_that_frame_alone(
    writers: Callable[..., Writers], copies: dict[str, int]
) -> None:
    w = writers("inproc", window=8, **copies)
    w.send("right", 0, 2, 3, 4)
    if len(copies) > 1:
        w.send("left", 0, 1, 2, 3, 4)
    w.end("right", 5)
    if len(copies) > 1:
        w.end("left", 5)
    taken = []
    while not (got := w.intake.take()).end:
        taken.append(got.sequence)
        w.intake.acknowledge(got.sequence)
    assert taken == [0, 2, 3, 4]
    assert w.intake.take_ends(got) == {}
    assert w.intake.lost == 1
    assert w.intake.lost_on == ({"right": 1} if len(copies) > 1 else {})
    assert w.intake.repeated == 0


def test_last_frames_that_are_lost_are_named_at_the_end(writers: Callable[..., Writers]) -> None:
    w = writers("tcp", window=8)
    w.send("left", 0, 1, 2, 3)
    w.send("right", 0, 1)
    for branch in ("left", "right"):
        w.end(branch, 4)
    taken = []
    while not (got := w.intake.take()).end:
        taken.append(got.sequence)
        w.intake.acknowledge(got.sequence)
    assert (taken, got.sequence) == ([0, 1], 4)
    assert w.intake.take_ends(got) == {}
    w.intake.acknowledge_end(got)
    w.until(lambda: w.settled)
    assert w.intake.lost_on == {"right": 2}


def test_a_far_jump_is_one_step(writers: Callable[..., Writers]) -> None:
    far = 3 << 40
    w = writers("inproc", only=3)
    w.send("only", 0, far, far + 1, far + 2)
    assert [w.intake.take().sequence for _ in range(4)] == [0, far, far + 1, far + 2]
    assert w.intake.lost == far - 1


def test_every_stride_th_frame_is_taken_by_a_replica(writers: Callable[..., Writers]) -> None:
    w = writers("ipc", window=8, stride=2, left=1, right=3)
    for branch in ("left", "right"):
        w.send(branch, 0, 2, 4)
        w.end(branch, 5)
    taken = []
    while not (got := w.intake.take()).end:
        taken.append((got.sequence, got.arrays["left_x"][0], got.arrays["right_x"][0]))
        w.intake.acknowledge(got.sequence)
    assert taken == [(0, 0, 0), (2, 2, 2), (4, 4, 4)]
    assert w.intake.take_ends(got) == {}
    assert (w.intake.lost, w.intake.repeated) == (0, 0)


@pytest.mark.parametrize(
    ("left", "right", "line"),
    [
        (2, 3, "branch right goes on where another ended after 2 frames"),
        (3, 2, "branch left goes on where another ended after 2 frames"),
    ],
)
def test_a_branch_that_goes_on_after_the_end_of_another_is_named(
    writers: Callable[..., Writers], left: int, right: int, line: str
) -> None:
    w = writers("inproc", window=8)
    for branch, frames in (("left", left), ("right", right)):
        w.send(branch, *range(frames))
        w.end(branch, frames)
    for sequence in (0, 1):
        w.intake.take()
        w.intake.acknowledge(sequence)
    with pytest.raises(ValueError, match=line):
        w.intake.take()


def test_ends_of_different_length_are_named(writers: Callable[..., Writers]) -> None:
    w = writers("inproc", stride=4)
    w.end("left", 0)
    w.end("right", 0)
    end = w.intake.take()
    end.sequence = 2
    with pytest.raises(ValueError, match="branch left ends after 0 frames where another ended after 2"):
        w.intake.take_ends(end)


@pytest.mark.parametrize("kind", FAR)
def test_a_lost_acknowledgement_on_one_branch_does_not_hold_up_the_other(
    writers: Callable[..., Writers], kind: str
) -> None:
    """Left is sent only when right has credit, which only the acknowledgement that was lost gives."""
    w = writers(kind, window=1)
    for branch in ("left", "right"):
        w.send(branch, 0)
    w.intake.take()
    w.intake.acknowledge(0)
    socket = w.outlets["right"][0].socket
    assert socket.poll(int(DEADLINE * 1000))
    socket.recv_multipart()  # lost on the way
    sent: list[int] = []

    def send_on() -> None:
        if not sent and w.outlets["right"][0].ready and w.outlets["left"][0].ready:
            for branch in ("left", "right"):
                w.outlets[branch][0].send(frame(1), ["x"])
            sent.append(1)

    w.then = send_on
    assert w.intake.take().sequence == 1
    assert (w.intake.lost, w.intake.repeated) == (0, 0)


def test_a_graph_that_stops_ends_the_wait(writers: Callable[..., Writers]) -> None:
    w = writers("tcp")
    w.send("left", 0)
    w.then = w.signals.abort.set
    with pytest.raises(Aborted):
        w.intake.take()
    assert w.intake.waiting_seconds > 0


def test_frames_of_other_snapshots_are_named() -> None:
    one, two, three = frame(3), frame(3), frame(3)
    assert joined({ALONE: one}) is one
    assert joined({"a": one, "b": two}).count == 3
    three.count = 2
    with pytest.raises(ValueError, match=r"branch c has 2 snapshots from number 9 on in this frame"):
        joined({"a": one, "b": two, "c": three})
    two.start = 10
    with pytest.raises(ValueError, match="branch b has 3 snapshots from number 10 on"):
        joined({"a": one, "b": two})
