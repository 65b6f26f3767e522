"""Blocks that cut their stream anew: as many items as they find, in frames of the same numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.frame_player import FramePlayer
from blocks.frame_recorder import FrameRecorder
from blocks.runtime import Block, Count, Flowgraph, FlowgraphError, GraphError, Real, Source
from blocks.runtime.flowgraph import Transport
from blocks.runtime.frame import Frame
from blocks.runtime.port import ResolvedField
from blocks.runtime.reframing import Reframer, empty, fill
from tests.blocks.runtime.graphs import TRANSPORTS, Double, Noise, Numbers, Pass, Sink


class Bursts(Block):
    """Gathers `size` numbers a burst: their sum `double` (n,) and first `index` (n,); the rest at the end."""

    consumes = {"index": Count()}
    produces = {"index": Count(), "double": Count()}
    reframes = True

    def __init__(self, size: int, name: str | None = None, rest: bool = True) -> None:
        super().__init__(name)
        self.size, self.rest = size, rest

    def start(self) -> None:
        self.waiting = np.zeros(0, np.int64)
        self.calls = self.flushes = self.seen = 0

    def work(self, index: np.ndarray) -> dict[str, np.ndarray]:
        self.calls += 1
        assert len(index) > 0
        assert self.position == self.seen
        self.seen += len(index)
        self.emit(last_frame=self.calls - 1, **{f"frame_{self.calls - 1}": True})
        self.waiting = np.concatenate([self.waiting, index])
        whole = len(self.waiting) // self.size * self.size
        now, self.waiting = self.waiting[:whole], self.waiting[whole:]
        return {"index": now[:: self.size].copy(), "double": now.reshape(-1, self.size).sum(axis=1)}

    def flush(self) -> dict[str, np.ndarray] | None:
        self.flushes += 1
        if not (self.rest and len(self.waiting)):
            return None
        self.emit(rest=len(self.waiting))
        return {"index": self.waiting[:1], "double": self.waiting.sum(keepdims=True)}

    def result(self) -> dict[str, Any]:
        return {"calls": self.calls, "flushes": self.flushes}


class Repeat(Block):
    """Each item `index` times 3: more come out than went in."""

    consumes = {"index": Count()}
    produces = {"double": Count()}
    reframes = True

    def work(self, index: np.ndarray) -> dict[str, np.ndarray]:
        assert len(index) > 0
        return {"double": np.repeat(index, 3)}


class Keeper(Block):
    """Keeps what comes, with positions and tags."""

    def __init__(self, *wanted: str, name: str | None = None) -> None:
        super().__init__(name)
        self.consumes = {key: Count() for key in wanted}

    def start(self) -> None:
        self.kept: dict[str, list[int]] = {key: [] for key in self.consumes}
        self.frames: list[list[Any]] = []
        self.last: dict[str, Any] = {}

    def work(self, **fields: np.ndarray) -> None:
        for key, array in fields.items():
            self.kept[key] += array.tolist()
        self.frames.append([self.position, len(next(iter(fields.values()))), dict(self.tags)])

    def finish(self) -> None:
        self.last = dict(self.tags)

    def result(self) -> dict[str, Any]:
        return {"kept": self.kept, "frames": self.frames, "last": self.last}


def sums(total: int, size: int, rest: bool = True) -> list[int]:
    """The sums of 0 … total - 1, `size` at a time, by Gauss."""
    edges = [*range(0, total - size + 1, size)]
    whole = [size * first + size * (size - 1) // 2 for first in edges]
    left = range(len(whole) * size, total)
    return whole + ([sum(left)] if rest and left else [])


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("frame", "size"), [(10, 3), (3, 10), (10, 10), (1, 7), (64, 1000)])
def test_items_do_not_depend_on_how_the_stream_is_cut(transport: Transport, frame: int, size: int) -> None:
    graph = Flowgraph("bursts", frame=frame)
    keeper = Keeper("double", "index")
    graph.connect(Numbers(100), Bursts(size), keeper)
    report = graph.run(transport)
    result = report.results["keeper"]
    assert result["kept"]["double"] == sums(100, size)
    assert result["kept"]["index"] == list(range(0, 100, size))
    starts = [start for start, *_ in result["frames"]]
    assert starts == np.cumsum([0, *(count for _, count, _ in result["frames"])])[:-1].tolist()
    assert all(count > 0 for _, count, _ in result["frames"])
    assert report.results["bursts"] == {"calls": -(-100 // frame), "flushes": 1}
    assert (report.lost_frames, report.repeated_frames, report.malformed) == (0, 0, 0)
    # One frame more than went in where something was left at the end.
    assert report.blocks["keeper"].frames == -(-100 // frame) + bool(100 % size)
    assert report.blocks["keeper"].snapshots == -(-100 // size)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_tags_wait_for_the_next_frame_with_items(transport: Transport) -> None:
    graph = Flowgraph("tags", frame=10)
    graph.connect(Numbers(70), Bursts(25), Pass(), Keeper("index"))
    frames = graph.run(transport).results["keeper"]["frames"]
    # Bursts are complete in frames 2 and 4; the last 20 numbers come at the end.
    assert [[start, count] for start, count, _ in frames] == [[0, 1], [1, 1], [2, 1]]
    told = [sorted(key for key in tags if key.startswith("frame_")) for *_, tags in frames]
    assert told == [
        ["frame_0", "frame_1", "frame_2"],
        ["frame_3", "frame_4"],
        ["frame_5", "frame_6"],
    ]
    assert [tags["last_frame"] for *_, tags in frames] == [2, 4, 6]
    assert [tags["first"] for *_, tags in frames] == [20, 40, 60]
    assert [tags.get("rest") for *_, tags in frames] == [None, None, 20]


def test_tags_that_no_item_follows_are_on_the_end_of_the_stream() -> None:
    graph = Flowgraph("tags", frame=10)
    graph.connect(Numbers(30), Bursts(1000, rest=False), Keeper("index"))
    result = graph.run().results["keeper"]
    assert result["frames"] == []
    # The source's own last word about `first` comes later, and counts.
    assert result["last"] == {
        "first": 30, "total": 30, "last_frame": 2, "frame_0": True, "frame_1": True, "frame_2": True,
    }  # fmt: skip


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_streams_are_cut_again_and_again(transport: Transport) -> None:
    graph = Flowgraph("twice", frame=4)
    first, second, third = Bursts(10, "first"), Bursts(2, "second"), Repeat()
    graph.connect(Numbers(65), first, second, third, keeper := Keeper("double"))
    graph.connect(second, beside := Keeper("double", name="beside"))
    report = graph.run(transport)
    # 0 10 20 30 40 50 60 in pairs: the second block knows the first one's `index`.
    assert report.results["beside"]["kept"]["double"] == [10, 50, 90, 60]
    assert report.results["keeper"]["kept"]["double"] == [n for n in (0, 20, 40, 60) for _ in range(3)]
    assert report.results["second"]["calls"] == 7, "once for each frame of the first that has items"
    assert report.results["second"]["flushes"] == 1
    assert keeper.name in report.blocks
    assert beside.name in report.blocks


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("copies", [2, 3])
def test_replicas_above_and_below_change_nothing(transport: Transport, copies: int) -> None:
    class Add(Block):
        """`gap` (n,) of item and position; is not called without items."""

        consumes = {"double": Count()}
        produces = {"gap": Count()}
        replicable = True

        def work(self, double: np.ndarray) -> dict[str, np.ndarray]:
            assert len(double) > 0
            return {"gap": double - self.position}

    def run(copies: int) -> dict[str, Any]:
        graph = Flowgraph("replicas", seed=5, frame=7)
        above, below, noise = Pass(), Add(), Noise()
        graph.connect(Numbers(500), above, Bursts(20), below, noise, Sink("gap", "noise"))
        for block in (above, below, noise):
            graph.replicate(block, copies)
        return graph.run(transport).results["sink"]

    expected = run(1)
    assert expected["snapshots"] == 25
    assert run(copies) == expected


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_branches_below_one_block_are_joined(transport: Transport) -> None:
    class Meeting(Block):
        """`gap` (n,) of both branches."""

        consumes = {"left_double": Count(), "right_double": Count(), "right_noise": Real()}
        produces = {"gap": Count()}

        def work(
            self, left_double: np.ndarray, right_double: np.ndarray, right_noise: np.ndarray
        ) -> dict[str, np.ndarray]:
            return {"gap": left_double - right_double}

    graph = Flowgraph("join", frame=6, window=1)
    bursts, noise, deep = Bursts(20), Noise(), Pass("deep")
    graph.connect(Numbers(500), bursts, noise)
    graph.connect(bursts, Pass(), deep)
    graph.join(meeting := Meeting(), left=deep, right=noise).connect(meeting, Keeper("gap"))
    assert graph.run(transport).results["keeper"]["kept"]["gap"] == [0] * 25


def test_a_recording_holds_frames_with_items_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "bursts.rec")
    graph = Flowgraph("record", frame=3)
    graph.connect(Numbers(100), Bursts(8), FrameRecorder(path))
    assert graph.run().results["frame_recorder"]["frames"] == 13
    played = Flowgraph("play")
    played.connect(FramePlayer(path), Keeper("double"))
    assert played.run().results["keeper"]["kept"]["double"] == sums(100, 8)


def test_a_stop_flushes_too() -> None:
    graph = Flowgraph("stop", frame=10)
    source = Numbers(None)
    working = source.work

    def work(count: int) -> Any:
        if source.position == 30:
            graph.stop()
            while not source.stopping:
                pass
        return working(count)

    source.work = work  # type: ignore[method-assign]
    graph.connect(source, Bursts(25), Keeper("double"))
    report = graph.run()
    assert report.interrupted
    assert report.results["keeper"]["kept"]["double"] == sums(40, 25)


# What is promised and refused ----------------------------------------------------------------


def test_no_field_gets_past_a_block_that_reframes() -> None:
    graph = Flowgraph("g")
    bursts = Bursts(3)
    graph.connect(Numbers(10), double := Double(), bursts, Sink("index", "double"))
    with pytest.raises(GraphError, match=r"needs the field 'wave' .*, but bursts sends only: index, double"):
        graph.connect(bursts, Sink("wave", name="waves"))
    carried = graph._wiring.carried()
    assert carried == {
        ("numbers", "double"): ("index",),
        ("double", "bursts"): ("index",),
        ("bursts", "sink"): ("index", "double"),
    }
    graph.connect(double, every := Bursts(3, "every"))
    every.consumes_all = True
    graph.connect(every, Sink("index", name="other"))
    assert graph._wiring.carried()["double", "every"] == ("index", "wave", "double")
    assert graph._wiring.carried()["every", "other"] == ("index",)


def joint(*fields: str) -> Block:
    """A sink that takes these fields."""
    block = Block("joint")
    block.consumes = {field: Count() for field in fields}
    return block


@pytest.mark.parametrize(
    ("join", "line"),
    [
        (
            lambda g, s, b: g.connect(s, p := Pass()).join(joint("a_index"), a=p, b=b),
            "joint joins branches whose frames differ in length: a is reframed by no block, b by bursts",
        ),
        (
            lambda g, s, b: g.connect(s, o := Bursts(3, "other")).join(joint("a_index"), a=b, b=o),
            "a is reframed by bursts, b by other",
        ),
        (
            lambda g, s, b: g.connect(b, o := Bursts(3, "other")).join(joint("a_index"), a=b, b=o),
            "a is reframed by bursts, b by bursts, other",
        ),
        (
            lambda g, s, b: (
                g.connect(b, one := Pass("one"))
                .connect(b, two := Pass("two"))
                .join(m := joint("one_index"), one=one, two=two)
                .connect(s, p := Pass())
                .join(Sink(name="end"), a=m, b=p)
            ),
            "end joins branches whose frames differ in length: a is reframed by bursts, b by no block",
        ),
    ],
    ids=range(4),
)  # fmt: skip
def test_branches_cut_differently_are_not_joined(
    join: Callable[[Flowgraph, Block, Block], object], line: str
) -> None:
    graph = Flowgraph("g")
    graph.connect(source := Numbers(10), bursts := Bursts(3))
    with pytest.raises(GraphError) as refusal:
        join(graph, source, bursts)
    assert line in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_branches_that_are_connected_later_are_compared_then() -> None:
    graph = Flowgraph("g")
    left, right = Pass("left"), Bursts(3, "right")
    graph.join(joint("a_index", "b_index"), a=left, b=right)
    source = Numbers(10)
    graph.connect(source, right)
    with pytest.raises(GraphError, match="a is reframed by no block, b by right"):
        graph.connect(source, left)
    graph.connect(right, left)
    graph._wiring.check_complete()


def test_who_reframes_is_neither_replicated_nor_a_source() -> None:
    class Both(Source):
        """A source with nothing to reframe."""

        reframes = True

    with pytest.raises(GraphError, match="both is a source: it makes frames, and has none to reframe"):
        Flowgraph("g").connect(Both(), Sink("index"))

    class Eager(Bursts):
        """Says it can be copied."""

        replicable = True

    with pytest.raises(GraphError, match="eager reframes its stream and cannot be replicated"):
        Flowgraph("g").replicate(Eager(3), 2)


@pytest.mark.parametrize("where", ["work", "flush"])
@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"double": np.zeros(2, np.int64)}, "{}() returned double where produces declares index, double"),
        (
            {"index": np.zeros(2, np.int64), "double": np.zeros(3, np.int64)},
            "the field 'double' must be int64(n) with n = 2, not int64(3,)",
        ),
        ({"index": [1, 2], "double": [1, 2]}, "the field 'index' must be int64(n) with n = 0, not list"),
        ([1], "{}() must return a dict of arrays or None, not list"),
    ],
)
def test_what_is_returned_is_checked(where: str, given: Any, line: str) -> None:
    bursts = Bursts(3)
    setattr(bursts, where, lambda **fields: given)
    graph = Flowgraph("g", frame=10)
    graph.connect(Numbers(10), bursts, Sink("index"))
    frame = 0 if where == "work" else 1
    with pytest.raises(FlowgraphError, match=re.escape(line.format(where))) as failure:
        graph.run()
    assert str(failure.value).startswith(f"block bursts failed at frame {frame}: ")


# By itself -----------------------------------------------------------------------------------

FIELDS = {"x": ResolvedField(np.dtype("float32"), (2,))}


def test_a_reframer_counts_what_it_makes() -> None:
    reframer = Reframer(FIELDS)
    counts = [2, 0, 3, None, 1]
    starts = []
    for sequence, count in enumerate(counts):
        arrays = None if count is None else {"x": np.ones((count, 2), np.float32)}
        before = Frame("s", sequence, 100 * sequence, 100, 7, tags={f"t{sequence}": 1})
        made = reframer.reframe(before, arrays)
        assert (made.sequence, made.timestamp_ns, made.count) == (sequence, 7, count or 0)
        assert made.arrays["x"].shape == (count or 0, 2)
        assert not made.arrays["x"].flags.writeable
        starts.append((made.start, sorted(made.tags)))
    assert starts == [(0, ["t0"]), (2, []), (2, ["t1", "t2"]), (5, []), (5, ["t3", "t4"])]
    assert (reframer.made, reframer.held) == (6, {})


def test_empty_arrays_have_the_shape_that_was_promised() -> None:
    ((name, array),) = empty(FIELDS).items()
    assert (name, array.shape, array.dtype) == ("x", (0, 2), np.dtype("float32"))
    frame = Frame("s", 0, 0, 0)
    fill(frame, FIELDS, {name: array})
    assert frame.arrays["x"].shape == (0, 2)
