"""A block that misbehaves, whatever way: one line names it, and the graph ends."""

from __future__ import annotations

import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from blocks.runtime import Block, Count, Flowgraph, FlowgraphError
from blocks.runtime import intake as intake_module
from blocks.runtime import runner as runner_module
from blocks.runtime.flowgraph import Transport
from blocks.runtime.plan import Edge, Instance, Plan
from blocks.runtime.runner import MAX_RESULT, Runner
from blocks.runtime.signals import Signals
from blocks.runtime.transport import Inlet, Outlet, Pipes
from blocks.runtime.wiring import ALONE
from tests.blocks.runtime.edges import TOKEN, frame
from tests.blocks.runtime.graphs import (
    DEADLINE,
    TRANSPORTS,
    Numbers,
    Sink,
    Trouble,
    TroubledSink,
    leftovers,
)
from tests.blocks.runtime.relay import Relay

FRAME = 10


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files of the test's runs, and of nobody else's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def run(trouble: Block, tmp_path: Path, transport: Transport, total: int | None = 100) -> FlowgraphError:
    """The error of a graph with this block, and a branch beside it that keeps a diary."""
    graph = Flowgraph("trouble", frame=FRAME)
    source = Numbers(total)
    graph.connect(source, trouble)
    if trouble.produces:
        graph.connect(trouble, Sink("double", name="below", diary=tmp_path / "below"))
    graph.connect(source, Sink("index", name="beside", diary=tmp_path / "beside"))
    with pytest.raises(FlowgraphError) as failure:
        graph.run(transport)
    assert not leftovers()
    error = failure.value
    assert "\n" not in str(error)
    assert "Traceback" in error.traceback
    assert error.report is not None
    assert not error.report.interrupted
    assert error.report.blocks.keys() == graph.blocks.keys()
    return error


def bad_array(index: Any = None) -> Any:
    """What no `double` may be: five snapshots too many."""
    return {"double": np.zeros(FRAME + 5, np.int64)}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("trouble", "line"),
    [
        (lambda: Trouble("work", ValueError("no antenna"), 3), "failed at frame 3: ValueError: no antenna"),
        (lambda: Trouble("start", OSError("no device")), "failed: OSError: no device"),
        (lambda: Trouble("finish", OSError("disk full")), "failed: OSError: disk full"),
        (lambda: Trouble("work", SystemExit(3), 1), "failed at frame 1: SystemExit: 3"),
        (lambda: Trouble("work", {"double": np.zeros(FRAME)}, 2), "frame 2: ValueError: the field 'double'"),
        (lambda: Trouble("result", {1, 2}), "TypeError: result() must return a dict or None, not set"),
    ],
    ids=["work", "start", "finish", "exit", "dtype", "result"],
)  # fmt: skip
def test_a_block_that_fails_is_named(trouble: Any, line: str, transport: Transport, tmp_path: Path) -> None:
    error = run(trouble(), tmp_path, transport)
    assert str(error).startswith("block trouble failed")
    assert line in str(error)
    if trouble().where != "finish":
        assert "finish" not in (tmp_path / "beside").read_text()


@pytest.mark.parametrize(
    ("trouble", "line"),
    [
        (Trouble("work", {}, 0), "work() returned nothing where produces declares double"),
        (Trouble("work", {"triple": 1}, 0), "work() returned triple where produces declares double"),
        (TroubledSink("work", {"double": 1}, 0), "work() returned double where produces declares nothing"),
        (Trouble("work", np.zeros(FRAME), 0), "work() must return a dict of arrays or None, not ndarray"),
        (Trouble("work", {"double": [1] * FRAME}, 0), "must be int64(n) with n = 10, not list"),
        (Trouble("work", bad_array, 0), "must be int64(n) with n = 10, not int64(15,)"),
        (Trouble("work", {"double": np.int64(3)}, 0), "must be int64(n) with n = 10, not int64"),
        (Trouble("work", {"double": np.zeros(FRAME, ">i8")}, 0), "must be int64(n)"),
        (Trouble("work", KeyError("wine"), 0), "failed at frame 0: KeyError: 'wine'"),
        (Trouble("work", KeyboardInterrupt(), 0), "failed at frame 0: KeyboardInterrupt"),
        (TroubledSink("result", {"set": {1}}), "TypeError: cannot be sent: set"),
        (TroubledSink("result", {"map": {1: 2}}), "TypeError: cannot be sent: map keys must be strings"),
        (TroubledSink("result", {"text": "x" * MAX_RESULT}), f"the limit is {MAX_RESULT}"),
        (TroubledSink("result", SystemExit()), "SystemExit"),
    ],
    ids=range(14),
)
def test_what_a_block_may_not_do(trouble: Block, line: str, tmp_path: Path) -> None:
    assert line in str(run(trouble, tmp_path, "inproc"))
    assert (tmp_path / "beside").read_text() == "start abort "


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"index": np.arange(11), "wave": np.zeros((11, 3), np.complex64)}, "gave 11 snapshots where"),
        ({"index": np.arange(5)}, "returned index where produces declares index, wave"),
        ([1, 2], "must return a dict of arrays or None, not list"),
        ({"index": np.arange(5), "wave": np.zeros((4, 3), np.complex64)}, "n = 5, not complex64(4, 3)"),
    ],
)  # fmt: skip
def test_what_a_source_may_not_do(given: Any, line: str) -> None:
    source = Numbers()
    source.work = lambda count: given  # type: ignore[method-assign]
    graph = Flowgraph("source", frame=10)
    graph.connect(source, Sink("index"))
    with pytest.raises(FlowgraphError, match=re.escape(line)) as failure:
        graph.run()
    assert str(failure.value).startswith("block numbers failed at frame 0: ")


