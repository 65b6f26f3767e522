"""Options reach every parameter; what is wrong is refused in one line with exit status 2."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac_models import units
from isac_models.errors import ScenarioError
from isac_models.options import (
    Parser,
    add_scenario_options,
    count,
    not_blank,
    number,
    scenario_arguments,
    scenario_from,
    whole,
)
from isac_models.scenario import PRESETS, Scenario


def parser() -> Parser:
    made = Parser(prog="program")
    add_scenario_options(made)
    made.add_argument("--snapshots", type=count)
    made.add_argument("--phi", type=number)
    return made


def parse(*arguments: str) -> Scenario:
    return scenario_from(parser().parse_args(arguments))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a program says on stderr about bad arguments."""
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(arguments)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    return err


def test_the_impaired_scenario_is_the_default() -> None:
    assert parse() == Scenario.preset("impaired")


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        ("--antennas 8", {"antennas": 8}),
        ("--order 64", {"order": 64}),
        ("--transmit-energy 2.5", {"transmit_energy": 2.5}),
        ("--noise-power 1e-3", {"noise_power": 1e-3}),
        ("--snr-radar -3.5", {"radar_gain": 10**-0.35}),
        ("--snr-comm 8", {"comm_gain": 10**0.8}),
        ("--snr-comm -1e1 --noise-power 2", {"comm_gain": 0.2, "noise_power": 2.0}),
        ("--grid-size 1e3", {"grid_size": 1000}),
        ("--target-sector -40 -20.5", {"target_sector": (math.radians(-40), math.radians(-20.5))}),
        ("--target-sector -4e1 -.5", {"target_sector": (math.radians(-40), math.radians(-0.5))}),
        ("--comm-sector -1_0 +1E1", {"comm_sector": (math.radians(-10), math.radians(10))}),
        ("--false-alarm 1e-6", {"false_alarm": 1e-6}),
        ("--impairment element", {"impairment": "element"}),
        ("--impairment none", {"impairment": "none"}),
        ("--impairment-seed 0", {"impairment_seed": 0}),
        ("--impaired-side transmit", {"impaired_side": "transmit"}),
        ("--spacing-std 0.01", {"spacing_std": 0.01}),
        ("--gain-std 0", {"gain_std": 0.0}),
        ("--phase-std 30", {"phase_std": math.radians(30)}),
        ("--no-reciprocal", {"reciprocal": False}),
        ("--reciprocal", {"reciprocal": True}),
        ("--coherence 10", {"coherence": 10}),
        ("--scenario unseen --order 16", {**Scenario.preset("unseen").to_dict(), "order": 16}),
    ],
)
def test_options_change_single_parameters(arguments: str, changes: dict[str, object]) -> None:
    assert parse(*arguments.split()) == Scenario.preset("impaired").replace(**changes)


def test_options_change_what_is_there_already() -> None:
    base = Scenario.preset("unseen").replace(order=64)
    changed = scenario_from(parser().parse_args(["--antennas", "8"]), base)
    assert changed == base.replace(antennas=8)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_needs_its_name_only(preset: str) -> None:
    assert scenario_arguments(Scenario.preset(preset)) == ["--scenario", preset]


@pytest.mark.parametrize(
    "changes",
    [
        {"antennas": 8, "order": 64, "coherence": 3, "impairment_seed": 2**62},
        {"snr_radar_db": -3.5, "snr_comm_db": 8.1},
        {"noise_power": 2.0},
        {"noise_power": 0.3, "snr_comm_db": 12.0},
        {"target_sector_deg": (-33.3, -4.4), "comm_sector_deg": (-1, 1)},
        {"impairment": "gain_phase", "reciprocal": False, "phase_std_deg": 7.7, "gain_std": 0.01},
        {"impairment": "element", "impaired_side": "transmit", "spacing_std": 1e-3, "false_alarm": 1e-6},
        {"impairment": "none", "grid_size": 156, "transmit_energy": 1e-12},
    ],
)
def test_arguments_make_the_scenario_again(changes: dict[str, Any]) -> None:
    scenario = Scenario.preset("impaired").replace(**changes)
    assert parse(*scenario_arguments(scenario)) == scenario


@given(st.floats(-1.5, -0.1), st.floats(0.1, 1.5), st.floats(0.1, 1e3))
def test_any_angle_and_gain_come_again_but_for_the_last_digits(low: float, high: float, gain: float) -> None:
    scenario = Scenario(target_sector=(low, high), radar_gain=gain)
    again = parse(*scenario_arguments(scenario))
    assert again.target_sector == pytest.approx((low, high), rel=1e-15)
    assert again.radar_gain == pytest.approx(gain, rel=1e-13)


