"""Which message ports may be connected, and a loop of them over two hosts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blocks.runtime import Block, Flowgraph, GraphError
from blocks.runtime.transport import create_certificate
from tests.blocks.runtime.graphs import Double, Sink
from tests.blocks.runtime.scripts import Script
from tests.blocks.runtime.talkers import Confirming, Stepper
from tests.blocks.runtime.test_hosts import write_lab

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
