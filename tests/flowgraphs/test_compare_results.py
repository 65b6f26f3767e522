"""What a comparison prints."""

from __future__ import annotations

import io
import math
from typing import Any

from blocks.runtime import BlockReport, Report
from compare_options import METHODS
from compare_results import PAIRS, print_comparison

RATES = ("ser", "ber", "p_md", "p_fa", "rmse_rad", "common_rmse_rad")


def values(scale: float) -> dict[str, Any]:
    """What one method measured."""
    ends = {"": 0.1, "_low": 0.099, "_high": 0.1015}
    rates = {f"{key}{end}": value * scale for key in RATES for end, value in ends.items()}
    return {**rates, "estimator": "softmax", "theory": {"ser": 0.111 * scale, "p_md_genie": 0.0888 * scale}}


def summary() -> dict[str, Any]:
    """What was compared."""
    ratio = {"p_md_ratio": 0.9, "p_md_ratio_low": 0.88, "p_md_ratio_high": 0.92}
    ratio |= {"rmse_rad_ratio": 0.8, "rmse_rad_ratio_low": 0.78, "rmse_rad_ratio_high": math.nan}
    return {
        "methods": {method: values(1 + n) for n, method in enumerate(METHODS)},
        "common": 12345,
        "pairs": {"learned": {"baseline": ratio}},
    }


def printed(what: dict[str, Any], report: Report, *notes: str) -> list[str]:
    """The lines of a comparison."""
    out = io.StringIO()
    print_comparison(what, report, list(notes), out)
    return out.getvalue().splitlines()


def row(lines: list[str], start: str, offset: int = 0) -> list[str]:
    """The words of the line that begins like this, or of one below it, without its label."""
    (index,) = [n for n, line in enumerate(lines) if line.strip().startswith(start)]
    return lines[index + offset].split()


def test_methods_are_columns_and_every_rate_has_its_interval_and_theory() -> None:
    lines = printed(summary(), Report("g", 2.0, 1000), "File: [all] intact.")
    assert lines[0] == ("Three ISAC links on the same messages, targets and noise: 1,000 snapshots in 2.00 s")
    assert row(lines, "baseline") == ["baseline", "learned", "known", "array"]
    assert row(lines, "Symbol errors")[-3:] == ["0.1", "0.2", "0.3"]
    assert " ".join(row(lines, "Symbol errors", 1)[3:]) == "0.099 … 0.102 0.198 … 0.203 0.297 … 0.304"
    assert row(lines, "Symbol errors", 2) == ["theory", "0.111", "0.222", "0.333"]
    assert row(lines, "Missed", 2) == ["genie", "0.0888", "0.178", "0.266"]
    assert row(lines, "… common")[-3:] == ["5.73°", "11.46°", "17.19°"]
    assert row(lines, "Angle read by")[-3:] == ["softmax"] * 3
    assert " ".join(row(lines, "learned / baseline")[3:]) == "0.9 (0.88 … 0.92) 0.8 (0.78 … –)"
    assert " ".join(row(lines, "learned / known array")[4:]) == "– (– … –) – (– … –)"
    assert "common targets: the 12,345 that all three find." in lines
    assert "File: [all] intact." in lines
    assert lines[-1] == "Frames: 0 lost, 0 repeated."
    assert max(map(len, lines[1:])) <= 80
    assert [second for _, second in PAIRS] == ["baseline", "known_array"]


def test_a_run_that_was_stopped_says_so_and_shows_what_there_is() -> None:
    empty = {**summary(), "methods": {m: {"estimator": "argmax", "theory": None} for m in METHODS}}
    lines = printed(empty, Report("g", 2.0, 1000, interrupted=True))
    assert lines[0].endswith("(stopped early)")
    assert row(lines, "Symbol errors")[-3:] == ["–"] * 3
    assert row(lines, "Symbol errors", 2) == ["theory", "–", "–", "–"]


def test_a_branch_that_lost_frames_is_named() -> None:
    joint = BlockReport(lost_frames=3, lost_on={"learned": 2, "baseline": 1})
    lines = printed(summary(), Report("g", 2.0, 1000, blocks={"joint": joint}))
    assert lines[-1] == "Frames: 3 lost (joint: 2 of learned, joint: 1 of baseline), 0 repeated."
