"""What wide networks need between their matrix products: biases, the channel, losses, and the way back.

Arrays of the networks are (features, n), n a multiple of TILE. The channel works on tiles, as networks.py
does, with its functions; what it needs on the way back is kept for each tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int32

from isac_models.kernels import networks
from isac_models.kernels.compiling import FLOAT, inlined, kernel, readable, types, writable
from isac_models.kernels.networks import (
    ANGLE,
    COLUMNS,
    GAIN,
    LAYERS,
    MATRICES,
    MESSAGE,
    NOISE,
    PRESENCE,
    PRESENT,
    PRIOR,
    RECEIVER,
    ROWS,
    TILE,
    TRUTH,
    angle_error,
    backward,
    forward,
    message_error,
    normalise,
    presence_error,
    project,
    scale,
    spread,
    through_norm,
    times,
)

KEPT = 8
"""Rows kept of a tile beside the beam and its error, of 2K rows each."""
FLOATS, MATRIX, WRITTEN = readable(FLOAT, 1), readable(FLOAT, 2), writable(FLOAT, 2)
INT = types.int64


@kernel(WRITTEN, FLOATS, types.boolean)
def activate(values: Any, bias: Any, relu: Any) -> None:
    """values (m, n) += bias (m,), then ReLU or not."""
    for j in range(values.shape[0]):
        row, b = values[j], bias[j]
        if relu:
            for i in range(row.shape[0]):
                row[i] = max(row[i] + b, float32(0))
        else:
            for i in range(row.shape[0]):
                row[i] += b


@kernel(writable(FLOAT, 1), WRITTEN, MATRIX, types.boolean)
def slope(gradient: Any, error: Any, values: Any, relu: Any) -> None:
    """dJ/d(before ReLU) from dJ/d(values), both (m, n), in place; its sums are added to gradient (m,)."""
    for j in range(error.shape[0]):
        e, v = error[j], values[j]
        if relu:
            for i in range(e.shape[0]):
                e[i] = e[i] if v[i] > float32(0) else float32(0)
        sums = np.zeros(TILE, np.float32)  # in lanes, as one sum would wait for itself
        for first in range(0, e.shape[0], TILE):
            part = e[first : first + TILE]
            for b in range(TILE):
                sums[b] += part[b]
        gradient[j] += sums.sum()


@inlined
def gather(out: Any, matrix: Any, first: Any, rows: Any) -> None:
    """Columns first … first + TILE - 1 of the first rows, as a tile."""
    for j in range(rows):
        for b in range(TILE):
            out[j * TILE + b] = matrix[j, first + b]


@inlined
def scatter(matrix: Any, values: Any, first: Any, rows: Any) -> None:
    """The other way."""
    for j in range(rows):
        for b in range(TILE):
            matrix[j, first + b] = values[j * TILE + b]


@kernel(WRITTEN, MATRIX, INT)
def priors(given: Any, tiles: Any, start: Any) -> None:
    """Inputs (4, n) of the beamformer."""
    for first in range(0, given.shape[1], TILE):
        tile = tiles[start + first // TILE]
        scatter(given, tile[PRIOR * TILE : (PRIOR + 4) * TILE], first, 4)


@kernel(
    WRITTEN, WRITTEN, writable(FLOAT, 1), writable(FLOAT, 1), MATRIX, MATRIX, FLOATS, FLOATS, FLOATS,
    writable(FLOAT, 1), readable(types.int64, 3), FLOATS, INT, INT, uses=networks,
)  # fmt: skip
def transmit(
    seen: Any, kept: Any, sums: Any, losses: Any, shape: Any, tiles: Any, packed: Any, turned: Any,
    symbols: Any, rows: Any, plan: Any, constants: Any, start: Any, count: Any,
) -> None:  # fmt: skip
    """From the beamformer's output shape (2K, n) to the radar's input seen (2K + 2, n); the receiver whole.

    kept (tiles, 4K + KEPT rows): for `reflect`. sums, packed, turned, rows, plan: of the receiver, as
    networks.py has them; its gradient and loss are added. constants: ω_r, √E_tx, scale of y_r, scale of y_c,
    1/batch. `start`: number of the first tile; `count`: snapshots that count.
    """
    omega, radar_scale, comm_scale = constants[0], constants[2], constants[3]
    elements, order = shape.shape[0] // 2, symbols.shape[0] // 2
    pair, wide = 2 * TILE, 2 * elements * TILE
    room = max(rows.shape[0], wide)
    error, spare, work = np.zeros(room, np.float32), np.zeros(room, np.float32), np.zeros(room, np.float32)
    pairs = np.zeros((6, pair), np.float32)
    s, csi, z, r, weight, talking = pairs[0], pairs[1], pairs[2], pairs[3], pairs[4], pairs[5]
    end = (plan[RECEIVER, LAYERS - 1, ROWS] + plan[RECEIVER, LAYERS - 1, COLUMNS]) * TILE
    heard, logits = rows[plan[RECEIVER, 0, ROWS] * TILE :], rows[end:]
    for first in range(0, shape.shape[1], TILE):
        tile, own = tiles[start + first // TILE], kept[first // TILE]
        beam, beam_error, rest = own[:wide], own[wide : 2 * wide], own[2 * wide :]
        factor, q, g, s_error = (
            rest[:pair],
            rest[pair : 2 * pair],
            rest[2 * pair : 3 * pair],
            rest[3 * pair :],
        )
        message, matrices = tile[MESSAGE * TILE :], tile[MATRICES * TILE :]
        for b in range(TILE):
            weight[b] = constants[4] if first + b < count else float32(0)
            m = int32(message[b])
            s[b], s[TILE + b] = symbols[2 * m], symbols[2 * m + 1]
        s_error[:] = float32(0)
        beam_error[:] = float32(0)
        gather(work, shape, first, 2 * elements)
        normalise(beam, factor, work, constants[1], elements)
        if omega > float32(0):  # y_r = t α s (aᵀv) a + n, eq. (1)
            project(q, matrices, beam, elements, False)
            times(g, tile[GAIN * TILE :], s, False)
            times(z, g, q, False)
            work[:wide] = matrices[2 * wide : 3 * wide]
            spread(work, matrices[wide:], z, elements, False)
            scale(work, radar_scale, 2 * elements)
            scatter(seen, work, first, 2 * elements)
            scatter(seen[2 * elements :], tile[PRIOR * TILE :], first, 2)
        if omega < float32(1):  # y_c = κ s + n, κ = βaᵀv, eq. (2)
            channel = matrices[3 * wide :]
            project(csi, channel, beam, elements, False)
            times(r, csi, s, False)
            for b in range(pair):
                heard[b] = comm_scale * (r[b] + tile[NOISE * TILE + b])
                heard[pair + b] = comm_scale * csi[b]
            forward(rows, packed, plan, RECEIVER)
            message_error(error, talking, logits, message, weight, work, order)
            scale(error, (float32(1) - omega), order)
            backward(rows, error, spare, turned, sums, plan, RECEIVER, 4)
            scale(error, comm_scale, 4)
            times(s_error, csi, error, True)
            times(r, s, error, True)
            for b in range(pair):
                r[b] += error[pair + b]
            spread(beam_error, channel, r, elements, True)
    losses[1] += talking.sum()


@kernel(
    WRITTEN, writable(FLOAT, 1), MATRIX, MATRIX, MATRIX, FLOATS, INT, INT, INT, types.boolean, uses=networks
)
def judge(
    error: Any, losses: Any, output: Any, opinion: Any, tiles: Any, constants: Any, start: Any, count: Any,
    head: Any, selective: Any,
) -> None:  # fmt: skip
    """Loss of the presence or angle network (`head`), and ω_r dJ/d(output), from its output, all (1, n).

    opinion (1, n): logits of the presence network, used where the angle's loss is `selective`.
    """
    errors, sensing, weight = (
        np.zeros(TILE, np.float32),
        np.zeros(TILE, np.float32),
        np.zeros(TILE, np.float32),
    )
    for first in range(0, error.shape[1], TILE):
        tile = tiles[start + first // TILE]
        present = tile[PRESENT * TILE :]
        for b in range(TILE):
            weight[b] = constants[4] if first + b < count else float32(0)
            if selective and head == ANGLE:
                weight[b] = weight[b] if opinion[0, first + b] > float32(0) else float32(0)
            elif selective:
                weight[b] *= present[b]
        if head == PRESENCE:
            presence_error(errors, sensing, output[0, first : first + TILE], present, weight)
        else:
            angle_error(errors, sensing, output[0, first : first + TILE], tile[TRUTH * TILE :], weight)
        scale(errors, constants[0], 1)
        scatter(error, errors, first, 1)
    losses[0] += sensing.sum()


@kernel(WRITTEN, writable(FLOAT, 1), WRITTEN, MATRIX, MATRIX, FLOATS, INT, INT, uses=networks)
def reflect(
    shape_error: Any, symbol_error: Any, kept: Any, seen_error: Any, tiles: Any, constants: Any, start: Any,
    count: Any,
) -> None:  # fmt: skip
    """dJ/d(beamformer's output) (2K, n) from dJ/d(seen) (2K, n) and `kept`; adds dJ/ds(m) (2M,)."""
    elements = shape_error.shape[0] // 2
    pair, wide = 2 * TILE, 2 * elements * TILE
    error, out = np.zeros(wide, np.float32), np.zeros(wide, np.float32)
    z, r, mine = np.zeros(pair, np.float32), np.zeros(pair, np.float32), np.zeros(pair, np.float32)
    for first in range(0, shape_error.shape[1], TILE):
        tile, own = tiles[start + first // TILE], kept[first // TILE]
        beam, beam_error, rest = own[:wide], own[wide : 2 * wide], own[2 * wide :]
        factor, q, g, s_error = (
            rest[:pair],
            rest[pair : 2 * pair],
            rest[2 * pair : 3 * pair],
            rest[3 * pair :],
        )
        matrices = tile[MATRICES * TILE :]
        if constants[0] > float32(0):
            gather(error, seen_error, first, 2 * elements)
            scale(error, constants[2], 2 * elements)
            project(z, matrices[wide:], error, elements, True)
            times(r, tile[GAIN * TILE :], q, False)
            times(mine, r, z, True)
            for b in range(pair):
                s_error[b] += mine[b]
            times(r, g, z, True)
            spread(beam_error, matrices, r, elements, True)
        through_norm(out, beam_error, beam, factor, r, constants[1], elements)
        scatter(shape_error, out, first, 2 * elements)
        for b in range(min(TILE, count - first)):
            m = int32(tile[MESSAGE * TILE + b])
            symbol_error[2 * m] += s_error[b]
            symbol_error[2 * m + 1] += s_error[TILE + b]
