"""The worked example of docs/own-precoder.md: its file, its commands and its output."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from blocks import registry
from isac_models.array import ideal_positions
from isac_models.scenario import Scenario

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "own-precoder.md").read_text(encoding="utf-8")
FILE, COMPARISON = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
NUMBER = r"\d+\.\d+"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's file."""
    (tmp_path / "pointing.py").write_text(FILE, encoding="utf-8")
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    """What a command prints there, with the file on Python's path."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_file_runs_in_the_link_by_its_full_name(folder: Path) -> None:
    (line,) = re.findall(r"```sh\nPYTHONPATH=\. python (.*?)\n```", PAGE)
    script, *arguments = shlex.split(line)
    more = ["--snapshots", "5e4", "--scenario", "ideal", "--json"]
    result = json.loads(run([sys.executable, str(ROOT / script), *arguments, *more], folder))
    assert result["precoder"] == "pointing:PointingPrecoder"
    # The theory of a beam holds for this one as for any other.
    assert result["ser_low"] < result["theory"]["ser"] < result["ser_high"]
    assert result["p_md"] > result["theory"]["p_md_genie"] > 0.3
    assert result["rmse_rad"] > result["theory"]["rmse_bound_rad"]


def test_one_line_gives_it_a_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ((name, where),) = re.findall(r'^    "(\w+)": "(\w+:\w+)",$', PAGE, flags=re.MULTILINE)
    assert f"--precoder {name}`" in PAGE
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(registry.PRECODERS, name, where)
    scenario = Scenario.preset("ideal").replace(transmit_energy=2.0)
    precoder = registry.build("precoder", name, scenario, {"phi": 0.7, "known_array": True}, rho=0.3)
    expected = 0
    for degrees, weight in ((-30, np.sqrt(0.3)), (40, np.sqrt(0.7) * np.exp(0.7j))):
        turns = ideal_positions(16) * np.sin(np.radians(degrees))
        expected = expected + weight * np.exp(2j * np.pi * turns)
    np.testing.assert_allclose(
        precoder.beam, np.sqrt(2) * expected / np.linalg.norm(expected), rtol=0, atol=1e-6
    )
    symbol = np.array([1, -1j], np.complex64)
    np.testing.assert_allclose(
        precoder.work(symbol=symbol)["transmitted"], np.outer(symbol, precoder.beam), atol=1e-6
    )


def test_the_comparison_prints_what_the_page_says(folder: Path) -> None:
    (folder / "comparison.py").write_text(COMPARISON, encoding="utf-8")
    printed = run([sys.executable, "comparison.py"], folder).strip()
    (said,) = re.findall(r"It prints\n\n```\n(.*?)\n```", PAGE, flags=re.DOTALL)
    assert re.sub(NUMBER, "#", printed) == re.sub(NUMBER, "#", said)
    # The last digit may differ between machines, whose sines do.
    numbers = [[float(text) for text in re.findall(NUMBER, each)] for each in (printed, said)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=0.11)
