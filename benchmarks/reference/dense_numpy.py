"""The same evaluation as it is usually written: matched filter over the whole grid of angles, then a mask.

Plain NumPy, complex64, one thread, batches that stay in the cache; formulas as in the paper, one line each.
From scratch: nothing of this project is imported. Frozen. Prints one JSON object.
"""

# ruff: noqa: E402  BLAS reads its number of threads when NumPy is imported
import os

for library in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import argparse
import json
import math
import time

import numpy as np

ANTENNAS, GRID, BATCH = 16, 500, 1024
TARGET = (math.radians(-40), math.radians(-20))
RECEIVER = (math.radians(30), math.radians(50))
RADAR_GAIN, COMM_GAIN, FALSE_ALARM = 1.0, 100.0, 0.01
CALIBRATION_SNAPSHOTS = 1_000_000


def main() -> None:
    """Set up, measure, print."""
    parser = argparse.ArgumentParser(description="The link in plain NumPy with a dense matched filter.")
    parser.add_argument("--snapshots", type=int, default=1_000_000)
    parser.add_argument("--rho", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = np.random.Generator(np.random.SFC64(options.seed))

    def complex_normal(*shape: int) -> np.ndarray:
        """CN(0, 1)."""
        parts = random.standard_normal((*shape[:-1], 2 * shape[-1]), dtype=np.float32)
        parts *= np.float32(math.sqrt(0.5))
        return parts.view(np.complex64)

    def steering(angle: np.ndarray) -> np.ndarray:
        """a(θ): (n,) to (n, K)."""
        phase = np.sin(angle)[:, None] * positions
        vectors = np.empty(phase.shape, np.complex64)
        np.cos(phase, out=vectors.real)
        np.sin(phase, out=vectors.imag)
        return vectors

    positions = (-np.pi * (np.arange(ANTENNAS) - (ANTENNAS - 1) / 2)).astype(np.float32)
    grid = np.linspace(-np.pi / 2, np.pi / 2, GRID).astype(np.float32)
    matrix = steering(grid).T
    masks = [(grid >= low - 1e-6) & (grid <= high + 1e-6) for low, high in (TARGET, RECEIVER)]
    wide = matrix.astype(np.complex128)
    beams = [np.linalg.solve(wide.conj() @ wide.T, wide.conj() @ mask) for mask in masks]
    beams = [beam / np.linalg.norm(beam) for beam in beams]
    beam = math.sqrt(options.rho) * beams[0] + math.sqrt(1 - options.rho) * beams[1]
    beam = (beam / np.linalg.norm(beam)).astype(np.complex64)
    points = np.array([-1 - 1j, -1 + 1j, 1 - 1j, 1 + 1j], np.complex64) / np.float32(math.sqrt(2))
    correlator, mask = np.ascontiguousarray(matrix.conj()), masks[0].astype(np.float32)

    def statistics(echo: np.ndarray) -> np.ndarray:
        """|A^H y| ⊙ b for every grid angle: (n, K) to (n, N)."""
        correlation: np.ndarray = np.abs(echo @ correlator)
        correlation *= mask
        return correlation

    levels = [
        statistics(complex_normal(BATCH, ANTENNAS)).max(1) for _ in range(CALIBRATION_SNAPSHOTS // BATCH)
    ]
    threshold = np.quantile(np.concatenate(levels), 1 - FALSE_ALARM)

    errors = targets = missed = false = hits = 0
    squares = fourths = 0.0
    batches = -(-options.snapshots // BATCH)
    start = time.perf_counter()
    for _ in range(batches):
        message = random.integers(0, 4, BATCH, dtype=np.uint8)
        symbol = points[message]
        transmitted = symbol[:, None] * beam

        angle = random.uniform(*RECEIVER, BATCH).astype(np.float32)
        fading = np.float32(math.sqrt(COMM_GAIN)) * complex_normal(BATCH)
        response = fading * (steering(angle) * transmitted).sum(1)
        received, csi = response + complex_normal(BATCH), response / symbol
        decided = np.abs(received[:, None] - csi[:, None] * points).argmin(1)
        errors += int((decided != message).sum())

        present = random.random(BATCH, dtype=np.float32) < 0.5
        angle = random.uniform(*TARGET, BATCH).astype(np.float32)
        gain = np.float32(math.sqrt(RADAR_GAIN)) * complex_normal(BATCH) * present
        vectors = steering(angle)
        echo = (gain * (vectors * transmitted).sum(1))[:, None] * vectors + complex_normal(BATCH, ANTENNAS)

        correlation = statistics(echo)
        best = correlation.argmax(1)
        detected = correlation[np.arange(BATCH), best] > threshold
        hit = present & detected
        targets += int(present.sum())
        missed += int((present & ~detected).sum())
        false += int((detected & ~present).sum())
        hits += int(hit.sum())
        square = (grid[best] - angle)[hit].astype(np.float64) ** 2
        squares += float(square.sum())
        fourths += float((square**2).sum())
    seconds = time.perf_counter() - start

    snapshots = batches * BATCH
    result = {
        "snapshots": snapshots,
        "seconds": seconds,
        "snapshots_per_second": snapshots / seconds,
        "ser": errors / snapshots,
        "p_md": missed / targets,
        "p_fa": false / (snapshots - targets),
        "rmse_rad": math.sqrt(squares / hits),
        "threshold": float(threshold),
        "counters": {
            "ser": {"events": errors, "trials": snapshots},
            "p_md": {"events": missed, "trials": targets},
            "p_fa": {"events": false, "trials": snapshots - targets},
            "rmse_rad": {"count": hits, "sum_squares": squares, "sum_fourth": fourths},
        },
        "calibration_snapshots": len(levels) * BATCH,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
