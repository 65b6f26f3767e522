"""Maximum-likelihood decision on square QAM with known CSI, by slicing each axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int32

from isac_models.kernels.compiling import FLOAT, kernel, readable, types, writable


@kernel(
    writable(types.uint8, 1),
    readable(FLOAT, 1),
    readable(FLOAT, 1),
    FLOAT,
    types.int32,
    readable(types.uint8, 1),
)
def slice_qam(decided: Any, received: Any, csi: Any, half_distance: Any, levels: Any, messages: Any) -> None:
    """argmin over m of |y - κ s(m)|²: received and csi (2n,) interleaved, decided (n,).

    The points are half_distance·(2i - levels + 1) on each axis, i = 0 … levels - 1, and
    `messages[i·levels + q]` is the message at in-phase level i and quadrature level q.
    Without a valid quotient (CSI of zero) the decision is one of the messages, whichever.
    """
    centre = float32(0.5) * float32(levels)
    last = int32(levels - int32(1))
    highest = float32(last)
    scale = float32(0.5) / half_distance
    for n in range(decided.shape[0]):
        y_re = received[2 * n]
        y_im = received[2 * n + 1]
        k_re = csi[2 * n]
        k_im = csi[2 * n + 1]
        scaled = scale / (k_re * k_re + k_im * k_im)
        x = np.floor((y_re * k_re + y_im * k_im) * scaled + centre)
        y = np.floor((y_im * k_re - y_re * k_im) * scaled + centre)
        i = int32(min(highest, max(float32(0), x)))
        q = int32(min(highest, max(float32(0), y)))
        # Once more on the integers, for NaN.
        i = min(last, max(int32(0), i))
        q = min(last, max(int32(0), q))
        decided[n] = messages[i * levels + q]
