"""Message ports in a running graph: loops that close, loops that do not, and how they end."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.runtime import Block, Count, Flowgraph, FlowgraphError
from blocks.runtime import exchange as exchange_module
from blocks.runtime.exchange import Exchange
from blocks.runtime.flowgraph import Transport
from blocks.runtime.messages import MAX_UNREAD, MessageInlet, MessageOutlet
from blocks.runtime.plan import MessageEdge
from blocks.runtime.signals import Aborted, Signals
from blocks.runtime.transport import Pipes
from tests.blocks.runtime.edges import TOKEN
from tests.blocks.runtime.graphs import DEADLINE, TRANSPORTS, Numbers, Pass, Sink, leftovers
from tests.blocks.runtime.talkers import Confirming, Listener, Stepper, Talker, balance


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files of the test's runs, and of nobody else's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_what_was_not_taken_in_one_run_is_not_there_in_the_next() -> None:
    class Moody(Listener):
        """Listens in every other run."""

        runs = 0

        def start(self) -> None:
            super().start()
            self.runs += 1

        def work(self, **fields: np.ndarray) -> None:
            if self.runs % 2 == 0:
                super().work(**fields)

    graph = Flowgraph("again", frame=10, window=100)
    source, reader = Talker(100), Moody("index", patience=DEADLINE)
    graph.connect(source, reader).message(source, "word", reader)
    assert balance(graph.run().blocks["talker"]) == (11, 0, 11)
    report = graph.run()
    words = report.results["moody"]["words"]
    assert words == [[position, 0] for position in range(0, 101, 10)][: len(words)]
    assert balance(report.blocks["moody"]) == (0, len(words), 0)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_reader_that_never_looks_ends_the_run(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "OVERRUN_SECONDS", 0.2)
    graph = Flowgraph("overrun", frame=1)
    source, reader = Talker(100, words=MAX_UNREAD // 4 + 1), Sink("index", name="deaf")
    reader.subscribes = ("word",)
    graph.connect(source, reader).message(source, "word", reader)
    with pytest.raises(FlowgraphError) as failure:
        graph.run(transport)
    assert str(failure.value) == (
        "block talker failed at frame 3: MessageOverrun: deaf has left 1024 messages on its port 'word' "
        "unread: let it take them in every work(), or publish fewer"
    )
    assert failure.value.report is not None
    assert failure.value.report.blocks["talker"].messages_published == MAX_UNREAD


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_reader_behind_frames_without_items_listens_all_the_same(transport: Transport) -> None:
    class Nothing(Block):
        """Waits for something that never comes."""

        consumes = {"index": Count()}
        produces = {"gap": Count()}
        reframes = True

        def work(self, index: np.ndarray) -> None:
            return None

    class Patient(Listener):
        """Takes words where there is nothing else."""

        def listen(self) -> None:
            self.words += self.messages("word")

        def result(self) -> dict[str, Any]:
            return {"snapshots": self.snapshots, "heard": len(self.words)}

    count, words = 40, MAX_UNREAD // 8
    graph = Flowgraph("empty", frame=1, window=2)
    source, reader = Talker(count, words=words), Patient("gap")
    graph.connect(source, Nothing(), reader).message(source, "word", reader)
    result = graph.run(transport).results["patient"]
    assert result["snapshots"] == 0
    assert result["heard"] >= (count - 8) * words  # what comes behind the last frame is dropped


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_publishes_much_waits_for_who_takes_it(transport: Transport) -> None:
    every = 3 * MAX_UNREAD

    class Attentive(Listener):
        """Reads on until it has heard everything."""

        def work(self, **fields: np.ndarray) -> None:
            while len(self.words) < every:
                got = self.messages("word", DEADLINE)
                assert got
                self.words += got

        def result(self) -> dict[str, Any]:
            return {"right": self.words == [[1, number] for number in range(len(self.words))]}

    class Burst(Talker):
        """Speaks in its second frame alone: the reader is at work by then."""

        def publish(self, port: str, value: Any) -> None:
            if self.position == 1:
                super().publish(port, value)

    graph = Flowgraph("much", frame=1)
    graph.connect(source := Burst(2, words=every), reader := Attentive("index"))
    report = graph.message(source, "word", reader).run(transport)
    assert report.results["attentive"] == {"right": True}
    assert balance(report.blocks["burst"]) == (every, 0, 0)
    assert balance(report.blocks["attentive"]) == (0, every, 0)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_source_that_waits_notices_the_stop(transport: Transport) -> None:
    graph = Flowgraph("stop", frame=1)
    source, reader = Stepper(None), Sink("index")
    reader.publishes = ("acknowledged",)
    graph.connect(source, reader).message(reader, "acknowledged", source)
    graph.start(transport)
    deadline = time.monotonic() + DEADLINE
    while graph.report().blocks["sink"].frames < 1:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    graph.stop()
    report = graph.wait()
    assert report.interrupted
    assert report.snapshots == 1
    assert not leftovers()


def test_a_wait_ends_when_the_graph_fails(tmp_path: Path) -> None:
    graph = Flowgraph("fails", frame=1)
    source, reader = Stepper(None), Sink("index", diary=tmp_path / "diary")
    reader.publishes = ("acknowledged",)

    def fail(index: np.ndarray) -> None:
        raise OSError("no antenna")

    reader.work = fail  # type: ignore[method-assign, assignment]
    graph.connect(source, reader).message(reader, "acknowledged", source)
    with pytest.raises(FlowgraphError, match="block sink failed at frame 0: OSError: no antenna"):
        graph.run()


def test_a_killed_reader_is_named(tmp_path: Path) -> None:
    graph = Flowgraph("kill", frame=1)
    source, reader = Talker(10**9), Listener("index")

    def die(index: np.ndarray) -> None:
        reader.messages("word", DEADLINE)
        os.kill(os.getpid(), signal.SIGKILL)

    reader.work = die  # type: ignore[method-assign, assignment]
    graph.connect(source, Pass(), reader).message(source, "word", reader)
    with pytest.raises(FlowgraphError, match="the process of block listener died: killed by signal 9"):
        graph.run("ipc")
    assert not leftovers()


def test_a_port_that_nobody_reads_costs_nothing() -> None:
    graph = Flowgraph("free", frame=1)
    graph.connect(source := Talker(10, words=200), Listener("index"))
    assert balance(graph.run().blocks["talker"]) == (0, 0, 0)
    assert source.published == []


def test_a_wait_for_what_cannot_come_is_refused() -> None:
    graph = Flowgraph("never", frame=1)
    graph.connect(Talker(10), Listener("index", patience=0.1))
    with pytest.raises(FlowgraphError, match=re.escape("connect a writer with graph.message()")):
        graph.run()


@pytest.mark.parametrize("method", ["publish", "messages"])
def test_ports_belong_to_the_thread_of_work(method: str) -> None:
    class Threaded(Confirming):
        """Calls its port from elsewhere."""

        subscribes = ("acknowledged",)

        def work(self, **fields: np.ndarray) -> None:
            caught: list[Exception] = []

            def call() -> None:
                try:
                    getattr(self, method)("acknowledged", 0)
                except RuntimeError as error:
                    caught.append(error)

            thread = threading.Thread(target=call)
            thread.start()
            thread.join()
            raise caught[0]

    graph = Flowgraph("threads")
    graph.connect(Numbers(10), Threaded("index"))
    with pytest.raises(FlowgraphError, match=rf"RuntimeError: {method}\(\) belongs to the thread that calls"):
        graph.run()


@pytest.fixture
def pair() -> Iterator[tuple[Exchange, Exchange, Signals]]:
    """Two exchanges of this thread: `a` speaks to `b`."""
    edge = MessageEdge("a.out>b.into", "a", "b", "out", "into")
    signals = Signals()
    with closing(Pipes()) as pipes:
        outlet = MessageOutlet(pipes, edge.name, TOKEN, "inproc://line")

        def open_inlet(name: str) -> MessageInlet:
            return MessageInlet(pipes, name, TOKEN, outlet.endpoint)

        first, second = (Exchange(name, [edge], {edge.name: outlet}, open_inlet, signals) for name in "ab")
        with closing(first), closing(second):
            yield first, second, signals


def test_who_waits_looks_after_the_stream_meanwhile(pair: tuple[Exchange, Exchange, Signals]) -> None:
    first, second, _ = pair
    first.open(first.serve)
    calls = []

    def idle() -> None:
        calls.append(1)
        first.serve()
        if len(calls) == 3:
            first.publish("out", "word")

    second.open(idle)
    assert second.messages("into", DEADLINE) == ["word"]
    assert len(calls) == 3


def test_who_has_published_too_much_looks_after_the_stream_meanwhile(
    pair: tuple[Exchange, Exchange, Signals],
) -> None:
    first, second, _ = pair
    second.open(second.serve)
    got: list[Any] = []

    def idle() -> None:
        got.extend(second.messages("into", 0))
        first.serve()

    first.open(idle)
    for number in range(MAX_UNREAD + 1):
        first.publish("out", number)
    assert 0 < len(got) <= MAX_UNREAD
    assert got == list(range(len(got)))


def test_a_word_to_a_reader_that_comes_late_is_sent_before_the_block_goes_on(
    pair: tuple[Exchange, Exchange, Signals],
) -> None:
    first, second, _ = pair
    calls = []

    def idle() -> None:
        calls.append(1)
        first.serve()
        if len(calls) == 3:
            second.open(second.serve)

    first.open(idle)
    first.publish("out", "word")  # and then its thread is elsewhere: nobody looks at the socket any more
    assert len(calls) >= 3
    assert second.messages("into", DEADLINE) == ["word"]


def test_a_reader_that_does_not_come_is_named_by_who_publishes(
    pair: tuple[Exchange, Exchange, Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "CONNECT_SECONDS", 0.05)
    first, _, signals = pair
    first.open(first.serve)
    with pytest.raises(TimeoutError, match=r"b\.into has not connected to inproc://line"):
        first.publish("out", "word")
    signals.abort.set()
    with pytest.raises(Aborted):
        first.publish("out", "word")


def test_a_wait_in_an_aborted_graph_unwinds(pair: tuple[Exchange, Exchange, Signals]) -> None:
    first, second, signals = pair
    first.open(first.serve)
    second.open(second.serve)
    seen = [first.stopping]
    signals.drain.set()
    assert second.messages("into", DEADLINE) == []
    assert second.cut_short
    signals.abort.set()
    assert [*seen, first.stopping] == [False, True]
    with pytest.raises(Aborted):
        second.messages("into", DEADLINE)
    for number in range(MAX_UNREAD):
        first.publish("out", number)
    with pytest.raises(Aborted):
        first.publish("out", "one too many")
    with pytest.raises(Aborted):
        first.settle()


def test_a_value_that_is_no_msgpack_is_counted_and_skipped(pair: tuple[Exchange, Exchange, Signals]) -> None:
    first, second, _ = pair
    first.open(first.serve)
    second.open(first.serve)
    ((_, outlet),) = first._sends
    first.publish("out", 1)
    for bad in (b"", b"\xc1", b"\x81\x01\x02", b"\x01\x02", b"\xc7\x01\x05x"):
        outlet.send(bad)
    first.publish("out", 2)
    got: list[Any] = []
    while len(got) < 2:
        got += second.messages("into", DEADLINE)
    assert got == [1, 2]
    assert (second.received, second.malformed) == (2, 5)


def test_a_reader_that_has_ended_takes_nothing_more() -> None:
    class Late(Confirming):
        """Speaks when everything has ended."""

        def finish(self) -> None:
            self.publish("acknowledged", "late")

    class Curious(Stepper):
        """Listens when everything has ended."""

        late: Any = None

        def finish(self) -> None:
            self.late = self.messages("acknowledged", DEADLINE)

    graph = Flowgraph("late", frame=1)
    source, sink = Curious(3), Late("index")
    graph.connect(source, sink).message(sink, "acknowledged", source)
    report = graph.run()
    assert balance(report.blocks["late"]) == (4, 0, 1)
    assert source.late == []


def test_a_reader_that_cannot_connect_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "CONNECT_SECONDS", 0.1)
    graph = Flowgraph("lost", frame=1)
    source, reader = Talker(3), Listener("index")
    graph.connect(source, reader).message(source, "word", reader)
    monkeypatch.setattr("blocks.runtime.messages.MessageInlet._introduce", lambda self: None)
    monkeypatch.setattr("blocks.runtime.messages.MessageInlet.leave", lambda self: None)
    monkeypatch.setattr("blocks.runtime.messages.MessageInlet.tend", lambda self: None)
    with pytest.raises(
        FlowgraphError, match=r"TimeoutError: listener\.word has not connected to inproc://edge"
    ):
        graph.run()
