"""Our side of benchmarks/training.py, and what the machine could do at best."""

from __future__ import annotations

import threading
import time
from statistics import median
from typing import Any

import numpy as np
import torch
from numba import njit

from harness import Result, whole
from isac_models.kernels.lanes import WIDTH, add, fma, load, splat, store
from isac_models.learning.model_driven import ModelDriven
from isac_models.learning.sensing_batch import SimulatedBatch
from isac_models.scenario import Scenario
from training import BATCH, THREADS, median_seconds

ROUNDS = 2_000_000
CHAINS = 8


def ours(device: str, antennas: int, grid: int, iterations: int) -> Result:
    """Time of an iteration of the training program."""
    scenario = Scenario.preset("impaired").replace(antennas=antennas, grid_size=grid)
    given = {"batch": BATCH, "threads": THREADS, "iterations": 10**9, "device": device}
    task = ModelDriven(scenario, ModelDriven.complete(given))
    return {"seconds": median_seconds(whole(task.step, device), iterations)}


def limits(threads: int) -> Result:
    """Arithmetic and cache traffic of the fused pass against what loops of nothing else reach.

    Counted is what (13) asks for inside the windows: for each column and element one complex product forward
    and two backward, 24 floating-point operations; 8 vector loads and 2 stores a 16 columns.
    """
    scenario = Scenario.preset("impaired")
    settings = ModelDriven.complete({"batch": BATCH, "threads": threads, "iterations": 10**9})
    task = ModelDriven(scenario, settings)
    seconds = median_seconds(task.step, 300)
    chunk = SimulatedBatch(scenario, 1, "training", 0, BATCH).chunk(0, BATCH)
    columns = (chunk.high - chunk.low).astype(np.int64)
    operations = 24 * scenario.antennas * int(columns.sum())
    blocks = int((-(-columns // WIDTH)).sum())
    traffic = scenario.antennas * blocks * 10 * WIDTH * 4
    arithmetic = median(_together(_multiply_add, threads) for _ in range(5))
    cache = median(_together(_copy, threads) for _ in range(5))
    return {
        "iteration_seconds": seconds,
        "operations_per_second": operations / seconds,
        "peak_operations_per_second": arithmetic,
        "share_of_arithmetic": operations / seconds / arithmetic,
        "cache_bytes_per_second": traffic / seconds,
        "peak_cache_bytes_per_second": cache,
        "share_of_cache": traffic / seconds / cache,
        "matrix_product_operations_per_second": _matrix_product(threads),
    }


def _together(work: Any, threads: int) -> float:
    """What several threads get done in a second, all of them together."""
    counts = [0.0] * threads
    work()

    def run(number: int) -> None:
        counts[number] = work()

    crew = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    began = time.perf_counter()
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    return sum(counts) / (time.perf_counter() - began)


def _multiply_add() -> float:
    out = np.zeros(WIDTH, np.float32)
    _chains(out, ROUNDS)
    return 2.0 * CHAINS * WIDTH * ROUNDS


def _copy() -> float:
    """The traffic of the pass, 8 loads and 2 stores, over 64 kB: as large as A, in the second-level cache."""
    data = np.ones(16384, np.float32)
    rounds = 2000
    _sweep(data, rounds)
    return float(rounds * (data.size // (8 * WIDTH)) * 10 * WIDTH * 4)


@njit(nogil=True)
def _chains(out: Any, rounds: Any) -> None:
    factor = splat(np.float32(0.999))
    a = load(out, 0)
    b, c, d, e, f, g, h = a, a, a, a, a, a, a
    for _ in range(rounds):
        a = fma(a, factor, factor)
        b = fma(b, factor, factor)
        c = fma(c, factor, factor)
        d = fma(d, factor, factor)
        e = fma(e, factor, factor)
        f = fma(f, factor, factor)
        g = fma(g, factor, factor)
        h = fma(h, factor, factor)
    store(out, 0, add(add(add(a, b), add(c, d)), add(add(e, f), add(g, h))))


@njit(nogil=True)
def _sweep(data: Any, rounds: Any) -> None:
    for _ in range(rounds):
        for i in range(0, data.size, 8 * WIDTH):
            a = add(load(data, i), load(data, i + WIDTH))
            b = add(load(data, i + 2 * WIDTH), load(data, i + 3 * WIDTH))
            c = add(load(data, i + 4 * WIDTH), load(data, i + 5 * WIDTH))
            d = add(load(data, i + 6 * WIDTH), load(data, i + 7 * WIDTH))
            store(data, i, add(a, b))
            store(data, i + WIDTH, add(c, d))


def _matrix_product(threads: int) -> float:
    """Operations a second of a large product of float32 matrices, the usual measure of a machine."""
    torch.set_num_threads(threads)
    a = torch.rand(1536, 1536)
    seconds = median_seconds(lambda _: a @ a, 15)
    return 2 * 1536**3 / seconds
