"""Training A against plain torch: time of an iteration, memory, growth, and the share of the machine's limit.

    python benchmarks/training.py [--runs 5] [--quick] [--device cuda]

An iteration is everything: draws, beams, echoes, forward, backward, Adam; batch 10 000, two threads. Ours:
`ModelDriven.step`, what ``python -m isac_models.train model-driven`` runs. Theirs, frozen:
reference/train_torch.py, with glibc's allocator told to keep its memory, which makes it about twice as fast.
Each side is a process of its own, in turn; on a GPU, which the reference has no use for, there is ours alone.
Prints JSON; exit status 1 if the target ratio or the memory bound is missed, or the reference was changed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from statistics import median
from typing import Any

from harness import TRAINING, Result, frozen, machine, parse_with_device, run_json
from isac_models.options import Parser

TARGET = 15.0
LARGEST_MEMORY = 1 << 30
BATCH, THREADS, LEARNING_ITERATIONS = 10_000, 2, 50_000
SIZES = [(16, 500), (16, 156)]
GROWTH = [(16, 2000), (64, 156), (64, 500), (64, 2000), (256, 2000)]
"""Antennas and grid points; N ≥ 2K."""
TUNED = {
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
    "MALLOC_TOP_PAD_": "100000000",
}
WARM_UP = 5


def main() -> int:
    """Run both sides in turn, then the limits, and print the report."""
    parser = Parser(description="Training A against plain torch.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="no table of growth")
    parser.add_argument("--ours", nargs=3, type=int, metavar=("K", "N", "ITERATIONS"), help=argparse.SUPPRESS)
    parser.add_argument("--limits", action="store_true", help=argparse.SUPPRESS)
    options = parse_with_device(parser)
    if options.ours or options.limits:
        from training_sides import limits, ours

        result = ours(options.device, *options.ours) if options.ours else limits(THREADS)
        result["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(result))
        return 0
    on_cpu = options.device == "cpu"
    report: dict[str, Any] = {"benchmark": "training", "batch": BATCH, "threads": THREADS}
    report["device"] = options.device
    report["sizes"] = [compare(*size, options.runs, options.device) for size in SIZES]
    if not options.quick:
        report["growth"] = [compare(*size, 1, options.device) for size in GROWTH]
    first, met = report["sizes"][0], True
    first["minutes_for_50000"] = first["ours_seconds"] * LEARNING_ITERATIONS / 60
    if on_cpu:
        report["target"] = TARGET
        report["limits"] = run_json(["benchmarks/training.py", "--limits"])
        report["reference_is_frozen"] = frozen(TRAINING)
        met = first["ratio"]["median"] >= TARGET and first["ours_memory_bytes"] < LARGEST_MEMORY
        met = met and report["reference_is_frozen"]
    report.update(machine(options.device))
    json.dump(report, sys.stdout, indent=2)
    print()
    return 0 if met else 1


def compare(antennas: int, grid: int, runs: int, device: str) -> Result:
    """Both sides in turn, A B A B …; every run gives the median of its iterations. On a GPU ours alone."""
    iterations = max(3, 400_000 // (antennas * grid))
    mine = ["benchmarks/training.py", "--ours", str(antennas), str(grid), str(20 * iterations)]
    mine += ["--device", device]
    sizes = ["--antennas", str(antennas), "--grid", str(grid), "--iterations", str(min(iterations, 30))]
    theirs = [TRAINING, *sizes, "--threads", str(THREADS), "--batch", str(BATCH)]
    sides: dict[str, list[Result]] = {"ours": [], "theirs": []}
    for _ in range(runs):
        sides["ours"].append(run_json(mine))
        if device == "cpu":
            sides["theirs"].append(run_json(theirs, **TUNED))
        times = ", ".join(
            f"{side} {1e3 * each[-1]['seconds']:.2f} ms" for side, each in sides.items() if each
        )
        print(f"  K = {antennas}, N = {grid}: {times}", file=sys.stderr)
    result: Result = {"antennas": antennas, "grid_size": grid}
    for side, each in sides.items():
        if each:
            result[f"{side}_seconds"] = median(run["seconds"] for run in each)
            result[f"{side}_memory_bytes"] = max(run["peak_memory_bytes"] for run in each)
    if device == "cpu":
        ratios = sorted(b["seconds"] / a["seconds"] for a, b in zip(*sides.values(), strict=True))
        result["ratio"] = {"median": median(ratios), "lowest": ratios[0], "highest": ratios[-1]}
    return result


def median_seconds(call: Any, count: int) -> float:
    """Median time of a call, after some that are not counted."""
    for number in range(WARM_UP):
        call(number)
    seconds = []
    for number in range(WARM_UP, WARM_UP + count):
        began = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - began)
    return median(seconds)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
    sys.exit(main())
