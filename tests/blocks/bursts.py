"""A channel for whole bursts, for tests: fading, noise, and bursts that are lost."""

from __future__ import annotations

import numpy as np

from isac_models.constellation import Constellation
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("ideal")
PAYLOAD = 96


def received(message: np.ndarray, lost: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Payload and CSI (b, N) of messages (n,): 30 dB where a burst is not lost, noise alone where it is."""
    symbols = Constellation(SCENARIO.order).points[message].reshape(-1, PAYLOAD)
    shape = symbols.shape
    csi = np.exp(2j * np.pi * rng.random(len(symbols)))[:, None] * np.ones(PAYLOAD)
    noise = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)
    payload = np.where(lost[:, None], 0, csi * symbols) + np.where(lost, 1.0, 10**-1.5)[:, None] * noise
    return {"payload": payload.astype(np.complex64), "csi": csi.astype(np.complex64)}
