"""What the graph refuses before it runs, and how instances and edges are laid out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from blocks.runtime import Block, Count, Field, Flowgraph, GraphError, Real, Signal
from blocks.runtime.plan import Plan
from blocks.runtime.wiring import ALONE
from tests.blocks.runtime.graphs import Double, Noise, Numbers, Quadruple, Sink


def declaring(name: str, consumes: dict[str, Field], produces: dict[str, Field] | None = None) -> Block:
    """A block with these ports."""
    block = Block(name)
    block.consumes, block.produces = consumes, produces or {}
    return block


def plan_of(graph: Flowgraph, **placement: str) -> Plan:
    """The plan that a run of the graph would follow."""
    where = {name: placement.get(name, "here") for name in graph.blocks}
    return graph._plan(where)


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        (
            lambda: [Numbers(), declaring("eater", {"wine": Real()})],
            "eater needs the field 'wine' (float32(n)), but numbers sends only: index, wave",
        ),
        (
            lambda: [Numbers(), declaring("eater", {"index": Real()})],
            "eater expects the field 'index' as float32(n), but numbers sends int64(n)",
        ),
        (
            lambda: [Numbers(), Double(), declaring("eater", {"wave": Signal(4)})],
            "eater expects the field 'wave' as complex64(n, 4), but double sends complex64(n, 3)",
        ),
        (
            lambda: [Numbers(), Double(), Double("again")],
            "again produces the field 'double', which double already sends",
        ),
        (
            lambda: [Numbers(), declaring("eater", {"wave": Signal("antennas")})],
            "eater: no size is known for the dimension 'antennas' of a field",
        ),
        (
            lambda: [Numbers(), declaring("eater", {"index": Field("int65")})],
            "eater declares the field 'index', which cannot be sent: data type 'int65' not understood",
        ),
        (
            lambda: [Numbers(), declaring("maker", {}, {"half": Field("float16")})],
            "maker declares the field 'half', which cannot be sent: its dtype must be one of",
        ),
        (
            lambda: [Numbers(), declaring("maker", {}, {"big": Field(">f4")})],
            "maker declares the field 'big', which cannot be sent: its dtype must be one of",
        ),
        (
            lambda: [Numbers(), declaring("maker", {}, {"größe": Real()})],
            "maker declares the field 'größe', which cannot be sent: its name is not a name",
        ),
        (
            lambda: [Numbers(), declaring("maker", {}, {"cube": Real(*[1] * 8)})],
            "maker declares the field 'cube', which cannot be sent: its shape must have less than 8 sizes",
        ),
        (
            lambda: [Numbers(), declaring("maker", {}, {"minus": Real(-1)})],
            "maker declares the field 'minus', which cannot be sent: its shape",
        ),
        (lambda: [Numbers()], "connect at least two blocks"),
        (lambda: [Double(), Numbers()], "numbers is a source and has no input to connect double to"),
        (lambda: [Numbers(), Double("x"), Noise("x")], "two blocks are called x: give one another name="),
        (lambda: [Numbers(), Double], "Double is a class: connect Double(…), a block made of it"),
        (lambda: [Numbers(), None], "a NoneType is not a block"),
        (lambda: [Numbers(), Block.__new__(Double)], "Double.__init__ must call super().__init__()"),
        (lambda: [a := Numbers(), b := Double(), a, b], "numbers is a source"),
        (
            lambda: [a := Double("a"), Double("b"), a],
            "connecting b to a makes a cycle: streams run one way",
        ),
        (lambda: [a := Double("a"), a], "connecting a to a makes a cycle"),
    ],
    ids=range(20),
)
def test_what_does_not_fit_is_refused_in_one_line(chain: Callable[[], list[Block]], message: str) -> None:
    graph = Flowgraph("g")
    with pytest.raises(GraphError) as refusal:
        graph.connect(*chain())
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_block_has_one_input() -> None:
    graph = Flowgraph("g")
    source, double = Numbers(), Double()
    graph.connect(source, double)
    with pytest.raises(GraphError, match=r"double is connected already, not again to numbers"):
        graph.connect(source, double)
    with pytest.raises(GraphError, match=r"double is connected already to numbers, not again to other"):
        graph.connect(Numbers(name="other"), double)


@pytest.mark.parametrize("reverse", [False, True])
def test_fields_are_checked_whatever_is_connected_first(reverse: bool) -> None:
    blocks = [Numbers(), Double(), Noise(), declaring("eater", {"noise": Count()})]
    graph = Flowgraph("g")
    pairs = list(pairwise(blocks))
    *first, last = reversed(pairs) if reverse else pairs
    for pair in first:
        graph.connect(*pair)
    with pytest.raises(GraphError, match="eater expects the field 'noise' as int64"):
        graph.connect(*last)


def test_a_failed_connect_leaves_the_graph_as_it_was() -> None:
    graph = Flowgraph("g")
    source, sink = Numbers(10), Sink("index")
    graph.connect(source, sink)
    for _ in range(2):
        with pytest.raises(GraphError, match="eater needs the field 'wine'"):
            graph.connect(source, Double(), Quadruple(), declaring("eater", {"wine": Real()}))
    assert list(graph.blocks) == ["numbers", "sink"]
    # Another block may take the name, and the run knows nothing of the attempt.
    report = graph.connect(source, Double(), other := Sink("double", name="eater")).run()
    assert list(report.blocks) == ["numbers", "sink", "double", "eater"]
    assert other.snapshots == 10


def test_a_chain_may_be_built_from_its_end() -> None:
    graph = Flowgraph("g")
    source, double, sink = Numbers(10), Double(), Sink("double")
    graph.connect(double, sink)
    graph.connect(source, double)
    assert graph.run().snapshots == 10


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda g: g, "the graph has no blocks"),
        (lambda g: g.connect(Double(), Sink("double")), "the input of double is not connected"),
        (lambda g: g.connect(Numbers(), Double()), "the output of double is not connected"),
    ],
    ids=["empty", "input", "output"],
)
def test_an_unconnected_port_is_refused(build: Callable[[Flowgraph], Flowgraph], message: str) -> None:
    graph = build(Flowgraph("g"))
    with pytest.raises(GraphError, match=message):
        graph.start()


@pytest.mark.parametrize("name", ["", "two words", "1st", "x" * 65, "größe"])
def test_a_graph_needs_a_name_that_can_be_sent(name: str) -> None:
    with pytest.raises(GraphError, match="flowgraph name"):
        Flowgraph(name)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("seed", -1), ("seed", 1.5), ("frame", 0), ("frame", 10.0), ("window", 0), ("window", "4")],
)
def test_an_impossible_setting_is_refused(setting: str, value: object) -> None:
    with pytest.raises(GraphError, match=f"{setting} must be a whole number, at least"):
        Flowgraph("g", **{setting: value})  # type: ignore[arg-type]


def test_what_cannot_be_replicated_is_refused() -> None:
    class Locked(Double):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()

    class ManySources(Numbers):
        replicable = True

    graph = Flowgraph("g")
    with pytest.raises(GraphError, match="keeps state"):
        graph.replicate(Sink("index"), 2)
    with pytest.raises(GraphError, match="cannot be replicated"):
        graph.replicate(ManySources(), 2)
    with pytest.raises(GraphError, match="at least 1"):
        graph.replicate(Double(), 0)
    graph.connect(Numbers(), locked := Locked(), Sink("double")).replicate(locked, 2)
    with pytest.raises(GraphError, match=r"locked cannot be replicated: .*lock"):
        graph.start()


def test_only_fields_that_somebody_needs_are_sent() -> None:
    graph = Flowgraph("g")
    source = Numbers()
    graph.connect(source, double := Double(), Quadruple(), Sink("double"))
    graph.connect(double, Sink("index", name="other"))
    edges = {edge.name: edge.fields for edge in plan_of(graph).edges}
    assert edges == {
        "numbers>double": ("index",),
        "double>quadruple": ("double",),
        "double>other": ("index",),
        "quadruple>sink": ("double",),
    }


def test_a_block_that_takes_everything_is_sent_everything() -> None:
    graph = Flowgraph("g")
    graph.connect(Numbers(), Double(), Noise(), Sink(every=True))
    assert [edge.fields for edge in plan_of(graph).edges] == [
        ("index", "wave"),
        ("index", "wave", "double"),
        ("index", "wave", "double", "noise"),
    ]


def test_more_fields_than_a_frame_carries_are_refused() -> None:
    graph = Flowgraph("g")
    many = {f"field_{n}": Real() for n in range(64)}
    graph.connect(Numbers(), declaring("many", {}, many), Sink(every=True))
    with pytest.raises(GraphError, match="many sends 66 fields to sink, the limit is 64"):
        plan_of(graph)


@pytest.mark.parametrize("ours", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("theirs", [1, 2, 3, 4, 6])
def test_every_frame_has_one_way_between_replicas(ours: int, theirs: int) -> None:
    graph = Flowgraph("g")
    graph.connect(Numbers(), first := Double(), second := Quadruple(), Sink("double"))
    graph.replicate(first, ours).replicate(second, theirs)
    plan = plan_of(graph)
    writers = [i for i in plan.instances.values() if i.block.name == "double"]
    readers = [i for i in plan.instances.values() if i.block.name == "quadruple"]
    assert [len(writers), len(readers)] == [ours, theirs]
    used = set()
    for sequence in range(ours * theirs):
        writer, reader = writers[sequence % ours], readers[sequence % theirs]
        edge = writer.outputs[0][sequence % theirs]
        assert edge is not None
        assert edge is reader.inputs[ALONE][sequence % ours]
        assert (edge.writer, edge.reader) == (writer.name, reader.name)
        used.add(edge.name)
    between = {edge.name for edge in plan.edges if edge.writer in {w.name for w in writers}}
    assert used == between
    assert len({edge.name for edge in plan.edges}) == len(plan.edges)


def test_replicas_share_nothing() -> None:
    graph = Flowgraph("g", seed=3)
    graph.connect(Numbers(), noise := Noise(), Sink("noise")).replicate(noise, 3)
    copies = [i.block for i in plan_of(graph).instances.values() if isinstance(i.block, Noise)]
    assert copies[0] is noise
    assert len({id(one) for one in copies}) == 3
    for one in copies:
        np.testing.assert_array_equal(one.work(np.arange(5))["noise"], noise.work(np.arange(5))["noise"])


def test_nodes_are_the_places_of_blocks() -> None:
    graph = Flowgraph("g")
    graph.connect(Numbers(), Double(), Sink("double"))
    plan = plan_of(graph, double="there")
    assert plan.nodes == ["here", "there"]
    assert [instance.name for instance in plan.on("here")] == ["numbers", "sink"]
    assert plan.sinks == ["sink"]


def test_the_fingerprint_tells_graphs_apart() -> None:
    def build(
        name: str = "g",
        seed: int = 0,
        frame: int = 8,
        key: str | None = None,
        copies: int = 1,
        rho: float = 0.5,
    ) -> str:
        graph = Flowgraph(name, seed, frame)
        noise = Noise(stream_key=key)
        noise.parameters = {"rho": rho}
        graph.connect(Numbers(), noise, Sink("noise")).replicate(noise, copies)
        return plan_of(graph).fingerprint()

    prints = [
        build(),
        build("h"),
        build(seed=1),
        build(frame=9),
        build(key="k"),
        build(copies=2),
        build(rho=1.0),
    ]
    assert len(set(prints)) == len(prints)
    assert build() == build()
