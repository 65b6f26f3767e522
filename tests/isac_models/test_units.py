"""Degrees and dB to radians and linear powers, and back to exactly the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac_models.errors import ScenarioError
from isac_models.units import HUMAN, field_of, nearest, shorten, to_code, to_human


def test_keys_name_their_fields() -> None:
    assert {key: field_of(key) for key in HUMAN} == {
        "snr_radar_db": "radar_gain",
        "snr_comm_db": "comm_gain",
        "target_sector_deg": "target_sector",
        "comm_sector_deg": "comm_sector",
        "phase_std_deg": "phase_std",
    }
    assert field_of("antennas") == "antennas"


def test_snr_is_relative_to_the_noise_power() -> None:
    code = to_code({"snr_radar_db": 10, "snr_comm_db": -20.0, "noise_power": 4.0})
    assert code["radar_gain"] == pytest.approx(40, rel=1e-15)
    assert code["comm_gain"] == pytest.approx(0.04, rel=1e-15)
    assert to_code({"snr_radar_db": 10})["radar_gain"] == 10.0


def test_other_values_pass_untouched() -> None:
    assert to_code({"antennas": "x", "order": None}) == {"antennas": "x", "order": None}


@given(st.floats(-120, 120), st.floats(1e-3, 1e3))
def test_human_units_come_back_exactly_or_not_at_all(level: float, noise: float) -> None:
    gain = noise * 10 ** (level / 10)
    human = to_human({"comm_gain": gain, "noise_power": noise})
    assert to_code(human)["comm_gain"] == gain


@given(st.integers(-900, 900))
def test_round_angles_stay_round(tenths: int) -> None:
    angle = math.radians(tenths / 10)
    human = to_human({"target_sector": [angle, angle], "noise_power": 1.0})
    assert human["target_sector_deg"] == [tenths / 10, tenths / 10]


@given(st.integers(-1200, 1200))
def test_round_levels_stay_round(tenths: int) -> None:
    gain = 10 ** (tenths / 10 / 10)
    assert to_human({"radar_gain": gain, "noise_power": 1.0})["snr_radar_db"] == tenths / 10


@given(st.floats(1e-6, 1e6), st.floats(1e-3, 1e3))
def test_the_nearest_level_converts_back_but_for_the_last_digits(gain: float, noise: float) -> None:
    level = nearest("snr_radar_db", gain, noise)
    assert math.isclose(
        to_code({"snr_radar_db": level, "noise_power": noise})["radar_gain"], gain, rel_tol=1e-13
    )


@given(st.floats(-1.5, 0), st.floats(0, 1.5))
def test_the_nearest_sector_converts_back_but_for_the_last_digits(low: float, high: float) -> None:
    degrees = nearest("target_sector_deg", (low, high), 1.0)
    assert to_code({"target_sector_deg": degrees})["target_sector"] == pytest.approx((low, high), rel=1e-15)


@pytest.mark.parametrize("key", HUMAN)
@pytest.mark.parametrize("bad", ["3", None, True, math.nan, math.inf, 10**400, [1, 2, 3], 181.0, {}])
def test_bad_values_are_refused_with_the_range(key: str, bad: object) -> None:
    with pytest.raises(ScenarioError) as caught:
        to_code({key: bad})
    assert str(caught.value).startswith(f"{key} must be {HUMAN[key].allowed}, not ")


def test_long_values_are_shortened_to_one_line() -> None:
    assert shorten("a\nb") == r"'a\nb'"
    assert shorten((1.0, 2.0)) == "[1.0, 2.0]"
    assert len(shorten("x" * 1000)) == 60
