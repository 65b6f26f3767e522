"""The neural baseline at work: encoder, beam, radar receiver and demodulator from a trained artifact.

torch is not needed: `isac_models.networks` is what they were trained as. Artifact: docs/artifact.md.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.artifact import Artifact
from isac_models.calibration import Threshold
from isac_models.detection import Detection
from isac_models.draws import SnapshotRandom
from isac_models.errors import UserError
from isac_models.methods import System
from isac_models.network_inference import Network
from isac_models.network_layout import LAYERS, NETWORKS
from isac_models.scenario import Scenario

Values = NDArray[Any]

ESTIMATOR = "network"
"""How the neural receiver reads the angle, as results say it."""
NOISE_SEED, NOISE_STREAM = 20170612, "neural_threshold"
"""Draws of H0 that thresholds are calibrated by, the same for every network."""
SAMPLES = 1 << 21
MOST_SAMPLES = 1 << 25
ASKED_ABOVE = 10_000
"""Samples above the level that make its false-alarm probability known to 1 %."""
LEAST_ABOVE = 100
CHUNK = 1 << 15
"""Samples of H0 computed together."""
ROWS = 8192
"""Received symbols decided together, so that the temporaries stay in the cache."""
_known: dict[tuple[bytes, str], Threshold] = {}


class NeuralEncoder:
    """The learned constellation: s(m) of unit mean energy over the messages.

    Raises UserError when the network gives every message zero.
    """

    def __init__(self, network: Network, order: int) -> None:
        planes = network.plain(np.eye(order))
        points = planes[:, 0] + 1j * planes[:, 1]
        energy = float(np.mean(np.abs(points) ** 2))
        if not energy > 0:
            raise UserError("the neural encoder sends nothing: its artifact is not a trained one")
        self.order = order
        self.points: Values = (points / math.sqrt(energy)).astype(np.complex64)
        """Symbols s(m), indexed by the message: (M,)."""

    def encode(self, message: Values) -> Values:
        """Symbols of messages: (n,) to (n,).

        Raises UserError for a message that is not below the order.
        """
        try:
            symbols: Values = self.points.take(message)
        except IndexError:
            raise UserError(f"message {int(np.max(message))} must be below the order {self.order}") from None
        return symbols


class NeuralDetector:
    """Presence and angle of a target from its echo; the statistic is the logit of p̂.

    presence, angle: networks from an echo (n, 2K), real and imaginary parts side by side.
    """

    def __init__(self, presence: Network, angle: Network, scenario: Scenario) -> None:
        self.presence, self.angle, self.scenario = presence, angle, scenario
        presence.prepare()
        angle.prepare()

    @property
    def estimator(self) -> str:
        """How the angle is read."""
        return ESTIMATOR

    @cached_property
    def threshold(self) -> Threshold:
        """Logit that noise alone passes with the scenario's false-alarm probability, by samples of H0."""
        scenario = self.scenario
        key = self.presence.digest, repr((scenario.noise_power, scenario.false_alarm))
        if key not in _known:
            random = SnapshotRandom(NOISE_SEED, NOISE_STREAM)

            def noise_alone(start: int, count: int) -> Values:
                echo = random.complex_normal(0, start, count, scenario.antennas, scenario.noise_power)
                return self.logit(echo)

            _known[key] = calibrate_by_samples(noise_alone, scenario.false_alarm)
        return _known[key]

    def logit(self, echo: Values) -> Values:
        """Logit of the probability that a target is there, of echoes (n, K): (n,)."""
        return self.presence.outputs(_planes(echo))[:, 0]

    def estimate(self, echo: Values) -> Values:
        """θ̂ = π/2 tanh(output) in radians, of echoes (n, K): (n,)."""
        output = self.angle.outputs(_planes(echo))[:, 0]
        angle: Values = output.dtype.type(math.pi / 2) * np.tanh(output)
        return angle

    def detect(self, echo: Values) -> Detection:
        """Decision and angle of each echo (n, K); complex64 runs through the kernels."""
        logit = self.logit(echo)
        return Detection(logit > self.threshold.amplitude, self.estimate(echo), logit)


class NeuralDemodulator:
    """The most likely messages by a network from (Re y_c, Im y_c, Re κ, Im κ), (n, 4), to logits (n, M)."""

    def __init__(self, receiver: Network) -> None:
        self.receiver = receiver
        receiver.prepare()

    def decide(self, received: Values, csi: Values) -> Values:
        """Messages (n,) uint8 from y_c and κ, each (n,)."""
        decided = np.empty(len(received), np.uint8)
        for first in range(0, len(received), ROWS):
            part = slice(first, first + ROWS)
            inputs = np.stack([received[part], csi[part]], axis=1)
            decided[part] = self.receiver.outputs(_planes(inputs)).argmax(axis=1)
        return decided


