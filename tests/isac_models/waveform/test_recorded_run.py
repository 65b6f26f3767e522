"""What a recording says of its run: what is kept comes back, what cannot be is one line."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac_models.constellation import Constellation
from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.calibration_vectors import Calibration
from isac_models.waveform.recorded_run import RecordedRun

K = 4
LAYOUT = BurstFormat(K)
ONE = [1.0, 0.0]


def made() -> RecordedRun:
    """A run with everything in it."""
    rng = np.random.default_rng(3)
    beam, transmit, receive = rng.normal(size=(3, K, 2)) @ [1, 1j]
    calibration = Calibration(transmit, receive, 0.01, 0.002, {"device": "sim", "rate": 1e6})
    return RecordedRun(LAYOUT, beam, Constellation(4).points, calibration, ("cfo",), "ml")


def plain() -> dict[str, Any]:
    """It, as it comes out of a file."""
    values: dict[str, Any] = json.loads(json.dumps(made().to_dict()))
    return values


def test_a_run_comes_back_to_the_last_bit() -> None:
    found, kept = RecordedRun.from_dict(plain(), K + 1, "recording x"), made()
    assert found.layout == kept.layout
    assert np.array_equal(found.beam, kept.beam)
    assert np.array_equal(found.points, kept.points)
    assert found.points.dtype == np.complex64
    assert found.calibration is not None
    assert kept.calibration is not None
    assert np.array_equal(found.calibration.receive, kept.calibration.receive)
    assert found.calibration.key == {"device": "sim", "rate": 1e6}
    assert (found.without, found.demodulator) == (("cfo",), "ml")
    without = json.loads(json.dumps(replace(kept, calibration=None).to_dict()))
    assert RecordedRun.from_dict(without, K + 1, "recording x").calibration is None


def with_format(**changes: Any) -> dict[str, Any]:
    """The run with another burst format."""
    return {"format": {**plain()["format"], **changes}}


BAD: dict[str, tuple[Any, str]] = {
    "no map": (None, "what it says of its radio is malformed"),
    "no format": ({"format": None}, "its burst format must say antennas, order"),
    "a format with more": (with_format(more=1), "its burst format must say"),
    "half an antenna": (with_format(antennas=4.5), "antennas must be a whole number from 1 to 1023"),
    "true antennas": (with_format(antennas=True), "antennas must be a whole number"),
    "a payload for no memory": (with_format(payload=10**9), "payload must be a whole number from 1 to 4096"),
    "a guard for no memory": (with_format(guard=1 << 40), "guard must be a whole number"),
    "no order": (with_format(order=8), "order must be one of"),
    "a payload that is too short": (with_format(payload=4, pilot_spacing=4), "payload must be at least 16"),
    "pilots between": (with_format(pilot_spacing=7), "must be a multiple of pilot_spacing"),
    "one sample a symbol": (with_format(samples_per_symbol=1), "samples_per_symbol must be at least 2"),
    "rolloff that is no number": (with_format(rolloff="a"), "rolloff must be a number above 0"),
    "rolloff NaN": (with_format(rolloff=float("nan")), "rolloff must be a number above 0"),
    "rolloff of thousands of digits": (with_format(rolloff=10**400), "rolloff must be a number above 0"),
    "other channels": (with_format(antennas=3), "has 5 channels, its burst format 3 antennas"),
    "no beam": ({"beam": None}, "beam: no values, not 4"),
    "a short beam": ({"beam": [ONE]}, "beam: 1 values, not 4"),
    "a beam of words": ({"beam": [["a", "b"]] * 4}, "beam must be pairs of finite numbers"),
    "a beam of nothing": ({"beam": [[0, 0]] * 4}, "beam must be numbers of a sensible size, not all 0"),
    "points of another order": ({"points": [ONE] * 16}, "points: 16 values, not 4"),
    "points that are not finite": ({"points": [[1e300, 0]] * 4}, "points must be numbers of a sensible size"),
    "a beam of numbers in quotes": ({"beam": [["1", "2"]] * 4}, "beam must be pairs of finite numbers"),
    "a beam of flags": ({"beam": [[True, 0]] * 4}, "beam must be pairs of finite numbers"),
    "points that are one": ({"points": [ONE] * 4}, "points must differ"),
    "two points that are nearly one": (
        {"points": [[1, 0], [-1, 0], [0, 1], [1, 1e-5]]},
        "points must differ",
    ),
    "a calibration of nearly nothing": (
        {"calibration": {**plain()["calibration"], "receive": [ONE] * 3 + [[1e-300, 0]]}},
        "calibration: receive must be pairs of finite numbers of a sensible size",
    ),
    "a calibration of words": ({"calibration": "good"}, "calibration: not a calibration file"),
    "a calibration of others": (
        {"calibration": {**plain()["calibration"], "receive": [ONE] * 3}},
        "calibration: 3 receive values where the array has 4 antennas",
    ),
    "corrections that are no list": ({"without": "cfo"}, "without must be a list of calibration, cfo"),
    "corrections of lists": ({"without": [["cfo"]]}, "without must be a list of"),
    "unknown corrections": ({"without": ["luck"]}, "without must be a list of"),
    "a demodulator of no name": ({"demodulator": 3}, "demodulator must be a name"),
    "a demodulator of lines": ({"demodulator": "a\nb"}, "demodulator must be a name"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_one_line(name: str) -> None:
    changes, message = BAD[name]
    values = None if changes is None else {**plain(), **changes}
    with pytest.raises(UserError) as refused:
        RecordedRun.from_dict(values, K + 1, "recording x")
    line = str(refused.value)
    assert line.startswith("recording x")
    assert message in line
    assert "\n" not in line


def test_a_format_that_needs_too_much_memory_is_refused_before_it_is_made() -> None:
    many = {**with_format(antennas=1000, pilot_repeats=64)}
    with pytest.raises(UserError, match="more than 4096 pilots"):
        RecordedRun.from_dict({**plain(), **many}, 1001, "recording x")
    wide = {**with_format(antennas=1000, guard=4096, samples_per_symbol=16)}
    with pytest.raises(UserError, match="a slot of its burst format has more than"):
        RecordedRun.from_dict({**plain(), **wide}, 1001, "recording x")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(plain())), json_values))
def test_whatever_it_says_is_a_run_or_one_line(changes: dict[str, Any]) -> None:
    line = ""
    try:
        found = RecordedRun.from_dict({**plain(), **changes}, K + 1, "recording x")
    except UserError as error:
        line = str(error)
    else:
        assert found.layout.antennas == K
    assert "\n" not in line
