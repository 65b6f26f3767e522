"""Settings of the front end; its arrays against the project's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac_models.array import hardware
from isac_models.scenario import Scenario
from tests.hil.frontend.settings import ScenarioValues, Settings, SettingsError, build_arrays, steering


@pytest.mark.parametrize("side", ["both", "transmit"])
@pytest.mark.parametrize("reciprocal", [True, False])
@pytest.mark.parametrize("impairment", ["none", "spacing", "element", "gain_phase"])
def test_the_arrays_are_those_of_the_scenario(impairment: Any, reciprocal: bool, side: Any) -> None:
    scenario = Scenario(
        impairment=impairment, impairment_seed=7, reciprocal=reciprocal, impaired_side=side, antennas=12
    )
    own = build_arrays(ScenarioValues.from_mapping(scenario.to_dict()))
    true = hardware(scenario)
    np.testing.assert_allclose(own.transmit_positions, true.transmit.positions, atol=1e-15)
    np.testing.assert_allclose(own.transmit_response, true.transmit.response, atol=1e-15)
    np.testing.assert_allclose(own.receive_positions, true.receive.positions, atol=1e-15)
    np.testing.assert_allclose(own.receive_response, true.receive.response, atol=1e-15)
    angles = np.linspace(-1, 1, 7)
    np.testing.assert_allclose(
        steering(own.transmit_positions, own.transmit_response, angles),
        true.transmit.steering(angles, np.complex128),
        atol=1e-12,
    )


def test_the_scenario_comes_whole_through_a_file(tmp_path: Path) -> None:
    path = tmp_path / "scenario.json"
    scenario = Scenario.preset("impaired").replace(noise_power=2.0, coherence=256)
    path.write_text(json.dumps(scenario.to_dict()))
    own = ScenarioValues.load(path)
    for key, value in vars(own).items():
        assert value == getattr(scenario, key), key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ('{"antenas": 16}', "unknown key 'antenas'"),
        ('{"antennas": "16"}', "antennas cannot be '16'"),
        ('{"antennas": true}', "antennas cannot be"),
        ('{"antennas": 1000}', "antennas must be from 1 to 64"),
        ('{"noise_power": -1}', "noise_power cannot be"),
        ('{"noise_power": 0}', "noise_power must be above 0"),
        ('{"noise_power": NaN}', "noise_power cannot be"),
        ('{"impairment": "bent"}', "impairment must be one of"),
        ('{"impaired_side": "left"}', "impaired_side must be both or transmit"),
        ('{"target_sector": [1, 0]}', "target_sector cannot be"),
        ('{"target_sector": [0, 2]}', "target_sector cannot be"),
    ],
)
def test_a_bad_scenario_is_refused_in_a_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "scenario.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=reason) as caught:
        ScenarioValues.load(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_huge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        ScenarioValues.load(tmp_path / "none.json")
    path = tmp_path / "huge.json"
    path.write_bytes(b" " * (1 << 21))
    with pytest.raises(SettingsError, match="larger than"):
        ScenarioValues.load(path)


@pytest.mark.parametrize(
    "bad",
    [
        {"bits": 17},
        {"cfo": float("nan")},
        {"leakage_delay": 3.9},
        {"ue_delay": 4.0},
        {"clock_ppm": 1e6},
        {"block": 0},
        {"scene": "moon"},
    ],
)
def test_settings_that_cannot_be_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        Settings(**bad)
