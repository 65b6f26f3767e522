"""The rival: the whole link as one straight-line, single-thread, uncompiled NumPy script. Frozen.

Same system, from scratch (nothing of this project is imported): 16 antennas, QPSK, 500 grid angles, target
in [-40°, -20°], receiver in [30°, 50°], SNR 0 and 20 dB, P_fa 0.01. As fast as plain NumPy goes: only the
sector's columns, float32 throughout, every large array preallocated, the fastest bit generator (SFC64),
batches that stay in the cache, real matrix products instead of complex ones, x = v s never written out
(aᵀx = aᵀv s), echoes computed for present targets only.

Complex rows are [Re | Im]. What is received is √2 times that of the paper: then noise draws need no scaling.
Prints one JSON object. BLAS is limited to one thread.
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

ANTENNAS, GRID, BATCH = 16, 500, 2048
TARGET = (math.radians(-40), math.radians(-20))
RECEIVER = (math.radians(30), math.radians(50))
RADAR_GAIN, COMM_GAIN, FALSE_ALARM = 1.0, 100.0, 0.01
CALIBRATION_SNAPSHOTS = 2_000_000
F = np.float32


def main() -> None:
    """Set up, measure, print."""
    parser = argparse.ArgumentParser(description="The link in plain NumPy.")
    parser.add_argument("--snapshots", type=int, default=2_000_000)
    parser.add_argument("--rho", type=float, default=0.5)
    parser.add_argument("--impairment", choices=("none", "spacing"), default="none")
    parser.add_argument("--impairment-seed", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    # The array as designed and as built; the grid; the beam of eqs. (3) to (5).
    nominal = (np.arange(ANTENNAS) - (ANTENNAS - 1) / 2) / 2
    positions = nominal
    if options.impairment == "spacing":
        spacings = np.random.default_rng(options.impairment_seed).normal(0.5, 1 / 30, ANTENNAS - 1)
        positions = np.concatenate([[0], np.cumsum(spacings)])
        positions -= positions.mean()
    grid = np.linspace(-np.pi / 2, np.pi / 2, GRID)
    matrix = np.exp(-2j * np.pi * nominal[:, None] * np.sin(grid))
    beams = []
    for low, high in (TARGET, RECEIVER):
        lit = ANTENNAS * ((grid >= low - 1e-9) & (grid <= high + 1e-9))
        beam = np.linalg.solve(matrix.conj() @ matrix.T, matrix.conj() @ lit)
        beams.append(beam / np.linalg.norm(beam))
    beam = math.sqrt(options.rho) * beams[0] + math.sqrt(1 - options.rho) * beams[1]
    beam /= np.linalg.norm(beam)
    inside = (grid >= TARGET[0] - 1e-9) & (grid <= TARGET[1] + 1e-9)
    columns, angles = matrix[:, inside], grid[inside].astype(F)

    # aᴴy for rows y = [Re | Im], real and imaginary parts apart.
    to_real = np.ascontiguousarray(np.concatenate([columns.real, columns.imag]), F)
    to_imag = np.ascontiguousarray(np.concatenate([-columns.imag, columns.real]), F)
    # aᵀv for a = cos - j sin: rows [cos | sin] or columns of them.
    to_beam = np.ascontiguousarray(
        np.block([[beam.real[:, None], beam.imag[:, None]], [beam.imag[:, None], -beam.real[:, None]]]), F
    )
    from_beam = np.ascontiguousarray(to_beam.T)
    turns = (2 * np.pi * positions).astype(F)

    random = np.random.Generator(np.random.SFC64(options.seed))
    echo = np.empty((BATCH, 2 * ANTENNAS), F)
    real, imag = np.empty((BATCH, angles.size), F), np.empty((BATCH, angles.size), F)
    rows = np.arange(BATCH)

    # Threshold on |aᴴy|²: the quantile of the noise's statistic.
    levels = np.empty(CALIBRATION_SNAPSHOTS // BATCH * BATCH, F)
    for first in range(0, levels.size, BATCH):
        random.standard_normal(out=echo, dtype=F)
        np.matmul(echo, to_real, out=real)
        np.matmul(echo, to_imag, out=imag)
        np.multiply(real, real, out=real)
        np.multiply(imag, imag, out=imag)
        np.add(real, imag, out=real)
        real.max(axis=1, out=levels[first : first + BATCH])
    threshold = F(np.quantile(levels, 1 - FALSE_ALARM))

    steering = np.empty((2 * ANTENNAS, BATCH), F)
    target_steering, reflected = np.empty((BATCH, 2 * ANTENNAS), F), np.empty((BATCH, 2 * ANTENNAS), F)
    phase, phases = np.empty((ANTENNAS, BATCH), F), np.empty((BATCH, ANTENNAS), F)
    product = np.empty((BATCH, ANTENNAS), F)
    normal = np.empty((4, BATCH), F)
    fading, noise = normal[:2], normal[2:]
    swerling = np.empty(2 * BATCH, F)
    uniform, arrived = np.empty(BATCH, F), np.empty((2, BATCH), F)
    points = np.sqrt(np.array(0.5, F)) * np.array([[-1, -1, 1, 1], [-1, 1, -1, 1]], F)
    beta, alpha = F(math.sqrt(COMM_GAIN)), F(math.sqrt(RADAR_GAIN))
    targets = missed = false = errors = hits = 0
    squares = fourths = 0.0

    batches = -(-options.snapshots // BATCH)
    start = time.perf_counter()
    for _ in range(batches):
        # Messages (two bits), presence (one bit), QPSK symbols.
        byte = random.bit_generator.random_raw(BATCH // 8).view(np.uint8)
        message = byte & 3
        present = np.flatnonzero(byte > 127)
        count = present.size
        s_re, s_im = points[0].take(message), points[1].take(message)

        # MISO channel (2) and decision.
        random.random(out=uniform, dtype=F)
        uniform *= F(RECEIVER[1] - RECEIVER[0])
        uniform += F(RECEIVER[0])
        np.sin(uniform, out=uniform)
        np.multiply(turns[:, None], uniform, out=phase)
        np.cos(phase, out=steering[:ANTENNAS])
        np.sin(phase, out=steering[ANTENNAS:])
        np.matmul(from_beam, steering, out=arrived)
        random.standard_normal(out=normal, dtype=F)
        k_re = fading[0] * arrived[0]
        k_re -= fading[1] * arrived[1]
        k_im = fading[0] * arrived[1]
        k_im += fading[1] * arrived[0]
        k_re *= beta
        k_im *= beta
        y_re = k_re * s_re
        y_re -= k_im * s_im
        y_re += noise[0]
        y_im = k_re * s_im
        y_im += k_im * s_re
        y_im += noise[1]
        # Sign of Re and Im of y κ*.
        decided = y_re * k_re
        decided += y_im * k_im
        other = y_im * k_re
        other -= y_re * k_im
        wrong = (decided > 0) != (message > 1)
        wrong |= (other > 0) != (message & 1).view(np.bool_)
        errors += int(np.count_nonzero(wrong))

        # Radar echo (1) on top of the noise.
        random.standard_normal(out=echo, dtype=F)
        theta = random.random(count, dtype=F)
        theta *= F(TARGET[1] - TARGET[0])
        theta += F(TARGET[0])
        angle, cs = phases[:count], target_steering[:count]
        np.multiply(np.sin(theta)[:, None], turns, out=angle)
        cos, sin = cs[:, :ANTENNAS], cs[:, ANTENNAS:]
        np.cos(angle, out=cos)
        np.sin(angle, out=sin)
        reached = cs @ to_beam
        gain = swerling[: 2 * count].reshape(2, count)
        random.standard_normal(out=gain, dtype=F)
        p_re, p_im = s_re[present], s_im[present]
        h_re = reached[:, 0] * p_re
        h_re -= reached[:, 1] * p_im
        h_im = reached[:, 0] * p_im
        h_im += reached[:, 1] * p_re
        g_re = gain[0] * h_re
        g_re -= gain[1] * h_im
        g_im = gain[0] * h_im
        g_im += gain[1] * h_re
        g_re = (alpha * g_re)[:, None]
        g_im = (alpha * g_im)[:, None]
        back, scratch = reflected[:count], product[:count]
        np.multiply(cos, g_re, out=back[:, :ANTENNAS])
        np.multiply(sin, g_im, out=scratch)
        back[:, :ANTENNAS] += scratch
        np.multiply(cos, g_im, out=back[:, ANTENNAS:])
        np.multiply(sin, g_re, out=scratch)
        back[:, ANTENNAS:] -= scratch
        echo[present] += back

        # Matched filter (7), (8) over the sector's columns.
        np.matmul(echo, to_real, out=real)
        np.matmul(echo, to_imag, out=imag)
        np.multiply(real, real, out=real)
        np.multiply(imag, imag, out=imag)
        np.add(real, imag, out=real)
        best = real.argmax(axis=1)
        detected = real[rows, best] > threshold
        found = detected[present]
        hit = np.flatnonzero(found)
        targets += count
        missed += count - hit.size
        false += int(np.count_nonzero(detected)) - hit.size
        error = angles.take(best[present[hit]])
        error -= theta[hit]
        np.multiply(error, error, out=error)
        hits += hit.size
        squares += float(error.sum(dtype=np.float64))
        fourths += float(np.dot(error, error))
    seconds = time.perf_counter() - start

    snapshots = batches * BATCH
    print(
        json.dumps(
            {
                "snapshots": snapshots,
                "seconds": seconds,
                "snapshots_per_second": snapshots / seconds,
                "ser": errors / snapshots,
                "p_md": missed / targets,
                "p_fa": false / (snapshots - targets),
                "rmse_rad": math.sqrt(squares / hits),
                "threshold": math.sqrt(threshold / 2),
                "counters": {
                    "ser": {"events": errors, "trials": snapshots},
                    "p_md": {"events": missed, "trials": targets},
                    "p_fa": {"events": false, "trials": snapshots - targets},
                    "rmse_rad": {"count": hits, "sum_squares": squares, "sum_fourth": fourths},
                },
                "calibration_snapshots": levels.size,
            }
        )
    )


if __name__ == "__main__":
    main()