def test_every_parameter_has_an_option_that_explains_it() -> None:
    text = parser().format_help()
    made = parser()
    reached = {units.field_of(action.dest) for action in made._actions if action.help}
    assert set(Scenario.model_fields) <= reached
    for field in Scenario.model_fields:
        option = "--" + field.replace("_", "-").replace("radar-gain", "snr-radar").replace(
            "comm-gain", "snr-comm"
        )
        assert option in text


def test_overrides_change_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("order = 64\nantennas = 8\n", encoding="utf-8")
    assert parse("--scenario", str(path), "--order", "16") == Scenario(order=16, antennas=8)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--antennas 0", "--antennas must be a whole number from 1 to 1024, not 0"),
        ("--order 8", "--order must be 4, 16, 64 or 256, not 8"),
        ("--target-sector 50 30", "--target-sector must be two angles LO HI in degrees"),
        ("--target-sector -100 0", "--target-sector must be two angles LO HI in degrees"),
        ("--comm-sector 0.1 0.11", "--comm-sector from 0.1° to 0.11° holds no point of the 500-point"),
        ("--false-alarm 0", "--false-alarm must be a number between 0 and 1"),
        ("--false-alarm 1", "--false-alarm must be a number between 0 and 1"),
        ("--grid-size 12", "--grid-size must be at least 17 for 16 antennas, not 12"),
        ("--snr-comm 200", "--snr-comm must be a number of dB from -120 to 120, not 200"),
        (
            "--antennas 0 --order 5",
            "--antennas must be a whole number from 1 to 1024, not 0; --order must be",
        ),
        ("--scenario imparied", "no preset 'imparied' (did you mean impaired?)"),
        ("--scenario limited --antennas 256", "grid_size must be at least 370 for 256 antennas, not 156"),
    ],
)
def test_impossible_values_are_refused_under_the_name_of_the_option(arguments: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(*arguments.split())
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    "arguments",
    [
        "--snr-comm nan",
        "--snr-comm -inf",
        "--snr-radar -Infinity",
        "--snr-radar 1e999",
        "--antennas 1.5",
        "--antennas sixteen",
        "--target-sector -40",
        "--target-sector a b",
        "--impairment drift",
        "--phi -nan",
        "--nonsense",
        "--snap 5",
        "--order",
        "stray",
        "stray\nlines",
    ],
)
def test_bad_arguments_are_one_line(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, *arguments.split(" "))
    assert arguments.split(maxsplit=1)[0].split("\n", maxsplit=1)[0] in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("1e6", 10**6),
        ("1_000_000", 10**6),
        ("1.5e3", 1500),
        ("20000", 20000),
        ("3.0", 3),
        ("1E2", 100),
    ],
)
def test_counts_are_written_in_many_ways(text: str, expected: int) -> None:
    assert count(text) == expected
    assert parser().parse_args(["--snapshots", text]).snapshots == expected


@pytest.mark.parametrize(
    "text",
    ["0", "-5", "-1e6", "1.5", "1e-3", "nan", "-nan", "inf", "", "ten", "1e", "1e400", "1e999999999", "-0",
     "0x10", "1e99999999999999999999", "1e-99999999999999999999", "sNaN", "9223372036854775808"],
)  # fmt: skip
def test_what_is_no_count_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        count(text)
    assert "argument --snapshots: " in refused(capsys, "--snapshots", text)


@given(st.integers(1, 2**63 - 1))
def test_every_positive_integer_is_a_count(value: int) -> None:
    assert count(str(value)) == count(f"{value:_}") == whole(str(value)) == value
    assert whole(str(-value)) == -value


@given(st.text(max_size=30))
def test_any_text_is_a_count_or_refused(text: str) -> None:
    with contextlib.suppress(argparse.ArgumentTypeError):
        assert count(text) >= 1


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_parses_as_itself(value: float) -> None:
    given_back = parser().parse_args(["--phi", repr(value)]).phi
    np.testing.assert_array_equal(given_back, value)


@given(st.text(max_size=5))
def test_a_name_stays_as_it_is_or_is_blank(text: str) -> None:
    try:
        assert not_blank(text) is text
    except argparse.ArgumentTypeError:
        assert text.isspace() or text == ""


@pytest.mark.parametrize(
    "command",
    [
        "isac_models.artifact show model-driven-n156",
        "isac_models.artifact show model-driven-n156 --json",
        "isac_models.evaluate --snapshots 2000 --no-theory",
        "isac_models.evaluate --snapshots 2000 --no-theory --json",
    ],
)
def test_a_program_whose_output_nobody_reads_ends_in_silence(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command.split()],
            check=False,
            cwd=Path(__file__).parents[2],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
