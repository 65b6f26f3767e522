"""The neural baseline at work, against the torch networks that it is trained as."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from isac_models import networks
from isac_models.artifact import Artifact
from isac_models.constellation import Constellation
from isac_models.errors import UserError
from isac_models.learning.neural import Neural
from isac_models.monte_carlo import Link, evaluate
from isac_models.network_layout import Layout
from isac_models.neural_system import (
    LEAST_ABOVE,
    MOST_SAMPLES,
    SAMPLES,
    calibrate_by_samples,
    neural_system,
)
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import neural

torch.set_num_threads(1)
SCENARIO = Scenario.preset("limited")
SCALES = {"angle_scale": 0.7, "radar_scale": 0.9, "comm_scale": 0.15}


def scaled(scenario: Scenario, hidden: int = 9, seed: int = 1, **scales: Any) -> Artifact:
    """Random networks for three ω_r, biases included, that scale their inputs."""
    made = neural(scenario, hidden, (0.0, 1e-6, 0.4), seed)
    random = np.random.default_rng(seed + 100)
    tensors = {
        name: 0.3 * random.standard_normal(array.shape).astype(np.float32) if "bias" in name else array
        for name, array in made.tensors.items()
    }
    return replace(made, tensors=tensors, training={**made.training, **SCALES, **scales})


class Reference:
    """The same decisions by torch, in double precision."""

    def __init__(self, artifact: Artifact, scenario: Scenario, row: int) -> None:
        self.tensors = {
            name: torch.from_numpy(array[row : row + 1].astype(np.float64))
            for name, array in artifact.tensors.items()
        }
        training = artifact.training
        self.options = networks.Options(
            scenario.transmit_energy, training["radar_scale"], training["comm_scale"]
        )
        edges = [*scenario.target_sector, *scenario.comm_sector]
        self.prior = training["angle_scale"] * torch.tensor([edges], dtype=torch.float64)

    def points(self) -> np.ndarray:
        """s(m): (M,)."""
        return np.asarray(networks.encode(self.tensors)[0].numpy())

    def beam(self) -> np.ndarray:
        """v: (K,)."""
        return np.asarray(networks.beamform(self.tensors, self.prior, self.options)[0, 0].numpy())

    def sense(self, echo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits and angles of echoes (n, K): (n,) each."""
        given = torch.from_numpy(echo.astype(np.complex128))[None]
        prior = self.prior.expand(len(echo), -1)
        inputs = networks.sensing_input(given, prior, self.options)
        logit = networks.presence_logit(self.tensors, inputs)[0]
        return logit.numpy(), networks.estimate_angle(self.tensors, inputs)[0].numpy()

    def decide(self, received: np.ndarray, csi: np.ndarray) -> np.ndarray:
        """Logits of the messages: (n, M)."""
        y, k = (torch.from_numpy(values.astype(np.complex128))[None] for values in (received, csi))
        return np.asarray(networks.message_logits(self.tensors, y, k, self.options)[0].numpy())


