"""Which burst carries what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac_models.coding.layout import NUMBERS, FileCode, Layout
from isac_models.errors import UserError

codes = st.builds(
    FileCode,
    size=st.integers(4, 130),
    data=st.integers(1, 60),
    parity=st.integers(0, 60),
    depth=st.integers(1, 9),
)


@given(code=codes, length=st.integers(0, 20_000))
def test_every_symbol_of_every_block_has_one_number(code: FileCode, length: int) -> None:
    layout = Layout(code, length)
    places = [layout.place(number) for number in range(layout.total)]
    assert [layout.number(*place) for place in places] == list(range(layout.total))
    expected = {(block, symbol) for block in range(layout.blocks) for symbol in range(layout.bursts(block))}
    assert set(places) == expected
    carried = sum(layout.data(block) for block in range(1, layout.blocks)) * code.size
    assert length <= carried < length + code.size
    for block in range(1, layout.blocks):
        assert layout.data(block) <= code.data
        assert layout.bursts(block) <= code.data + code.parity
        rate = (layout.bursts(block) - layout.data(block)) * code.data - code.parity * layout.data(block)
        assert 0 <= rate < code.data
    ends = [layout.end(group) for group in range(layout.groups)]
    assert (ends[-1], layout.end(10**6)) == (layout.total, layout.total)
    for group in range(1, layout.groups):
        inside = {layout.group(places[number][0]) for number in range(ends[group - 1], ends[group])}
        assert inside == {group}


@pytest.mark.parametrize("depth", [1, 3, 8])
@pytest.mark.parametrize("run", [1, 10, 40])
def test_a_run_of_lost_bursts_costs_each_block_its_share(depth: int, run: int) -> None:
    layout = Layout(FileCode(data=30, parity=10, depth=depth), 60 * 30 * 24)
    first = layout.end(0)
    for start in range(first, layout.total - run, 7):
        lost = [layout.place(number)[0] for number in range(start, start + run)]
        assert max(lost.count(block) for block in lost) <= -(-run // depth) + 1


def test_the_last_block_is_not_short() -> None:
    layout = Layout(FileCode(), 60 * 200)
    assert [layout.data(block) for block in (1, 2)] == [100, 100]
    assert [layout.bursts(block) for block in (1, 2)] == [134, 134]  # 100 · 64 / 191 = 33.5


def test_an_empty_file_is_its_header() -> None:
    layout = Layout(FileCode(), 0)
    assert (layout.blocks, layout.groups, layout.total) == (1, 1, 15)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"size": 3}, "4 bytes"),
        ({"data": 0}, "data 0"),
        ({"parity": -1}, "parity -1"),
        ({"data": 200, "parity": 60}, "255"),
        ({"depth": 0}, "depth"),
        ({"depth": 65}, "depth"),
    ],
)
def test_codes_that_cannot_be_are_refused(values: dict[str, int], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        FileCode(**values)


def test_a_file_with_more_bursts_than_numbers_is_refused_without_counting_them_out() -> None:
    with pytest.raises(UserError, match="bursts that have a number"):
        Layout(FileCode(), 2**62)
    assert Layout(FileCode(parity=0), (NUMBERS - 100_000) * 60).total < NUMBERS
