"""Results on disk: whole or not at all, and nothing damaged is ever used."""

from __future__ import annotations

import json
import math
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac_models.errors import UserError
from isac_models.sweeps.store import LARGEST, Store, canonical, plain

RESULT = {"p_md": 0.07, "counts": [1, 2, 3], "note": "π", "missing": None}


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "points")
    assert store.load("k") is None
    store.save("k", RESULT)
    assert store.load("k") == RESULT
    assert Store(tmp_path / "deep" / "points").load("k") == RESULT
    assert {path.name for path in store.folder.iterdir()} == {".gitignore", "k.json"}


def test_what_json_does_not_know_becomes_plain(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save("k", {"a": np.float32(0.5), "b": (1, np.arange(2)), "c": math.nan, "d": [math.inf], "e": True})
    assert store.load("k") == {"a": 0.5, "b": [1, [0, 1]], "c": None, "d": [None], "e": True}
    assert plain({1: np.bool_(True)}) == {"1": True}


def test_the_text_of_a_value_does_not_depend_on_its_order() -> None:
    assert canonical({"b": 1, "a": [1.5]}) == canonical({"a": [1.5], "b": 1}) == b'{"a":[1.5],"b":1}'


def damage_a_number(text: str) -> str:
    return text.replace("0.07", "0.06")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        damage_a_number,
        lambda text: "[" * 100_000,
        lambda text: "[]",
        lambda text: json.dumps({**json.loads(text), "format": 2}),
        lambda text: json.dumps({**json.loads(text), "result": 3}),
        lambda text: text + " " * LARGEST,
    ],
)
def test_a_damaged_file_is_reported_and_counts_as_missing(tmp_path: Path, damage: object) -> None:
    warnings: list[str] = []
    store = Store(tmp_path, warnings.append)
    store.save("k", RESULT)
    assert callable(damage)
    store.path("k").write_text(damage(store.path("k").read_text()))
    assert store.load("k") is None
    assert len(warnings) == 1
    assert str(store.path("k")) in warnings[0]
    store.save("k", RESULT)
    assert store.load("k") == RESULT
    assert len(warnings) == 1


@given(st.binary(max_size=200))
def test_no_content_of_a_file_does_harm(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    warnings: list[str] = []
    store = Store(tmp_path_factory.getbasetemp() / "any", warnings.append)
    store.path("k").write_bytes(data)
    assert store.load("k") is None
    assert len(warnings) == 1


def test_a_file_of_another_point_is_not_taken(tmp_path: Path) -> None:
    store = Store(tmp_path, lambda message: None)
    store.save("one", RESULT)
    store.path("one").rename(store.path("two"))
    assert store.load("two") is None


def test_something_unreadable_in_the_place_of_a_file_counts_as_missing(tmp_path: Path) -> None:
    warnings: list[str] = []
    store = Store(tmp_path, warnings.append)
    store.path("k").mkdir()
    assert store.load("k") is None
    assert "computing the point again" in warnings[0]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot keep points in") as error:
        Store(tmp_path / "file" / "points")
    assert "\n" not in str(error.value)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save("k", RESULT)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(UserError, match="same command again"):
            store.save("k", {"long": "x" * 2000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert store.load("k") == RESULT
    assert {path.name for path in tmp_path.iterdir()} == {".gitignore", "k.json"}
