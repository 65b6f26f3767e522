"""Bindings of the distribution, found from here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from blocks.radio import system_packages
from blocks.radio.interface import RadioError
from blocks.radio.system_packages import system_package


def test_what_is_installed_here_is_taken_from_here() -> None:
    assert system_package("json", "nothing").dumps([1]) == "[1]"


def test_a_module_of_the_distribution_is_found_and_the_path_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_the_distribution.py").write_text("import json\nvalue = 7\n")
    (tmp_path / "json.py").write_text("raise RuntimeError('the wrong one')\n")
    monkeypatch.setattr(system_packages, "FOLDERS", (str(tmp_path),))
    monkeypatch.delitem(sys.modules, "json")
    before = list(sys.path)
    try:
        assert system_package("of_the_distribution", "nothing").value == 7
        assert sys.path == before
    finally:
        sys.modules.pop("of_the_distribution", None)


@pytest.mark.parametrize(
    "content", [None, "raise ImportError('of another\\nversion')", "raise OSError('no library')", "None.x"]
)
def test_one_that_cannot_be_had_is_named_in_a_line_with_its_remedy(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "not_to_be_had.py").write_text(content)
    monkeypatch.setattr(system_packages, "FOLDERS", (str(tmp_path),))
    with pytest.raises(RadioError, match=r"^not_to_be_had cannot be imported \(.+\): apt-get install it$"):
        system_package("not_to_be_had", "apt-get install it")
    assert str(tmp_path) not in sys.path
