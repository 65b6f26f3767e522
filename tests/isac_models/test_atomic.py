"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from isac_models.atomic import write_atomically


def test_parts_are_written_one_after_the_other(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"one", memoryview(b"two"))
    assert (tmp_path / "file").read_bytes() == b"onetwo"
    assert os.listdir(tmp_path) == ["file"]


def test_a_new_file_has_the_permissions_of_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "file")
    write_atomically(tmp_path / "link", b"data")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "file").read_bytes() == b"data"


def test_what_cannot_be_written_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"before")
    with pytest.raises(TypeError):
        write_atomically(tmp_path / "file", b"half", "no bytes")  # type: ignore[arg-type]
    assert (tmp_path / "file").read_bytes() == b"before"
    for path in (tmp_path, tmp_path / "missing" / "file"):
        with pytest.raises(OSError, match="directory"):
            write_atomically(path, b"data")
    assert os.listdir(tmp_path) == ["file"]
