"""The receive chain of a radio link against plain NumPy/SciPy, and its filters against GNU Radio.

    python benchmarks/radio.py [--runs 5] [--bursts 500]

Bursts go through a simulated radio with every impairment once; what 16 + 1 channels receive is kept in memory
files, so that no front end competes for the cores. Then, in turn:

* ours: the receive branches of flowgraphs/isac_hil.py as a flowgraph (benchmarks/radio_graph.py);
* plain: the same work as one straight-line script (benchmarks/reference/radio_numpy.py), frozen;
* GNU Radio, where it is installed: carrier offset, fractional delay and matched filter of every channel and
  two preamble correlators (benchmarks/reference/radio_gnuradio.py), frozen, against our synchronisers and
  filters alone. GNU Radio has no blocks for the rest: removal of leakage, calibration of an array, pilots
  orthogonal over antennas, detection of a target.

Then the latency from the last sample of a burst, handed to the flowgraph, to its decisions. Prints JSON; exit
status 1 if decisions differ in more than a percent, the ratio or the rate aimed at (TARGET, TARGET_RATE) is
missed or a reference script was changed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from harness import GNURADIO, RADIO, Result, frozen, machine, run_json
from isac_models.options import Parser, count

OURS = "benchmarks/radio_graph.py"
TARGET = 10.0
TARGET_RATE = 1e6
"""Samples a second of each channel."""
ALIKE = 0.99
"""Share of decisions that both sides must have in common: their estimators differ in detail."""
SETTLED = 8 * 256
"""Snapshots at the beginning that are not compared."""
SYSTEM_PYTHON = "/usr/bin/python3"


def gnuradio_missing() -> str | None:
    """Why there is nothing to compare with, or None."""
    if shutil.which(SYSTEM_PYTHON) is None:
        return f"there is no {SYSTEM_PYTHON}"
    test = subprocess.run(
        [SYSTEM_PYTHON, "-c", "from gnuradio import blocks, digital, filter"],
        capture_output=True,
        check=False,
    )
    return None if test.returncode == 0 else f"{SYSTEM_PYTHON} has no GNU Radio: apt install gnuradio"


def run_gnuradio(folder: str) -> Result:
    """Their chain, in their interpreter, without what is on our path."""
    done = subprocess.run(
        [SYSTEM_PYTHON, GNURADIO, folder],
        cwd=Path(__file__).resolve().parent.parent,
        env={"PATH": "/usr/bin:/bin", "HOME": folder},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: Result = json.loads(done.stdout)
    return result


def spread(results: Sequence[Result]) -> Result:
    """Median, lowest and highest samples a second of a channel."""
    values = sorted(result["samples_per_second"] for result in results)
    return {"median": median(values), "lowest": values[0], "highest": values[-1]}


def ratios(numerator: Sequence[Result], denominator: Sequence[Result]) -> Result:
    """Median, lowest and highest ratio, run by run."""
    pairs = zip(numerator, denominator, strict=True)
    values = sorted(a["samples_per_second"] / b["samples_per_second"] for a, b in pairs)
    return {"median": median(values), "lowest": values[0], "highest": values[-1]}


def alike(folder: Path) -> Result:
    """Shares of equal decisions in the last pass, but for the first bursts: our side may find them later."""
    shares = {}
    with np.load(folder / "theirs.npz") as theirs:
        for name, key in (("decisions", "decided"), ("detections", "detected")):
            with np.load(folder / f"{name}.npz") as ours:
                n = theirs[key].size - SETTLED
                shares[key] = float(np.mean(ours[key][-n:] == theirs[key][-n:]))
    return shares


def measure(folder: Path, runs: int) -> Result:
    """Everything, in turn, after one uncounted run of each."""
    lacking = gnuradio_missing()
    sides: dict[str, Any] = {
        "ours": lambda: run_json([OURS, str(folder)]),
        "plain": lambda: run_json([RADIO, str(folder), "--decisions", str(folder / "theirs.npz")]),
        "our_filters": lambda: run_json([OURS, str(folder), "--part", "filters"]),
    }
    if lacking is None:
        sides["gnuradio"] = lambda: run_gnuradio(str(folder))
    found: dict[str, list[Result]] = {name: [] for name in sides}
    for number in range(runs + 1):
        for name, run in sides.items():
            result = run()
            if number:
                found[name].append(result)
            print(f"  {name}: {result['samples_per_second'] / 1e6:.3f} M samples/s", file=sys.stderr)
    return {
        **{f"{name}_samples_per_second": spread(results) for name, results in found.items()},
        "ratio": ratios(found["ours"], found["plain"]),
        "gnuradio_ratio": ratios(found["our_filters"], found["gnuradio"]) if lacking is None else None,
        "gnuradio_missing": lacking,
        "shares_alike": alike(folder),
        "ours": {key: found["ours"][0][key] for key in ("ser", "p_md", "p_fa")},
        "theirs": {key: found["plain"][0][key] for key in ("ser", "p_md", "p_fa")},
        "busy_seconds": found["ours"][-1]["busy_seconds"],
        "latency": run_json([OURS, str(folder), "--part", "latency"]),
    }


def main() -> int:
    """Record, run all sides in turn, print the medians and their ratios."""
    parser = Parser(prog="radio.py", description="Receive chain of a radio against NumPy and GNU Radio.")
    parser.add_argument("--runs", type=count, default=5)
    parser.add_argument("--bursts", type=count, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        from radio_recording import record

        record(Path(name), options.bursts)
        measured = measure(Path(name), options.runs)
    report: dict[str, Any] = {
        "benchmark": "radio",
        "channels": 17,
        "bursts": options.bursts,
        **measured,
        "target": TARGET,
        "target_samples_per_second": TARGET_RATE,
        "references_are_frozen": frozen(RADIO) and frozen(GNURADIO),
        "results_agree": min(measured["shares_alike"].values()) >= ALIKE,
        **machine(),
    }
    json.dump(report, sys.stdout, indent=2)
    print()
    met = report["ratio"]["median"] >= TARGET and report["references_are_frozen"]
    met = met and report["ours_samples_per_second"]["median"] >= TARGET_RATE
    return 0 if met and report["results_agree"] else 1


if __name__ == "__main__":
    sys.exit(main())
