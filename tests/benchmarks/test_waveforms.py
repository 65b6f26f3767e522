"""The figures on the layout of a burst, from few bursts."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def run(*options: str) -> Any:
    done = subprocess.run(
        [sys.executable, "benchmarks/waveforms.py", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def test_error_rates_are_those_of_the_closed_forms(tmp_path: Path) -> None:
    file = tmp_path / "csi.png"
    points = run("csi", "--bursts", "40", "--plot", str(file))
    assert file.read_bytes()[:4] == b"\x89PNG"
    for one in points:
        theory = one["known_theory"]
        deviation = 5 * math.sqrt(theory * (1 - theory) / (40 * 256))
        # A burst's κ̂ is off for all of its symbols at once; at 0 dB terms of second order show.
        assert abs(one["known"] - theory) < deviation + 1e-4
        assert abs(one["estimated"] - one["estimated_theory"]) < 2 * deviation + 0.05 * theory + 1e-4


def test_two_samples_a_symbol_lose_nothing_and_one_does() -> None:
    one_path, two_paths = run("modulations", "--bursts", "20")
    assert abs(one_path["pulse_two_samples_evm_db"] + 20) < 0.3
    assert one_path["pulse_nearest_sample_evm_db"] > -16
    assert -20 < one_path["ofdm_evm_db"] < -18.5
    assert two_paths["pulse_two_samples_evm_db"] > -12  # no equaliser: the echo stays
    assert two_paths["ofdm_evm_db"] < -17
