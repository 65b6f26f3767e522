"""The simulated target."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import TargetReflector
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("impaired")
TRANSMITTED = np.full((40_000, 16), 0.25, np.complex64)


def test_the_truth_goes_with_the_echo() -> None:
    out = TargetReflector(SCENARIO).work(TRANSMITTED)
    low, high = SCENARIO.target_sector
    assert {key: array.dtype.name for key, array in out.items()} == {
        "echo": "complex64",
        "present": "bool",
        "angle": "float32",
    }
    assert out["echo"].shape == TRANSMITTED.shape
    assert abs(out["present"].mean() - 0.5) < 5 * 0.5 / np.sqrt(len(TRANSMITTED))
    assert out["angle"].min() >= np.float32(low)
    assert out["angle"].max() <= np.float32(high)


def test_without_a_target_there_is_noise_alone() -> None:
    out = TargetReflector(SCENARIO).work(TRANSMITTED)
    power = (np.abs(out["echo"][~out["present"]]) ** 2).ravel()
    assert power.mean() == pytest.approx(SCENARIO.noise_power, abs=5 / np.sqrt(power.size))


def test_a_frame_may_be_cut_anywhere() -> None:
    reflector = TargetReflector(SCENARIO.replace(coherence=8))
    whole = reflector.work(TRANSMITTED[:500])
    first = reflector.work(TRANSMITTED[:123])
    reflector.position = 123
    second = reflector.work(TRANSMITTED[123:500])
    for key in whole:
        assert np.array_equal(whole[key], np.concatenate([first[key], second[key]]))
