"""Training the neural baseline: time of an iteration against that of its matrix products alone.

    python benchmarks/neural.py [--hidden 256 1024] [--runs 5] [--engine products] [--precision bfloat16]

An iteration is everything: draws, forward, backward, Adam; batch 10 000, two threads, one ω_r. The
products are those of the networks (but for the encoder's, which have four rows), forward and backward, on
the whole batch by torch.mm into memory that is there already; step (12) has the presence network forward
too, for its mask. With --precision they are in that precision. Both take turns in one process. On a machine
that others use, the ratio of processor time says more. Prints JSON; exit status 1 if an iteration takes
longer than 1.3 times its products.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

import torch

from harness import Result, machine
from isac_models.learning.neural import Neural
from isac_models.network_layout import LAYERS
from isac_models.scenario import Scenario

TARGET = 1.3
BATCH, THREADS = 10_000, 2


def main() -> int:
    """Measure every width and both steps, and print the report."""
    parser = argparse.ArgumentParser(description="Training the neural baseline against its matrix products.")
    parser.add_argument("--hidden", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--engine", default="auto", choices=("auto", "kernels", "products", "torch"))
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    options = parser.parse_args()
    report: dict[str, Any] = {"benchmark": "neural", "target": TARGET, "batch": BATCH}
    report |= {"threads": options.threads, "engine": options.engine, "precision": options.precision}
    report["widths"] = [
        measure(hidden, step, options.runs, options.engine, options.threads, options.precision)
        for hidden in options.hidden
        for step in (1, 2)
    ]
    report.update(machine())
    json.dump(report, sys.stdout, indent=2)
    print()
    return 0 if all(width["ratio"]["median"] <= TARGET for width in report["widths"]) else 1


def measure(hidden: int, step: int, runs: int, engine: str, threads: int, precision: str) -> Result:
    """Products and iterations in turn, A B A B …; every run gives a ratio of time and of processor time."""
    settings = {"hidden": hidden, "omega": 0.4, "batch": BATCH, "threads": threads, "engine": engine}
    settings["precision"] = precision
    task = Neural(Scenario.preset("impaired"), Neural.complete({**settings, "iterations": 10**6}))
    products, operations = matrix_products(task, step, threads)
    first = 0 if step == 1 else 10**6
    numbers = iter(range(first, 2 * 10**6))
    task.step(next(numbers))
    products()
    pairs = [(seconds(products), seconds(lambda: task.step(next(numbers)))) for _ in range(runs)]
    alone, whole = (median(side[0] for side in sides) for sides in zip(*pairs, strict=True))
    result = {
        "hidden": hidden,
        "step": step,
        "parameters": task.layout.size,
        "iteration_seconds": whole,
        "products_seconds": alone,
        "products_operations_per_second": operations / alone,
        "ratio": spread(mine[0] / theirs[0] for theirs, mine in pairs),
        "processor_ratio": spread(mine[1] / theirs[1] for theirs, mine in pairs),
    }
    print(
        f"  N = {hidden}, step {step}: {1e3 * whole:.1f} ms, products {1e3 * alone:.1f} ms, ratio "
        f"{result['ratio']['median']:.2f}, of processor time {result['processor_ratio']['median']:.2f}",
        file=sys.stderr,
    )
    return result


def seconds(call: Callable[[], Any]) -> tuple[float, float]:
    """Time and processor time of a call: the shortest of three, as other programs only ever add to it."""
    times, busy = [], []
    for _ in range(3):
        began, work = time.perf_counter(), time.process_time()
        call()
        times.append(time.perf_counter() - began)
        busy.append(time.process_time() - work)
    return min(times), min(busy)


def spread(values: Iterable[float]) -> Result:
    """Median, lowest and highest."""
    found = sorted(values)
    return {"median": median(found), "lowest": found[0], "highest": found[-1]}


def matrix_products(task: Neural, step: int, threads: int) -> tuple[Callable[[], None], float]:
    """A call that runs the products of an iteration, and their floating-point operations."""
    layout, masked = task.layout, step == 2 and task.settings["mask"] == "detected"
    head = "presence" if step == 1 else "angle"
    kind = getattr(torch, task.settings["precision"])
    jobs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def job(rows: int, inner: int, columns: int) -> None:
        sizes = (rows, inner), (inner, columns), (rows, columns)
        left, right, out = (torch.rand(size, dtype=kind) for size in sizes)
        jobs.append((left, right, out))

    networks = [("beamformer", 0), (head, 2 * layout.antennas), ("receiver", 4)]
    for name, inputs_wanted in [*networks, *([("presence", None)] if masked else [])]:
        sizes = layout.sizes[name]
        for layer in range(LAYERS):
            inputs, outputs = sizes[layer], sizes[layer + 1]
            job(BATCH, inputs, outputs)
            if inputs_wanted is not None:
                job(outputs, BATCH, inputs)  # dJ/dW
                if wanted := inputs if layer else inputs_wanted:
                    job(BATCH, outputs, wanted)

    def run() -> None:
        torch.set_num_threads(threads)
        for left, right, out in jobs:
            torch.mm(left, right, out=out)

    return run, sum(2.0 * left.shape[0] * left.shape[1] * right.shape[1] for left, right, _ in jobs)


if __name__ == "__main__":
    sys.exit(main())
