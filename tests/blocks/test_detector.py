"""The matched-filter detector."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import Detector
from isac_models.array import hardware, nominal_array
from isac_models.errors import UserError
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("ideal")


@pytest.mark.parametrize("estimator", ["argmax", "softmax"])
def test_a_strong_echo_is_found_where_it_is(estimator: str) -> None:
    angles = np.radians([-38, -30, -22])
    echo = (100 * nominal_array(SCENARIO).steering(angles)).astype(np.complex64)
    out = Detector(SCENARIO, estimator).work(echo)  # type: ignore[arg-type]
    assert out["detected"].tolist() == [True] * 3
    np.testing.assert_allclose(out["estimated_angle"], angles, atol=np.pi / 499)
    assert [out[key].dtype for key in ("detected", "estimated_angle", "statistic")] == [
        bool,
        np.float32,
        np.float32,
    ]


def test_a_known_array_is_the_one_that_receives() -> None:
    scenario = SCENARIO.replace(impairment="spacing", spacing_std=0.1)
    angles = np.array([-0.6, -0.5, -0.4], np.float32)
    echo = 3 * hardware(scenario).receive.steering(angles)
    known = Detector(scenario, known_array=True).work(echo)
    np.testing.assert_allclose(known["estimated_angle"], angles, atol=np.pi / 499)
    nominal = Detector(scenario).work(echo)
    assert (known["statistic"] > nominal["statistic"]).all()
    transmit_only = scenario.replace(impaired_side="transmit")
    np.testing.assert_array_equal(
        Detector(transmit_only, known_array=True).work(echo)["statistic"], nominal["statistic"]
    )


def test_silence_is_no_target() -> None:
    out = Detector(SCENARIO).work(np.zeros((5, 16), np.complex64))
    assert not out["detected"].any()


def test_the_threshold_is_the_one_of_the_matched_filter() -> None:
    detector = Detector(SCENARIO)
    assert detector.threshold is detector.matched_filter.threshold
    assert detector.threshold.false_alarm == SCENARIO.false_alarm


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(UserError, match="argmax"):
        Detector(SCENARIO, "best")  # type: ignore[arg-type]
