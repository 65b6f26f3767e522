"""Output files appear whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from blocks.runtime.output import AtomicFile, check_writable, write_atomically
from isac_models.errors import UserError


def test_a_file_appears_only_when_it_is_committed(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    path.write_bytes(b"before")
    out = AtomicFile(str(path))
    out.file.write(b"after")
    out.file.flush()
    assert path.read_bytes() == b"before"
    out.commit()
    assert path.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_a_discarded_file_leaves_nothing(tmp_path: Path) -> None:
    out = AtomicFile(str(tmp_path / "out.bin"))
    out.file.write(b"half")
    out.discard()
    assert os.listdir(tmp_path) == []


def test_permissions_are_those_of_the_file_before_or_of_a_new_one(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"")
    old.chmod(0o640)
    mask = os.umask(0o027)
    try:
        for path in (old, new):
            write_atomically(str(path), b"data")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert stat.S_IMODE(new.stat().st_mode) == 0o640


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"before")
    link.symlink_to(target)
    write_atomically(str(link), b"after")
    assert link.is_symlink()
    assert target.read_bytes() == b"after"


def test_a_device_is_written_to_and_stays_a_device() -> None:
    check_writable("/dev/null")
    write_atomically("/dev/null", b"data")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_standard_output_gets_the_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    check_writable("-")
    write_atomically("-", b"\x00data\xff")
    assert capfdbinary.readouterr().out == b"\x00data\xff"


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable(str(tmp_path / "out.bin"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (".", "it is a directory"),
        ("missing/out.bin", "does not exist"),
        ("file/out.bin", "Not a directory"),
        ("x" * 255, "too long"),
    ],
)
def test_what_cannot_be_written_is_said_at_once(tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=reason):
        check_writable(str(tmp_path / path))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_permissions_are_respected(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.write_bytes(b"")
    locked.chmod(0o400)
    with pytest.raises(UserError, match="write-protected"):
        check_writable(str(locked))
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        check_writable(str(folder / "out.bin"))
