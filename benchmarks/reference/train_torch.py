"""The usual way to train A: model-driven learning of eq. (13) in plain torch, one file, nothing of ours.

    python benchmarks/reference/train_torch.py [--iterations 10] [--antennas 16] [--grid 500] [--batch 10000]

Every step on the whole batch and the whole angle grid: draws, beams (4), echoes (1), masked softmax (13),
backward, Adam. Frozen: ratios are measured against this file. Prints one JSON object.
"""

import argparse
import json
import math
import resource
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--iterations", type=int, default=10)
parser.add_argument("--antennas", type=int, default=16)
parser.add_argument("--grid", type=int, default=500)
parser.add_argument("--batch", type=int, default=10_000)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seed", type=int, default=1)
options = parser.parse_args()
torch.set_num_threads(options.threads)
generator = torch.Generator().manual_seed(options.seed)
K, N, B = options.antennas, options.grid, options.batch

grid = torch.linspace(-math.pi / 2, math.pi / 2, N)
ideal = (torch.arange(K) - (K - 1) / 2) / 2
spacings = 0.5 + torch.randn(K - 1, generator=generator) / 30
true = torch.cat([torch.zeros(1), torch.cumsum(spacings, 0)])
true -= true.mean()
phase = -2 * math.pi * ideal[:, None] * torch.sin(grid)
start = torch.polar(torch.ones(K, N), phase) + math.sqrt(0.1) * torch.randn(K, N, generator=generator)
A = torch.nn.Parameter(start)
adam = torch.optim.Adam([A], lr=1e-3)


def uniform(low: float, high: float) -> torch.Tensor:
    """U[low, high) for every snapshot."""
    return low + (high - low) * torch.rand(B, generator=generator)


def iteration() -> float:
    """One whole iteration; its loss."""
    centre = uniform(math.radians(-60), math.radians(60))
    half = uniform(math.radians(10), math.radians(20)) / 2
    theta = centre + half * uniform(-1, 1)
    b = ((grid >= (centre - half)[:, None]) & (grid <= (centre + half)[:, None])).float()
    alpha = torch.randn(B, dtype=torch.complex64, generator=generator)
    noise = torch.randn(B, K, dtype=torch.complex64, generator=generator)

    conjugate = A.conj()
    M = torch.linalg.solve(conjugate @ A.T, conjugate)
    x = b.to(torch.complex64) @ M.T
    x = x / torch.linalg.vector_norm(x, dim=1, keepdim=True)
    turns = -2 * math.pi * torch.sin(theta)[:, None] * true
    a = torch.polar(torch.ones(B, K), turns)
    y = (alpha * (a * x).sum(1))[:, None] * a + noise
    g = torch.softmax((y @ conjugate).abs() * b, dim=1)
    loss = (g @ grid - theta).square().mean()
    adam.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    adam.step()
    return loss.item()


iteration()
iteration()
seconds = []
loss = math.nan
for _ in range(options.iterations):
    began = time.perf_counter()
    loss = iteration()
    seconds.append(time.perf_counter() - began)
seconds.sort()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds[len(seconds) // 2], "loss": loss, "peak_memory_bytes": peak}))
