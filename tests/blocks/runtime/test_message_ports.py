"""Message ports of a graph: loops that close on every transport and over two hosts, what may be connected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.runtime import Block, Count, Flowgraph, GraphError
from blocks.runtime.flowgraph import Transport
from blocks.runtime.transport import create_certificate
from tests.blocks.runtime.graphs import DEADLINE, TRANSPORTS, Double, Numbers, Pass, Sink
from tests.blocks.runtime.scripts import Script
from tests.blocks.runtime.talkers import Confirming, Listener, Stepper, Talker, balance, loop
from tests.blocks.runtime.test_hosts import write_lab


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


HOSTS = """
from tests.blocks.runtime.talkers import loop

graph, _ = loop(200)
print("ready", flush=True)
finish(graph, "tcp", None, sys.argv[1], sys.argv[2])
"""


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_loop_over_two_hosts(tmp_path: Path, encrypted: bool) -> None:
    settings: dict[str, Any] = {}
    if encrypted:
        settings["certificate"] = create_certificate(tmp_path, "key").name
    places = {"first": ["stepper", "double_0"], "second": ["sink_0"]}
    write_lab(tmp_path / "lab.toml", places, **settings)
    scripts = [Script(tmp_path / node, HOSTS, str(tmp_path / "lab.toml"), node) for node in places]
    try:
        for script in scripts:
            report = script.expect("done")
            assert script.leave() == 0
            assert script.stderr == ""
            assert report["results"]["stepper"]["count"] == 200
            assert report["blocks"]["sink_0"]["messages_published"] == 200
            assert report["malformed"] == 0
    finally:
        for script in scripts:
            script.close()


@pytest.mark.parametrize(
    ("attempt", "line"),
    [
        (
            lambda g, s, r: g.message(s, "wine", r, "acknowledged"),
            "confirming has no message port 'wine' in publishes: it has acknowledged",
        ),
        (
            lambda g, s, r: g.message(s, "acknowledged", r, "wine"),
            "stepper has no message port 'wine' in subscribes: it has acknowledged",
        ),
        (
            lambda g, s, r: g.message(r, "acknowledged", s),
            "stepper has no message port 'acknowledged' in publishes: it has none",
        ),
        (
            lambda g, s, r: g.message(s, "acknowledged", r).message(s, "acknowledged", r),
            "confirming.acknowledged sends messages to stepper.acknowledged already",
        ),
        (lambda g, s, r: g.message(s, "acknowledged", Stepper), "Stepper is a class: connect Stepper(…)"),
        (lambda g, s, r: g.message(None, "acknowledged", r), "a NoneType is not a block"),
        (
            lambda g, s, r: g.message(s, "acknowledged", Stepper()),
            "two blocks are called stepper: give one another name=",
        ),
    ],
    ids=range(7),
)
def test_what_cannot_be_connected_is_refused_in_one_line(
    attempt: Callable[[Flowgraph, Block, Block], object], line: str
) -> None:
    graph = Flowgraph("g")
    graph.connect(source := Stepper(), sink := Confirming("index"))
    with pytest.raises(GraphError) as refusal:
        attempt(graph, sink, source)
    assert line in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_ports_are_named_in_a_tuple() -> None:
    graph = Flowgraph("g")
    sink = Confirming("index")
    sink.publishes = "acknowledged"  # type: ignore[assignment]
    with pytest.raises(GraphError, match="publishes must be a tuple of port names, not the string"):
        graph.message(sink, "acknowledged", Stepper())
    sink.publishes = ("two words",)
    with pytest.raises(GraphError, match="message port 'two words' of confirming: a letter, then at most 31"):
        graph.message(sink, "two words", Stepper())


def test_a_block_cannot_write_to_itself() -> None:
    class Selfish(Confirming):
        """Would hear itself."""

        subscribes = ("acknowledged",)

    graph = Flowgraph("g")
    with pytest.raises(GraphError, match="selfish cannot send messages to itself"):
        graph.message(one := Selfish("index"), "acknowledged", one)


def test_a_block_with_message_ports_has_a_place_in_the_stream() -> None:
    graph = Flowgraph("g")
    graph.connect(source := Stepper(), Sink("index"))
    graph.message(Confirming("index"), "acknowledged", source)
    with pytest.raises(GraphError, match="the input of confirming is not connected"):
        graph.start()


def test_a_block_with_message_ports_is_not_replicated() -> None:
    class Speaking(Double):
        """Replicable but for its port."""

        publishes = ("word",)

    with pytest.raises(GraphError, match="speaking has message ports and cannot be replicated"):
        Flowgraph("g").replicate(Speaking(), 2)


def test_hosts_that_connect_ports_differently_are_told_apart() -> None:
    def build(connect: bool) -> str:
        graph = Flowgraph("g")
        graph.connect(source := Stepper(), sink := Confirming("index"))
        if connect:
            graph.message(sink, "acknowledged", source)
        return graph._plan(dict.fromkeys(graph.blocks, "here")).fingerprint()

    assert build(True) == build(True) != build(False)