def noise(seed: int, *shape: int) -> np.ndarray:
    """CN(0, 1), complex64."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((*shape[:-1], 2 * shape[-1]), np.float32) * np.float32(math.sqrt(0.5))
    return values.view(np.complex64)


@pytest.mark.parametrize("changes", [{}, {"transmit_energy": 3.0, "antennas": 5, "order": 16}])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_every_decision_is_that_of_the_torch_networks(row: int, changes: dict[str, Any]) -> None:
    scenario = SCENARIO.replace(**changes)
    artifact = scaled(scenario)
    system = neural_system(artifact, scenario, (0.0, 1e-6, 0.4)[row])
    expected = Reference(artifact, scenario, row)
    message = np.arange(scenario.order, dtype=np.uint8)[::-1]
    np.testing.assert_allclose(system.points(scenario), expected.points(), rtol=1e-6)
    np.testing.assert_array_equal(system.encoder.encode(message), system.points(scenario)[::-1])
    np.testing.assert_allclose(system.beam, expected.beam(), rtol=1e-9)

    echo = noise(1, 1000, scenario.antennas)
    logit, angle = expected.sense(echo)
    for given, tolerance in ((echo, 2e-5), (echo.astype(np.complex128), 1e-10)):
        found = system.detector.detect(given)
        np.testing.assert_allclose(found.statistic, logit, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(found.angle, angle, rtol=tolerance, atol=tolerance)
        np.testing.assert_array_equal(found.detected, found.statistic > system.detector.threshold.amplitude)
    assert system.detector.detect(echo).angle.dtype == np.float32
    assert system.detector.estimator == "network"

    received, csi = 5 * noise(2, 20_000), 4 * noise(3, 20_000)
    logits = expected.decide(received, csi)
    decided = system.demodulator.decide(received, csi)
    assert decided.dtype == np.uint8
    margin = logits.max(axis=1) - logits[np.arange(len(logits)), decided]
    assert margin.max() < 1e-4, "another message is more likely"


def test_a_decision_does_not_depend_on_how_the_stream_is_cut() -> None:
    system = neural_system(scaled(SCENARIO), SCENARIO, 0.4)
    echo, received, csi = noise(1, 9000, 16), noise(2, 9000), noise(3, 9000)
    whole = system.detector.detect(echo)
    parts = [
        system.detector.detect(echo[part]) for part in (slice(0, 77), slice(77, 8999), slice(8999, 9000))
    ]
    for field in ("detected", "angle", "statistic"):
        together = np.concatenate([getattr(part, field) for part in parts])
        np.testing.assert_array_equal(together, getattr(whole, field))
    decide = system.demodulator.decide
    pieces = [decide(received[:1234], csi[:1234]), decide(received[1234:], csi[1234:])]
    np.testing.assert_array_equal(np.concatenate(pieces), decide(received, csi))


@pytest.mark.parametrize("false_alarm", [0.01, 0.3])
def test_noise_alone_passes_the_threshold_as_often_as_asked(false_alarm: float) -> None:
    scenario = SCENARIO.replace(false_alarm=false_alarm, noise_power=0.5)
    system = neural_system(scaled(scenario), scenario, 0.4)
    threshold = system.detector.threshold
    assert threshold.false_alarm == false_alarm
    assert threshold.relative_error == pytest.approx(math.sqrt((1 - false_alarm) / false_alarm / SAMPLES))
    count = 300_000
    share = system.detector.detect(noise(6, count, 16) * np.float32(math.sqrt(0.5))).detected.mean()
    spread = math.hypot(
        math.sqrt(false_alarm * (1 - false_alarm) / count), threshold.relative_error * false_alarm
    )
    assert abs(share - false_alarm) < 5 * spread
    # The same networks again: the level is remembered, whatever the object.
    assert neural_system(scaled(scenario), scenario, 0.4).detector.threshold is threshold
    assert neural_system(scaled(scenario, seed=2), scenario, 0.4).detector.threshold is not threshold


@pytest.mark.parametrize("false_alarm", [0.5, 1e-2, 2e-3])
def test_the_level_is_the_quantile_of_the_samples(false_alarm: float) -> None:
    taken = []

    def uniform(start: int, count: int) -> np.ndarray:
        """Numbers 0 … in an order of their own: a permutation of a power of two."""
        taken.append(count)
        return (np.arange(start, start + count) * 5 % 2**20).astype(np.float32)

    threshold = calibrate_by_samples(uniform, false_alarm)
    samples = sum(taken)
    assert samples == max(SAMPLES, min(MOST_SAMPLES, math.ceil(10_000 / false_alarm)))
    values = np.arange(samples) * 5 % 2**20
    above = int((values > threshold.amplitude).sum())
    # Every number occurs equally often: the level cannot hit the share more exactly than that.
    assert above <= false_alarm * samples < above + samples / 2**20 + 2
    assert threshold.relative_error == pytest.approx(math.sqrt((1 / false_alarm - 1) / samples))


def test_networks_that_say_the_same_of_everything_detect_nothing() -> None:
    artifact = scaled(SCENARIO)
    tensors = {
        name: 0 * array if name.startswith("presence") else array for name, array in artifact.tensors.items()
    }
    detector = neural_system(replace(artifact, tensors=tensors), SCENARIO, 0.4).detector
    assert not detector.detect(noise(1, 1000, 16)).detected.any()


def test_evaluation_counts_what_the_torch_networks_decide() -> None:
    artifact, count, seed = scaled(SCENARIO), 20_000, 5
    evaluation = evaluate(SCENARIO, method="neural", rho=0.4, artifact=artifact, snapshots=count, seed=seed)
    values = evaluation.to_dict()
    assert (values["method"], values["estimator"]) == ("neural", "network")
    assert values["artifact"]["kind"] == "neural"
    assert abs(values["p_fa"] - 0.01) < 5 * math.sqrt(0.01 / (count / 2))

    # The link's own draws, every decision by torch in double precision.
    link = Link(SCENARIO, evaluation.system, seed)
    expected = Reference(artifact, SCENARIO, 2)
    message = link.message_random.integers(0, 0, count, 4)
    symbol = expected.points()[message]
    transmitted = symbol[:, None] * expected.beam()
    echo, target = link.target.observe(transmitted.astype(np.complex64), link.target_random, 0)
    received, csi = link.channel.observe(
        transmitted.astype(np.complex64), symbol.astype(np.complex64), link.channel_random, 0
    )
    logit, angle = expected.sense(echo)
    detected = logit > evaluation.system.detector.threshold.amplitude
    counters = values["counters"]
    close = 3  # snapshots that lie on an edge may fall to either side
    assert (
        abs(counters["ser"]["events"] - (expected.decide(received, csi).argmax(1) != message).sum()) <= close
    )
    assert abs(counters["p_fa"]["events"] - (detected & ~target.present).sum()) <= close
    assert abs(counters["p_md"]["events"] - (~detected & target.present).sum()) <= close
    both = detected & target.present
    assert values["rmse_rad"] == pytest.approx(
        math.sqrt(np.mean((angle - target.angle)[both] ** 2)), rel=1e-2
    )


def test_a_short_training_is_seen_in_the_evaluation() -> None:
    settings = {"hidden": 16, "omega": [0.8], "iterations": 600, "batch": 500, "learning_rate": 5e-3}
    task = Neural(SCENARIO, Neural.complete({**settings, "threads": 1}))

    def rates() -> dict[str, float]:
        artifact = Artifact("neural", SCENARIO, task.artifact_tensors(), task.facts(), 1, 0.0, {})
        return evaluate(
            SCENARIO, method="neural", rho=0.8, artifact=artifact, snapshots=20_000, theory=False
        ).tally.rates()

    found = [rates()]
    for step in (1, 2):
        for iteration in range(600 * (step - 1), 600 * step):
            task.step(iteration)
        found.append(rates())
    untrained, detection, angle = found
    assert detection["ser"] < 0.1 < untrained["ser"]
    assert detection["p_md"] < 0.4 < untrained["p_md"]
    assert angle["ser"] < 0.1
    assert angle["rmse_rad"] < 0.3 * detection["rmse_rad"]


def test_an_omega_that_was_not_trained_is_refused_with_those_that_were() -> None:
    for omega in (0.5, 2e-6, -1.0, 1.0, math.nan):
        with pytest.raises(UserError, match=r"trained for ω_r 0, 1e-06, 0\.4: choose one"):
            neural_system(scaled(SCENARIO), SCENARIO, omega)


@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan, "1", None, True, [1.0]])
def test_scales_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(UserError, match="radar_scale must be a positive number"):
        neural_system(scaled(SCENARIO, radar_scale=value), SCENARIO, 0.4)


@pytest.mark.parametrize("name", ["encoder", "beamformer"])
def test_networks_that_send_nothing_are_refused(name: str) -> None:
    artifact = scaled(SCENARIO)
    tensors = {key: 0 * array if key.startswith(name) else array for key, array in artifact.tensors.items()}
    with pytest.raises(UserError, match="sends nothing"):
        neural_system(replace(artifact, tensors=tensors), SCENARIO, 0.4)


def test_a_message_beyond_the_order_and_a_tiny_false_alarm_are_refused() -> None:
    system = neural_system(scaled(SCENARIO), SCENARIO, 0.4)
    with pytest.raises(UserError, match="message 4 must be below the order 4"):
        system.encoder.encode(np.array([1, 4], np.uint8))
    scenario = SCENARIO.replace(false_alarm=0.5 * LEAST_ABOVE / MOST_SAMPLES)
    with pytest.raises(UserError, match=r"false_alarm .* samples of noise"):
        _ = neural_system(scaled(scenario), scenario, 0.4).detector.threshold


def test_the_scenario_s_qam_is_left_alone() -> None:
    """The learned points are no QAM: what reports call the constellation is theirs."""
    system = neural_system(scaled(SCENARIO), SCENARIO, 0.4)
    assert np.abs(system.points(SCENARIO) - Constellation(4).points).max() > 0.1
    assert np.mean(np.abs(system.points(SCENARIO)) ** 2) == pytest.approx(1)
    assert Layout(16, 4, 9).shapes.keys() < scaled(SCENARIO).tensors.keys()
