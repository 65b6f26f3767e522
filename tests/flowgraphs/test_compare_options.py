"""What goes with --compare."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from compare_options import METHODS, check_compare, label
from isac_models.errors import UserError


def options(**changes: Any) -> argparse.Namespace:
    """Options of a comparison as they are when nothing is given."""
    names = ("precoder", "detector", "encoder", "demodulator", "estimator", "record", "file", "out", "plot")
    return argparse.Namespace(**{**dict.fromkeys(names), "known_array": False, **changes})


def test_every_method_has_a_file_of_its_own() -> None:
    for out, expected in (
        ("out/received.png", ["out/received-baseline.png", "out/received-learned.png"]),
        ("a.b/plain", ["a.b/plain-baseline", "a.b/plain-learned"]),
    ):
        given = options(file="in", out=out)
        check_compare(given)
        assert list(given.outs) == list(METHODS)
        assert list(given.outs.values())[:2] == expected
        assert given.outs["known_array"].endswith("-known-array.png" if "." in out[-4:] else "-known-array")
    given = options()
    check_compare(given)
    assert set(given.outs.values()) == {None}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"precoder": "learned"}, "--compare runs baseline, learned, known array: leave out --precoder"),
        ({"detector": "learned"}, "leave out --detector"),
        ({"encoder": "qam"}, "leave out --encoder"),
        ({"demodulator": "ml"}, "leave out --demodulator"),
        ({"estimator": "argmax"}, "leave out --estimator"),
        ({"known_array": True}, "leave out --known-array"),
        ({"record": "echoes.rec"}, "leave out --record"),
        ({"file": "in", "out": "-"}, "--out needs a name, not -"),
        ({"file": "x-learned", "out": "x"}, "--file and --out, with the method in its name, name the same"),
        ({"file": "in", "out": "a.png", "plot": "a-known-array.png"}, "--plot and --out, with the method in"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as refusal:
        check_compare(options(**changes))
    assert line in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_names_are_for_people() -> None:
    assert [label(method) for method in METHODS] == ["baseline", "learned", "known array"]
    assert Path("known_array").name in METHODS
