"""The offline evaluation against two NumPy scripts, and its memory.

    python benchmarks/evaluate.py [--runs 5] [--quick]

Ours: python -m isac_models.evaluate, one process. Theirs, frozen, both one thread: reference/dense_numpy.py,
the usual formulation with a matched filter over all 500 grid angles, and reference/link_numpy.py, as fast as
plain NumPy goes. All count the time of the measurement alone, not of imports and calibration. Peak memory is
that of the whole process at two lengths. Prints JSON; exit status 1 if results
disagree, the target ratio is missed, memory grows or a reference script was changed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

from harness import DENSE, ROOT, SECTOR, alternate, disagreement, frozen, machine, ratio, speeds

OURS = ("-m", "isac_models.evaluate", "--scenario", "ideal", "--rho", "0.5", "--json", "--no-theory")
SNAPSHOTS = {DENSE: 1_000_000, SECTOR: 4_000_000}
OURS_SNAPSHOTS = 8_000_000
TARGET = 3.0
GROWTH = 1.05
"""Factor between two peaks that counts as the same memory: allocators and pages are no clockwork."""


def main() -> int:
    """Run every side in turn, then measure memory, and print the report."""
    parser = argparse.ArgumentParser(description="Offline evaluation against NumPy scripts.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="memory at 1e6 and 1e7 snapshots, not 1e8")
    options = parser.parse_args()
    report: dict[str, Any] = {"benchmark": "evaluate", "target_against_dense": TARGET}
    wrong: list[str] = []
    for name, script in (("dense", DENSE), ("sector", SECTOR)):
        ours, theirs = alternate(
            [*OURS, "--snapshots", str(OURS_SNAPSHOTS)],
            [script, "--rho", "0.5", "--snapshots", str(SNAPSHOTS[script])],
            options.runs,
        )
        report[name] = {
            "ours_snapshots_per_second": speeds(ours),
            "theirs_snapshots_per_second": speeds(theirs),
            "ratio": ratio(ours, theirs),
            "ours": {key: ours[0][key] for key in ("ser", "p_md", "p_fa", "rmse_rad")},
            "theirs": {key: theirs[0][key] for key in ("ser", "p_md", "p_fa", "rmse_rad")},
        }
        wrong += disagreement(ours[0], theirs[0])
    lengths = (1_000_000, 10_000_000 if options.quick else 100_000_000)
    peaks = {str(length): peak_memory(length) for length in lengths}
    low, high = (peaks[str(length)] for length in lengths)
    report["peak_memory_bytes"] = peaks
    report["memory_is_flat"] = high <= GROWTH * low
    report["results_agree"] = not wrong
    report["disagreement"] = wrong
    report["references_are_frozen"] = frozen(DENSE) and frozen(SECTOR)
    report.update(machine())
    json.dump(report, sys.stdout, indent=2)
    print()
    met = report["dense"]["ratio"]["median"] >= TARGET and report["memory_is_flat"]
    return 0 if met and report["references_are_frozen"] and not wrong else 1


def peak_memory(snapshots: int) -> int:
    """Largest resident size in bytes of an evaluation of that length."""
    process = subprocess.Popen(
        [sys.executable, *OURS, "--snapshots", str(snapshots)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"error: the evaluation of {snapshots} snapshots ended with {process.returncode}")
    size = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"  {snapshots:,} snapshots: {size / 2**20:.1f} MiB", file=sys.stderr)
    return size


if __name__ == "__main__":
    sys.exit(main())
