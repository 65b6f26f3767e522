"""What a run prints."""

from __future__ import annotations

import io
import json
import math
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from blocks.runtime import Report
from link_report import LiveLine, print_json, print_table

LINK = Path(__file__).parents[2] / "flowgraphs" / "isac_link.py"

SUMMARY = {
    "scenario": {"false_alarm": 0.01},
    "ser": 0.00345,
    "ser_low": 0.0031,
    "ser_high": 0.00383,
    "rmse_rad": math.nan,
    "rmse_rad_low": 0.0,
    "rmse_rad_high": math.inf,
    "theory": {"ser": 0.0037, "rmse_bound_rad": math.radians(0.5)},
}


def test_json_is_one_object_without_words_that_json_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({**SUMMARY, "raw": b"\xff", "list": [math.inf, 1.5]})
    out = capsys.readouterr().out
    found = json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert out.count("\n") == 1
    assert (found["ser"], found["rmse_rad"], found["rmse_rad_high"]) == (0.00345, None, None)
    assert found["list"] == [None, 1.5]
    assert "raw" not in found


def test_the_table_shows_rates_intervals_and_theory() -> None:
    out = io.StringIO()
    print_table(SUMMARY, "ISAC link", ["File: [all] intact."], out)
    lines = out.getvalue().splitlines()
    ser = next(line for line in lines if "SER" in line)
    assert ser.split()[-5:] == ["0.00345", "0.0031", "…", "0.00383", "0.0037"]
    rmse = next(line for line in lines if "RMSE" in line)
    assert rmse.split()[-6:] == ["–", "0°", "…", "–", "bound", "0.5°"]
    assert any(line.startswith("bound: ") for line in lines)
    assert not any(line.startswith("genie: ") for line in lines)
    assert "File: [all] intact." in lines
    assert not any("P_md" in line for line in lines)


def test_a_run_without_theory_has_a_table() -> None:
    out = io.StringIO()
    print_table({**SUMMARY, "theory": None}, "ISAC link", [], out)
    assert "bound" not in out.getvalue()


def test_the_live_line_is_silent_where_it_is_not_wanted(capfd: pytest.CaptureFixture[str]) -> None:
    with LiveLine(False, 100) as line:
        line.update(Report("link", 1.0, 50))
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_the_run_as_it_goes() -> None:
    reader, writer = pty.openpty()
    with subprocess.Popen(
        [sys.executable, str(LINK), "--snapshots", "3e6"],
        stdout=writer,
        stderr=writer,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm-256color"},
    ) as process:
        os.close(writer)
        shown = b""
        with suppress(OSError):  # the terminal hangs up when the program ends
            while piece := os.read(reader, 65536):
                shown += piece
    os.close(reader)
    assert process.returncode == 0
    assert b"snapshots  " in shown
    assert b"P_md 0." in shown
    assert b"95 % interval" in shown
