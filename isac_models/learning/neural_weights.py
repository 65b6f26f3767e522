"""Weights of the networks of all ω_r and Adam [Kingma and Ba, ICLR 2015], in the memory of their engine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Weights(Protocol):
    """Parameters (W, P), a row for each ω_r."""

    @property
    def parameters(self) -> Values:
        """All of them, to look at."""

    updates: int
    """Steps of Adam since the last `restart`."""

    def rows(self, active: Values) -> Any:
        """Parameters of some ω_r, as the engine takes them: (len(active), P)."""

    def restart(self) -> None:
        """Adam begins afresh."""

    def step(self, active: Values, gradients: Any, parts: Sequence[slice], rate: float) -> None:
        """One step of Adam for some ω_r, their gradients (len(active), P), and some columns."""

    def state(self) -> dict[str, Values]:
        """Copies of parameters, first and second moments, float32 (W, P)."""

    def load(self, state: Mapping[str, Values], updates: int) -> None:
        """Continue from what `state` gave."""


class HostWeights:
    """In NumPy's memory, for engines on the processor."""

    def __init__(self, parameters: Values) -> None:
        self.parameters = parameters
        self.first, self.second = np.zeros_like(parameters), np.zeros_like(parameters)
        self.updates = 0

    def rows(self, active: Values) -> Values:
        """See Weights."""
        return self.parameters[active]

    def restart(self) -> None:
        """See Weights."""
        self.first[:], self.second[:], self.updates = 0, 0, 0

    def step(self, active: Values, gradients: Values, parts: Sequence[slice], rate: float) -> None:
        """See Weights."""
        from isac_models.kernels import network_weights  # here, because it imports numba

        self.updates += 1
        corrected, root = _corrections(rate, self.updates)
        for row, w in enumerate(active.tolist()):
            for part in parts:
                network_weights.adam(
                    self.parameters[w, part],
                    self.first[w, part],
                    self.second[w, part],
                    gradients[row, part],
                    BETA_1,
                    BETA_2,
                    corrected,
                    root,
                    EPSILON,
                )

    def state(self) -> dict[str, Values]:
        """See Weights."""
        return {
            "parameters": self.parameters.copy(),
            "first": self.first.copy(),
            "second": self.second.copy(),
        }

    def load(self, state: Mapping[str, Values], updates: int) -> None:
        """See Weights."""
        self.parameters, self.first, self.second = (
            state[name].copy() for name in ("parameters", "first", "second")
        )
        self.updates = updates


class TorchWeights:
    """In torch's memory on a device, for its engine: nothing of size W × P crosses over but to be saved."""

    def __init__(self, parameters: Values, device: str) -> None:
        import torch

        self.device = device
        self._parameters = torch.tensor(parameters, device=device)
        self._first, self._second = (torch.zeros_like(self._parameters) for _ in range(2))
        self.updates = 0

    @property
    def parameters(self) -> Values:
        """A copy of the parameters: (W, P)."""
        return self.state()["parameters"]

    def rows(self, active: Values) -> Any:
        """See Weights."""
        return self._parameters if len(active) == len(self._parameters) else self._parameters[active]

    def restart(self) -> None:
        """See Weights."""
        self._first.zero_()
        self._second.zero_()
        self.updates = 0

    def step(self, active: Values, gradients: Any, parts: Sequence[slice], rate: float) -> None:
        """See Weights."""
        import torch

        self.updates += 1
        corrected, root = _corrections(rate, self.updates)
        given = torch.as_tensor(gradients, device=self.device)
        everyone = len(active) == len(self._parameters)
        for part in parts:
            mine = (values[:, part] for values in (self._parameters, self._first, self._second))
            values, first, second = mine if everyone else (each[active] for each in mine)
            gradient = given[:, part]
            first.mul_(BETA_1).add_(gradient, alpha=1 - BETA_1)
            second.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
            values.addcdiv_(first, second.sqrt().mul_(root).add_(EPSILON), value=-corrected)
            if not everyone:
                for whole, some in zip(
                    (self._parameters, self._first, self._second), (values, first, second), strict=True
                ):
                    whole[active, part] = some

    def state(self) -> dict[str, Values]:
        """See Weights."""
        held = {"parameters": self._parameters, "first": self._first, "second": self._second}
        return {name: values.cpu().numpy().copy() for name, values in held.items()}

    def load(self, state: Mapping[str, Values], updates: int) -> None:
        """See Weights."""
        import torch

        self._parameters, self._first, self._second = (
            torch.tensor(state[name], device=self.device) for name in ("parameters", "first", "second")
        )
        self.updates = updates


def _corrections(rate: float, updates: int) -> tuple[float, float]:
    """Learning rate / (1 - β₁ᵗ) and 1 / √(1 - β₂ᵗ)."""
    return rate / (1 - BETA_1**updates), 1 / math.sqrt(1 - BETA_2**updates)