@dataclass(frozen=True)
class NeuralSystem(System):
    """The networks of one ω_r."""

    detector: NeuralDetector
    encoder: NeuralEncoder
    demodulator: NeuralDemodulator


def neural_system(artifact: Artifact, scenario: Scenario, omega: float) -> NeuralSystem:
    """The networks that a neural artifact holds for ω_r = `omega`, for a scenario that it fits.

    Raises UserError for an ω_r that it was not trained for, and for one that no system can be made of.
    """
    found = networks_for(artifact, omega)
    angle_scale, radar_scale, comm_scale = (
        _scale(artifact, name) for name in ("angle_scale", "radar_scale", "comm_scale")
    )
    antennas = scenario.antennas
    prior = angle_scale * np.array([*scenario.target_sector, *scenario.comm_sector])

    shape = found["beamformer"].plain(prior[None])[0]
    if not np.linalg.norm(shape) > 0:
        raise UserError("the neural beamformer sends nothing: its artifact is not a trained one")
    beam = (shape[:antennas] + 1j * shape[antennas:]) * (
        math.sqrt(scenario.transmit_energy) / np.linalg.norm(shape)
    )

    # The networks read all real parts, then all imaginary ones, then the sector: (2K + 2).
    echo = np.zeros((2 * antennas + 2, 2 * antennas))
    echo[np.arange(antennas), 2 * np.arange(antennas)] = radar_scale
    echo[antennas + np.arange(antennas), 2 * np.arange(antennas) + 1] = radar_scale
    sector = np.concatenate([np.zeros(2 * antennas), prior[:2]])
    return NeuralSystem(
        beam,
        NeuralDetector(found["presence"].folded(echo, sector), found["angle"].folded(echo, sector), scenario),
        NeuralEncoder(found["encoder"], scenario.order),
        NeuralDemodulator(found["receiver"].folded(comm_scale * np.eye(4), np.zeros(4))),
        artifact,
    )


def networks_for(artifact: Artifact, omega: float) -> dict[str, Network]:
    """The five networks of one ω_r by their names.

    Raises UserError for an ω_r that the artifact was not trained for; it lists those that there are.
    """
    known = np.asarray(artifact.tensors["omega"], np.float64)
    near = np.flatnonzero(np.abs(known - omega) <= 1e-6 * known)
    if near.size != 1:
        name = f"artifact {artifact.name}" if artifact.name else "the artifact"
        there = ", ".join(f"{value:g}" for value in sorted(known.tolist()))
        raise UserError(f"rho {omega:g}: {name} was trained for ω_r {there}: choose one of them")
    (w,) = near.tolist()
    return {
        network: Network(
            [artifact.tensors[f"{network}.{layer}.weight"][w] for layer in range(LAYERS)],
            [artifact.tensors[f"{network}.{layer}.bias"][w] for layer in range(LAYERS)],
        )
        for network in NETWORKS
    }


def calibrate_by_samples(statistic: Callable[[int, int], Values], false_alarm: float) -> Threshold:
    """The level that a statistic under H0 exceeds with the asked probability, by its samples.

    statistic(start, count): samples number `start` … `start + count - 1`, float32; called from several
    threads. Deterministic. Its relative error is that of counting the samples above the level: .007 at 1e-2.

    Raises UserError for a probability too small to be counted.
    """
    if false_alarm * MOST_SAMPLES < LEAST_ABOVE:
        raise UserError(
            f"false_alarm {false_alarm:g}: the neural detector's threshold is found by samples of noise, "
            f"which reach down to {LEAST_ABOVE / MOST_SAMPLES:.0e}"
        )
    samples = min(max(SAMPLES, math.ceil(ASKED_ABOVE / false_alarm)), MOST_SAMPLES)
    above = int(false_alarm * samples)  # samples that are allowed above the level
    highest = np.empty(0, np.float32)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        chunks = [(start, min(CHUNK, samples - start)) for start in range(0, samples, CHUNK)]
        for found in pool.map(lambda chunk: statistic(*chunk), chunks):
            highest = np.concatenate([highest, found])
            if len(highest) > above + 1:
                highest = np.partition(highest, -(above + 1))[-(above + 1) :]
    error = math.sqrt((1 - false_alarm) / (false_alarm * samples))
    return Threshold(float(highest.min()), false_alarm, error)


def _planes(values: Values) -> Values:
    """Real and imaginary parts side by side: (n, k) complex to (n, 2k) real."""
    return np.ascontiguousarray(values).view(values.real.dtype)


def _scale(artifact: Artifact, name: str) -> float:
    """What some inputs are multiplied by, as the artifact's training says; 1 where it does not."""
    value = artifact.training.get(name, 1.0)
    if isinstance(value, bool) or not (isinstance(value, int | float) and 0 < value < math.inf):
        raise UserError(f"the artifact's {name} must be a positive number, not {value!r}")
    return float(value)
