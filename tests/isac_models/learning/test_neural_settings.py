"""Settings of the neural training: defaults of the paper, checks, and the scaling of the inputs."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from isac_models.errors import UserError
from isac_models.learning.neural_data import MATRICES, Draws
from isac_models.learning.neural_settings import DEFAULTS, OMEGAS, TYPES, complete, scales
from isac_models.scenario import Scenario


def test_what_is_left_out_is_the_paper_s() -> None:
    full = complete({})
    assert (full["iterations"], full["batch"], full["learning_rate"]) == (50_000, 10_000, 1e-3)
    assert full["omega"] == [0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.15, 0.4, 0.6, 0.8, 1]
    assert (full["sector_mean_deg"], full["sector_span_deg"]) == ([-60, 60], [10, 20])
    assert full["literal_loss"] is False
    assert set(full) == set(DEFAULTS) == set(TYPES)
    assert complete(dict.fromkeys(DEFAULTS)) == full
    assert json.loads(json.dumps(full)) == full


def test_completing_twice_changes_nothing() -> None:
    once = complete({"omega": 0.4, "hidden": 5, "patience": 7})
    assert complete(once) == once


@pytest.mark.parametrize(
    ("given", "expected"), [("all", list(OMEGAS)), (0.4, [0.4]), (1, [1.0]), ((0.8, 0, 1e-6), [0, 1e-6, 0.8])]
)
def test_omegas_are_sorted_numbers(given: Any, expected: list[float]) -> None:
    assert complete({"omega": given})["omega"] == expected


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"learning": 1}, "unknown setting 'learning' of neural: "),
        ({"omega": 1.5}, "omega must be numbers from 0 to 1"),
        ({"omega": [math.nan]}, "omega must be numbers from 0 to 1"),
        ({"omega": []}, "omega needs at least one number"),
        ({"omega": [0.1, 0.1]}, "omega needs at least one number, and each of them once"),
        ({"iterations": 0}, "iterations must be a whole number of at least 1, not 0"),
        ({"iterations": -5}, "iterations must be"),
        ({"batch": 0}, "batch must be"),
        ({"batch": 10.0}, "batch must be"),
        ({"hidden": True}, "hidden must be"),
        ({"hidden": 1 << 20}, "hidden must be at most"),
        ({"seed": -1}, "seed must be"),
        ({"patience": 0}, "patience must be"),
        ({"threads": 0}, "threads must be"),
        ({"learning_rate": 0}, "learning rate, must be a positive number"),
        ({"learning_rate": math.inf}, "learning rate, must be a positive number"),
        ({"learning_rate": "fast"}, "learning_rate must be a number, not 'fast'"),
        ({"omega": ["a"]}, "omega must be a list of numbers, not ['a']"),
        ({"omega": True}, "omega must be a list of numbers, not [True]"),
        ({"sector_mean_deg": "ab"}, "sector_mean_deg must be a list of numbers, not 'ab'"),
        ({"sector_span_deg": 5}, "sector_span_deg must be a list of numbers, not 5"),
        ({"flat": "x"}, "flat must be a number, not 'x'"),
        ({"literal_loss": 1}, "literal_loss must be true or false, not 1"),
        ({"mask": ["present"]}, "mask must be text, not ['present']"),
        ({"device": 5}, "device must be text, not 5"),
        ({"mask": "all"}, "mask 'all': choose one of detected, present"),
        ({"engine": "gpu"}, "engine 'gpu': choose one of auto, kernels, products, torch"),
        ({"recipe": "joint"}, "recipe 'joint': choose one of paper"),
        ({"engine": "kernels", "device": "cuda"}, "engine kernels runs on the device cpu only"),
        ({"engine": "kernels", "precision": "bfloat16"}, "choose products or torch for bfloat16"),
        ({"precision": "int8"}, "precision 'int8': choose one of float32, bfloat16"),
        ({"angle_unit": "deg"}, "angle_unit 'deg': choose one of sector, rad"),
        ({"sector_span_deg": (0, 0)}, "needs sectors wider than 0°"),
        ({"engine": "products", "device": "cuda"}, "engine products runs on the device cpu only"),
        ({"flat": 1}, "flat must be from 0 to below 1"),
        ({"sector_mean_deg": [60, -60]}, "sector_mean_deg must be two angles LO HI"),
        ({"sector_span_deg": [10]}, "sector_span_deg must be two angles LO HI"),
        ({"sector_mean_deg": [-85, 60]}, "must lie within ±90°"),
        ({"sector_span_deg": [-1, 2]}, "must lie within ±90°"),
    ],
)
def test_what_is_impossible_is_one_line(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        complete(settings)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("changes", [{}, {"snr_comm_db": 3, "transmit_energy": 2.0, "noise_power": 0.4}])
def test_scaled_inputs_have_unit_variance(changes: dict[str, Any]) -> None:
    scenario = Scenario.preset("ideal").replace(**changes)
    found = scales(scenario, True)
    assert found["angle_scale"] == pytest.approx(2 / math.pi)
    tiles = Draws(scenario, 4).tiles(0, 20_000, present=True)
    rows = tiles.transpose(1, 0, 2).reshape(tiles.shape[1], -1)[:, :20_000]
    antennas = scenario.antennas

    def pair(first: int, size: int) -> np.ndarray:
        return np.asarray(rows[first : first + size] + 1j * rows[first + size : first + 2 * size])

    # A beam that favours no direction: one element that sends everything, |aᵀv|² = E_tx at every angle.
    gain, receive, noise, channel = (
        pair(4 + 3, 1)[0],
        *(pair(MATRICES + 2 * antennas * number, antennas) for number in (1, 2, 3)),
    )
    beam = math.sqrt(scenario.transmit_energy)
    echo = gain * beam * receive + noise
    received = beam * channel[0] + pair(9, 1)[0]
    assert np.std(found["radar_scale"] * echo.real) == pytest.approx(1, abs=0.03)
    assert np.std(found["comm_scale"] * received.real) == pytest.approx(1, abs=0.03)
    assert set(scales(scenario, False).values()) == {1.0}
