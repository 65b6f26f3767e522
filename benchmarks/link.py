"""The streaming link against the same mathematics as one straight-line NumPy script.

    python benchmarks/link.py [--runs 5] [--snapshots 4e6] [--transport inproc]

Ours: flowgraphs/isac_link.py, every block a thread, every edge a ZeroMQ pipe. Theirs:
benchmarks/reference/link_numpy.py, frozen: one thread, sector window only, float32, no wasted allocation.
Both count the time of the stream alone, not of imports. Prints JSON; exit status 1 if
the results disagree, the target ratio is missed or the reference script was changed.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from harness import SECTOR, alternate, disagreement, frozen, machine, ratio, speeds

OURS = "flowgraphs/isac_link.py"
TARGET = 1.5


def main() -> int:
    """Run both sides in turn and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description="Streaming link against one NumPy script.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--snapshots", type=float, default=4e6)
    parser.add_argument("--transport", default="inproc", choices=("inproc", "ipc", "tcp"))
    parser.add_argument("--frame", type=int, default=16384)
    options = parser.parse_args()
    count = str(int(options.snapshots))
    common = ["--rho", "0.5", "--snapshots", count]
    how = ["--transport", options.transport, "--frame", str(options.frame)]
    ours, theirs = alternate(
        [OURS, *common, "--scenario", "ideal", "--json", *how],
        [SECTOR, *common],
        options.runs,
    )
    wrong = disagreement(ours[0], theirs[0])
    report: dict[str, Any] = {
        "benchmark": "link",
        "transport": options.transport,
        "snapshots": int(options.snapshots),
        "ours_snapshots_per_second": speeds(ours),
        "theirs_snapshots_per_second": speeds(theirs),
        "ratio": ratio(ours, theirs),
        "target": TARGET,
        "reference_is_frozen": frozen(SECTOR),
        "results_agree": not wrong,
        "disagreement": wrong,
        "ours": {key: ours[0][key] for key in ("ser", "p_md", "p_fa", "rmse_rad", "lost_frames")},
        "theirs": {key: theirs[0][key] for key in ("ser", "p_md", "p_fa", "rmse_rad")},
        **machine(),
    }
    json.dump(report, sys.stdout, indent=2)
    print()
    met = report["ratio"]["median"] >= TARGET and report["reference_is_frozen"]
    return 0 if met and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