@pytest.mark.parametrize("tags", [{"what": {1}}, {"what": {1: 2}}, {"what": "x" * 70000}, {"what": "\ud800"}])
@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_tags_that_cannot_be_sent_are_refused_on_every_transport(
    tags: dict[str, Any], transport: Transport
) -> None:
    class Tagger(Sink):
        """Emits what it should not."""

        def work(self, **fields: np.ndarray) -> None:
            self.emit(**tags)

    graph = Flowgraph("tags")
    graph.connect(Numbers(10), Tagger("index"))
    with pytest.raises(FlowgraphError, match="block tagger failed at frame 0: "):
        graph.run(transport)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_block_finishes_when_another_fails_late(transport: Transport, tmp_path: Path) -> None:
    """The branch beside has taken the whole stream long before the other fails."""
    graph = Flowgraph("late", frame=1, window=100)
    source = Numbers(20)
    graph.connect(source, Sink("index", name="beside", diary=tmp_path / "beside"))

    def fail() -> None:
        assert source.ended.wait(DEADLINE)
        raise OSError("gone")

    graph.connect(source, TroubledSink("work", fail, 19))
    with pytest.raises(
        FlowgraphError, match="block troubled_sink failed at frame 19: OSError: gone"
    ) as failure:
        graph.run(transport)
    assert (tmp_path / "beside").read_text() == "start abort "
    assert failure.value.report is not None
    assert failure.value.report.blocks["numbers"].snapshots == 20


def test_files_are_put_away_even_if_the_result_fails(tmp_path: Path) -> None:
    class Both(Sink):
        """Has a broken result(), and a file."""

        def result(self) -> dict[str, Any]:
            raise RuntimeError("broken")

    graph = Flowgraph("both")
    graph.connect(Numbers(10), Both("index", diary=tmp_path / "diary"))
    with pytest.raises(FlowgraphError, match="block both failed at frame 0: RuntimeError: broken"):
        graph.run()
    assert (tmp_path / "diary").read_text() == "start abort "


def test_a_failing_abort_does_not_hide_the_cause(tmp_path: Path) -> None:
    graph = Flowgraph("abort", frame=10)
    source = Numbers(100)
    graph.connect(source, TroubledSink("abort", OSError("second"), name="other"))
    graph.connect(source, TroubledSink("work", OSError("first"), 5))
    with pytest.raises(FlowgraphError, match="block troubled_sink failed at frame 5: OSError: first"):
        graph.run()


def test_a_result_is_a_copy(tmp_path: Path) -> None:
    class Growing(Sink):
        """Gives out the dict that it goes on changing."""

        def start(self) -> None:
            self.seen: dict[str, Any] = {"list": []}

        def work(self, **fields: np.ndarray) -> None:
            self.seen["list"].append(len(self.seen["list"]))
            self.seen[f"key_{self.position}"] = np.float32(0.5)

        def finish(self) -> None:
            self.seen["finished"] = True

        def result(self) -> dict[str, Any]:
            return self.seen

    graph = Flowgraph("growing", frame=1)
    graph.connect(Numbers(300), Growing("index"))
    result = graph.run().results["growing"]
    assert result["list"] == list(range(300))
    assert type(result["key_299"]) is float


def test_a_run_begins_with_no_memory_of_the_last() -> None:
    class Forgetful(Sink):
        """Leaves a tag and a position behind, and looks for them in start()."""

        found: tuple[int, Any] = (0, {})

        def start(self) -> None:
            super().start()
            Forgetful.found = (self.position, dict(self.tags))

        def finish(self) -> None:
            super().finish()
            self.emit(left="over")

    graph = Flowgraph("again")
    graph.connect(Numbers(10), Forgetful("index"))
    for _ in range(2):
        assert "left" not in graph.run().results["forgetful"]["tags"]
        assert Forgetful.found == (0, {})


# One runner by itself, its pipes in the hands of the test --------------------------------------


