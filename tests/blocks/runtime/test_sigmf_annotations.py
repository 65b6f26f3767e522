"""Annotations from the tags of a stream."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.runtime import sigmf_annotations
from blocks.runtime.sigmf_annotations import Annotations


def test_names_of_the_specification_and_ones_of_our_own_are_told_apart() -> None:
    notes = Annotations(10)
    notes.take({"annotations": [{"sample_start": 12, "label": "burst", "number": 3, "core:comment": "x"}]}, 2)
    expected = {"core:sample_start": 10, "core:label": "burst", "isac:number": 3, "core:comment": "x"}
    assert notes.annotations == [expected]


def test_what_is_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Annotations(3)
    notes.take({"annotations": [{"sample_start": n} for n in range(5)]})
    assert (len(notes.annotations), notes.left_out) == (3, 2)
    monkeypatch.setattr(sigmf_annotations, "MAX_BYTES", 100)
    large = Annotations(3)
    large.take({"annotations": [{"sample_start": 0, "comment": "x" * 101}]})
    assert (len(large.annotations), large.left_out) == (0, 1)


def test_what_no_frame_has_told_of_in_the_end_is_left_out() -> None:
    notes = Annotations(1)
    notes.take({"annotations": [{"sample_start": 0}, {"sample_start": 1}], "annotations_missing": 7})
    assert notes.left_out == 1 + 7
    notes.take({})
    assert notes.left_out == 1 + 7
    notes.take({"annotations": [{"sample_start": 2}], "annotations_missing": 3})
    assert notes.left_out == 2 + 3


@pytest.mark.parametrize("missing", [-1, 1.5, True, "none"])
def test_what_is_missing_is_a_number(missing: Any) -> None:
    with pytest.raises(ValueError, match="'annotations_missing'"):
        Annotations(3).take({"annotations_missing": missing})


def test_captures_inherit_the_frequency_and_begin_with_the_first_sample() -> None:
    notes = Annotations(3)
    notes.take({"captures": [{"sample_start": 500, "global_index": 1000}]})
    found = notes.captures_after({"core:sample_start": 0, "core:datetime": "now", "core:frequency": 2e9})
    assert found == [
        {"core:sample_start": 0, "core:datetime": "now", "core:frequency": 2e9},
        {"core:sample_start": 500, "core:global_index": 1000, "core:frequency": 2e9},
    ]


@pytest.mark.parametrize(
    "given",
    [
        "text",
        [1],
        [{}],
        [{"sample_start": 1.5}],
        [{"sample_start": -1}],
        [{"sample_start": True}],
        [{"sample_start": 1, "sample_count": -1}],
    ],
)
def test_tags_that_are_no_annotations_are_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="'annotations'"):
        Annotations(3).take({"annotations": given})


def test_too_many_captures_are_refused_because_time_would_be_wrong_without_them() -> None:
    many = [{"sample_start": n} for n in range(sigmf_annotations.MAX_CAPTURES + 1)]
    with pytest.raises(ValueError, match="captures"):
        Annotations(3).take({"captures": many})
