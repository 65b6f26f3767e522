"""Outputs of one network of Table I for many snapshots.

Snapshots lie in the vector lanes: a tile of them is transposed once, runs through all layers, and stays in
the cache meanwhile. The last tile is filled up with zeros, and every output is summed over the inputs in
their order, so that a snapshot's result depends on nothing but the snapshot.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32

from isac_models.kernels import lanes
from isac_models.kernels.compiling import FLOAT, inlined, kernel, readable, types, writable
from isac_models.kernels.lanes import WIDTH, fma, highest, load, splat, store

TILE = 2 * WIDTH
"""Snapshots of a tile."""
BLOCK = 4
"""Outputs taken in one pass over the inputs; layers are padded with zeros to a multiple of it."""


@inlined
def layer(out: Any, values: Any, packed: Any, start: Any, inputs: Any, outputs: Any, last: Any) -> None:
    """One layer for a tile: values (inputs TILE,) to out (outputs TILE,), with ReLU unless it is the last."""
    zero = splat(float32(0))
    at = start
    for o in range(0, outputs, BLOCK):
        a0, b0, c0, d0 = (
            splat(packed[at]),
            splat(packed[at + 1]),
            splat(packed[at + 2]),
            splat(packed[at + 3]),
        )
        a1, b1, c1, d1 = a0, b0, c0, d0
        at += BLOCK
        for i in range(inputs):
            x0, x1 = load(values, i * TILE), load(values, i * TILE + WIDTH)
            w = splat(packed[at])
            a0, a1 = fma(w, x0, a0), fma(w, x1, a1)
            w = splat(packed[at + 1])
            b0, b1 = fma(w, x0, b0), fma(w, x1, b1)
            w = splat(packed[at + 2])
            c0, c1 = fma(w, x0, c0), fma(w, x1, c1)
            w = splat(packed[at + 3])
            d0, d1 = fma(w, x0, d0), fma(w, x1, d1)
            at += BLOCK
        if not last:  # what is not a number stays so
            a0, a1, b0, b1 = highest(zero, a0), highest(zero, a1), highest(zero, b0), highest(zero, b1)
            c0, c1, d0, d1 = highest(zero, c0), highest(zero, c1), highest(zero, d0), highest(zero, d1)
        row = o * TILE
        store(out, row, a0)
        store(out, row + WIDTH, a1)
        store(out, row + TILE, b0)
        store(out, row + TILE + WIDTH, b1)
        store(out, row + 2 * TILE, c0)
        store(out, row + 2 * TILE + WIDTH, c1)
        store(out, row + 3 * TILE, d0)
        store(out, row + 3 * TILE + WIDTH, d1)


@kernel(writable(FLOAT, 2), readable(FLOAT, 2), readable(FLOAT, 1), readable(types.int64, 1), uses=lanes)
def outputs(out: Any, inputs: Any, packed: Any, sizes: Any) -> None:
    """Output (n, outputs) of a network for inputs (n, inputs), before the last nonlinearity.

    sizes: neurons from the input to the output, padded to multiples of BLOCK but for the input. packed: for
    each layer and each BLOCK of its outputs, their biases, then for each input their weights.
    """
    widest = sizes.max()
    one, other = np.zeros(widest * TILE, np.float32), np.zeros(widest * TILE, np.float32)
    layers = sizes.shape[0] - 1
    for first in range(0, inputs.shape[0], TILE):
        count = min(TILE, inputs.shape[0] - first)
        for i in range(sizes[0]):
            for b in range(count):
                one[i * TILE + b] = inputs[first + b, i]
            for b in range(count, TILE):
                one[i * TILE + b] = float32(0)
        start = 0
        for number in range(layers):
            source = one if number % 2 == 0 else other
            target = other if number % 2 == 0 else one
            layer(target, source, packed, start, sizes[number], sizes[number + 1], number == layers - 1)
            start += (sizes[number] + 1) * sizes[number + 1]
        result = one if layers % 2 == 0 else other
        for o in range(out.shape[1]):
            for b in range(count):
                out[first + b, o] = result[o * TILE + b]
