"""Every parameter is checked, refused in one line, and survives the way through TOML exactly."""

from __future__ import annotations

import copy
import json
import math
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from isac_models.array import nominal_array, steering_matrix
from isac_models.errors import ScenarioError
from isac_models.grid import angle_grid
from isac_models.scenario import (
    PRESETS,
    WORST_CONDITION,
    Scenario,
    allowed,
    grid_is_fine_enough,
    smallest_grid,
)

QUARTER = math.pi / 2
POWERS = st.floats(1e-12, 1e12) | st.integers(1, 10**12)
ANGLES = st.floats(-QUARTER, QUARTER)


@st.composite
def sectors(draw: st.DrawFn) -> tuple[float, float]:
    """A sector that holds a point of any grid of 64 points or more."""
    low = draw(st.floats(-QUARTER, QUARTER - 0.05))
    return low, draw(st.floats(low + 0.05, QUARTER))


SCENARIOS = st.builds(
    Scenario,
    antennas=st.integers(1, 32),
    order=st.sampled_from([4, 16, 64, 256]),
    transmit_energy=POWERS,
    noise_power=POWERS,
    radar_gain=POWERS,
    comm_gain=POWERS,
    grid_size=st.integers(64, 100_000),
    target_sector=sectors(),
    comm_sector=sectors(),
    false_alarm=st.floats(0, 1, exclude_min=True, exclude_max=True),
    impairment=st.sampled_from(["none", "spacing", "element", "gain_phase"]),
    impairment_seed=st.integers(0, 2**63 - 1),
    impaired_side=st.sampled_from(["both", "transmit"]),
    spacing_std=st.floats(0, 1),
    gain_std=st.floats(0, 1),
    phase_std=st.floats(0, math.pi),
    reciprocal=st.booleans(),
    coherence=st.integers(1, 10**9),
)


def refusal(**values: Any) -> str:
    """The message with which a scenario is refused; it is one line."""
    with pytest.raises(ScenarioError) as caught:
        Scenario(**values)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_are_those_of_the_paper() -> None:
    scenario = Scenario()
    assert (scenario.antennas, scenario.order, scenario.grid_size) == (16, 4, 500)
    assert (scenario.transmit_energy, scenario.noise_power) == (1.0, 1.0)
    assert (scenario.radar_gain, scenario.comm_gain) == (1.0, 100.0)
    np.testing.assert_allclose(np.degrees(scenario.target_sector), [-40, -20])
    np.testing.assert_allclose(np.degrees(scenario.comm_sector), [30, 50])
    assert (scenario.false_alarm, scenario.impairment, scenario.impaired_side) == (0.01, "none", "both")
    assert (scenario.spacing_std, scenario.gain_std, scenario.coherence) == (1 / 30, 0.1, 1)
    assert scenario.phase_std == math.radians(15)
    assert scenario.reciprocal


def test_presets_are_those_of_the_figures() -> None:
    expected = {
        "ideal": (500, "none", (-40, -20)),
        "impaired": (500, "spacing", (-40, -20)),
        "limited": (156, "spacing", (-40, -20)),
        "unseen": (156, "spacing", (-20, 20)),
    }
    assert set(PRESETS) == set(expected)
    for name, (grid_size, impairment, degrees) in expected.items():
        scenario = Scenario.preset(name)
        assert (scenario.grid_size, scenario.impairment, scenario.impairment_seed) == (
            grid_size,
            impairment,
            1,
        )
        np.testing.assert_allclose(np.degrees(scenario.target_sector), degrees)


def test_every_parameter_says_what_it_is_and_may_be() -> None:
    for name, field in Scenario.model_fields.items():
        assert field.description
        assert allowed(name)


@given(SCENARIOS)
def test_toml_gives_back_exactly_the_same(scenario: Scenario) -> None:
    assert Scenario.from_toml(scenario.to_toml()) == scenario


@given(SCENARIOS)
def test_dictionaries_and_json_give_back_exactly_the_same(scenario: Scenario) -> None:
    assert Scenario.from_dict(json.loads(json.dumps(scenario.to_dict()))) == scenario
    assert set(scenario.to_dict()) == set(Scenario.model_fields)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_read_naturally_in_toml(name: str) -> None:
    text = Scenario.preset(name).to_toml()
    assert "snr_radar_db = 0.0\n" in text
    assert "snr_comm_db = 20.0\n" in text
    assert "phase_std_deg = 15.0\n" in text
    assert all(word in text for word in ("target_sector_deg", "30.0,", "50.0,"))


