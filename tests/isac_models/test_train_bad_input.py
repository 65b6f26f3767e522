"""What the trainer refuses: one line, exit status 2, nothing lost and nothing left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isac_models.learning import checkpoint, session
from isac_models.learning.folder import Folder
from isac_models.train import main


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(session.TASKS, "model-driven", "tests.isac_models.learning.small_task:SmallTask")
    monkeypatch.chdir(tmp_path)


def train(*arguments: str) -> int:
    return main(["model-driven", *arguments])


BAD = {
    "no kind": ("", "model-driven|neural"),
    "unknown kind": ("neuronal --out a", "model-driven"),
    "no folder": ("model-driven", "--out DIR"),
    "two folders": ("model-driven --out a --resume b", "--out DIR"),
    "negative iterations": ("model-driven --out a --iterations -5", "--iterations"),
    "no iterations": ("model-driven --out a --iterations 0", "--iterations"),
    "an empty batch": ("model-driven --out a --batch 0", "--batch"),
    "a batch beyond memory": ("model-driven --out a --batch 1e15", "--batch"),
    "half a batch": ("model-driven --out a --batch 0.5", "--batch"),
    "no threads": ("model-driven --out a --threads 0", "--threads"),
    "grid smaller than the array": ("model-driven --out a --grid-size 12", "--grid-size must be at least 17"),
    "rate that is no number": ("model-driven --out a --lr nan", "--lr"),
    "rate below zero": ("model-driven --out a --lr -1", "--lr must be above 0"),
    "unknown device": ("model-driven --out a --device tpu", "auto"),
    "patience of zero": ("model-driven --out a --patience 0", "--patience"),
    "held-out loss never": ("model-driven --out a --held-out-every 0", "--held-out-every"),
    "negative interval": ("model-driven --out a --checkpoint-every -1", "--checkpoint-every"),
    "unknown scenario": ("model-driven --out a --scenario imparied", "did you mean impaired?"),
    "option of the other kind": ("model-driven --out a --omega 1", "--omega"),
    "weight above one": ("neural --out a --omega 1.5", "--omega"),
    "all and more": ("neural --out a --omega all 1", "--omega"),
    "width of the other kind": ("model-driven --out a --hidden 21", "--hidden"),
    "resume nothing": ("model-driven --resume none", "no such folder"),
    "resume an empty folder": ("model-driven --resume .", "checkpoint.safetensors is missing"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_status_two(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refusal(capsys, *arguments.split())
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("option", ["--out", "--resume"])
@pytest.mark.parametrize("folder", ["", " "])
def test_a_folder_without_a_name_is_refused(
    option: str, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{option}: {folder!r} is no name" in refusal(capsys, "model-driven", option, folder)
    assert f"{option}: {folder!r} is no name" in refusal(capsys, "neural", option, folder)
    assert list(Path().iterdir()) == []


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The line with which the program refuses."""
    capsys.readouterr()
    try:
        status: object = main(arguments)
    except SystemExit as stop:
        status = stop.code
    printed = capsys.readouterr()
    assert status == 2, printed.err
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    return printed.err


def test_a_gpu_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert "--device cuda: there is no GPU" in refusal(
        capsys, "model-driven", "--out", "a", "--device", "cuda"
    )
    assert not Path("a").exists()


def test_a_training_of_a_gpu_resumes_elsewhere_when_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert train("--out", "a", "--quiet") == 0
    saved = checkpoint.load("a/checkpoint.safetensors")
    checkpoint.save("a/checkpoint.safetensors", replace(saved, settings={**saved.settings, "device": "cuda"}))
    assert "add --device cpu" in refusal(capsys, "model-driven", "--resume", "a")
    assert train("--resume", "a", "--quiet", "--device", "cpu") == 0


def test_the_learned_matrix_is_not_trained_by_several(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "start it without torchrun" in refusal(capsys, "model-driven", "--out", "a")


def test_another_training_is_never_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--out", "a", "--quiet") == 0
    before = {path: path.read_bytes() for path in Path("a").iterdir()}
    assert "holds another training already" in refusal(capsys, "model-driven", "--out", "a")
    assert {path: path.read_bytes() for path in Path("a").iterdir()} == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--lr 0.01", "--lr 0.01: the training in a was begun with 0.05"),
        ("--iterations 200", "--iterations 200: the training in a was begun with 100"),
        ("--seed 2", "--seed 2: the training in a was begun with 1"),
        ("--patience 5", "--patience 5: the training in a was begun without"),
        ("--held-out-every 5", "--held-out-every 5: the training in a was begun with 500"),
        ("--antennas 8", "antennas 8: the training in a was begun with 16"),
        ("--scenario unseen", "grid_size 156: the training in a was begun with 500"),
        ("--lr -1", "--lr must be above 0"),
    ],
)
def test_other_settings_are_refused_by_name(
    options: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--out", "a", "--quiet") == 0
    assert words in refusal(capsys, "model-driven", "--resume", "a", *options.split())


def test_a_damaged_checkpoint_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--out", "a", "--quiet") == 0
    path = Path("a/checkpoint.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    assert "a/checkpoint.safetensors: damaged" in refusal(capsys, "model-driven", "--resume", "a")


def test_a_checkpoint_of_the_other_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--out", "a", "--quiet") == 0
    assert "the training there is model-driven" in refusal(capsys, "neural", "--resume", "a")


def test_a_state_that_does_not_fit_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--out", "a", "--quiet") == 0
    saved = checkpoint.load("a/checkpoint.safetensors")
    checkpoint.save("a/checkpoint.safetensors", replace(saved, state={"weights": np.zeros(5)}))
    assert "state of another task" in refusal(capsys, "model-driven", "--resume", "a")


def test_two_processes_do_not_train_in_one_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--out", "a", "--quiet") == 0
    folder = Folder("a")
    folder.take()
    try:
        assert "another process is training there" in refusal(capsys, "model-driven", "--resume", "a")
    finally:
        folder.release()


def test_a_package_that_is_missing_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "needs_more.py").write_text("import a_package_that_nobody_has\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    monkeypatch.setitem(session.TASKS, "model-driven", "needs_more:Task")
    line = refusal(capsys, "model-driven", "--out", "a", "--device", "cpu")
    assert "training needs the package a_package_that_nobody_has: pip install" in line
