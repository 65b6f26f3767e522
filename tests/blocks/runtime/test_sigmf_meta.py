"""Metadata of SigMF recordings, bad ones above all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.runtime import sigmf_meta
from blocks.runtime.sigmf_meta import base_of, files_of, load_meta, make_meta
from isac_models.errors import UserError

GOOD: dict[str, Any] = {
    "global": {"core:datatype": "cf32_le", "core:version": "1.2.0"},
    "captures": [{"core:sample_start": 0}],
    "annotations": [],
}


def changed(**fields: Any) -> dict[str, Any]:
    return {**GOOD, "global": {**GOOD["global"], **{key.replace("__", ":"): v for key, v in fields.items()}}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.sigmf-meta"


def test_good_metadata_are_read(path: Path) -> None:
    path.write_text(json.dumps(GOOD))
    assert load_meta(str(path)) == GOOD
    path.write_text(json.dumps({"global": GOOD["global"]}))
    assert load_meta(str(path))["captures"] == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not SigMF metadata"),
        (b"{", "not SigMF metadata"),
        (b"\xff\xfe{}", "not SigMF metadata"),
        (b"[" * 60_000, "nested too deeply"),
        (b"[]", "no global object"),
        (b'{"global": []}', "no global object"),
        (b'{"global": {}}', "not valid SigMF"),
        (b'{"global": {"core:datatype": NaN}}', "NaN is no JSON number"),
        (b'{"global": {"core:num_channels": %s}}' % (b"9" * 5000), "not SigMF metadata"),
        (b"{}" * 110_000, "more than 100000 objects"),
        (json.dumps(changed(core__datatype="cf16_le")).encode(), "not valid SigMF"),
        (json.dumps(changed(core__datatype=7)).encode(), "not valid SigMF"),
        (json.dumps(changed(core__num_channels=0)).encode(), "not valid SigMF"),
        (json.dumps(changed(core__num_channels="16")).encode(), "not valid SigMF"),
        (json.dumps(changed(core__sha512="abc")).encode(), "not valid SigMF"),
        (json.dumps({**GOOD, "captures": {}}).encode(), "not valid SigMF"),
        (json.dumps({**GOOD, "annotations": [{"core:label": "x"}]}).encode(), "not valid SigMF"),
        (
            json.dumps({**GOOD, "captures": [{"core:sample_start": 5}, {"core:sample_start": 1}]}).encode(),
            "ordering",
        ),
        (
            json.dumps(
                changed(core__extensions=[{"name": "antenna", "version": "1.0.0", "optional": False}])
            ).encode(),
            "without the extension 'antenna'",
        ),
    ],
    ids=range(19),
)
def test_bad_metadata_are_refused_in_one_line(path: Path, text: bytes, reason: str) -> None:
    path.write_bytes(text)
    with pytest.raises(UserError, match=reason) as caught:
        load_meta(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="No such file"):
        load_meta(str(tmp_path / "missing.sigmf-meta"))
    with pytest.raises(UserError, match="not a regular file"):
        load_meta(str(tmp_path))
    os.mkfifo(tmp_path / "pipe.sigmf-meta")
    with pytest.raises(UserError, match="not a regular file"):
        load_meta(str(tmp_path / "pipe.sigmf-meta"))
    monkeypatch.setattr(sigmf_meta, "MAX_META", 100)
    (tmp_path / "large.sigmf-meta").write_bytes(b" " * 101)
    with pytest.raises(UserError, match="too large"):
        load_meta(str(tmp_path / "large.sigmf-meta"))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    key=st.sampled_from(
        ["core:datatype", "core:num_channels", "core:extensions", "core:offset", "core:sha512"]
    ),
    value=JSON,
    parts=st.fixed_dictionaries({}, optional={"captures": JSON, "annotations": JSON, "global": JSON}),
)
def test_any_values_are_read_or_refused(tmp_path_factory: Any, key: str, value: Any, parts: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.sigmf-meta"
    path.write_text(json.dumps({**changed(**{key.replace(":", "__"): value}), **parts}))
    message = ""
    try:
        assert isinstance(load_meta(str(path))["global"], dict)
    except UserError as error:
        message = str(error)
    assert "\n" not in message


def test_what_is_written_is_in_order_and_valid(path: Path) -> None:
    notes = [{"core:sample_start": 7}, {"core:sample_start": 3, "isac:number": 1}]
    path.write_bytes(make_meta("cf32_le", 16, {"isac:run": {"seed": 1}}, [], notes))
    read = load_meta(str(path))
    assert [each["core:sample_start"] for each in read["annotations"]] == [3, 7]
    assert read["captures"] == [{"core:sample_start": 0}]
    assert read["global"]["core:extensions"][0]["name"] == "isac"


def test_invalid_metadata_are_not_written() -> None:
    with pytest.raises(ValueError, match="core:sample_rate"):
        make_meta("cf32_le", 1, {"core:sample_rate": "fast"}, [], [])
    with pytest.raises(ValueError, match="JSON compliant"):
        make_meta("cf32_le", 1, {"isac:x": float("nan")}, [], [])


def test_a_recording_is_named_by_its_metadata() -> None:
    assert base_of("x/y.sigmf-meta") == "x/y"
    assert files_of("y.sigmf-meta") == [
        "y.sigmf-data",
        "y.sigmf-meta",
        "y-truth.sigmf-data",
        "y-truth.sigmf-meta",
    ]
    for bad in ("y.sigmf-data", "y", "x/.sigmf-meta"):
        with pytest.raises(UserError, match="named by its metadata"):
            base_of(bad)