def test_toml_takes_human_and_code_names() -> None:
    human = Scenario.from_toml(
        "snr_comm_db = 10\nsnr_radar_db = -10.0\nnoise_power = 2\n"
        "target_sector_deg = [-10, 10]\ncomm_sector_deg = [0.0, 20]\nphase_std_deg = 90"
    )
    np.testing.assert_allclose([human.comm_gain, human.radar_gain], [20, 0.2], rtol=1e-15)
    np.testing.assert_allclose(human.target_sector, np.radians([-10, 10]), rtol=1e-15)
    np.testing.assert_allclose(human.comm_sector, np.radians([0, 20]), rtol=1e-15)
    assert human.phase_std == math.radians(90)
    code = Scenario.from_toml("comm_gain = 20\ntarget_sector = [-0.1, 0.2]\nphase_std = 1")
    assert (code.comm_gain, code.target_sector, code.phase_std) == (20.0, (-0.1, 0.2), 1.0)


def test_a_scenario_is_frozen_hashable_and_copies_whole() -> None:
    scenario = Scenario.preset("limited")
    with pytest.raises(ValidationError):
        scenario.antennas = 8  # type: ignore[misc]
    assert hash(scenario) == hash(Scenario.preset("limited"))
    assert pickle.loads(pickle.dumps(scenario)) == scenario  # noqa: S301
    assert copy.deepcopy(scenario) == scenario


def test_replace_changes_what_it_is_told_and_checks_it() -> None:
    scenario = Scenario.preset("unseen")
    changed = scenario.replace(antennas=8, snr_comm_db=3.0, target_sector_deg=(0, 30), noise_power=2.0)
    assert (changed.antennas, changed.grid_size, changed.impairment) == (8, 156, "spacing")
    assert changed.comm_gain == pytest.approx(2 * 10**0.3, rel=1e-15)
    assert changed.target_sector == (0.0, math.radians(30))
    assert scenario.replace() == scenario
    assert scenario.replace(target_sector=(0.0, 0.5)).target_sector == (0.0, 0.5)
    for wrong in ({"antennas": 0}, {"nonsense": 1}, {"snr_comm_db": 3.0, "comm_gain": 2.0}):
        with pytest.raises(ScenarioError):
            scenario.replace(**wrong)


def test_numbers_of_numpy_are_taken_as_numbers() -> None:
    scenario = Scenario(
        antennas=np.int64(8),
        radar_gain=np.float32(2),
        target_sector=np.array([-0.1, 0.1]),
        order=np.uint8(16),
    )
    assert (
        scenario.to_dict()
        == Scenario(antennas=8, radar_gain=2.0, target_sector=(-0.1, 0.1), order=16).to_dict()
    )
    assert type(scenario.antennas) is int


NUMBERS = [
    name for name, field in Scenario.model_fields.items() if field.annotation in (float, tuple[float, float])
]


@pytest.mark.parametrize(
    "name", [*NUMBERS, "snr_radar_db", "snr_comm_db", "target_sector_deg", "phase_std_deg"]
)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 10**400, "1", True, None, [], {}, 1j])
def test_what_is_no_finite_number_is_refused(name: str, bad: Any) -> None:
    message = refusal(**{name: [bad, 0.5] if "sector" in name else bad})
    assert message.startswith(f"{name} must be {allowed(name)}, not ")
    assert len(message) < 250


@pytest.mark.parametrize("name", ["antennas", "order", "grid_size", "impairment_seed", "coherence"])
@pytest.mark.parametrize("bad", [0.5, 16.0, "16", True, None, [16], math.nan, -1, 2**63, 10**400])
def test_what_is_no_whole_number_in_range_is_refused(name: str, bad: Any) -> None:
    assert refusal(**{name: bad}).startswith(f"{name} must be {allowed(name)}, not ")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"antennas": 0}, "antennas must be a whole number from 1 to 1024, not 0"),
        ({"antennas": 1025}, "antennas must be a whole number from 1 to 1024, not 1025"),
        ({"order": 8}, "order must be 4, 16, 64 or 256, not 8"),
        ({"order": 32}, "order must be 4, 16, 64 or 256, not 32"),
        ({"false_alarm": 0}, "false_alarm must be a number between 0 and 1, both excluded, not 0"),
        ({"false_alarm": 1.0}, "false_alarm must be a number between 0 and 1, both excluded, not 1.0"),
        ({"noise_power": 0.0}, "noise_power must be a number from 1e-12 to 1e+12, not 0.0"),
        ({"radar_gain": -1}, "radar_gain must be a number from 1e-12 to 1e+12, not -1"),
        ({"coherence": 0}, "coherence must be a whole number from 1 to 1000000000, not 0"),
        ({"reciprocal": 1}, "reciprocal must be true or false, not 1"),
        ({"impairment": "drift"}, "impairment must be none, spacing, element or gain_phase, not 'drift'"),
        ({"impaired_side": "receive"}, "impaired_side must be both or transmit, not 'receive'"),
        (
            {"phase_std_deg": 181},
            "phase_std_deg must be a number of degrees from 0 to 180, not 181",
        ),
        (
            {"comm_sector": (-40, -20)},
            (
                "comm_sector must be two angles LO HI in radians, LO not above HI, from -π/2 to π/2, "
                "not [-40, -20] (degrees go under comm_sector_deg)"
            ),
        ),
        (
            {"snr_radar_db": 100, "noise_power": 1e10},
            "snr_radar_db must make radar_gain a number from 1e-12 to 1e+12, not 100",
        ),
        (
            {"snr_radar_db": 3, "noise_power": "loud"},
            "noise_power must be a number from 1e-12 to 1e+12, not 'loud'",
        ),
        (
            {"snr_radar_db": 3, "noise_power": 0},
            "noise_power must be a number from 1e-12 to 1e+12, not 0",
        ),
        ({"snr_comm_db": 3, "comm_gain": 2.0}, "give snr_comm_db or comm_gain, not both"),
        ({"antenas": 16}, "unknown key 'antenas' (did you mean antennas?)"),
        (
            {"target_sector_degrees": 1},
            "unknown key 'target_sector_degrees' (did you mean target_sector_deg?)",
        ),
        (
            {"grid_size": 16},
            (
                "grid_size must be at least 17 for 16 antennas, not 16: "
                "with fewer points A*Aᵀ of eq. (4) cannot be inverted"
            ),
        ),
        (
            {"target_sector_deg": (0.1, 0.1)},
            (
                "target_sector from 0.1° to 0.1° holds no point of the 500-point angle grid, "
                "one every 0.3607°: widen it or raise grid_size"
            ),
        ),
    ],
)
def test_refusals_name_key_range_and_value(values: dict[str, Any], expected: str) -> None:
    assert refusal(**values) == expected


