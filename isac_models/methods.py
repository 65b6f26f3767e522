"""The methods that are compared: what each decides at the transmitter and at both receivers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isac_models.array import hardware, steering_matrix
from isac_models.artifact import Artifact, ArtifactWarning, Kind, default_for, fitting
from isac_models.beamforming import Beam, baseline_beam, matrix_beam
from isac_models.constellation import Constellation
from isac_models.detection import Detection, Estimator, MatchedFilter, Threshold
from isac_models.errors import UserError
from isac_models.grid import angle_grid
from isac_models.scenario import Scenario

Values = NDArray[Any]

RHO = 0.5
"""Share of sensing in the beam unless told otherwise."""


class Encoder(Protocol):
    """Symbols of messages."""

    def encode(self, message: NDArray[np.uint8]) -> Values:
        """s(m) of messages (n,) uint8: (n,) complex64, of unit mean energy over the messages."""
        ...


class RadarReceiver(Protocol):
    """Decisions and angles from echoes."""

    @property
    def threshold(self) -> Threshold:
        """Level of the statistic."""
        ...

    @property
    def estimator(self) -> str:
        """How the angle is read."""
        ...

    def detect(self, echo: Values) -> Detection:
        """Decision and angle of each echo (n, K) complex64."""
        ...


class Demodulator(Protocol):
    """Messages from received symbols."""

    def decide(self, received: Values, csi: Values) -> NDArray[np.uint8]:
        """Messages (n,) uint8 from y_c and κ, each (n,) complex64."""
        ...


@dataclass(frozen=True)
class System:
    """What a method decides: the transmit beam v (K,), the radar receiver, symbols and their decision."""

    beam: Values
    detector: RadarReceiver
    encoder: Encoder | None = None
    """None: the scenario's QAM."""
    demodulator: Demodulator | None = None
    """None: maximum likelihood for that QAM."""
    artifact: Artifact | None = None
    """The trained model that it is made from."""

    def points(self, scenario: Scenario) -> Values:
        """The symbols of all messages: (M,)."""
        encoder = self.encoder or Constellation(scenario.order)
        return encoder.encode(np.arange(scenario.order, dtype=np.uint8))


@dataclass(frozen=True)
class Choice:
    """What is chosen beside the method."""

    rho: float = RHO
    """Share of sensing, eq. (5); ω_r for the neural method."""
    phi: float = 0.0
    """Phase between the two beams in radians."""
    estimator: Estimator | None = None
    """How the angle is read; None: the method's own way."""
    known_array: bool = False
    """Transmitter and radar receiver know the true arrays."""
    artifact: Artifact | str | Path | None = None
    """The trained model, its shipped name or its file; None: the shipped one that fits best."""


def baseline(scenario: Scenario, choice: Choice) -> System:
    """Least-squares beams (3)-(5) and matched filter (7)-(8), for the nominal array or for the true one.

    Raises UserError for an artifact, and as the beams do.
    """
    if choice.artifact is not None:
        raise UserError("an artifact belongs to the methods learned and neural, not to baseline")
    rho, phi, estimator = choice.rho, choice.phi, choice.estimator or "argmax"
    if not choice.known_array:
        return System(baseline_beam(scenario, rho, phi), MatchedFilter(scenario, estimator=estimator))
    return System(
        baseline_beam(scenario, rho, phi, hardware(scenario).transmit),
        MatchedFilter(scenario, true_steering(scenario), estimator),
    )


def learned(scenario: Scenario, choice: Choice) -> System:
    """The same beams with the learned A, and the detection (14) with the angle (13) from it (Sec. IV-B).

    Raises UserError for `known_array` and for an artifact that does not fit.
    """
    _not_known("learned", choice)
    artifact = fitting(choice.artifact, "model-driven", scenario)
    beam, receiver = learned_beam(scenario, artifact, choice.rho, choice.phi), choice.estimator or "softmax"
    return System(beam, MatchedFilter(scenario, artifact.dictionary, receiver), artifact=artifact)


def neural(scenario: Scenario, choice: Choice) -> System:
    """The five networks of Table I, those that were trained for ω_r = ρ.

    Raises UserError for choices that networks do not have, for an artifact that does not fit, and for a ρ
    that is none of its ω_r.
    """
    _not_known("neural", choice)
    if choice.estimator is not None:
        raise UserError(f"estimator {choice.estimator!r}: the neural method reads the angle by a network")
    if choice.phi != 0:
        raise UserError("phi belongs to the beams of eq. (5): the neural method has none to combine")
    artifact = fitting(choice.artifact, "neural", scenario)
    from isac_models.neural_system import neural_system

    return replace(neural_system(artifact, scenario, choice.rho), artifact=artifact)


METHODS: Mapping[str, Callable[[Scenario, Choice], System]] = MappingProxyType(
    {"baseline": baseline, "learned": learned, "neural": neural}
)
METHOD_OF: Mapping[Kind, str] = MappingProxyType({"model-driven": "learned", "neural": "neural"})
"""The method that a kind of artifact is for."""


def build_system(scenario: Scenario, method: str = "baseline", **choices: Any) -> System:
    """The system of a method, with the fields of `Choice` by their names.

    Raises UserError for an unknown method and as the method does.
    """
    if method not in METHODS:
        raise UserError(f"unknown method {method!r}: there is {', '.join(METHODS)}")
    return METHODS[method](scenario, Choice(**choices))


def default_rho(method: str, scenario: Scenario, artifact: Artifact | None = None) -> float:
    """RHO; for the neural method the ω_r next to it among those that the artifact holds.

    artifact: None means the shipped one that fits best.

    Raises UserError when there is none.
    """
    return nearest_omega(RHO, scenario, artifact) if method == "neural" else RHO


def nearest_omega(rho: float, scenario: Scenario, artifact: Artifact | None = None) -> float:
    """The ω_r next to ρ among those that an artifact has networks for; ρ where it has none.

    artifact: None means the shipped one that fits best.

    Raises UserError when there is none.
    """
    artifact = artifact or default_for("neural", scenario)
    if artifact.kind != "neural":
        return rho
    known = np.asarray(artifact.tensors["omega"], np.float64)
    return float(known[np.argmin(np.abs(known - rho))])


def learned_beam(scenario: Scenario, artifact: Artifact, rho: float = RHO, phi: float = 0.0) -> Beam:
    """The ISAC beam (5) from the learned A: (K,), ‖v‖² = transmit_energy.

    Warns (ArtifactWarning) of an A that was trained on recorded echoes.
    """
    if "recorded_sectors_deg" in artifact.training:
        name = f"artifact {artifact.name}" if artifact.name else "the artifact"
        remark = (
            f"{name} was trained on recorded echoes, which repair the receiver only: precode with another"
        )
        warnings.warn(remark, ArtifactWarning, stacklevel=2)
    return matrix_beam(scenario, artifact.dictionary, rho, phi)


def true_steering(scenario: Scenario) -> Values:
    """Steering vectors of the true receiving array on the angle grid: (K, N)."""
    return steering_matrix(hardware(scenario).receive, angle_grid(scenario.grid_size))


def _not_known(method: str, choice: Choice) -> None:
    if choice.known_array:
        raise UserError(f"known_array belongs to baseline: the {method} method has learned what it knows")
