"""Gradients of wide networks by matrix products, a piece of the batch at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.learning.layer_products import HalfProducts, Products
from isac_models.learning.neural_engine import encode, encoder_gradient
from isac_models.learning.torch_threads import torch_on_one_thread
from isac_models.network_layout import Layout

Values = NDArray[Any]

PIECE = 10
"""Tiles of snapshots that go through the networks together."""


class ProductEngine:
    """Forward and backward passes of wide networks by matrix products of torch, for the CPU.

    Every thread takes its own share of the batch with products of one thread: nobody waits for anybody, and
    what lies between the products is compiled. Sums depend on the number of threads in their rounding alone.
    The arguments are those of KernelEngine, and `precision`: "bfloat16" computes most of the products so
    (layer_products.HalfProducts).
    """

    def __init__(
        self,
        layout: Layout,
        amplitude: float,
        radar_scale: float,
        comm_scale: float,
        literal: bool,
        mask: str,
        threads: int | None = None,
        precision: str = "float32",
    ) -> None:
        self.layout = layout
        self._selective = {1: literal, 2: mask == "detected"}
        self._scales = (amplitude, radar_scale, comm_scale)
        self.threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.threads)
        self._workers = [_Worker(layout, precision == "bfloat16") for _ in range(self.threads)]

    def gradients(
        self, parameters: Values, omegas: Sequence[float], tiles: Values, count: int, divisor: int, step: int
    ) -> tuple[Values, Values]:
        """See Engine."""
        with torch_on_one_thread():
            found = [
                self._one(row, omega, tiles, count, divisor, step)
                for row, omega in zip(parameters, omegas, strict=True)
            ]
        return np.stack([gradient for gradient, _ in found]), np.stack([losses for _, losses in found])

    def _one(
        self, parameters: Values, omega: float, tiles: Values, count: int, divisor: int, step: int
    ) -> tuple[Values, Values]:
        """Gradient (P,) and losses (2,) of the networks of one ω_r."""
        weights = self.layout.tensors(parameters[None])
        symbols, kept = encode({name: tensor for name, tensor in weights.items() if "encoder" in name})
        constants = np.array([omega, *self._scales, 1 / divisor], np.float32)
        cuts = [len(tiles) * number // self.threads for number in range(self.threads + 1)]
        flat = tiles.reshape(len(tiles), -1)
        arguments = (parameters, symbols.reshape(-1), flat, constants, count, step, self._selective[step])
        jobs = [
            self._pool.submit(worker.work, *arguments, first, last)
            for worker, first, last in zip(self._workers, cuts[:-1], cuts[1:], strict=True)
        ]
        for job in jobs:
            job.result()
        one, *others = self._workers
        for other in others:
            one.gradient += other.gradient
            one.symbol_error += other.symbol_error
            one.losses += other.losses
        gradient = one.gradient.copy()
        gradient[self.layout.slices["encoder"]] = encoder_gradient(weights, kept, one.symbol_error[None])[0]
        return gradient, one.losses.copy()


class _Worker:
    """One thread's share: memory for a piece, and the sums over its pieces."""

    def __init__(self, layout: Layout, half: bool) -> None:
        from isac_models.kernels import network_weights, networks, wide_networks  # because they import numba

        self.kernels, self.weights, self.tile = wide_networks, network_weights, networks.TILE
        self.heads = {1: networks.PRESENCE, 2: networks.ANGLE}
        self.layout = layout
        self.small = Layout(layout.antennas, layout.order, 1)
        """The receiver has the same size in it, and the rest takes no memory."""
        self.gradient = np.zeros(layout.size, np.float32)
        slopes = self._named(self.gradient)
        self.products = (HalfProducts if half else Products)(slopes, slopes)
        self.symbol_error = np.zeros(2 * layout.order, np.float32)
        self.losses = np.zeros(2, np.float32)
        self.kept = np.zeros((PIECE, (4 * layout.antennas + wide_networks.KEPT) * self.tile), np.float32)

    def _named(self, flat: Values) -> dict[str, Values]:
        """Views of flat values (P,) by the names of the layout."""
        return {name: tensor[0] for name, tensor in self.layout.tensors(flat[None]).items()}

    def work(
        self, parameters: Values, symbols: Values, tiles: Values, constants: Values, count: int, step: int,
        selective: bool, first: int, last: int,
    ) -> None:  # fmt: skip
        """Sum up the gradient over tiles number first … last - 1."""
        import torch

        torch.set_num_threads(1)  # of this thread of the pool: products that share would wait for each other
        for sums in (self.gradient, self.symbol_error, self.losses):
            sums[:] = 0
        self.products.load(self._named(parameters))
        receiver, small = self.layout.slices["receiver"], self.small
        packed, turned, sums = (np.zeros(length, np.float32) for length in small.lengths)
        own = np.zeros(small.size, np.float32)
        own[small.slices["receiver"]] = parameters[receiver]
        self.weights.pack(packed, turned, own, small.plan)
        rows = small.work_space(self.tile)
        heard = packed, turned, symbols, rows, small.plan, constants
        for start in range(first, last, PIECE):
            counted = min(PIECE, last - start)
            left = max(0, min(counted * self.tile, count - start * self.tile))
            self._piece(heard, sums, tiles, step, selective, start, counted * self.tile, left)
        self.weights.unpack(own, sums, small.plan)
        self.gradient[receiver] = own[small.slices["receiver"]]

    def _piece(
        self, heard: tuple[Any, ...], sums: Values, tiles: Values, step: int, selective: bool, start: int,
        size: int, count: int,
    ) -> None:  # fmt: skip
        """The same for `size` snapshots from tile number `start` on, of which `count` count."""
        kernels, wide = self.kernels, 2 * self.layout.antennas
        constants, kept = heard[-1], self.kept[: size // self.tile]
        room, forward, backward = self.products.room, self.products.forward, self.products.backward
        given = room("given", (4, size))
        kernels.priors(given, tiles, start)
        shape, shaping = forward("beamformer", given, "beamformer")
        seen = room("seen", (wide + 2, size))
        kernels.transmit(seen, kept, sums, self.losses, shape, tiles, *heard, start, count)
        seen_error = seen[:wide]
        if constants[0] > 0:
            head = "presence" if step == 1 else "angle"
            opinion = forward("presence", seen, "spare")[0] if selective and step == 2 else None
            output, sensing = forward(head, seen, "head")
            error = room("error", (1, size))
            chosen = self.heads[step], selective
            opinion = output if opinion is None else opinion
            kernels.judge(error, self.losses, output, opinion, tiles, constants, start, count, *chosen)
            seen_error = backward(head, error, sensing, wide)
        shape_error = room("shape error", (wide, size))
        kernels.reflect(shape_error, self.symbol_error, kept, seen_error, tiles, constants, start, count)
        backward("beamformer", shape_error, shaping, 0)