def test_an_unknown_key_like_no_other_lists_the_keys() -> None:
    message = refusal(xyzzy=1)
    assert message.startswith("unknown key 'xyzzy': the keys are antennas, order, ")


def test_several_wrong_values_stand_in_one_line() -> None:
    message = refusal(antennas=0, order=5)
    assert message.split("; ") == [refusal(antennas=0), refusal(order=5)]


@pytest.mark.parametrize(
    "sector", [(0.5, 0.3), (-2.0, 0.0), (0.0, 1.6), (0.1,), (0.1, 0.2, 0.3), "ab", 0.3, {"low": 0}]
)
@pytest.mark.parametrize("name", ["target_sector", "comm_sector"])
def test_impossible_sectors_are_refused(name: str, sector: Any) -> None:
    assert refusal(**{name: sector}).startswith(f"{name} must be two angles")


def test_sectors_may_be_single_grid_angles_and_reach_the_ends() -> None:
    point = float(angle_grid(500)[123])
    scenario = Scenario(target_sector=(point, point), comm_sector_deg=(-90, 90))
    assert scenario.target_sector == (point, point)
    assert scenario.comm_sector == (-QUARTER, QUARTER)
    assert Scenario(target_sector_deg=(90, 90)).target_sector == (QUARTER, QUARTER)
    almost = point + 5e-10  # rounding of degrees must not lose a grid point
    assert Scenario(target_sector=(almost, almost)).target_sector == (almost, almost)
    assert "holds no point" in refusal(target_sector=(point + 2e-9, point + 1e-3))


def condition(antennas: int, grid_size: int) -> float:
    """Condition number of A*Aᵀ from the matrix itself."""
    scenario = Scenario(antennas=antennas, grid_size=100_000)
    matrix = steering_matrix(nominal_array(scenario), angle_grid(grid_size))
    gram: NDArray[np.complex128] = matrix.conj() @ matrix.T
    eigenvalues = np.linalg.eigvalsh(gram)
    return math.inf if eigenvalues[0] <= 0 else float(eigenvalues[-1] / eigenvalues[0])


@pytest.mark.parametrize("antennas", [1, 2, 3, 5, 8, 16, 40, 100])
def test_the_smallest_grid_is_where_the_matrix_becomes_regular(antennas: int) -> None:
    smallest = smallest_grid(antennas)
    assert condition(antennas, smallest) < WORST_CONDITION
    assert smallest == 2 or condition(antennas, smallest - 1) > WORST_CONDITION / 10
    sizes = range(2, 2 * antennas + 3)
    assert [grid_is_fine_enough(antennas, size) for size in sizes] == [size >= smallest for size in sizes]


@pytest.mark.parametrize("antennas", [1, 2, 3, 7, 16, 64, 256])
def test_twice_as_many_points_as_antennas_always_serve(antennas: int) -> None:
    assert condition(antennas, max(2, 2 * antennas)) < 100


def test_one_point_for_each_antenna_is_too_few() -> None:
    # The steering vectors of the half-wavelength array at -90° and 90° are the same up to a factor.
    for antennas in (2, 4, 16, 64):
        with pytest.raises(ScenarioError, match="grid_size must be at least"):
            Scenario(antennas=antennas, grid_size=antennas, target_sector=(-1, 1), comm_sector=(-1, 1))


def test_importing_it_loads_nothing_heavy() -> None:
    script = (
        "import sys, isac_models.options, isac_models.beamforming, isac_models.statistics;"
        "print(sorted({'scipy', 'numba', 'torch', 'matplotlib', 'zmq'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
