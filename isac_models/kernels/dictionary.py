"""One training pass of the shared dictionary A: beam (4), echo (1), softmax angle (13), and their gradients.

Grid points outside the sector enter the softmax (13) with exponent 0, so forward and backward touch the
columns of the window alone; the rest is a count and a sum of angles. The beam of a window is a difference of
two prefix sums of M = (A*Aᵀ)⁻¹A*. Each snapshot runs forward and backward at once: nothing of size
batch × N exists.

Complex values come as two planes, real and imaginary: A as (K, N padded), prefix sums as (N + 1, K padded).
Both are padded with zeros, A by LANES columns, the elements to a multiple of LANES. Columns, then elements,
lie in the lanes. Gradients are ∂L/∂re and ∂L/∂im. The kernels exist for float32 and float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isac_models.kernels import lanes
from isac_models.kernels.compiling import inlined, kernel, readable, types, writable
from isac_models.kernels.lanes import WIDTH as LANES
from isac_models.kernels.lanes import (
    add,
    below,
    cosine,
    divide,
    exponential,
    fma,
    fms,
    highest,
    load,
    load_row,
    multiply,
    root,
    sine,
    splat,
    store,
    store_row,
    subtract,
    top,
    total,
)  # fmt: skip

TINY = np.float32(1e-30)
"""Keeps z / |z| at 0 for z = 0, as the derivative of |z| is taken there."""
QUARTERS = 2 / np.pi
"""Quarter turns of a radian."""


@inlined
def correlate(z_re: Any, z_im: Any, re: Any, im: Any, y: Any, i: Any, low: Any, width: Any) -> None:
    """z = Aᴴy over columns low … low + width - 1; y (n, 2K), real and imaginary side by side."""
    j = 0
    while j < width:
        s = splat(re.dtype.type(0))
        t = s
        u = s
        v = s
        for k in range(re.shape[0]):
            a = splat(y[i, 2 * k])
            b = splat(y[i, 2 * k + 1])
            p = load_row(re, k, low + j)
            q = load_row(im, k, low + j)
            s = fma(p, a, s)
            t = fma(p, b, t)
            u = fma(q, b, u)
            v = fma(q, a, v)
        store(z_re, j, add(s, u))
        store(z_im, j, subtract(t, v))
        j += LANES


@inlined
def soften(
    z_re: Any, z_im: Any, size: Any, weight: Any, angles: Any, outside: Any, outside_sum: Any, low: Any,
    inside: Any, width: Any, angle: Any, scale: Any,
) -> Any:  # fmt: skip
    """θ̂ of (13) from z; z then is the gradient of scale/2 · (θ̂ - θ)² with respect to z."""
    best = splat(z_re.dtype.type(0))
    mass = best
    lever = best
    j = 0
    while j < width:
        p = load(z_re, j)
        q = load(z_im, j)
        m = below(root(fma(p, p, multiply(q, q))), inside - j)
        store(size, j, m)
        best = highest(m, best)
        j += LANES
    peak = top(best)
    best = splat(peak)
    j = 0
    while j < width:
        e = below(exponential(subtract(load(size, j), best)), inside - j)
        store(weight, j, e)
        mass = add(mass, e)
        lever = fma(e, load(angles, low + j), lever)
        j += LANES
    floor = top(exponential(splat(-peak)))
    weights = total(mass) + outside * floor
    estimate = (total(lever) + outside_sum * floor) / weights
    slope = splat(scale * (estimate - angle) / weights)
    centre = splat(estimate)
    tiny = splat(z_re.dtype.type(TINY))
    j = 0
    while j < width:
        c = multiply(multiply(slope, load(weight, j)), subtract(load(angles, low + j), centre))
        c = divide(c, add(load(size, j), tiny))
        store(z_re, j, multiply(load(z_re, j), c))
        store(z_im, j, multiply(load(z_im, j), c))
        j += LANES
    return estimate


@inlined
def collect(grad_re: Any, grad_im: Any, y: Any, i: Any, z_re: Any, z_im: Any, low: Any, width: Any) -> None:
    """Add ∂L/∂A, given ∂L/∂z."""
    for k in range(grad_re.shape[0]):
        a = splat(y[i, 2 * k])
        b = splat(y[i, 2 * k + 1])
        j = 0
        while j < width:
            u = load(z_re, j)
            v = load(z_im, j)
            c = low + j
            store_row(grad_re, k, c, fma(u, a, fma(v, b, load_row(grad_re, k, c))))
            store_row(grad_im, k, c, fma(u, b, fms(v, a, load_row(grad_im, k, c))))
            j += LANES


@inlined
def collect_and_return(
    grad_re: Any, grad_im: Any, re: Any, im: Any, y: Any, i: Any, z_re: Any, z_im: Any, low: Any, width: Any,
    a_re: Any, a_im: Any,
) -> Any:  # fmt: skip
    """Add ∂L/∂A, and return Σ a* ∂L/∂y over the elements, given ∂L/∂z."""
    zero = splat(re.dtype.type(0))
    sum_re = zero
    sum_im = zero
    for k in range(grad_re.shape[0]):
        a = splat(y[i, 2 * k])
        b = splat(y[i, 2 * k + 1])
        s = zero
        t = zero
        j = 0
        while j < width:
            u = load(z_re, j)
            v = load(z_im, j)
            c = low + j
            p = load_row(re, k, c)
            q = load_row(im, k, c)
            store_row(grad_re, k, c, fma(u, a, fma(v, b, load_row(grad_re, k, c))))
            store_row(grad_im, k, c, fma(u, b, fms(v, a, load_row(grad_im, k, c))))
            s = fma(u, p, fms(v, q, s))
            t = fma(u, q, fma(v, p, t))
            j += LANES
        r = splat(a_re[k])
        h = splat(a_im[k])
        sum_re = fma(r, s, fma(h, t, sum_re))
        sum_im = fma(r, t, fms(h, s, sum_im))
    return total(sum_re), total(sum_im)


@inlined
def steer(a_re: Any, a_im: Any, array: Any, sine_of_angle: Any) -> None:
    """a(θ) from sin θ; array (3, K padded): positions · 4 (wavelengths), moduli, phases (quarter turns)."""
    level = splat(sine_of_angle)
    k = 0
    while k < array.shape[1]:
        turn = subtract(multiply(load_row(array, 0, k), level), load_row(array, 2, k))
        m = load_row(array, 1, k)
        store(a_re, k, multiply(m, cosine(turn)))
        store(a_im, k, fms(m, sine(turn), splat(a_im.dtype.type(0))))
        k += LANES


@inlined
def project(v_re: Any, v_im: Any, a_re: Any, a_im: Any, sum_re: Any, sum_im: Any, low: Any, high: Any) -> Any:
    """Beam of a window u = M b into v; returns ‖u‖² and aᵀu."""
    norm = splat(v_re.dtype.type(0))
    s = norm
    t = norm
    k = 0
    while k < v_re.size:
        p = subtract(load_row(sum_re, high, k), load_row(sum_re, low, k))
        q = subtract(load_row(sum_im, high, k), load_row(sum_im, low, k))
        store(v_re, k, p)
        store(v_im, k, q)
        norm = fma(p, p, fma(q, q, norm))
        a = load(a_re, k)
        b = load(a_im, k)
        s = fma(a, p, fms(b, q, s))
        t = fma(a, q, fma(b, p, t))
        k += LANES
    return total(norm), total(s), total(t)


@inlined
def return_to_beam(
    sum_grad_re: Any, sum_grad_im: Any, v_re: Any, v_im: Any, a_re: Any, a_im: Any, low: Any, high: Any,
    e_re: Any, e_im: Any, along: Any,
) -> None:  # fmt: skip
    """Add ∂L/∂u = a* e - along · u to the prefix sums that made u."""
    s = splat(e_re)
    t = splat(e_im)
    w = splat(along)
    k = 0
    while k < v_re.size:
        a = load(a_re, k)
        b = load(a_im, k)
        p = fms(w, load(v_re, k), fma(s, a, multiply(t, b)))
        q = fms(w, load(v_im, k), fms(s, b, multiply(t, a)))
        store_row(sum_grad_re, high, k, add(load_row(sum_grad_re, high, k), p))
        store_row(sum_grad_im, high, k, add(load_row(sum_grad_im, high, k), q))
        store_row(sum_grad_re, low, k, subtract(load_row(sum_grad_re, low, k), p))
        store_row(sum_grad_im, low, k, subtract(load_row(sum_grad_im, low, k), q))
        k += LANES


def sensing_pass(
    loss: Any, grad_re: Any, grad_im: Any, sum_grad_re: Any, sum_grad_im: Any, re: Any, im: Any,
    sum_re: Any, sum_im: Any, angles: Any, grid_sums: Any, echo: Any, low: Any, high: Any,
    angle: Any, gain: Any, amplitude: Any, scale: Any, send: Any, receiving: Any, same: Any,
    collected: Any, noise_energy: Any, found_only: Any, level: Any, miss_cost: Any,
) -> None:  # fmt: skip
    """Echoes of a chunk through beam and receiver, forward and backward.

    loss (n,): what each echo costs. grad_re, grad_im: ∂L/∂A, added to; sum_grad_re, sum_grad_im: the same for
    the prefix sums.
    grid_sums (N + 1,): prefix sums of the grid's angles, radians.
    echo (n, 2K) comes as noise and leaves as the echo. low, high (n,): the window's first column and the one
    after its last. angle (n,) θ, gain (2n,) α. amplitude √E_tx. scale: 2/batch. send, receiving
    (3, K padded): the true arrays, positions · 4 (wavelengths), moduli, phases (quarter turns).

    An echo costs (θ̂ - θ)², with `found_only` only if |a(θ)ᴴy|² > level · noise_energy, and
    miss_cost · (1 - P_d) with P_d = exp(-level / (1 + S)), S = collected · |a(θ)ᵀv|², noise_energy = N0 ‖a‖²,
    collected = ‖a‖² σ_r² / N0 (see `isac_models.learning.objective`).
    """
    padded = send.shape[1]
    columns = re.shape[1]
    points = grid_sums.size - 1
    z_re = np.empty(columns, re.dtype)
    z_im = np.empty(columns, re.dtype)
    size = np.empty(columns, re.dtype)
    weight = np.empty(columns, re.dtype)
    v_re = np.empty(padded, re.dtype)
    v_im = np.empty(padded, re.dtype)
    a_re = np.empty(padded, re.dtype)
    a_im = np.empty(padded, re.dtype)
    r_re = np.empty(padded, re.dtype)
    r_im = np.empty(padded, re.dtype)
    zero = re.dtype.type(0)
    one = re.dtype.type(1)
    for i in range(echo.shape[0]):
        first = low[i]
        last = high[i]
        theta = angle[i]
        height = top(sine(splat(theta * re.dtype.type(QUARTERS))))
        steer(a_re, a_im, send, height)
        if same:
            for k in range(padded):
                r_re[k] = a_re[k]
                r_im[k] = a_im[k]
        else:
            steer(r_re, r_im, receiving, height)
        # The beam (4), v = √E u/‖u‖ with u = M b, and the echo (1), y = α (aᵀv) a + n.
        norm, p_re, p_im = project(v_re, v_im, a_re, a_im, sum_re, sum_im, first, last)
        g_re = amplitude / np.sqrt(norm) * gain[2 * i]
        g_im = amplitude / np.sqrt(norm) * gain[2 * i + 1]
        h_re = g_re * p_re - g_im * p_im
        h_im = g_re * p_im + g_im * p_re
        for k in range(re.shape[0]):
            echo[i, 2 * k] += h_re * r_re[k] - h_im * r_im[k]
            echo[i, 2 * k + 1] += h_re * r_im[k] + h_im * r_re[k]
        inside = last - first
        outside = re.dtype.type(points - inside)
        outside_sum = re.dtype.type(grid_sums[points] - (grid_sums[last] - grid_sums[first]))
        width = -(-inside // LANES) * LANES
        correlate(z_re, z_im, re, im, echo, i, first, width)
        weighed = one
        if found_only:
            s = zero
            t = zero
            for k in range(re.shape[0]):
                s += r_re[k] * echo[i, 2 * k] + r_im[k] * echo[i, 2 * k + 1]
                t += r_re[k] * echo[i, 2 * k + 1] - r_im[k] * echo[i, 2 * k]
            if s * s + t * t <= level * noise_energy:
                weighed = zero
        estimate = soften(
            z_re, z_im, size, weight, angles, outside, outside_sum, first, inside, width, theta,
            scale * weighed,
        )  # fmt: skip
        loss[i] = (estimate - theta) * (estimate - theta) * weighed
        # Back through the echo: ∂L/∂h = Σ r* ∂L/∂y, ∂L/∂v = (g a)* ∂L/∂h.
        q_re, q_im = collect_and_return(
            grad_re, grad_im, re, im, echo, i, z_re, z_im, first, width, r_re, r_im
        )
        e_re = g_re * q_re + g_im * q_im
        e_im = g_re * q_im - g_im * q_re
        # What the beam does for detection: ∂(1 - P_d)/∂S, and S by way of aᵀu.
        gathered = collected * amplitude * amplitude / norm
        spread = one / (one + gathered * (p_re * p_re + p_im * p_im))
        found = np.exp(-level * spread)
        loss[i] += miss_cost * (one - found)
        pull = scale * miss_cost * found * level * spread * spread * gathered
        e_re -= pull * p_re
        e_im -= pull * p_im
        # Back through the norm: ∂L/∂u = ∂L/∂v - û Re(ûᴴ ∂L/∂v), where the factor √E/‖u‖ is in e.
        along = (e_re * p_re + e_im * p_im) / norm
        return_to_beam(sum_grad_re, sum_grad_im, v_re, v_im, a_re, a_im, first, last, e_re, e_im, along)


def receiver_pass(
    loss: Any, grad_re: Any, grad_im: Any, re: Any, im: Any, angles: Any, grid_sums: Any,
    echo: Any, low: Any, high: Any, angle: Any, scale: Any,
) -> None:  # fmt: skip
    """The receiver alone, for echoes (n, 2K) that were recorded; arguments as in `sensing_pass`."""
    columns = re.shape[1]
    points = grid_sums.size - 1
    z_re = np.empty(columns, re.dtype)
    z_im = np.empty(columns, re.dtype)
    size = np.empty(columns, re.dtype)
    weight = np.empty(columns, re.dtype)
    for i in range(echo.shape[0]):
        first = low[i]
        last = high[i]
        inside = last - first
        outside = re.dtype.type(points - inside)
        outside_sum = re.dtype.type(grid_sums[points] - (grid_sums[last] - grid_sums[first]))
        width = -(-inside // LANES) * LANES
        correlate(z_re, z_im, re, im, echo, i, first, width)
        estimate = soften(
            z_re, z_im, size, weight, angles, outside, outside_sum, first, inside, width, angle[i],
            scale,
        )  # fmt: skip
        loss[i] = (estimate - angle[i]) * (estimate - angle[i])
        collect(grad_re, grad_im, echo, i, z_re, z_im, first, width)


def _signatures(real: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    row, plane, index = readable(real, 1), readable(real, 2), readable(types.int32, 1)
    out, grads = writable(real, 1), (writable(real, 2), writable(real, 2))
    sums = readable(types.float64, 1)
    sensing = (out, *grads, *grads, plane, plane, plane, plane, row, sums)
    return (
        (
            *sensing,
            writable(real, 2),
            index,
            index,
            row,
            row,
            real,
            real,
            plane,
            plane,
            types.boolean,
            real,
            real,
            types.boolean,
            real,
            real,
        ),
        (out, *grads, plane, plane, row, sums, plane, index, index, row, real),
    )


_SENSING_32, _RECEIVER_32 = _signatures(types.float32)
_SENSING_64, _RECEIVER_64 = _signatures(types.float64)
sensing_pass_32 = kernel(*_SENSING_32, uses=lanes, label="_32")(sensing_pass)
receiver_pass_32 = kernel(*_RECEIVER_32, uses=lanes, label="_32")(receiver_pass)
sensing_pass_64 = kernel(*_SENSING_64, uses=lanes, label="_64")(sensing_pass)
receiver_pass_64 = kernel(*_RECEIVER_64, uses=lanes, label="_64")(receiver_pass)
