"""Weights of the networks as the kernel of networks.py takes them, its gradients back, and Adam."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32

from isac_models.kernels.compiling import FLOAT, kernel, readable, types, writable

LANES = 16
"""Partial sums of a gradient, as in networks.py."""
BLOCK = 4
"""Sizes are padded to multiples of this, as in networks.py."""
# Columns of a plan.
INPUTS, OUTPUTS, COLUMNS, FLAT, PACKED, TURNED, SUMS, _ = range(8)

FLOATS = readable(FLOAT, 1)
PLAN = readable(types.int64, 3)


@kernel(writable(FLOAT, 1), writable(FLOAT, 1), FLOATS, PLAN)
def pack(packed: Any, turned: Any, parameters: Any, plan: Any) -> None:
    """Weights with the bias as their last column, and transposed without it; the padding stays zero."""
    for n in range(1, plan.shape[0]):
        for layer in range(plan.shape[1]):
            inputs, outputs, columns = (
                plan[n, layer, INPUTS],
                plan[n, layer, OUTPUTS],
                plan[n, layer, COLUMNS],
            )
            flat, w, t = plan[n, layer, FLAT], plan[n, layer, PACKED], plan[n, layer, TURNED]
            high = (outputs + BLOCK - 1) // BLOCK * BLOCK
            for o in range(outputs):
                for i in range(inputs):
                    value = parameters[flat + o * inputs + i]
                    packed[w + o * columns + i] = value
                    turned[t + i * high + o] = value
                packed[w + o * columns + inputs] = parameters[flat + outputs * inputs + o]
            if outputs < high:  # hands the row of ones on to the next layer
                packed[w + outputs * columns + inputs] = float32(1)


@kernel(writable(FLOAT, 1), FLOATS, PLAN)
def unpack(gradient: Any, sums: Any, plan: Any) -> None:
    """Lanes added up into `gradient` (P,), in the order of the parameters, without the encoder's."""
    for n in range(1, plan.shape[0]):
        for layer in range(plan.shape[1]):
            inputs, outputs, columns = (
                plan[n, layer, INPUTS],
                plan[n, layer, OUTPUTS],
                plan[n, layer, COLUMNS],
            )
            for o in range(outputs):
                for i in range(inputs + 1):
                    corner = (o - o % BLOCK) * columns + (i - i % BLOCK) * BLOCK
                    at = plan[n, layer, SUMS] + (corner + o % BLOCK * BLOCK + i % BLOCK) * LANES
                    total = float32(0)
                    for lane in range(LANES):
                        total += sums[at + lane]
                    place = o * inputs + i if i < inputs else outputs * inputs + o
                    gradient[plan[n, layer, FLAT] + place] = total


@kernel(writable(FLOAT, 1), writable(FLOAT, 1), writable(FLOAT, 1), FLOATS, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT)
def adam(
    parameters: Any,
    first: Any,
    second: Any,
    gradient: Any,
    beta_1: Any,
    beta_2: Any,
    step: Any,
    root: Any,
    epsilon: Any,
) -> None:
    """One step of Adam [Kingma and Ba, ICLR 2015], all arrays (P,).

    step: learning rate / (1 - β₁ᵗ); root: 1 / √(1 - β₂ᵗ).
    """
    one = float32(1)
    for i in range(parameters.shape[0]):
        g = gradient[i]
        m = beta_1 * first[i] + (one - beta_1) * g
        v = beta_2 * second[i] + (one - beta_2) * g * g
        first[i] = m
        second[i] = v
        parameters[i] -= step * m / (np.sqrt(v) * root + epsilon)
