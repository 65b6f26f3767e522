"""Graphs whose branches meet again, on every transport: what comes out is the same however they ran."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.runtime import Block, Count, Flowgraph, FlowgraphError, Report
from blocks.runtime import intake as intake_module
from blocks.runtime import runner as runner_module
from blocks.runtime.flowgraph import Transport
from blocks.runtime.runner import Runner
from blocks.runtime.signals import Signals
from blocks.runtime.transport import Inlet, Outlet, Pipes
from tests.blocks.runtime.edges import TOKEN
from tests.blocks.runtime.graphs import (
    DEADLINE,
    TRANSPORTS,
    Double,
    Gate,
    Meeting,
    Noise,
    Numbers,
    Pass,
    Sink,
    chain,
    diamond,
    leftovers,
)
from tests.blocks.runtime.relay import Relay
from tests.blocks.runtime.scripts import STOP_SECONDS, Script
from tests.blocks.runtime.test_hosts import write_lab

TOTAL = 1000


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files of the test's runs, and of nobody else's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture(scope="module")
def digests() -> dict[str, Any]:
    """What the sink below the join must find, from numbers and a chain without a join."""
    graph, _ = chain(TOTAL, frame=TOTAL)
    plain = Sink("gap", "left_double")
    plain.start()
    plain.work(gap=np.arange(TOTAL), left_double=2 * np.arange(TOTAL))
    found: dict[str, Any] = plain.result()["digests"]
    return {**found, "right_noise": graph.run().results["sink"]["digests"]["noise"]}


def whole(report: Report, total: int = TOTAL) -> bool:
    """Whether everything arrived, once, undamaged."""
    lost = (report.lost_frames, report.repeated_frames, report.malformed)
    return lost == (0, 0, 0) and report.snapshots == total and not report.interrupted


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("frame", "window"), [(7, 8), (64, 1), (20000, 2)])
def test_branches_meet_on_every_transport(
    transport: Transport, frame: int, window: int, digests: dict[str, Any]
) -> None:
    graph, _ = diamond(TOTAL, frame=frame, window=window)
    report = graph.run(transport)
    assert whole(report)
    assert report.results["sink"]["digests"] == digests
    assert {block.frames for block in report.blocks.values()} == {-(-TOTAL // frame)}
    assert not leftovers()


@pytest.mark.parametrize(
    ("transport", "copies"),
    [
        ("inproc", {"double": 3}),
        ("inproc", {"noise": 2, "pass_1": 3}),
        ("inproc", {"meeting": 2}),
        ("inproc", {"meeting": 3, "noise": 2, "pass_1": 4}),
        ("ipc", {"meeting": 2, "pass_1": 3}),
        ("tcp", {"noise": 3, "meeting": 2}),
    ],
    ids=range(6),
)
@pytest.mark.parametrize("window", [1, 8])
def test_replicas_above_and_at_the_join_give_the_same_bits(
    transport: Transport, copies: dict[str, int], window: int, digests: dict[str, Any]
) -> None:
    graph, _ = diamond(TOTAL, frame=30, window=window)
    for name, count in copies.items():
        graph.replicate(graph.blocks[name], count)
    report = graph.run(transport)
    assert whole(report)
    assert report.results["sink"]["digests"] == digests
    assert report.blocks["meeting"].frames == 34


@pytest.mark.parametrize("total", [0, 1, 5])
def test_a_short_stream_ends_at_the_join(total: int) -> None:
    graph, sink = diamond(total, frame=2)
    graph.replicate(graph.blocks["meeting"], 6).replicate(graph.blocks["noise"], 4)
    report = graph.run()
    assert whole(report, total)
    assert sink.snapshots == total
    assert report.results["sink"]["tags"]["total"] == total


class Apart(Block):
    """Joins a stream with itself: `near` straight from the source, `far` over many blocks."""

    consumes = {"near_index": Count(), "far_index": Count()}

    def start(self) -> None:
        self.taken = 0

    def work(self, near_index: np.ndarray, far_index: np.ndarray) -> None:
        np.testing.assert_array_equal(near_index, far_index)
        self.taken += len(near_index)

    def result(self) -> dict[str, Any]:
        return {"taken": self.taken}


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
@pytest.mark.parametrize("near_first", [True, False])
def test_uneven_branches_need_no_more_than_one_frame_on_an_edge(
    transport: Transport, near_first: bool
) -> None:
    """The short branch is full while the long one fills, whichever is served first."""
    graph = Flowgraph("uneven", frame=10, window=1)
    source, passes, apart = Numbers(TOTAL), [Pass(f"pass_{n}") for n in range(7)], Apart()
    if near_first:
        graph.join(apart, near=source, far=passes[-1])
    graph.connect(source, *passes)
    if not near_first:
        graph.join(apart, far=passes[-1], near=source)
    report = graph.run(transport)
    assert whole(report)
    assert report.results["apart"] == {"taken": TOTAL}


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_joins_may_be_joined(transport: Transport) -> None:
    graph = Flowgraph("nested", frame=9, window=1)
    source, double, noise, inner, outer = Numbers(TOTAL), Double(), Noise(), Meeting("inner"), Block("outer")
    outer.consumes = {"a_gap": Count(), "b_index": Count(), "a_left_double": Count()}

    def work(a_gap: np.ndarray, b_index: np.ndarray, a_left_double: np.ndarray) -> dict[str, np.ndarray]:
        assert (a_gap == b_index).all()
        assert (a_left_double == 2 * b_index).all()
        return {}

    outer.work = work  # type: ignore[method-assign]
    graph.connect(source, double).connect(source, noise)
    graph.join(inner, left=double, right=noise).join(outer, a=inner, b=source)
    assert whole(graph.run(transport))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_joined_goes_on_under_its_branch(transport: Transport) -> None:
    graph, _ = diamond(TOTAL, frame=64)
    graph.connect(graph.blocks["meeting"], Sink(every=True, name="all"))
    got = graph.run(transport).results["all"]["digests"]
    assert set(got) == {
        *(f"left_{name}" for name in ("index", "wave", "double")),
        *(f"right_{name}" for name in ("index", "wave", "noise")),
        "gap",
    }
    assert got["left_wave"] == got["right_wave"]
    assert got["left_index"] == got["right_index"] == got["gap"]


def test_the_first_branch_has_the_say_on_tags() -> None:
    class Marks(Pass):
        """Tags every frame, and the end."""

        def work(self) -> dict[str, np.ndarray]:
            self.emit(mark=self.name, **{self.name: self.position})
            return {}

    for first, second in (("one", "two"), ("two", "one")):
        graph = Flowgraph("tags", frame=400)
        source, sink = Numbers(TOTAL), Sink("left_double")
        sink.consumes = {}
        sink.consumes_all = True
        branches = {name: Marks(name) for name in ("one", "two")}
        for block in branches.values():
            graph.connect(source, block)
        graph.join(sink, a=branches[first], b=branches[second])
        tags = graph.run().results["sink"]["tags"]
        assert tags == {"mark": first, "one": 800, "two": 800, "first": TOTAL, "total": TOTAL}


def test_the_fingerprint_knows_which_branch_is_which() -> None:
    def built(**names: str) -> str:
        graph = Flowgraph("g")
        source = Numbers()
        for name in ("one", "two"):
            graph.connect(source, Pass(name))
        graph.join(Apart(), **{branch: graph.blocks[name] for branch, name in names.items()})
        return graph._plan(dict.fromkeys(graph.blocks, "here")).fingerprint()

    first = built(near="one", far="two")
    assert first == built(near="one", far="two")
    assert first != built(near="two", far="one")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_branch_that_fails_is_named_and_nobody_finishes(transport: Transport, tmp_path: Path) -> None:
    graph, _ = diamond(None, diary=tmp_path / "diary", frame=10)

    def fail(index: np.ndarray) -> dict[str, np.ndarray]:
        if index[0] >= 30:
            raise OSError("no antenna")
        return {"double": 2 * index}

    graph.blocks["double"].work = fail  # type: ignore[method-assign]
    with pytest.raises(FlowgraphError, match=r"^block double failed at frame 3: OSError: no antenna$"):
        graph.run(transport)
    assert (tmp_path / "diary").read_text() == "start abort "
    assert not leftovers()


def _given(take: Callable[..., None], near_index: np.ndarray) -> None:
    take(near_index)


def test_what_is_under_way_is_bounded_on_every_branch() -> None:
    """A join that does not take stops the source, and the near branch runs ahead by its window alone."""
    graph = Flowgraph("gate", frame=1, window=2)
    source, gate = Numbers(100), Gate()
    gate.consumes = {"near_index": Count()}
    gate.work = partial(_given, gate.work)  # type: ignore[method-assign]
    graph.connect(source, far := Pass())
    graph.join(gate, near=source, far=far)
    with graph:
        assert gate.reached.wait(DEADLINE)
        deadline = time.monotonic() + DEADLINE
        while (seen := graph.report()).blocks["numbers"].frames < 2:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        assert seen.blocks["numbers"].frames <= 2 + 1
        gate.open.set()
        assert whole(graph.wait(), 100)


# Ends that nobody planned ---------------------------------------------------------------------

ENDLESS = """
def flowing(report):
    if report.snapshots > 0:
        status(report)

