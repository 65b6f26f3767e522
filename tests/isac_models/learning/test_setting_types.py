"""Types of settings: what passes, and how the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest

from isac_models.errors import UserError
from isac_models.learning.setting_types import check_complete, check_types


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (bool, False),
        (int, -3),
        (float, 0.5),
        (float, 2),
        (float, float("nan")),
        (str, ""),
        (list[float], [1, 0.5]),
        (list[float], ()),
        (list[str], ("a", "b")),
        *((kind, None) for kind in (bool, int, float, str, list[float])),
    ],
)
def test_values_of_their_type_pass(kind: Any, value: Any) -> None:
    check_types({"one": value}, {"one": kind})


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (bool, 1, "one must be true or false, not 1"),
        (bool, "x", "one must be true or false, not 'x'"),
        (int, True, "one must be a whole number, not True"),
        (int, 1.0, "one must be a whole number, not 1.0"),
        (int, "abc", "one must be a whole number, not 'abc'"),
        (int, 10**30, "one must be a whole number, not 1000000000000000000000000000000"),
        (float, False, "one must be a number, not False"),
        (float, 10**400, "one must be a number, not 1000"),
        (str, ["x"], "one must be text, not ['x']"),
        (list[float], "ab", "one must be a list of numbers, not 'ab'"),
        (list[float], [1, True], "one must be a list of numbers, not [1, True]"),
        (list[str], ["a", None], "one must be a list of texts, not ['a', None]"),
        (list[str], {"a": 1}, "one must be a list of texts, not {'a': 1}"),
    ],
)
def test_values_of_another_type_are_one_short_line(kind: Any, value: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        check_types({"one": value}, {"one": kind})
    assert str(caught.value).startswith(words)
    assert len(str(caught.value)) < 110


def test_every_setting_must_have_been_saved() -> None:
    complete = {"batch": 5, "patience": None}
    check_complete(complete, complete)
    saved: Any
    for saved, missing in (({}, "batch"), ({"batch": 5}, "patience"), ({**complete, "batch": None}, "batch")):
        with pytest.raises(UserError, match=f"the setting {missing} is missing"):
            check_complete(saved, complete)
