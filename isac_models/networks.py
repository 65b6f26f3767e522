"""The five networks of Table I and their losses (9)-(12), in plain torch: the reference for the fast forms.

Tensors have a leading axis for W networks that are trained together, one for each ω_r. Snapshots are shared
by all of them; what reaches the receivers depends on each one's beam.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from isac_models.network_layout import LAYERS

Tensors = Mapping[str, Tensor]
"""`encoder.0.weight` (W, outputs, inputs), `encoder.0.bias` (W, outputs), … as in network_layout.Layout."""


@dataclass(frozen=True)
class Snapshots:
    """What n snapshots are, whatever the networks do.

    Real: prior (n, 4), (θ_min, θ_max, ϑ_min, ϑ_max) scaled as the networks are given them; angle θ (n,) in
    radians; presence t (n,). Integers: message (n,). Complex: gain tα (n,); transmit a_tx(θ), receive a_rx(θ)
    and noise of the echo (n, K); channel β a_tx(ϑ) (n, K); comm_noise (n,).
    """

    prior: Tensor
    angle: Tensor
    present: Tensor
    message: Tensor
    gain: Tensor
    transmit: Tensor
    receive: Tensor
    noise: Tensor
    channel: Tensor
    comm_noise: Tensor


@dataclass(frozen=True)
class Options:
    """What the losses leave open.

    radar_scale and comm_scale multiply what the receivers get. `literal`: the BCE of (11) counts snapshots
    with a target alone, as its indicator says. `mask` of the MSE of (12): "detected" counts snapshots where
    the presence network says p̂ > 1/2, "present" all.
    """

    transmit_energy: float = 1.0
    radar_scale: float = 1.0
    comm_scale: float = 1.0
    literal: bool = False
    mask: str = "detected"


def network(tensors: Tensors, name: str, inputs: Tensor) -> Tensor:
    """Output before its nonlinearity of the network called `name`: (W, n, inputs) to (W, n, outputs).

    Under torch.autocast the layers between hidden ones are computed in its precision. The first one, which
    reads the sector's edges, and the last one never are: eight bits of an angle are too few.
    """
    values = inputs
    for layer in range(LAYERS):
        exact = layer in (0, LAYERS - 1)
        with torch.autocast(inputs.device.type, enabled=False) if exact else nullcontext():
            values = _layer(tensors, name, layer, values.to(inputs.dtype) if exact else values)
        if layer < LAYERS - 1:
            values = functional.relu(values)
    return values


def _layer(tensors: Tensors, name: str, layer: int, values: Tensor) -> Tensor:
    weight, bias = tensors[f"{name}.{layer}.weight"], tensors[f"{name}.{layer}.bias"]
    return torch.baddbmm(bias[:, None], values.expand(len(weight), -1, -1), weight.transpose(1, 2))


def encode(tensors: Tensors) -> Tensor:
    """Constellation s(m) of each network, unit mean energy over equally likely messages: (W, M) complex."""
    order = tensors["encoder.0.weight"].shape[2]
    weight = tensors["encoder.0.weight"]
    points = network(tensors, "encoder", torch.eye(order, dtype=weight.dtype, device=weight.device)[None])
    energy = points.square().sum(dim=2).mean(dim=1)
    return torch.view_as_complex(points / energy.sqrt()[:, None, None])


def beamform(tensors: Tensors, prior: Tensor, options: Options) -> Tensor:
    """Beams v with |v|² = E_tx for the prior (n, 4): (W, n, K) complex."""
    output = network(tensors, "beamformer", prior[None])
    output = output * (math.sqrt(options.transmit_energy) / output.norm(dim=2, keepdim=True))
    real, imaginary = output.chunk(2, dim=2)
    return torch.complex(real, imaginary)


def sensing_input(echo: Tensor, prior: Tensor, options: Options) -> Tensor:
    """Re y_r, Im y_r, θ_min, θ_max: echo (W, n, K) complex and prior (n, 4) to (W, n, 2K + 2)."""
    sector = prior[None, :, :2].expand(len(echo), -1, -1)
    return torch.cat([echo.real * options.radar_scale, echo.imag * options.radar_scale, sector], dim=2)


def presence_logit(tensors: Tensors, inputs: Tensor) -> Tensor:
    """Logit of the probability p̂ that a target is there, from sensing_input: (W, n)."""
    return network(tensors, "presence", inputs)[:, :, 0]


def estimate_angle(tensors: Tensors, inputs: Tensor) -> Tensor:
    """θ̂ = π/2 tanh(output) in radians, from sensing_input: (W, n)."""
    return math.pi / 2 * torch.tanh(network(tensors, "angle", inputs)[:, :, 0])


def message_logits(tensors: Tensors, received: Tensor, csi: Tensor, options: Options) -> Tensor:
    """Logits of the messages from y_c and κ, both (W, n) complex: (W, n, M)."""
    inputs = torch.stack([received.real, received.imag, csi.real, csi.imag], dim=2)
    return network(tensors, "receiver", inputs * options.comm_scale)


def losses(
    tensors: Tensors, snapshots: Snapshots, options: Options, step: int, divisor: int | None = None
) -> tuple[Tensor, Tensor]:
    """Sensing and communication loss of each network, (W,); (11) and (12) weight them by ω_r and 1 - ω_r.

    `step` 1: the BCE (9), step 2: the MSE of the angle in rad², where snapshots that the mask leaves out
    count as zeros. Both steps: the CCE (10). Sums are divided by `divisor` (None: the number of snapshots).
    """
    count = divisor or len(snapshots.message)
    symbols = encode(tensors)[:, snapshots.message]
    beam = beamform(tensors, snapshots.prior, options)
    # y_r = t α a_rx(θ) a_tx(θ)ᵀ x + n, eq. (1), with x = v s(m).
    reflected = snapshots.gain * symbols * (snapshots.transmit * beam).sum(dim=2)
    echo = reflected[:, :, None] * snapshots.receive + snapshots.noise
    inputs = sensing_input(echo, snapshots.prior, options)
    if step == 1:
        logit = presence_logit(tensors, inputs)
        entropy = functional.binary_cross_entropy_with_logits(
            logit, snapshots.present.expand_as(logit), reduction="none"
        )
        counted = snapshots.present if options.literal else torch.ones_like(snapshots.present)
        sensing = (counted * entropy).sum(dim=1) / count
    else:
        error = (estimate_angle(tensors, inputs) - snapshots.angle).square()
        if options.mask == "detected":
            with torch.no_grad():
                found = presence_logit(tensors, inputs) > 0
            error = error * found
        sensing = error.sum(dim=1) / count
    # y_c = κ s + n with κ = β a_tx(ϑ)ᵀ v, eq. (2).
    csi = (snapshots.channel * beam).sum(dim=2)
    logits = message_logits(tensors, csi * symbols + snapshots.comm_noise, csi, options)
    sent = snapshots.message.expand(len(logits), -1)
    communication = functional.cross_entropy(logits.transpose(1, 2), sent, reduction="none")
    return sensing, communication.sum(dim=1) / count


def weighted(omega: Tensor, sensing: Tensor, communication: Tensor) -> Tensor:
    """ω_r J_sensing + (1 - ω_r) J_comm of each network, eqs. (11) and (12): (W,)."""
    return omega * sensing + (1 - omega) * communication
