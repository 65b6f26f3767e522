"""Recording, learning and measuring, as the program is used."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

import learn_from_echoes
from isac_link_options import run_program

ROOT = Path(__file__).resolve().parents[2]


def test_more_echoes_measure_better_angles(tmp_path: Path) -> None:
    command = [sys.executable, "flowgraphs/learn_from_echoes.py", "--out", str(tmp_path), "--threads", "1"]
    done = subprocess.run(
        [*command, "--echoes", "20000", "--repeats", "1", "--spacing-std", "0.1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "samples.csv").open(newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    nominal, learned, true = (float(rows[k]["rmse_rad"]) for k in ("nominal array", "learned", "true array"))
    assert learned < 0.5 * (nominal + true)
    assert (tmp_path / "samples.png").stat().st_size > 10_000
    assert not (tmp_path / "echoes.isacrec").exists()


def test_without_matplotlib_nothing_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(sys, "argv", ["program", "--out", str(tmp_path / "out")])
    assert run_program(learn_from_echoes.main) == 2
    expected = "error: samples.png needs matplotlib: pip install 'isac-blocks[plot]'\n"
    assert capsys.readouterr() == ("", expected)
    assert not (tmp_path / "out").exists()


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "flowgraphs/learn_from_echoes.py", "--out", str(tmp_path), "--echoes", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
