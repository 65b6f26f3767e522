"""Graphs that run to their end: what comes out is the same however it ran."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from blocks.runtime import Block, Count, DeploymentError, Flowgraph, GraphError, Report
from blocks.runtime.flowgraph import Transport
from tests.blocks.runtime.graphs import (
    DEADLINE,
    TRANSPORTS,
    Double,
    Gate,
    Noise,
    Numbers,
    Quadruple,
    Sink,
    chain,
    leftovers,
)

TOTAL = 1000


def whole(report: Report, total: int = TOTAL) -> bool:
    """Whether everything arrived, once, undamaged."""
    lost = (report.lost_frames, report.repeated_frames, report.malformed)
    return lost == (0, 0, 0) and report.snapshots == total and not report.interrupted


def reference() -> dict[str, Any]:
    """Digests of the chain's fields, run in one piece."""
    graph, _ = chain(TOTAL, frame=TOTAL)
    report = graph.run()
    assert whole(report)
    return cast(dict[str, Any], report.results["sink"]["digests"])


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files of the test's runs, and of nobody else's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture(scope="module")
def digests() -> dict[str, Any]:
    """What every run of the chain must come to."""
    return reference()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("frame", [7, 256, 20000])
def test_every_transport_and_frame_size_gives_the_same_bits(
    transport: Transport, frame: int, digests: dict[str, Any]
) -> None:
    graph, _ = chain(TOTAL, frame)
    report = graph.run(transport)
    assert whole(report)
    assert report.results["sink"]["digests"] == digests
    frames = -(-TOTAL // frame)
    counted = {name: (block.frames, block.snapshots) for name, block in report.blocks.items()}
    assert counted == dict.fromkeys(["numbers", "noise", "sink"], (frames, TOTAL))
    assert not leftovers()


def test_a_frame_may_hold_one_snapshot(digests: dict[str, Any]) -> None:
    graph, _ = chain(TOTAL, 1, window=1)
    report = graph.run()
    assert whole(report)
    assert report.results["sink"]["digests"] == digests


@pytest.mark.parametrize(
    ("transport", "first", "second"),
    [("inproc", 2, 3), ("inproc", 3, 2), ("inproc", 3, 3), ("ipc", 2, 3), ("tcp", 3, 2), ("tcp", 1, 2)],
)
def test_replicas_give_the_same_bits(
    transport: Transport, first: int, second: int, digests: dict[str, Any]
) -> None:
    graph = Flowgraph("replicas", frame=30)
    noise, double = Noise(), Double()
    sink = Sink("index", "noise", "wave", "double")
    graph.connect(Numbers(TOTAL), noise, double, sink)
    graph.replicate(noise, first).replicate(double, second)
    report = graph.run(transport)
    assert whole(report)
    got = report.results["sink"]["digests"]
    assert {key: got[key] for key in digests} == digests
    assert report.blocks["noise"].frames == report.blocks["double"].frames == 34


@pytest.mark.parametrize("total", [0, 1, 5])
def test_more_replicas_than_frames(total: int) -> None:
    graph = Flowgraph("few", frame=2)
    noise = Noise()
    graph.connect(Numbers(total), noise, sink := Sink("noise")).replicate(noise, 6)
    report = graph.run()
    assert whole(report, total)
    assert report.results["sink"]["tags"]["total"] == total
    assert sink.snapshots == total


def test_another_block_changes_no_draw(digests: dict[str, Any]) -> None:
    graph = Flowgraph("more", frame=64)
    source = Numbers(TOTAL)
    graph.connect(source, Noise("other_noise"), Double(), Sink("noise", name="other"))
    graph.connect(source, Noise(), Sink("index", "noise", "wave"))
    results = graph.run().results
    assert results["sink"]["digests"] == digests
    assert results["other"]["digests"]["noise"] != digests["noise"]


def test_the_seed_and_the_stream_key_decide_the_draws(digests: dict[str, Any]) -> None:
    def run(seed: int, key: str | None) -> str:
        graph = Flowgraph("seeds", seed)
        graph.connect(Numbers(TOTAL), Noise("renamed", stream_key=key), Sink("noise"))
        return cast(str, graph.run().results["sink"]["digests"]["noise"])

    assert run(0, "noise") == digests["noise"]
    assert len({run(0, "noise"), run(0, None), run(1, "noise")}) == 3


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_branch_is_sent_every_frame(transport: Transport) -> None:
    graph = Flowgraph("fan", frame=50)
    source, double = Numbers(TOTAL), Double()
    graph.connect(source, double, Quadruple(), Sink("double", name="quadrupled"))
    graph.connect(double, Sink("double", name="doubled"))
    graph.connect(source, Sink("index", name="plain"))
    graph.connect(source, Sink(every=True, name="all"))
    report = graph.run(transport)
    assert whole(report)
    assert {name: block.snapshots for name, block in report.blocks.items()} == dict.fromkeys(
        graph.blocks, TOTAL
    )
    got = {name: result["digests"] for name, result in report.results.items()}
    plain = np.arange(TOTAL)
    for name, field, factor in (("quadrupled", "double", 4), ("doubled", "double", 2), ("all", "index", 1)):
        sink = Sink(field, name=name)
        sink.start()
        sink.work(**{field: factor * plain})
        assert got[name][field] == sink.result()["digests"][field]
    assert set(got["all"]) == {"index", "wave"}
    assert set(got["plain"]) == {"index"}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_tags_travel_and_the_last_ones_reach_finish(transport: Transport) -> None:
    class Tagger(Block):
        """Adds tags of its own."""

        consumes = {"index": Count()}

        def work(self, index: np.ndarray) -> dict[str, np.ndarray]:
            self.emit(sizes=(len(index), np.int64(3)), nested={"a": [1.5, None, b"x"]})
            assert self.tags["first"] == self.position
            return {}

    graph = Flowgraph("tags", frame=400)
    graph.connect(Numbers(TOTAL), Tagger(), Sink("index"))
    tags = graph.run(transport).results["sink"]["tags"]
    assert tags == {"sizes": [200, 3], "nested": {"a": [1.5, None, b"x"]}, "first": TOTAL, "total": TOTAL}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_graph_can_run_again(transport: Transport) -> None:
    graph, _ = chain(TOTAL)
    reports = [graph.run(transport) for _ in range(2)]
    assert all(whole(report) for report in reports)
    assert reports[0].results == reports[1].results


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_several_blocks_may_share_a_process(transport: Transport, digests: dict[str, Any]) -> None:
    class Where(Noise):
        """Reports the process it runs in."""

        def result(self) -> dict[str, Any]:
            return {"pid": os.getpid()}

    graph = Flowgraph("together", frame=64)
    source, first, second, sink = Numbers(TOTAL), Where("noise"), Quadruple(), Sink("index", "noise", "wave")
    second.consumes = second.produces = {}
    second.work = dict  # type: ignore[method-assign, assignment]
    other = Where("other", stream_key="noise")
    graph.connect(source, first, second, sink)
    graph.connect(source, other, Sink("noise", name="end"))
    graph.together(first, other).together(second, sink)
    report = graph.run(transport)
    assert whole(report)
    assert report.results["sink"]["digests"] == digests
    assert report.results["noise"] == report.results["other"]


def test_what_is_under_way_is_bounded_by_the_windows() -> None:
    class Watched(Numbers):
        made = 0

        def work(self, count: int) -> dict[str, np.ndarray] | None:
            Watched.made += 1
            return super().work(count)

    class Slow(Sink):
        most = 0

        def work(self, **fields: np.ndarray) -> None:
            Slow.most = max(Slow.most, Watched.made - self.snapshots)
            super().work(**fields)

    graph = Flowgraph("slow", frame=1, window=3)
    graph.connect(Watched(TOTAL), Double(), Slow("index"))
    assert whole(graph.run())
    # Three on each of two edges, and one in the hands of each block.
    assert Slow.most <= 2 * 3 + 3


def test_a_sink_that_does_not_take_stops_the_source() -> None:
    gate = Gate()
    graph = Flowgraph("gate", frame=1, window=2)
    graph.connect(Numbers(100), Double(), gate)
    with graph:
        assert gate.reached.wait(DEADLINE)
        seen = eventually(graph.report, lambda r: r.blocks["numbers"].frames >= 2 + 2)
        assert seen.blocks["numbers"].frames <= 2 * 2 + 2
        assert seen.blocks["gate"].frames == 0
        gate.open.set()
        report = graph.wait()
    assert whole(report, 100)


def eventually(look: Callable[[], Report], condition: Callable[[Report], bool]) -> Report:
    """The first report that meets the condition."""
    deadline = time.monotonic() + DEADLINE
    tick = threading.Event()
    while not condition(report := look()):
        assert time.monotonic() < deadline, report
        tick.wait(0.01)
    return report


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_running_graph_can_be_watched_and_stopped(transport: Transport, tmp_path: Path) -> None:
    seen: list[Report] = []
    diary = tmp_path / "diary"
    graph = Flowgraph("endless", frame=16)
    graph.connect(Numbers(None), Noise(), Sink("noise", diary=diary))
    graph.start(transport, on_status=seen.append)
    with pytest.raises(GraphError, match="running already"):
        graph.start(transport)
    live = eventually(graph.report, lambda r: "sink" in r.results and r.snapshots > 100)
    assert live.seconds > 0
    assert live.snapshots_per_second > 0
    eventually(lambda: seen[-1] if seen else Report("none"), lambda r: r.snapshots > 0)
    before = time.monotonic()
    graph.stop()
    report = graph.wait()
    assert time.monotonic() - before < 2.0
    assert report.interrupted
    assert report.snapshots >= live.snapshots
    assert report.results["sink"]["snapshots"] == report.snapshots
    # What was under way has been worked off, and nothing is committed.
    assert report.blocks["numbers"].snapshots == report.snapshots
    assert diary.read_text() == "start abort "


def test_a_stop_after_the_end_has_interrupted_nothing(tmp_path: Path) -> None:
    gate = Gate()
    graph = Flowgraph("late", frame=10, window=8)
    source = Numbers(40)
    graph.connect(source, gate)
    graph.connect(source, Sink("index", diary=tmp_path / "diary"))
    with graph:
        assert source.ended.wait(DEADLINE)
        graph.stop()
        gate.open.set()
        report = graph.wait()
    assert whole(report, 40)
    assert (tmp_path / "diary").read_text() == "start finish "


def test_leaving_the_context_stops_the_graph() -> None:
    graph, sink = chain(None)
    with graph:
        eventually(graph.report, lambda r: r.snapshots > 0)
    assert graph.report().interrupted
    assert sink.snapshots == graph.report().snapshots


def test_an_error_inside_the_context_stops_the_graph_and_passes() -> None:
    graph, _ = chain(None)
    with pytest.raises(KeyError, match="mine"), graph.start("ipc"):
        raise KeyError("mine")
    assert multiprocessing.active_children() == []
    assert not leftovers()


def test_an_error_in_the_callback_ends_the_run() -> None:
    def callback(_: Report) -> None:
        raise RuntimeError("no more paper")

    graph, _ = chain(None)
    with pytest.raises(RuntimeError, match="no more paper"):
        graph.run(on_status=callback)


def test_a_graph_that_has_not_been_started() -> None:
    graph, _ = chain()
    graph.stop()
    assert graph.report() == Report("chain")
    with pytest.raises(GraphError, match="has not been started"):
        graph.wait()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"transport": "udp"}, GraphError, "unknown transport 'udp': choose one of inproc, ipc, tcp"),
        ({"nodes": "x.toml", "node": "a"}, DeploymentError, "needs the tcp transport"),
        ({"transport": "tcp", "nodes": "x.toml"}, DeploymentError, "go together"),
        ({"transport": "tcp", "node": "a"}, DeploymentError, "go together"),
    ],
)
def test_impossible_ways_to_run_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    graph, _ = chain()
    with pytest.raises(error, match=message):
        graph.start(**options)


def test_a_graph_runs_beside_another() -> None:
    first, _ = chain(None)
    with first:
        second, _ = chain(TOTAL)
        assert whole(second.run())
        eventually(first.report, lambda r: r.snapshots > 0)
