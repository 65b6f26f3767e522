"""Loss and gradient of the five networks of Table I, forward and backward in one pass over a tile.

A tile of snapshots lies in the vector lanes; what belongs to it, data, activations and errors, stays in the
second-level cache. Rows are the features: row j of a tile is `buffer[j * TILE : (j + 1) * TILE]`.

Every layer's input has a row of ones behind its features, for the bias, and all sizes are padded to multiples
of BLOCK with weights of zero, except that one padding row hands the ones on to the next layer.
Gradients are summed in LANES lanes, tile after tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int32

from isac_models.kernels.compiling import FLOAT, called, inlined, kernel, readable, types, writable

TILE = 128
"""Snapshots of a tile."""
LANES = 16
"""Partial sums of a gradient."""
UNROLL = 4
"""Groups of lanes taken in one pass over a block of gradients."""
BLOCK = 4
"""Outputs and inputs taken in one pass: 16 weights, or 16 gradients, in registers."""
LAYERS = 4
BEAMFORMER, PRESENCE, ANGLE, RECEIVER = 1, 2, 3, 4
"""Numbers of the networks; number 0, the encoder, has M rows only and is computed elsewhere."""

# Columns of a plan: for each network and layer its sizes, and where it lies in the flat arrays.
INPUTS, OUTPUTS, COLUMNS, FLAT, PACKED, TURNED, SUMS, ROWS = range(8)
# Rows of a tile of data; four matrices of 2K rows (real parts, then imaginary parts) follow.
PRIOR, TRUTH, PRESENT, MESSAGE, GAIN, NOISE, MATRICES = 0, 4, 5, 6, 7, 9, 11

# Cephes expf on [-½ ln 2, ½ ln 2]; log(1+m) - m + m²/2 = m³ P(m) on [√½, √2); ln 2 in two parts.
EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
EXP_0, EXP_1, EXP_2, EXP_3, EXP_4, EXP_5 = (np.float32(c) for c in EXP)
LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
LOG_0, LOG_1, LOG_2, LOG_3, LOG_4, LOG_5, LOG_6, LOG_7, LOG_8 = (np.float32(c) for c in LOG)
LOG2_E, EXP_LOWEST = np.float32(1.44269504088896341), np.float32(-87.0)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
SQRT_HALF_BITS = np.int32(0x3F3504F3)
HALF_PI = np.float32(np.pi / 2)
SMALLEST = np.float32(1e-30)


@inlined
def exponential(x: Any) -> Any:
    """eˣ for x ≤ 0."""
    n = np.floor(x * LOG2_E + float32(0.5))
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = ((((EXP_0 * r + EXP_1) * r + EXP_2) * r + EXP_3) * r + EXP_4) * r + EXP_5
    p = p * r * r + r + float32(1)
    power = np.int32(int32(int32(n) + int32(127)) << int32(23)).view(np.float32)
    return p * power if x > EXP_LOWEST else float32(0)


@inlined
def logarithm(x: Any) -> Any:
    """ln x for x ≥ 1."""
    bits = np.float32(x).view(np.int32)
    exponent = int32(int32(bits - SQRT_HALF_BITS) >> int32(23))
    m = np.int32(bits - int32(exponent << int32(23))).view(np.float32) - float32(1)
    p = (((LOG_0 * m + LOG_1) * m + LOG_2) * m + LOG_3) * m + LOG_4
    p = (((p * m + LOG_5) * m + LOG_6) * m + LOG_7) * m + LOG_8
    e = float32(exponent)
    z = m * m
    return m * z * p + e * LN2_LOW - float32(0.5) * z + m + e * LN2_HIGH


@inlined
def four_outputs(out: Any, x: Any, w: Any, columns: Any) -> None:
    """out = W x for four rows of W (4 columns,) and inputs x (columns TILE,)."""
    out[: BLOCK * TILE] = float32(0)
    for i in range(0, columns, BLOCK):
        a0, a1, a2, a3 = w[i], w[i + 1], w[i + 2], w[i + 3]
        j, k, n = columns + i, 2 * columns + i, 3 * columns + i
        b0, b1, b2, b3 = w[j], w[j + 1], w[j + 2], w[j + 3]
        c0, c1, c2, c3 = w[k], w[k + 1], w[k + 2], w[k + 3]
        d0, d1, d2, d3 = w[n], w[n + 1], w[n + 2], w[n + 3]
        y = x[i * TILE : (i + BLOCK) * TILE]
        for b in range(TILE):
            x0, x1, x2, x3 = y[b], y[TILE + b], y[2 * TILE + b], y[3 * TILE + b]
            out[b] = out[b] + a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
            out[TILE + b] = out[TILE + b] + b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
            out[2 * TILE + b] = out[2 * TILE + b] + c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
            out[3 * TILE + b] = out[3 * TILE + b] + d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3


@inlined
def multiply(out: Any, x: Any, w: Any, outputs: Any, columns: Any) -> None:
    """out = W x: w (outputs columns,), x (columns TILE,), both sizes multiples of BLOCK."""
    for o in range(0, outputs, BLOCK):
        four_outputs(out[o * TILE : (o + BLOCK) * TILE], x, w[o * columns : (o + BLOCK) * columns], columns)


@inlined
def four_by_four(s: Any, d: Any, x: Any) -> None:
    """s += d xᵀ, sixteen gradients in LANES partial sums each: s (16 LANES,), d and x (4 TILE,)."""
    for first in range(0, TILE, UNROLL * LANES):
        e = d[first : first + 3 * TILE + UNROLL * LANES]
        y = x[first : first + 3 * TILE + UNROLL * LANES]
        for b in range(LANES):
            a0, a1, a2, a3 = s[b], s[LANES + b], s[2 * LANES + b], s[3 * LANES + b]
            b0, b1, b2, b3 = s[4 * LANES + b], s[5 * LANES + b], s[6 * LANES + b], s[7 * LANES + b]
            c0, c1, c2, c3 = s[8 * LANES + b], s[9 * LANES + b], s[10 * LANES + b], s[11 * LANES + b]
            f0, f1, f2, f3 = s[12 * LANES + b], s[13 * LANES + b], s[14 * LANES + b], s[15 * LANES + b]
            for u in range(UNROLL):
                k = u * LANES + b
                x0, x1, x2, x3 = y[k], y[TILE + k], y[2 * TILE + k], y[3 * TILE + k]
                d0, d1, d2, d3 = e[k], e[TILE + k], e[2 * TILE + k], e[3 * TILE + k]
                a0 += d0 * x0
                a1 += d0 * x1
                a2 += d0 * x2
                a3 += d0 * x3
                b0 += d1 * x0
                b1 += d1 * x1
                b2 += d1 * x2
                b3 += d1 * x3
                c0 += d2 * x0
                c1 += d2 * x1
                c2 += d2 * x2
                c3 += d2 * x3
                f0 += d3 * x0
                f1 += d3 * x1
                f2 += d3 * x2
                f3 += d3 * x3
            s[b], s[LANES + b], s[2 * LANES + b], s[3 * LANES + b] = a0, a1, a2, a3
            s[4 * LANES + b], s[5 * LANES + b], s[6 * LANES + b], s[7 * LANES + b] = b0, b1, b2, b3
            s[8 * LANES + b], s[9 * LANES + b], s[10 * LANES + b], s[11 * LANES + b] = c0, c1, c2, c3
            s[12 * LANES + b], s[13 * LANES + b], s[14 * LANES + b], s[15 * LANES + b] = f0, f1, f2, f3


@inlined
def accumulate(sums: Any, d: Any, x: Any, outputs: Any, columns: Any) -> None:
    """sums += d xᵀ in blocks: sums (outputs columns LANES,), d (outputs TILE,), x (columns TILE,)."""
    at, size = 0, BLOCK * BLOCK * LANES
    for o in range(0, outputs, BLOCK):
        e = d[o * TILE : (o + BLOCK) * TILE]
        for i in range(0, columns, BLOCK):
            four_by_four(sums[at : at + size], e, x[i * TILE : (i + BLOCK) * TILE])
            at += size


@called
def forward(rows: Any, packed: Any, plan: Any, n: Any) -> None:
    """All layers of network n: its input rows are there, every layer writes the next one's."""
    for layer in range(LAYERS):
        columns, outputs = plan[n, layer, COLUMNS], -(-plan[n, layer, OUTPUTS] // BLOCK) * BLOCK
        at, w = plan[n, layer, ROWS] * TILE, plan[n, layer, PACKED]
        middle = at + columns * TILE
        out = rows[middle : middle + outputs * TILE]
        multiply(out, rows[at:middle], packed[w : w + outputs * columns], outputs, columns)
        if layer < LAYERS - 1:
            for b in range(outputs * TILE):
                out[b] = max(out[b], float32(0))


@called
def backward(rows: Any, error: Any, spare: Any, turned: Any, sums: Any, plan: Any, n: Any, last: Any) -> None:
    """Gradients of network n from dJ/d(output) in `error`; dJ/d(input) of `last` inputs comes back there."""
    for step in range(LAYERS):
        layer = LAYERS - 1 - step
        columns, outputs = plan[n, layer, COLUMNS], -(-plan[n, layer, OUTPUTS] // BLOCK) * BLOCK
        inputs = -(-(plan[n, layer, INPUTS] if layer > 0 else last) // BLOCK) * BLOCK
        at, t = plan[n, layer, ROWS] * TILE, plan[n, layer, TURNED]
        source = error if step % 2 == 0 else spare
        target = spare if step % 2 == 0 else error
        x = rows[at : at + columns * TILE]
        accumulate(sums[plan[n, layer, SUMS] :], source, x, outputs, columns)
        multiply(target, source, turned[t : t + inputs * outputs], inputs, outputs)
        if layer > 0:
            for b in range(inputs * TILE):
                target[b] = target[b] if x[b] > float32(0) else float32(0)


@called
def project(out: Any, left: Any, right: Any, elements: Any, conjugate: Any) -> None:
    """out = Σ_k a_k v_k, or with the conjugate of a: out (2 TILE,), a and v (2K TILE,), real parts first."""
    half = elements * TILE
    sign = float32(-1) if conjugate else float32(1)
    for b in range(2 * TILE):
        out[b] = float32(0)
    for k in range(elements):
        a = left[k * TILE : half + (k + 1) * TILE]
        v = right[k * TILE : half + (k + 1) * TILE]
        for b in range(TILE):
            re, im = a[b], sign * a[half + b]
            out[b] += re * v[b] - im * v[half + b]
            out[TILE + b] += re * v[half + b] + im * v[b]


@called
def spread(out: Any, left: Any, right: Any, elements: Any, conjugate: Any) -> None:
    """out_k += a_k z, or with the conjugate of a: out and a (2K TILE,), z (2 TILE,)."""
    half = elements * TILE
    sign = float32(-1) if conjugate else float32(1)
    for k in range(elements):
        a = left[k * TILE : half + (k + 1) * TILE]
        y = out[k * TILE : half + (k + 1) * TILE]
        for b in range(TILE):
            re, im = a[b], sign * a[half + b]
            y[b] += re * right[b] - im * right[TILE + b]
            y[half + b] += re * right[TILE + b] + im * right[b]


@inlined
def times(out: Any, left: Any, right: Any, conjugate: Any) -> None:
    """out = a z, or a* z: all (2 TILE,)."""
    sign = float32(-1) if conjugate else float32(1)
    for b in range(TILE):
        re, im = left[b], sign * left[TILE + b]
        x, y = right[b], right[TILE + b]
        out[b] = re * x - im * y
        out[TILE + b] = re * y + im * x


@inlined
def scale(values: Any, factor: Any, rows: Any) -> None:
    """Multiply the first rows by a number."""
    for b in range(rows * TILE):
        values[b] *= factor


@inlined
def normalise(beam: Any, factor: Any, shape: Any, amplitude: Any, elements: Any) -> None:
    """v = √E u / |u|: v and u (2K TILE,); factor (2 TILE,) begins with √E / |u|."""
    project(factor, shape, shape, elements, True)
    for b in range(TILE):
        factor[b] = amplitude / np.sqrt(factor[b] + SMALLEST)
    for k in range(2 * elements):
        for b in range(TILE):
            beam[k * TILE + b] = factor[b] * shape[k * TILE + b]


@inlined
def through_norm(
    out: Any, error: Any, beam: Any, factor: Any, along: Any, amplitude: Any, elements: Any
) -> None:
    """dJ/du from dJ/dv in `error`: factor (error - v (v·error) / E), (2K TILE,)."""
    project(along, beam, error, elements, True)
    along[:TILE] /= amplitude * amplitude
    for k in range(2 * elements):
        for b in range(TILE):
            out[k * TILE + b] = factor[b] * (error[k * TILE + b] - along[b] * beam[k * TILE + b])


@inlined
def presence_error(error: Any, loss: Any, logit: Any, present: Any, weight: Any) -> None:
    """Binary cross-entropy (9) and its derivative."""
    for b in range(TILE):
        z = logit[b]
        e = exponential(-abs(z))
        positive = float32(1) / (float32(1) + e)
        p = positive if z > float32(0) else e * positive
        loss[b] += weight[b] * (max(z, float32(0)) - present[b] * z + logarithm(float32(1) + e))
        error[b] = weight[b] * (p - present[b])


@inlined
def angle_error(error: Any, loss: Any, output: Any, truth: Any, weight: Any) -> None:
    """Squared error of θ̂ = π/2 tanh(output) and its derivative."""
    for b in range(TILE):
        e = exponential(float32(-2) * abs(output[b]))
        t = (float32(1) - e) / (float32(1) + e)
        t = t if output[b] > float32(0) else -t
        difference = HALF_PI * t - truth[b]
        loss[b] += weight[b] * difference * difference
        error[b] = weight[b] * float32(2) * difference * HALF_PI * (float32(1) - t * t)


@inlined
def message_error(
    error: Any, loss: Any, logits: Any, message: Any, weight: Any, work: Any, order: Any
) -> None:
    """Categorical cross-entropy (10) of the softmax of M logits, and its derivative; work (3 TILE,)."""
    total, largest, chosen = work[:TILE], work[TILE : 2 * TILE], work[2 * TILE : 3 * TILE]
    total[:], largest[:] = float32(0), logits[:TILE]
    for m in range(1, order):
        z = logits[m * TILE : (m + 1) * TILE]
        for b in range(TILE):
            largest[b] = max(largest[b], z[b])
    for m in range(order):
        z, p, label = logits[m * TILE : (m + 1) * TILE], error[m * TILE : (m + 1) * TILE], float32(m)
        for b in range(TILE):
            p[b] = exponential(z[b] - largest[b])
            total[b] += p[b]
            chosen[b] = z[b] if message[b] == label else chosen[b]
    for b in range(TILE):
        loss[b] += weight[b] * (logarithm(total[b]) + largest[b] - chosen[b])
        total[b] = weight[b] / total[b]
    for m in range(order):
        p, label = error[m * TILE : (m + 1) * TILE], float32(m)
        for b in range(TILE):
            p[b] = p[b] * total[b] - (weight[b] if message[b] == label else float32(0))


FLOATS, INT = readable(FLOAT, 1), types.int64


@kernel(
    writable(FLOAT, 1), writable(FLOAT, 1), writable(FLOAT, 1), FLOATS, FLOATS, FLOATS, readable(FLOAT, 2),
    writable(FLOAT, 1), readable(types.int64, 3), FLOATS, INT, INT, INT, types.boolean,
)  # fmt: skip
def gradient(
    sums: Any, symbol_error: Any, losses: Any, packed: Any, turned: Any, symbols: Any, tiles: Any, rows: Any,
    plan: Any, constants: Any, start: Any, count: Any, head: Any, selective: Any,
) -> None:  # fmt: skip
    """Gradient of (11) (`head` PRESENCE) or (12) (ANGLE) over `count` snapshots from tile number `start` on.

    Added to `sums` (as network_weights unpacks them), symbol_error (2M,) dJ/ds(m) and losses (2,), sensing's
    and communication's. packed, turned: weights as network_weights packs them; symbols (2M,) s(m); tiles
    (T, rows TILE); rows: work space with the rows of ones; constants: ω_r, √E_tx, scale of y_r, scale of y_c,
    1/batch. `selective`: (11) counts snapshots with a target, (12) those that the presence network finds.
    What ω_r leaves out is not computed.
    """
    omega, radar_scale, comm_scale = constants[0], constants[2], constants[3]
    elements = plan[BEAMFORMER, LAYERS - 1, OUTPUTS] // 2
    order, pair, wide = symbols.shape[0] // 2, 2 * TILE, 2 * elements * TILE
    error, spare = np.zeros_like(rows), np.zeros_like(rows)
    beam, beam_error, work = np.zeros(wide, np.float32), np.zeros(wide, np.float32), np.zeros_like(rows)
    pairs = np.zeros((11, pair), np.float32)
    s, s_error, csi, g, z, q, r = pairs[0], pairs[1], pairs[2], pairs[3], pairs[4], pairs[5], pairs[6]
    weight, factor, sensing, talking = pairs[7], pairs[8], pairs[9], pairs[10]
    ends = (plan[:, LAYERS - 1, ROWS] + plan[:, LAYERS - 1, COLUMNS]) * TILE
    given, shape = rows[plan[BEAMFORMER, 0, ROWS] * TILE :], rows[ends[BEAMFORMER] :]
    seen, opinion = rows[plan[head, 0, ROWS] * TILE :], rows[ends[head] :]
    heard, logits = rows[plan[RECEIVER, 0, ROWS] * TILE :], rows[ends[RECEIVER] :]
    for first in range(0, count, TILE):
        tile = tiles[start + first // TILE]
        message, present = tile[MESSAGE * TILE :], tile[PRESENT * TILE :]
        transmit, receive = tile[MATRICES * TILE :], tile[MATRICES * TILE + wide :]
        noise, channel = tile[MATRICES * TILE + 2 * wide :], tile[MATRICES * TILE + 3 * wide :]
        for b in range(TILE):
            weight[b] = constants[4] if first + b < count else float32(0)
            m = int32(message[b])
            s[b], s[TILE + b] = symbols[2 * m], symbols[2 * m + 1]
        s_error[:] = float32(0)
        beam_error[:] = float32(0)
        given[: 4 * TILE] = tile[PRIOR * TILE : (PRIOR + 4) * TILE]
        forward(rows, packed, plan, BEAMFORMER)
        normalise(beam, factor, shape, constants[1], elements)
        if omega > float32(0):  # y_r = t α s (aᵀv) a + n, eq. (1)
            project(q, transmit, beam, elements, False)
            times(g, tile[GAIN * TILE :], s, False)
            times(z, g, q, False)
            seen[:wide] = noise[:wide]
            spread(seen, receive, z, elements, False)
            scale(seen, radar_scale, 2 * elements)
            seen[wide : wide + pair] = given[:pair]
            r[:TILE] = weight[:TILE]
            if selective and head == ANGLE:
                forward(rows, packed, plan, PRESENCE)
                for b in range(TILE):
                    r[b] = weight[b] if opinion[b] > float32(0) else float32(0)
            elif selective:
                r[:TILE] *= present[:TILE]
            forward(rows, packed, plan, head)
            if head == PRESENCE:
                presence_error(error, sensing, opinion, present, r)
            else:
                angle_error(error, sensing, opinion, tile[TRUTH * TILE :], r)
            scale(error, omega, 1)
            backward(rows, error, spare, turned, sums, plan, head, 2 * elements)
            scale(error, radar_scale, 2 * elements)
            project(z, receive, error, elements, True)
            times(r, tile[GAIN * TILE :], q, False)
            times(s_error, r, z, True)
            times(r, g, z, True)
            spread(beam_error, transmit, r, elements, True)
        if omega < float32(1):  # y_c = κ s + n, κ = βaᵀv, eq. (2)
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
            times(r, s, error, True)
            times(q, csi, error, True)
            for b in range(pair):
                s_error[b] += q[b]
                r[b] += error[pair + b]
            spread(beam_error, channel, r, elements, True)
        through_norm(error, beam_error, beam, factor, r, constants[1], elements)
        backward(rows, error, spare, turned, sums, plan, BEAMFORMER, 0)
        for b in range(min(TILE, count - first)):
            m = int32(message[b])
            symbol_error[2 * m] += s_error[b]
            symbol_error[2 * m + 1] += s_error[TILE + b]
    losses[0] += sensing.sum()
    losses[1] += talking.sum()