graph, _ = diamond(None, depth=0, diary=Path(sys.argv[2]), frame=16, window=1)
finish(graph, sys.argv[1], flowing)
"""
HOSTS = """
lab, node, total = sys.argv[1], sys.argv[2], int(sys.argv[3])
graph, _ = diamond(total or None, frame=64)
finish(graph, "tcp", status, lab, node)
"""
PLACES = {
    "first": ["numbers", "meeting"],
    "second": ["double", "pass_0", "sink"],
    "third": ["noise", "pass_1"],
}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Script]]:
    """Start a program; it is ended with the test."""
    scripts: list[Script] = []

    def begin(text: str, *arguments: str) -> Script:
        scripts.append(Script(tmp_path / str(len(scripts)), text, *arguments))
        return scripts[-1]

    yield begin
    for script in scripts:
        script.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ctrl_c_ends_both_branches_with_the_same_frames(
    start: Callable[..., Script], transport: str, tmp_path: Path
) -> None:
    script = start(ENDLESS, transport, str(tmp_path / "diary"))
    script.expect("running")
    script.signal(signal.SIGINT)
    report = script.expect("done", STOP_SECONDS)
    assert script.leave() == 130
    assert report["interrupted"]
    assert {block["snapshots"] for block in report["blocks"].values()} == {report["snapshots"]}
    assert (report["lost_frames"], report["malformed"]) == (0, 0)
    assert (tmp_path / "diary").read_text() == "start abort "
    assert script.stderr == ""


def test_branches_over_several_hosts_meet(
    start: Callable[..., Script], tmp_path: Path, digests: dict[str, Any]
) -> None:
    write_lab(tmp_path / "lab.toml", PLACES)
    scripts = [start(HOSTS, str(tmp_path / "lab.toml"), node, str(TOTAL)) for node in PLACES]
    for script in scripts:
        report = script.expect("done")
        assert script.leave() == 0
        assert script.stderr == ""
        assert report["results"]["sink"]["digests"] == digests
        assert (report["lost_frames"], report["malformed"]) == (0, 0)


@pytest.mark.parametrize("cut", ["double>meeting", "numbers>meeting", "numbers>double"])
@pytest.mark.parametrize("near_first", [True, False])
def test_connections_that_break_under_a_join_lose_nothing_and_hold_up_nobody(
    cut: str, near_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that waits for one reader hears the other, whose frames or acknowledgements were lost."""
    for module in (runner_module, intake_module):
        monkeypatch.setattr(module, "ASK_AGAIN_SECONDS", 0.1)
    graph = Flowgraph("cut", frame=1, window=1)
    source, double, meeting = Numbers(60), Double(), Block("meeting")
    meeting.consumes = {"near_index": Count(), "far_double": Count()}
    taken: list[int] = []

    def work(near_index: np.ndarray, far_double: np.ndarray) -> None:
        assert far_double[0] == 2 * near_index[0]
        taken.append(int(near_index[0]))

    meeting.work = work  # type: ignore[method-assign]
    if near_first:
        graph.join(meeting, near=source, far=double)
    graph.connect(source, double)
    if not near_first:
        graph.join(meeting, far=double, near=source)
    plan = graph._plan(dict.fromkeys(graph.blocks, "here"))
    signals = Signals()
    with closing(Pipes()) as pipes:
        outlets = {e.name: Outlet(pipes, e.name, TOKEN, "tcp://127.0.0.1:*", 1) for e in plan.edges}
        with closing(Relay(outlets[cut].endpoint)) as relay:
            places = {name: outlet.endpoint for name, outlet in outlets.items()} | {cut: relay.endpoint}

            def open_inlet(name: str) -> Inlet:
                return Inlet(pipes, name, TOKEN, places[name], 1)

            runners = [Runner(plan, i, outlets, open_inlet, signals) for i in plan.instances.values()]
            for runner in runners:
                runner.start()
            deadline, cuts = time.monotonic() + DEADLINE, 0
            while not all(runner.ended for runner in runners):
                assert time.monotonic() < deadline, [runner.state() for runner in runners]
                assert not any(runner.failure for runner in runners)
                if len(taken) > 5 * cuts:
                    cuts += 1
                    relay.cut()
                threading.Event().wait(0.002)
            signals.commit.set()
            for runner in runners:
                runner.join(DEADLINE)
    assert taken == list(range(60))
    assert cuts >= 5
    assert sum(runner.state()["counters"]["lost_frames"] for runner in runners) == 0
