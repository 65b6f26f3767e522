"""Calibrations in files: what is kept comes back, what does not fit or is no calibration is one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac_models.errors import UserError
from isac_models.waveform.calibration_store import load_calibration, save_calibration
from isac_models.waveform.calibration_vectors import Calibration

KEY = {"device": "zmq", "session": "a", "rate": 1e6, "tx_gain": (0.0, 1.5), "rx_frequency": [1e9, 2e9]}


def calibration(antennas: int = 4) -> Calibration:
    """Random chains."""
    rng = np.random.default_rng(antennas)
    values = rng.normal(size=(2, antennas, 2)) @ [1, 1j]
    return Calibration(values[0], values[1], 0.01, 0.002, KEY)


def refusal(path: Path, key: Any = KEY, antennas: int = 4) -> str:
    """The one line that a file is refused with."""
    with pytest.raises(UserError) as refused:
        load_calibration(path, key, antennas)
    line = str(refused.value)
    assert line.startswith(f"calibration {path}")
    assert "\n" not in line
    return line


def edited(path: Path, **changes: Any) -> Path:
    """The file with other content."""
    save_calibration(path, calibration())
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(content))
    return path


def test_what_is_kept_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    kept = calibration()
    save_calibration(tmp_path / "a.json", kept)
    found = load_calibration(tmp_path / "a.json", KEY, 4)
    assert np.array_equal(found.transmit, kept.transmit)
    assert np.array_equal(found.receive, kept.receive)
    assert (found.residual, found.error) == (0.01, 0.002)
    assert found.key == json.loads(json.dumps(KEY))


def test_the_file_is_plain_json_of_pairs(tmp_path: Path) -> None:
    kept = calibration()
    save_calibration(tmp_path / "a.json", kept)
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["format"] == "isac-calibration-1"
    assert content["transmit"][2] == [kept.transmit[2].real, kept.transmit[2].imag]
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("device", "iio"), ("session", "b"), ("rate", 2e6), ("tx_gain", (0.0, 2.0)), ("rx_frequency", [1e9])],
)
def test_another_setting_is_named_with_what_it_was_and_is(tmp_path: Path, name: str, value: Any) -> None:
    save_calibration(tmp_path / "a.json", calibration())
    line = refusal(tmp_path / "a.json", {**KEY, name: value})
    assert (
        f"is for another {name}: {json.dumps(KEY[name])}, now {json.dumps(value)}; measure it again" in line
    )


def test_a_setting_that_the_file_does_not_know_is_another(tmp_path: Path) -> None:
    save_calibration(tmp_path / "a.json", calibration())
    assert "is for another clock: null, now" in refusal(tmp_path / "a.json", {**KEY, "clock": "external"})


def test_another_number_of_antennas_is_refused(tmp_path: Path) -> None:
    save_calibration(tmp_path / "a.json", calibration())
    assert "4 transmit values where the array has 16 antennas" in refusal(tmp_path / "a.json", KEY, 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "isac-calibration-9"}, "not a calibration file"),
        ({"key": []}, "not a calibration file"),
        ({"transmit": None}, "no transmit values"),
        ({"receive": [[1, 0]] * 3}, "3 receive values"),
        ({"receive": [[1, 0, 0]] * 4}, "pairs of finite numbers"),
        ({"receive": [["a", 0]] * 4}, "pairs of finite numbers"),
        ({"receive": [[1, 0], [1], [1, 0], [1, 0]]}, "pairs of finite numbers"),
        ({"transmit": [[0, 0]] + [[1, 0]] * 3}, "none of them 0"),
        ({"transmit": [[float("nan"), 0]] + [[1, 0]] * 3}, "pairs of finite numbers"),
        ({"transmit": [[1e-300, 0]] + [[1, 0]] * 3}, "of a sensible size, none of them 0"),
        ({"receive": [[1e300, 1]] + [[1, 0]] * 3}, "of a sensible size, none of them 0"),
        ({"receive": [["1", "2"]] * 4}, "pairs of finite numbers"),
        ({"receive": [[1, False]] * 4}, "pairs of finite numbers"),
        ({"receive": [1, 2, 3, 4]}, "pairs of finite numbers"),
        ({"residual": "small"}, "residual and error"),
        ({"residual": True}, "residual and error"),
        ({"error": float("inf")}, "residual and error"),
        ({"error": -1}, "residual and error"),
        ({"error": 10**400}, "residual and error"),
        ({"transmit": [[10**400, 0]] * 4}, "pairs of finite numbers"),
    ],
)
def test_content_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert message in refusal(edited(tmp_path / "a.json", **changes))


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "missing.json")
    assert "Is a directory" in refusal(tmp_path)
    path = tmp_path / "a.json"
    for data, message in (
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "not a calibration file"),
        (b" " * ((1 << 20) + 1), "larger than"),
    ):
        path.write_bytes(data)
        assert message in refusal(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["key", "transmit", "receive", "residual", "error"]), json_values))
def test_whatever_a_file_says_is_a_calibration_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]
) -> None:
    path = edited(tmp_path_factory.mktemp("calibration") / "a.json", **changes)
    try:
        found = load_calibration(path, KEY, 4)
    except UserError as error:
        line = str(error)
    else:
        line = ""
        assert np.isfinite(found.transmit).all()
        assert np.isfinite(found.receive).all()
    assert "\n" not in line