class Bench:
    """A runner of a sink on a tcp edge whose writer is the test."""

    def __init__(self) -> None:
        self.pipes = Pipes()
        self.outlet = Outlet(self.pipes, "a>sink", TOKEN, "tcp://127.0.0.1:*", 4)
        edge = Edge("a>sink", "a", "sink", ("x",))
        block = Block("sink")
        block.consumes = {"x": Count()}
        block.work = lambda x: None  # type: ignore[method-assign, misc]
        instance = Instance("sink", block, 0, 1, "here", {ALONE: [edge]}, [], block.resolve(block.consumes))
        plan = Plan("bench", 0, 4, 4, {"sink": instance}, ["sink"], ["sink"])
        self.relay = Relay(self.outlet.endpoint)
        self.signals = Signals()

        def open_inlet(name: str) -> Inlet:
            return Inlet(self.pipes, name, TOKEN, self.relay.endpoint, 4)

        self.runner = Runner(plan, instance, {}, open_inlet, self.signals)
        self.runner.start()

    def until(self, condition: Any) -> None:
        """Read acknowledgements until the condition holds."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline
            self.outlet.socket.poll(20)
            self.outlet.pump()

    def close(self) -> None:
        """End the runner and its pipes."""
        self.signals.abort.set()
        self.runner.join(DEADLINE)
        self.outlet.close()
        self.relay.close()
        self.pipes.close()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A runner that asks again soon."""
    for module in (runner_module, intake_module):
        monkeypatch.setattr(module, "ASK_AGAIN_SECONDS", 0.1)
    with closing(Bench()) as one:
        yield one


def test_a_connection_that_breaks_loses_nothing(bench: Bench) -> None:
    for sequence in range(30):
        bench.until(lambda: bench.outlet.ready)
        if sequence % 10 == 5:
            bench.relay.cut()
        bench.outlet.send(frame(sequence), ["x"])
    bench.until(lambda: bench.outlet.settled)
    counters = bench.runner.state()["counters"]
    assert (counters["frames"], counters["snapshots"]) == (30, 90)
    assert (counters["lost_frames"], counters["malformed"]) == (0, 0)


def test_a_lost_last_acknowledgement_is_repeated(bench: Bench) -> None:
    bench.until(lambda: bench.outlet.ready)
    end = frame(0)
    end.arrays, end.count, end.end = {}, 0, True
    bench.outlet.send(end, ())
    deadline = time.monotonic() + DEADLINE
    while not bench.runner.ended:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    while bench.outlet.socket.poll(0):
        bench.outlet.socket.recv_multipart()  # lost on the way
    assert not bench.outlet.settled
    bench.until(lambda: bench.outlet.settled)


def test_a_field_that_does_not_come_as_promised_is_named(bench: Bench) -> None:
    bench.until(lambda: bench.outlet.ready)
    bench.outlet.send(frame(0), ())
    bench.runner.join(DEADLINE)
    assert (
        str(bench.runner.failure) == "block sink failed at frame 0: ValueError: the frame lacks the field 'x'"
    )


def lone_source(pipes: Pipes) -> tuple[Runner, Outlet]:
    """A runner of a source on a tcp edge that nobody reads."""
    outlet = Outlet(pipes, "numbers>sink", TOKEN, "tcp://127.0.0.1:*", 4)
    edge = Edge("numbers>sink", "numbers", "sink", ("index",))
    source = Numbers(10)
    instance = Instance("numbers", source, 0, 1, "here", {}, [[edge]], {}, source.resolve(source.produces))
    plan = Plan("alone", 0, 4, 4, {"numbers": instance}, ["numbers"], ["sink"])
    return Runner(plan, instance, {edge.name: outlet}, lambda _: pytest.fail("no inlet"), Signals()), outlet


def test_a_reader_that_cannot_connect_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "CONNECT_SECONDS", 0.2)
    with closing(Pipes()) as pipes:
        runner, _ = lone_source(pipes)
        runner.run()
    assert "TimeoutError: sink has not connected to tcp://127.0.0.1:" in str(runner.failure)


def test_what_strangers_send_to_a_writer_is_reported_even_if_the_run_is_aborted() -> None:
    with closing(Pipes()) as pipes, closing(pipes.context.socket(zmq.DEALER)) as foreign:
        runner, outlet = lone_source(pipes)
        foreign.linger = 0
        foreign.connect(outlet.endpoint)
        for _ in range(3):
            foreign.send(b"GET / HTTP/1.1")
        runner.start()
        deadline = time.monotonic() + DEADLINE
        while runner.state()["counters"]["malformed"] < 3:
            assert time.monotonic() < deadline
            runner.join(0.01)
        runner.signals.abort.set()
        runner.join(DEADLINE)
    assert runner.state()["counters"]["malformed"] == 3
    assert runner.failure is None
