"""A block by itself: its name, its sizes, its random draws, its tags."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from blocks.runtime import Block, GraphError, Real, Signal, Source
from blocks.runtime.block import snake_case
from tests.blocks.runtime.graphs import Double, Noise, Numbers


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("MisoChannel", "miso_channel"),
        ("QAMEncoder", "qam_encoder"),
        ("Sink", "sink"),
        ("Filter2D", "filter2_d"),
        ("DetectorV2", "detector_v2"),
    ],
)
def test_a_block_is_called_after_its_class(text: str, name: str) -> None:
    assert snake_case(text) == name


@pytest.mark.parametrize("name", ["", "Upper", "2nd", "with space", "a" * 65, "a>b", "a#1", "a\n", "ä"])
def test_a_name_that_cannot_be_sent_is_refused(name: str) -> None:
    with pytest.raises(GraphError, match="block name"):
        Double(name)


def test_work_is_an_ordinary_function_on_arrays() -> None:
    np.testing.assert_array_equal(Double().work(index=np.arange(4))["double"], [0, 2, 4, 6])
    source = Numbers(5)
    source.position = 3
    fields = source.work(10)
    assert fields is not None
    np.testing.assert_array_equal(fields["index"], [3, 4])


def test_a_block_without_work_says_so() -> None:
    with pytest.raises(TypeError, match=r"block idle \(Block\) does not define work"):
        Block("idle").work()
    with pytest.raises(TypeError, match="source idle"):
        Source("idle").work(1)


def test_draws_depend_on_seed_key_and_position_alone() -> None:
    block, same, other = Noise(), Noise("other", stream_key="noise"), Noise("other")
    index = np.arange(100)
    whole = block.work(index)["noise"]
    np.testing.assert_array_equal(same.work(index)["noise"], whole)
    assert not np.array_equal(other.work(index)["noise"], whole)
    same.position = 60
    np.testing.assert_array_equal(same.work(index[60:])["noise"], whole[60:])
    block.bind(1)
    assert not np.array_equal(block.work(index)["noise"], whole)
    block.bind(0)
    np.testing.assert_array_equal(block.work(index)["noise"], whole)


def test_tags_are_given_out_once() -> None:
    block = Block("b")
    block.emit(a=1, b=1)
    block.emit(b=2)
    assert block.take_emitted() == {"a": 1, "b": 2}
    assert block.take_emitted() == {}


def test_sizes_come_from_dimensions_then_from_the_scenario() -> None:
    block = Block("b")
    block.dimensions = {"width": 3}
    block.scenario = SimpleNamespace(width=7, antennas=16, name="text")  # type: ignore[attr-defined]
    got = block.resolve({"a": Signal("width", "antennas"), "b": Real(2)})
    assert {key: field.shape for key, field in got.items()} == {"a": (3, 16), "b": (2,)}
    with pytest.raises(GraphError, match="b: no size is known for the dimension 'missing'"):
        block.resolve({"a": Real("missing")})
    with pytest.raises(GraphError, match="dimension 'name'"):
        block.resolve({"a": Real("name")})


def test_a_block_may_leave_everything_to_the_base_class() -> None:
    block = Block("b")
    block.start()
    block.finish()
    block.abort()
    assert block.result() is None
    assert repr(block) == "<Block b>"
