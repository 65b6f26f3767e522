"""Many channels of samples against a few known columns: what following a preamble takes.

Complex arrays come as float32 with real and imaginary part side by side; samples (L, 2C) hold all channels of
a sample after one another, so that the channels lie in the vector lanes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isac_models.kernels.compiling import FLOAT, kernel, readable, types, writable


@kernel(
    writable(FLOAT, 2),
    writable(FLOAT, 1),
    writable(FLOAT, 2),
    readable(FLOAT, 2),
    types.int64,
    readable(FLOAT, 2),
    types.int64,
)
def project(along: Any, energy: Any, blocks: Any, samples: Any, first: Any, columns: Any, size: Any) -> None:
    """along[k] = Σ_n columns[n, k] y[first + n], energy = Σ_n |y|² in its even places; zeros lie outside.

    samples y (L, 2C), columns (N, 2k), along (k, 2C), energy (2C,); blocks (N / size, 2C): the sums of the
    first column over `size` samples each, the last ones perhaps fewer.
    """
    length, lanes = samples.shape
    count = columns.shape[1] // 2
    real = np.zeros((count, lanes), np.float32)
    imaginary = np.zeros((count, lanes), np.float32)
    before = np.zeros((2, lanes), np.float32)
    squares = np.zeros(lanes, np.float32)
    for n in range(columns.shape[0]):
        at = first + n
        if 0 <= at < length:
            for k in range(count):
                a = columns[n, 2 * k]
                b = columns[n, 2 * k + 1]
                for c in range(lanes):
                    real[k, c] += a * samples[at, c]
                    imaginary[k, c] += b * samples[at, c]
            for c in range(lanes):
                squares[c] += samples[at, c] * samples[at, c]
        if (n + 1) % size == 0 or n + 1 == columns.shape[0]:
            for c in range(0, lanes, 2):
                a = real[0, c] - before[0, c]
                b = real[0, c + 1] - before[0, c + 1]
                blocks[n // size, c] = a - (imaginary[0, c + 1] - before[1, c + 1])
                blocks[n // size, c + 1] = b + (imaginary[0, c] - before[1, c])
            for c in range(lanes):
                before[0, c] = real[0, c]
                before[1, c] = imaginary[0, c]
    for k in range(count):
        for c in range(0, lanes, 2):
            along[k, c] = real[k, c] - imaginary[k, c + 1]
            along[k, c + 1] = real[k, c + 1] + imaginary[k, c]
    for c in range(0, lanes, 2):
        energy[c] = squares[c] + squares[c + 1]


@kernel(writable(FLOAT, 2), writable(FLOAT, 2), readable(FLOAT, 2), types.int64, readable(FLOAT, 2))
def slide(along: Any, energy: Any, samples: Any, first: Any, column: Any) -> None:
    """As `project` with one column (N, 2), at the places first, first + 1, … (as many as `along` has rows).

    along (P, 2C), energy (P, 2C) in its even places. All samples that it takes must be there.
    """
    lanes = samples.shape[1]
    real = np.empty(lanes, np.float32)
    imaginary = np.empty(lanes, np.float32)
    squares = np.empty(lanes, np.float32)
    for p in range(along.shape[0]):
        for c in range(lanes):
            real[c] = 0
            imaginary[c] = 0
            squares[c] = 0
        for n in range(column.shape[0]):
            at = first + p + n
            a = column[n, 0]
            b = column[n, 1]
            for c in range(lanes):
                real[c] += a * samples[at, c]
                imaginary[c] += b * samples[at, c]
                squares[c] += samples[at, c] * samples[at, c]
        for c in range(0, lanes, 2):
            along[p, c] = real[c] - imaginary[c + 1]
            along[p, c + 1] = real[c + 1] + imaginary[c]
            energy[p, c] = squares[c] + squares[c + 1]
