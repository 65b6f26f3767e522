"""One training to a folder, and none is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isac_models.errors import UserError
from isac_models.learning.folder import Folder

ROOT = Path(__file__).resolve().parents[3]


def test_a_new_folder_is_made_and_kept(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a" / "b")
    folder.check_new()
    assert not folder.path.exists()
    folder.take()
    folder.checkpoint.write_bytes(b"x")
    folder.release()
    assert folder.checkpoint.exists()


def test_a_folder_that_stays_empty_disappears(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "new")
    folder.take()
    folder.release()
    assert not folder.path.exists()
    there = Folder(tmp_path)
    there.take()
    there.release()
    assert tmp_path.exists()


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "artifact.safetensors"])
def test_a_folder_with_a_training_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=f"holds another training already \\({name}\\).*--resume"):
        Folder(tmp_path).check_new()


def test_other_files_are_no_training(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"")
    Folder(tmp_path).check_new()


def test_impossible_folders_are_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(UserError, match="file is a file, name a folder"):
        Folder(file).check_new()
    with pytest.raises(UserError, match="file is a file, name a folder"):
        Folder(file / "below").check_new()
    with pytest.raises(UserError, match="cannot make the folder"):
        Folder(file / "below").take()
    with pytest.raises(UserError, match="null byte"):
        Folder("a\0b").check_new()
    with pytest.raises(UserError, match="File name too long"):
        Folder(tmp_path / ("x" * 300)).check_new()


def test_nothing_to_resume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        Folder(tmp_path / "none").check_resumable()
    with pytest.raises(UserError, match=r"checkpoint.safetensors is missing"):
        Folder(tmp_path).check_resumable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_write_protected_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="write-protected"):
        Folder(tmp_path).check_new()


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.take()
    code = (
        "import sys\n"
        "from isac_models.learning.folder import Folder\n"
        "try:\n"
        "    Folder(sys.argv[1]).take()\n"
        "    print('taken')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said == f"{tmp_path}: another process is training there\n"
    folder.release()
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said == "taken\n"


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    rest = tmp_path / ".checkpoint.safetensors.abc.part"
    other = tmp_path / ".other.part"
    for path in (rest, other):
        path.write_bytes(b"")
    folder = Folder(tmp_path)
    folder.take()
    folder.release()
    assert (rest.exists(), other.exists()) == (False, True)
