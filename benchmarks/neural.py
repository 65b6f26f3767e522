"""Training the neural baseline: time of an iteration against that of its matrix products alone.

    python benchmarks/neural.py [--hidden 256 1024] [--runs 5] [--engine products] [--precision bfloat16]
                                [--device cuda]

An iteration is everything: draws, forward, backward, Adam; batch 10 000, two threads, one ω_r. The
products are those of the networks (but for the encoder's, which have four rows), forward and backward, on
the whole batch by torch.mm on the same device, into memory that is there already; step (12) has the
presence network forward too, for its mask. With --precision they are in that precision. Both take turns in
one process. On a machine that others use, the ratio of processor time says more. Prints JSON; exit status 1
if an iteration takes longer than 1.3 times its products.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Any

import torch

from harness import Result, machine, parse_with_device, whole
from isac_models.errors import UserError
from isac_models.learning.neural import Neural
from isac_models.network_layout import LAYERS
from isac_models.options import Parser
from isac_models.scenario import Scenario

TARGET = 1.3
BATCH, THREADS = 10_000, 2
CHOSEN = ("threads", "engine", "precision", "device")
"""Settings of the training that are options."""


def main() -> int:
    """Measure every width and both steps, and print the report."""
    parser = Parser(description="Training the neural baseline against its matrix products.")
    parser.add_argument("--hidden", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--engine", default="auto", choices=("auto", "kernels", "products", "torch"))
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    options = parse_with_device(parser)
    settings = {"batch": BATCH, **{key: getattr(options, key) for key in CHOSEN}}
    report: dict[str, Any] = {"benchmark": "neural", "target": TARGET, **settings}
    try:
        report["widths"] = [
            measure(hidden, step, options.runs, settings) for hidden in options.hidden for step in (1, 2)
        ]
    except UserError as error:
        parser.error(str(error))
    report.update(machine(options.device))
    json.dump(report, sys.stdout, indent=2)
    print()
    return 0 if all(width["ratio"]["median"] <= TARGET for width in report["widths"]) else 1


def measure(hidden: int, step: int, runs: int, settings: Mapping[str, Any]) -> Result:
    """Products and iterations in turn, A B A B …; every run gives a ratio of time and of processor time."""
    given = {**settings, "hidden": hidden, "omega": 0.4, "iterations": 10**6}
    task = Neural(Scenario.preset("impaired"), Neural.complete(given))
    multiply, operations = matrix_products(task, step)
    products = whole(multiply, settings["device"])
    first = 0 if step == 1 else 10**6
    numbers = iter(range(first, 2 * 10**6))
    iteration = whole(lambda: task.step(next(numbers)), settings["device"])
    iteration()
    products()
    pairs = [(seconds(products), seconds(iteration)) for _ in range(runs)]
    alone, all_of_it = (median(side[0] for side in sides) for sides in zip(*pairs, strict=True))
    result = {
        "hidden": hidden,
        "step": step,
        "parameters": task.layout.size,
        "iteration_seconds": all_of_it,
        "products_seconds": alone,
        "products_operations_per_second": operations / alone,
        "ratio": spread(mine[0] / theirs[0] for theirs, mine in pairs),
        "processor_ratio": spread(mine[1] / theirs[1] for theirs, mine in pairs),
    }
    print(
        f"  N = {hidden}, step {step}: {1e3 * all_of_it:.1f} ms, products {1e3 * alone:.1f} ms, ratio "
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


def matrix_products(task: Neural, step: int) -> tuple[Callable[[], None], float]:
    """A call that runs the products of an iteration, and their floating-point operations."""
    layout, masked = task.layout, step == 2 and task.settings["mask"] == "detected"
    head = "presence" if step == 1 else "angle"
    kind, device = getattr(torch, task.settings["precision"]), task.settings["device"]
    jobs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def job(rows: int, inner: int, columns: int) -> None:
        sizes = (rows, inner), (inner, columns), (rows, columns)
        left, right, out = (torch.rand(size, dtype=kind, device=device) for size in sizes)
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
        torch.set_num_threads(task.settings["threads"])
        for left, right, out in jobs:
            torch.mm(left, right, out=out)

    return run, sum(2.0 * left.shape[0] * left.shape[1] * right.shape[1] for left, right, _ in jobs)


if __name__ == "__main__":
    sys.exit(main())
