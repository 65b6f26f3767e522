"""Loss and gradient of the neural baseline: compiled kernels for narrow networks, torch on any device.

Wide networks on the CPU: neural_products.

Both take flat parameters (W, P) and give gradients (W, P) and losses (W, 2), the sensing and the
communication loss. Sums over snapshots are divided by a given number, so that parts of a batch add up.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isac_models.network_layout import LAYERS, Layout

Values = NDArray[Any]

CHUNK = 40
"""Tiles whose gradients one call of the kernel sums up, however many threads there are."""


class Engine(Protocol):
    """Computes gradients."""

    def gradients(
        self, parameters: Any, omegas: Sequence[float], tiles: Values, count: int, divisor: int, step: int
    ) -> tuple[Any, Values]:
        """dJ/d(parameters) (W, P) and losses (W, 2) of (11) (`step` 1) or (12) (2).

        parameters: an array; for TorchEngine a tensor too, and then so is the gradient. tiles
        (T, rows, TILE) hold `count` snapshots; their losses are divided by `divisor`.
        """
        ...


class KernelEngine:
    """Fused forward and backward passes over tiles of snapshots; one job is a network and CHUNK tiles."""

    def __init__(
        self,
        layout: Layout,
        amplitude: float,
        radar_scale: float,
        comm_scale: float,
        literal: bool,
        mask: str,
        threads: int | None = None,
    ) -> None:
        from isac_models.kernels import network_weights, networks  # here, because they import numba

        self.layout = layout
        self._selective = {1: literal, 2: mask == "detected"}
        self._scales = (amplitude, radar_scale, comm_scale)
        self._head = {1: networks.PRESENCE, 2: networks.ANGLE}
        self._gradient, self._pack, self._unpack = (
            networks.gradient,
            network_weights.pack,
            network_weights.unpack,
        )
        self.threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None

    def gradients(
        self, parameters: Values, omegas: Sequence[float], tiles: Values, count: int, divisor: int, step: int
    ) -> tuple[Values, Values]:
        """See Engine."""
        layout, encoder = self.layout, self.layout.slices["encoder"]
        starts = range(0, len(tiles), CHUNK)
        shape = (len(parameters), len(starts))
        parts = np.zeros((*shape, layout.size), np.float32)
        symbol_parts = np.zeros((*shape, 2 * layout.order), np.float32)
        loss_parts = np.zeros((*shape, 2), np.float32)
        weights = {name: tensor for name, tensor in layout.tensors(parameters).items() if "encoder" in name}
        symbols, kept = encode(weights)
        flat_tiles = tiles.reshape(len(tiles), -1)
        space = layout.work_space(tiles.shape[2])

        def chunk(job: tuple[int, int]) -> None:
            w, c = job
            packed, turned, sums = (np.zeros(length, np.float32) for length in layout.lengths)
            self._pack(packed, turned, parameters[w], layout.plan)
            self._gradient(
                sums,
                symbol_parts[w, c],
                loss_parts[w, c],
                packed,
                turned,
                symbols[w].reshape(-1),
                flat_tiles,
                space.copy(),
                layout.plan,
                np.array([omegas[w], *self._scales, 1 / divisor], np.float32),
                starts[c],
                min(CHUNK * tiles.shape[2], count - starts[c] * tiles.shape[2]),
                self._head[step],
                self._selective[step],
            )
            self._unpack(parts[w, c], sums, layout.plan)

        jobs = [(w, c) for w in range(shape[0]) for c in range(shape[1])]
        if self._pool is None:
            for job in jobs:
                chunk(job)
        else:
            for _ in self._pool.map(chunk, jobs):
                pass
        gradients = parts.sum(axis=1)
        gradients[:, encoder] = encoder_gradient(weights, kept, symbol_parts.sum(axis=1))
        return gradients, loss_parts.sum(axis=1)


def encode(weights: dict[str, Values]) -> tuple[Values, list[Values]]:
    """Constellations s(m) (W, M, 2) of unit mean energy, and what `encoder_gradient` needs."""
    order = weights["encoder.0.weight"].shape[2]
    values = np.broadcast_to(
        np.eye(order, dtype=np.float32), (len(weights["encoder.0.weight"]), order, order)
    )
    kept = [values]
    for layer in range(LAYERS):
        weight, bias = weights[f"encoder.{layer}.weight"], weights[f"encoder.{layer}.bias"]
        values = values @ weight.transpose(0, 2, 1) + bias[:, None]
        if layer < LAYERS - 1:
            values = np.maximum(values, 0)
        kept.append(values)
    energy = np.square(values).sum(axis=2).mean(axis=1)
    return values / np.sqrt(energy)[:, None, None], kept


def encoder_gradient(weights: dict[str, Values], kept: list[Values], symbol_error: Values) -> Values:
    """dJ/d(encoder's parameters) (W, P_encoder) from dJ/ds(m) (W, 2M)."""
    points = kept[-1]
    error = symbol_error.reshape(points.shape)
    order = points.shape[1]
    energy = np.square(points).sum(axis=2).mean(axis=1)[:, None, None]
    along = (error * points).sum(axis=(1, 2), keepdims=True)
    error = (error - points * along / (order * energy)) / np.sqrt(energy)
    found: list[Values] = []
    for layer in range(LAYERS - 1, -1, -1):
        found[:0] = [
            (error.transpose(0, 2, 1) @ kept[layer]).reshape(len(error), -1),
            error.sum(axis=1),
        ]
        if layer > 0:
            error = (error @ weights[f"encoder.{layer}.weight"]) * (kept[layer] > 0)
    return np.concatenate(found, axis=1)


class TorchEngine:
    """Automatic differentiation of the plain form, on any device.

    precision: "bfloat16" computes products between hidden layers so; weights, sums and losses stay single.
    """

    def __init__(
        self,
        layout: Layout,
        options: Any,
        device: str = "cpu",
        threads: int | None = None,
        precision: str = "float32",
    ) -> None:
        import torch

        self.layout, self.options, self.device = layout, options, device
        self.mixed = precision == "bfloat16"
        if threads is not None:
            torch.set_num_threads(threads)

    def gradients(
        self, parameters: Any, omegas: Sequence[float], tiles: Values, count: int, divisor: int, step: int
    ) -> tuple[Any, Values]:
        """See Engine."""
        import torch

        from isac_models.learning.neural_data import snapshots
        from isac_models.networks import losses, weighted

        flat = torch.as_tensor(parameters, device=self.device).detach().requires_grad_()
        omega = torch.tensor(omegas, dtype=flat.dtype, device=self.device)
        drawn = snapshots(tiles, count, self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
            sensing, communication = losses(self.layout.tensors(flat), drawn, self.options, step, divisor)
        weighted(omega, sensing, communication).sum().backward()  # type: ignore[no-untyped-call]
        assert flat.grad is not None
        both = torch.stack([sensing.detach(), communication.detach()], dim=1)
        gradients = flat.grad if isinstance(parameters, torch.Tensor) else flat.grad.cpu().numpy()
        return gradients, both.cpu().numpy()
