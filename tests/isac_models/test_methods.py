"""What each method decides."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac_models import artifact as artifacts
from isac_models.array import hardware, ideal_positions
from isac_models.artifact import ArtifactWarning, save
from isac_models.beamforming import baseline_beam
from isac_models.detection import MatchedFilter
from isac_models.errors import UserError
from isac_models.grid import angle_grid
from isac_models.methods import (
    METHOD_OF,
    METHODS,
    build_system,
    default_rho,
    learned_beam,
    nearest_omega,
    true_steering,
)
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven, neural

SCENARIO = Scenario.preset("limited").replace(transmit_energy=2.0)


def ideal_steering(scenario: Scenario) -> Any:
    """Steering vectors of the array as designed, by their formula."""
    sines = np.sin(angle_grid(scenario.grid_size))
    return np.exp(-2j * np.pi * np.outer(ideal_positions(scenario.antennas), sines))


@pytest.mark.parametrize("known", [False, True])
def test_the_baseline_designs_for_the_array_that_it_knows(known: bool) -> None:
    system = build_system(SCENARIO, "baseline", rho=0.4, phi=0.2, known_array=known)
    array = hardware(SCENARIO).transmit if known else None
    np.testing.assert_array_equal(system.beam, baseline_beam(SCENARIO, 0.4, 0.2, array))
    assert isinstance(system.detector, MatchedFilter)
    matrix = true_steering(SCENARIO) if known else ideal_steering(SCENARIO)
    grid = angle_grid(SCENARIO.grid_size)
    inside = (grid >= math.radians(-40)) & (grid <= math.radians(-20))
    np.testing.assert_allclose(system.detector.columns, matrix[:, inside], atol=1e-12)
    assert system.detector.estimator == "argmax"
    assert (system.encoder, system.demodulator, system.artifact) == (None, None, None)


def test_the_learned_method_takes_transmitter_and_receiver_from_one_matrix() -> None:
    random = np.random.default_rng(5)
    matrix = random.standard_normal((16, 156)) + 1j * random.standard_normal((16, 156))
    artifact = model_driven(SCENARIO, matrix)
    system = build_system(SCENARIO, "learned", rho=0.3, phi=1.0, artifact=artifact)
    # Eqs. (3)-(5) once more, by the normal equations' pseudo-inverse.
    grid = angle_grid(156)
    beams = []
    for low, high in ((-40, -20), (30, 50)):
        lit = (grid >= math.radians(low)) & (grid <= math.radians(high))
        beam = np.linalg.pinv(matrix.T) @ lit
        beams.append(beam / np.linalg.norm(beam))
    expected = math.sqrt(0.3) * beams[0] + math.sqrt(0.7) * np.exp(1j) * beams[1]
    expected *= math.sqrt(2) / np.linalg.norm(expected)
    np.testing.assert_allclose(system.beam, expected, atol=1e-9)
    np.testing.assert_array_equal(system.beam, learned_beam(SCENARIO, artifact, 0.3, 1.0))
    assert isinstance(system.detector, MatchedFilter)
    assert system.detector.estimator == "softmax"
    assert system.artifact is artifact
    np.testing.assert_array_equal(system.detector.columns, matrix[:, np.isin(grid, system.detector.angles)])
    other = build_system(SCENARIO, "learned", artifact=artifact, estimator="argmax")
    assert other.detector.estimator == "argmax"


def test_every_beam_has_the_asked_energy() -> None:
    for method, choices in (
        ("baseline", {}),
        ("baseline", {"known_array": True}),
        ("learned", {"artifact": model_driven(SCENARIO)}),
    ):
        system = build_system(SCENARIO, method, rho=0.4, phi=0.2, **choices)
        assert math.isclose(np.linalg.norm(system.beam) ** 2, 2.0)


def test_the_shipped_artifact_that_fits_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path)
    with pytest.raises(UserError, match="no shipped model-driven artifact fits"):
        build_system(SCENARIO, "learned")
    save(tmp_path / "mine.safetensors", model_driven(SCENARIO))
    for given in (None, "mine", tmp_path / "mine.safetensors"):
        system = build_system(SCENARIO, "learned", artifact=given)
        assert system.artifact is not None
        assert system.artifact.name == str(given or "mine")


def test_use_outside_the_training_warns_and_works() -> None:
    artifact = model_driven(SCENARIO)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_system(SCENARIO, "learned", artifact=artifact)
    unseen = SCENARIO.replace(target_sector_deg=(-20, 20))
    with pytest.warns(ArtifactWarning, match="has 40°"):
        assert len(build_system(unseen, "learned", artifact=artifact).detector.angles) == 34  # type: ignore[attr-defined]


def test_the_networks_are_those_of_the_asked_share() -> None:
    scenario = SCENARIO.replace(order=16)
    artifact = neural(scenario, omega=(0.0, 0.3, 1.0))
    some, other = (build_system(scenario, "neural", rho=rho, artifact=artifact) for rho in (0.3, 1.0))
    assert not np.allclose(some.beam, other.beam)
    for system in (some, other):
        assert system.artifact is artifact
        assert system.detector.estimator == "network"
        assert math.isclose(np.linalg.norm(system.beam) ** 2, 2.0, rel_tol=1e-6)
        points = system.points(scenario)
        assert points.shape == (16,)
        assert math.isclose(np.mean(np.abs(points) ** 2), 1.0, rel_tol=1e-6)
        assert system.encoder is not None
        assert system.demodulator is not None


def test_the_default_share_of_the_networks_is_one_that_they_have() -> None:
    artifact = neural(SCENARIO, omega=(0.0, 0.3, 0.6))
    assert default_rho("neural", SCENARIO, artifact) == 0.6
    assert (
        default_rho("baseline", SCENARIO) == default_rho("learned", SCENARIO, model_driven(SCENARIO)) == 0.5
    )


def test_the_nearest_share_is_one_that_the_networks_have() -> None:
    artifact = neural(SCENARIO, omega=(0.0, 0.3, 0.6))
    assert [nearest_omega(rho, SCENARIO, artifact) for rho in (0.0, 0.2, 0.44, 1.0)] == [0.0, 0.3, 0.3, 0.6]
    assert nearest_omega(0.2, SCENARIO, model_driven(SCENARIO)) == 0.2, "it is for any"


def test_a_beam_from_recorded_echoes_warns() -> None:
    artifact = model_driven(SCENARIO)
    recorded = replace(artifact, training={**artifact.training, "recorded_sectors_deg": [[-40, -20]]})
    with pytest.warns(ArtifactWarning, match="repair the receiver only"):
        learned_beam(SCENARIO, recorded)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown method": ("oracle", {}, "there is baseline, learned, neural"),
    "artifact of the baseline": ("baseline", {"artifact": "any"}, "not to baseline"),
    "known array of the learned": ("learned", {"known_array": True}, "known_array belongs to baseline"),
    "known array of the networks": ("neural", {"known_array": True}, "known_array belongs to baseline"),
    "estimator of the networks": ("neural", {"estimator": "softmax"}, "softmax"),
    "phase of the networks": ("neural", {"phi": 0.1}, "phi"),
    "a share that was not trained": (
        "neural",
        {"artifact": neural(SCENARIO, omega=(0.0, 0.3)), "rho": 0.5},
        "was trained for ω_r 0, 0.3",
    ),
    "another kind": ("learned", {"artifact": neural(SCENARIO)}, "is neural: a model-driven one"),
    "no such artifact": ("learned", {"artifact": "nothing"}, "no artifact 'nothing'"),
    "unknown estimator": ("learned", {"artifact": model_driven(SCENARIO), "estimator": "mean"}, "argmax"),
    "impossible share": ("learned", {"artifact": model_driven(SCENARIO), "rho": 2.0}, "rho"),
    "another array": (
        "learned",
        {"artifact": model_driven(SCENARIO.replace(antennas=8))},
        "trained with antennas 8 and does not fit antennas 16",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_method_does_not_have_is_refused(name: str) -> None:
    method, choices, reason = REFUSED[name]
    with pytest.raises(UserError, match=reason):
        build_system(SCENARIO, method, **choices)


def test_every_kind_of_artifact_has_its_method() -> None:
    assert set(METHOD_OF.values()) == set(METHODS) - {"baseline"}
