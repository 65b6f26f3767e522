"""Presets and scenario files: found and read, or refused in one line that names them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac_models.errors import ScenarioError
from isac_models.scenario import Scenario


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "imparied",
            "no preset 'imparied' (did you mean impaired?): choose one of ideal, impaired, limited, ",
        ),
        ("xyzzy", "no preset 'xyzzy': choose one of ideal, impaired, limited, unseen, or name a .toml file"),
        ("", "no preset ''"),
    ],
)
def test_an_unknown_preset_names_those_that_exist(name: str, message: str) -> None:
    for make in (Scenario.preset, Scenario.load):
        if name or make is Scenario.preset:
            with pytest.raises(ScenarioError) as caught:
                make(name)
            assert str(caught.value).startswith(message)


def test_load_takes_presets_and_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    scenario = Scenario.preset("limited").replace(order=64)
    path.write_text(scenario.to_toml(), encoding="utf-8")
    assert Scenario.load("limited") == Scenario.preset("limited")
    assert Scenario.load(str(path)) == scenario
    assert Scenario.load(path) == scenario


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"order = 4\nantennas = \n", "(at line 2, column 12)"),
        (b"order = 4\norder = 4\n", "line 2"),
        (b"antennas = 0", "antennas must be a whole number from 1 to 1024, not 0"),
        (b"[scenario]\norder = 4", "unknown key 'scenario'"),
        (b"order = '4'", "order must be 4, 16, 64 or 256, not '4'"),
        (b"radar_gain = nan", "radar_gain must be a number from 1e-12 to 1e+12, not nan"),
        (b"target_sector = [-40, -20]", "(degrees go under target_sector_deg)"),
        (b"order = \xff", "not UTF-8 text (byte 8)"),
        (b"\x00\x01", "line 1"),
        (b"antennas = " + b"9" * 5000, "digits"),
        (b"order = " + b"[" * 5000, "nested too deeply"),
        (b"# " + b"-" * (1 << 20), "larger than 1048576 bytes"),
        (b"order = 2026-01-01", "order must be 4, 16, 64 or 256, not datetime.date(2026, 1, 1)"),
    ],
)
def test_bad_files_are_refused_in_one_line_that_names_them(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(path)
    message = str(caught.value)
    assert expected in message
    assert str(path) in message
    assert "\n" not in message


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ScenarioError, match=reason) as caught:
            Scenario.load(path)
        assert str(path) in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_a_scenario_or_one_line(text: str) -> None:
    message = "file.toml: "
    try:
        Scenario.from_toml(text, "file.toml")
    except ScenarioError as error:
        message = str(error)
    assert message.startswith("file.toml: ")
    assert len(message.splitlines()) == 1
