"""The detector with a learned array."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import Detector, LearnedDetector
from isac_models.artifact import ArtifactWarning
from isac_models.calibration import calibrate_threshold
from isac_models.errors import UserError
from isac_models.grid import angle_grid, sector_mask
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven, neural

SCENARIO = Scenario.preset("limited").replace(spacing_std=0.1)
TRUTH = model_driven(SCENARIO)


@pytest.mark.parametrize("estimator", ["softmax", "argmax"])
def test_who_learned_the_true_array_finds_what_who_knows_it_finds(estimator: str) -> None:
    random = np.random.default_rng(1)
    angle = int(np.flatnonzero(sector_mask(angle_grid(156), SCENARIO.target_sector))[9])
    echo = random.standard_normal((500, 32)).view(np.complex128) + TRUTH.dictionary[:, angle]
    learned = LearnedDetector(SCENARIO, estimator, TRUTH)  # type: ignore[arg-type]
    found = learned.work(echo.astype(np.complex64))
    known = Detector(SCENARIO, estimator, known_array=True).work(echo.astype(np.complex64))  # type: ignore[arg-type]
    nominal = Detector(SCENARIO, estimator).work(echo.astype(np.complex64))  # type: ignore[arg-type]
    for key, values in known.items():
        np.testing.assert_array_equal(found[key], values)
    assert found["detected"].sum() > nominal["detected"].sum()
    assert [found[key].dtype for key in ("detected", "estimated_angle", "statistic")] == [
        bool,
        np.float32,
        np.float32,
    ]


def test_its_own_angle_is_the_softmax_mean() -> None:
    detector = LearnedDetector(SCENARIO, artifact=TRUTH)
    assert detector.estimator == detector.parameters["estimator"] == "softmax"
    # Eq. (13) by its definition: the mask multiplies, the points outside stay with exponent 0.
    grid = angle_grid(156)
    mask = sector_mask(grid, SCENARIO.target_sector)
    echo = (3 * TRUTH.dictionary[:, np.flatnonzero(mask)[4]]).astype(np.complex64)
    weights = np.exp(np.abs(TRUTH.dictionary.conj().T @ echo) * mask)
    angle = weights @ grid / weights.sum()
    np.testing.assert_allclose(detector.work(echo[None])["estimated_angle"], [angle], rtol=1e-4)


def test_the_threshold_is_calibrated_for_the_learned_array() -> None:
    stretched = model_driven(SCENARIO, 2 * TRUTH.dictionary)
    detector = LearnedDetector(SCENARIO, artifact=stretched)
    mask = sector_mask(angle_grid(156), SCENARIO.target_sector)
    own = calibrate_threshold(TRUTH.dictionary[:, mask], 1.0, SCENARIO.false_alarm)
    assert detector.threshold.amplitude == pytest.approx(2 * own.amplitude, rel=1e-3)
    random = np.random.default_rng(4)
    noise = random.standard_normal((40_000, 32), np.float32).view(np.complex64) * np.float32(np.sqrt(0.5))
    assert abs(detector.work(noise)["detected"].mean() - 0.01) < 5 * np.sqrt(0.01 / 40_000)


def test_use_outside_the_training_warns_and_what_does_not_fit_is_refused() -> None:
    with pytest.warns(ArtifactWarning, match="radar SNR"):
        LearnedDetector(SCENARIO.replace(snr_radar_db=6), artifact=TRUTH)
    for scenario, artifact, estimator, reason in (
        (SCENARIO.replace(antennas=8), TRUTH, "softmax", "--antennas 16"),
        (SCENARIO, neural(SCENARIO), "softmax", "is neural"),
        (SCENARIO, TRUTH, "best", "argmax"),
        (SCENARIO, "no-such-model", "softmax", "no artifact 'no-such-model'"),
    ):
        with pytest.raises(UserError, match=reason):
            LearnedDetector(scenario, estimator, artifact)  # type: ignore[arg-type]
