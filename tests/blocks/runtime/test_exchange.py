"""Message ports in a running graph: loops that close, loops that do not, and how they end."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.runtime import Block, Count, Flowgraph, FlowgraphError
from blocks.runtime import exchange as exchange_module
from blocks.runtime.flowgraph import Transport
from blocks.runtime.messages import MAX_UNREAD
from tests.blocks.runtime.graphs import DEADLINE, TRANSPORTS, Numbers, Pass, Sink, leftovers
from tests.blocks.runtime.talkers import Confirming, Listener, Stepper, Talker, balance, loop


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files of the test's runs, and of nobody else's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("window", [1, 8])
def test_a_source_waits_for_the_sink_a_thousand_times(transport: Transport, window: int) -> None:
    graph, _ = loop(1000, window=window)
    report = graph.run(transport)
    assert report.snapshots == 1000
    assert report.results["stepper"] == {
        "count": 1000,
        "confirmed": [["sink_0", n] for n in range(997, 1000)],
    }
    assert balance(report.blocks["sink_0"]) == (1000, 0, 0)
    assert balance(report.blocks["stepper"]) == (0, 1000, 0)
    assert (report.malformed, report.lost_frames, report.repeated_frames) == (0, 0, 0)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_several_writers_of_one_port_each_keep_their_order(transport: Transport) -> None:
    graph, source = loop(100, sinks=3)
    source.result = lambda: {"confirmed": source.confirmed}  # type: ignore[method-assign]
    report = graph.run(transport)
    confirmed = report.results["stepper"]["confirmed"]
    for number in range(3):
        mine = [position for name, position in confirmed if name == f"sink_{number}"]
        assert mine == list(range(100))
    assert len(confirmed) == 300


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_port_reaches_several_readers(transport: Transport) -> None:
    graph = Flowgraph("words", frame=10, window=100)  # the source never waits for its readers
    source = Talker(100, words=3)
    readers = [Listener("index", patience=DEADLINE, name=f"reader_{n}") for n in range(2)]
    for reader in readers:
        graph.connect(source, Pass(f"pass_{reader.name}"), reader).message(source, "word", reader)
    graph.message(source, "word", readers[1], "other")
    report = graph.run(transport)
    # The last call of the source, which ends the stream, speaks as well.
    said = [[position, number] for position in range(0, 101, 10) for number in range(3)]
    published = balance(report.blocks["talker"])
    heard = {reader.name: report.results[reader.name]["words"] for reader in readers}
    for words in heard.values():
        assert len(words) >= 10
        assert words == said[: len(words)]
    # What is in the end not taken has been dropped, and counted.
    assert published == (99, 0, 99 - sum(len(words) for words in heard.values()))
    assert balance(report.blocks["reader_0"]) == (0, len(heard["reader_0"]), 0)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_messages_may_run_in_circles(transport: Transport) -> None:
    class Ring(Block):
        """Passes a number on, one more each time."""

        consumes = {"index": Count()}
        publishes = ("out",)
        subscribes = ("into",)
        last = -1

        def work(self, index: np.ndarray) -> dict[str, np.ndarray]:
            if self.name == "ring_0" and self.position == 0:
                self.publish("out", 0)
                return {}
            (self.last,) = self.messages("into", DEADLINE)
            self.publish("out", self.last + 1)
            return {}

        def result(self) -> dict[str, Any]:
            return {"last": self.last}

    graph = Flowgraph("ring", frame=1)
    rings = [Ring(f"ring_{n}") for n in range(3)]
    graph.connect(source := Numbers(20), Pass())
    for one in rings:
        graph.connect(source, one, Sink("index", name=f"below_{one.name}"))
    graph.connect(graph.blocks["pass"], Sink("index", name="beside"))
    for n in range(3):
        graph.message(rings[n], "out", rings[(n + 1) % 3], "into")
    report = graph.run(transport)
    assert [report.results[f"ring_{n}"]["last"] for n in range(3)] == [56, 57, 58]
    assert balance(report.blocks["ring_0"]) == (20, 19, 0)
    assert balance(report.blocks["ring_2"]) == (20, 20, 1)


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
