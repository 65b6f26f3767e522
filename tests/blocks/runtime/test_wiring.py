"""What may be joined, what is refused in one line, and which fields travel."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from blocks.runtime import Block, Count, Field, Flowgraph, GraphError, Real
from tests.blocks.runtime.graphs import Double, Meeting, Noise, Numbers, Pass, Sink, diamond


def joining(*fields: str, name: str = "joint") -> Block:
    """A sink that takes these fields, int64 each."""
    block = Block(name)
    block.consumes = {field: Count() for field in fields}
    return block


def declaring(name: str, produces: dict[str, Field]) -> Block:
    """A block that makes these fields."""
    block = Block(name)
    block.produces = produces
    return block


def halves() -> tuple[Flowgraph, Numbers, Double, Noise]:
    """A graph with two branches of one source."""
    graph = Flowgraph("g")
    source, double, noise = Numbers(10), Double(), Noise()
    graph.connect(source, double).connect(source, noise)
    return graph, source, double, noise


def other_source(graph: Flowgraph) -> Block:
    """A branch of a source of its own."""
    graph.connect(Numbers(name="elsewhere"), block := Pass("stray"))
    return block


def deep(graph: Flowgraph, double: Block) -> Block:
    """A block further down than `double`."""
    graph.connect(double, Pass("middle"), below := Pass("below"))
    return below


@pytest.mark.parametrize(
    ("attempt", "line"),
    [
        (
            lambda g, s, d, n: g.join(joining("a_index"), a=d, b=other_source(g)),
            "joint joins branches of two sources, a of numbers and b of elsewhere: their frames have nothing",
        ),
        (
            lambda g, s, d, n: g.join(d, a=deep(g, d), b=n),
            "double is connected to numbers already: name all its branches in one join()",
        ),
        (
            lambda g, s, d, n: (
                g.connect(loop := Pass("loop"), last := Pass("last")).join(loop, a=last, b=n)
            ),
            "joining last in loop makes a cycle: streams run one way",
        ),
        (
            lambda g, s, d, n: g.join(loop := Pass("loop"), a=loop, b=n),
            "joining loop in loop makes a cycle: streams run one way",
        ),
        (
            lambda g, s, d, n: (
                g.join(j := joining(name="far"), a=d, b=n).connect(j, p := Pass()).connect(p, j)
            ),
            "connecting pass to far makes a cycle: streams run one way",
        ),
        (
            lambda g, s, d, n: g.join(j := joining("a_index"), a=d, b=n).join(j, a=d, c=n),
            "joint joins a, b already: name all its branches in one join()",
        ),
        (
            lambda g, s, d, n: g.join(j := joining("a_index"), a=d, b=n).connect(s, j),
            "joint joins a, b already, and takes nothing beside",
        ),
        (
            lambda g, s, d, n: g.join(joining("a_index"), a=d, b=n, c=d),
            "joint: the branches a and c are both double",
        ),
        (lambda g, s, d, n: g.join(joining("a_index"), a=d), "joint: join at least two branches"),
        (lambda g, s, d, n: g.join(joining("a_index")), "joint: join at least two branches"),
        (
            lambda g, s, d, n: g.join(Numbers(name="more"), a=d, b=n),
            "more is a source and has no input to join a, b in",
        ),
        (
            lambda g, s, d, n: g.join(joining("index"), a=d, b=n),
            "joint needs the field 'index' (int64(n)), but the join of a, b sends only: a_index, a_wave, a_d",
        ),
        (
            lambda g, s, d, n: g.join(joining("b_noise"), a=d, b=n),
            "joint expects the field 'b_noise' as int64(n), but the join of a, b sends float32(n)",
        ),
        (
            lambda g, s, d, n: g.join(declaring("j", {"a_double": Count()}), a=d, b=n),
            "j produces the field 'a_double', which the join of a, b already sends",
        ),
        (
            lambda g, s, d, n: (
                g.connect(d, m := declaring("m", {"b_index": Real()})).join(joining(), a=m, a_b=n)
            ),
            "joint: two branches give the field 'a_b_index': call one branch something else",
        ),
        (
            lambda g, s, d, n: (
                g.connect(d, m := declaring("m", {"x" * 50: Real()})).join(joining(), **{"b" * 20: m, "c": n})
            ),
            "of the field 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', is not a name of at most 64",
        ),
        (
            lambda g, s, d, n: g.join(joining(), größe=d, b=n),
            "branch name 'größe' of joint: a letter, then at most 31 letters, digits or _",
        ),
        (lambda g, s, d, n: g.join(joining(), **{"": d, "b": n}), "branch name '' of joint: a letter"),
        (lambda g, s, d, n: g.join(Block, a=d, b=n), "Block is a class: connect Block(…)"),
        (lambda g, s, d, n: g.join(joining(), a=d, b=None), "a NoneType is not a block"),
        (
            lambda g, s, d, n: g.join(joining(name="noise"), a=d, b=n),
            "two blocks are called noise: give one another name=",
        ),
    ],
    ids=range(21),
)  # fmt: skip
def test_what_cannot_be_joined_is_refused_in_one_line(attempt: Callable[..., object], line: str) -> None:
    graph, source, double, noise = halves()
    with pytest.raises(GraphError) as refusal:
        attempt(graph, source, double, noise)
    assert line in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_refused_join_leaves_the_graph_as_it_was() -> None:
    graph, _, double, noise = halves()
    graph.connect(double, sink := Sink("double"))
    for _ in range(2):
        with pytest.raises(GraphError, match="needs the field 'left_wine'"):
            graph.join(joining("left_wine", name="meeting"), left=double, right=noise)
    assert list(graph.blocks) == ["numbers", "double", "noise", "sink"]
    graph.join(Meeting(), left=double, right=noise).connect(graph.blocks["meeting"], Sink("gap", name="end"))
    graph.run()
    assert sink.snapshots == 10


def test_a_source_that_comes_later_is_checked_too() -> None:
    graph = Flowgraph("g")
    left, right, joint = Double(), Noise(), joining("left_index", "right_index")
    graph.join(joint, left=left, right=right)
    graph.connect(Numbers(10), left)
    with pytest.raises(GraphError, match="joint joins branches of two sources, left of numbers and right of"):
        graph.connect(Numbers(name="other"), right)
    with pytest.raises(GraphError, match="the input of noise is not connected"):
        graph.start()
    graph.connect(graph.blocks["numbers"], right)
    joint.work = lambda **fields: None  # type: ignore[method-assign]
    assert graph.run().snapshots == 10


def test_fields_below_a_join_are_checked_when_the_source_is_known() -> None:
    graph = Flowgraph("g")
    left, right, meeting = Double(), Double("other"), Meeting()
    graph.join(meeting, left=left, right=right)
    graph.connect(source := Numbers(10), left)
    with pytest.raises(GraphError, match="meeting needs the field 'right_noise'"):
        graph.connect(source, right)


def test_an_output_that_nobody_takes_is_refused_below_a_join_too() -> None:
    graph, _, double, noise = halves()
    graph.join(Meeting(), left=double, right=noise)
    with pytest.raises(GraphError, match="the output of meeting is not connected"):
        graph.start()


def test_only_fields_that_somebody_needs_travel_on_each_branch() -> None:
    graph, _ = diamond(depth=1)
    graph.connect(graph.blocks["meeting"], Sink("right_wave", name="other"))
    carried = graph._wiring.carried()
    assert carried == {
        ("numbers", "double"): ("index",),
        ("numbers", "noise"): ("index", "wave"),
        ("double", "pass_0"): ("index", "double"),
        ("pass_0", "meeting"): ("index", "double"),
        ("noise", "meeting"): ("index", "wave", "noise"),
        ("meeting", "sink"): ("left_double", "right_noise", "gap"),
        ("meeting", "other"): ("right_wave",),
    }


def test_a_join_that_takes_everything_is_sent_everything() -> None:
    graph, _, double, noise = halves()
    graph.join(Sink(every=True), a=double, b=noise)
    carried = graph._wiring.carried()
    assert carried["double", "sink"] == carried["numbers", "double"] + ("double",)
    assert carried["noise", "sink"] == ("index", "wave", "noise")
