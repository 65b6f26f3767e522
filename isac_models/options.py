"""Command-line options that every program of the project shares, and how it refuses bad ones."""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import re
import sys
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, get_args

from isac_models import units
from isac_models.errors import ScenarioError, UserError, one_line
from isac_models.scenario import PRESETS, Impairment, Scenario, Side, allowed

LARGEST_COUNT = 2**63 - 1
NUMBER = re.compile(r"-(\d[\d_]*(\.[\d_]*)?|\.\d[\d_]*)(e[+-]?\d+)?|-(inf(inity)?|nan)", re.IGNORECASE)
"""What begins with a dash and is still a value: -40, -.5, -4e1, and -inf, which its option then refuses."""


class Parser(argparse.ArgumentParser):
    """An argument parser that refuses with one line, ``error: …`` on stderr, and exit status 2.

    Options cannot be abbreviated, so that a later option never changes what an old script means, and negative
    numbers in any notation are values, never options.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        keywords.setdefault("allow_abbrev", False)
        super().__init__(*arguments, **keywords)
        self._negative_number_matcher = re.compile(rf"^(?:{NUMBER.pattern})$", re.IGNORECASE)

    def error(self, message: str) -> NoReturn:
        """Print the line and leave."""
        print(f"error: {one_line(message)}", file=sys.stderr)
        sys.exit(2)


def reader_left() -> int:
    """Exit status once the reader of standard output has gone; Python's flush at exit must not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def need_matplotlib(what: str) -> None:
    """Raise UserError where matplotlib is missing; before the work, not after it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(f"{what} needs matplotlib: pip install 'isac-blocks[plot]'")


def count(text: str) -> int:
    """A positive whole number, also as 1e6 or 1_000_000.

    Raises argparse.ArgumentTypeError for anything else.
    """
    return _whole(text, 1)


def whole(text: str) -> int:
    """A whole number, also as 1e6 or 1_000_000.

    Raises argparse.ArgumentTypeError for anything else.
    """
    return _whole(text, -LARGEST_COUNT)


def number(text: str) -> float:
    """A finite number.

    Raises argparse.ArgumentTypeError for anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def not_blank(text: str) -> str:
    """A name of anything.

    Raises argparse.ArgumentTypeError for one that is empty, or nothing but spaces.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no name")
    return text


def _whole(text: str, low: int) -> int:
    kind = "positive whole number, such as 20000 or 1e6" if low > 0 else "whole number"
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    # The order matters: an exponent of a billion must not be written out.
    if value.is_finite() and value > LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {LARGEST_COUNT}")
    if not (value.is_finite() and value >= low and value == value.to_integral_value()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a {kind}")
    return int(value)


def add_scenario_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--scenario`` and one option for every parameter of a scenario."""
    group = parser.add_argument_group(
        "scenario", "where the values come from, and changes to single ones; gains change with --snr-* only"
    )
    group.add_argument(
        "--scenario",
        default="impaired",
        metavar="NAME|FILE.toml",
        help=f"{', '.join(PRESETS)}, or a TOML file (default: %(default)s)",
    )

    def add(key: str, kind: Callable[[str], Any], metavar: Any, note: str = "") -> None:
        text = Scenario.model_fields[units.field_of(key)].description
        group.add_argument(
            _option(key),
            dest=key,
            type=kind,
            nargs=2 if isinstance(metavar, tuple) else None,
            metavar=metavar,
            help=f"{note or text}: {allowed(key)}",
        )

    def choose(key: str, choices: tuple[str, ...]) -> None:
        text = Scenario.model_fields[key].description
        group.add_argument(_option(key), dest=key, choices=choices, metavar="|".join(choices), help=text)

    add("antennas", whole, "K")
    add("order", whole, "M")
    add("transmit_energy", number, "E")
    add("noise_power", number, "N0")
    add("snr_radar_db", number, "DB", "SNR σ_r²/N0 of the target's reflection")
    add("snr_comm_db", number, "DB", "SNR σ_c²/N0 of the communication channel")
    add("grid_size", whole, "N")
    add("target_sector_deg", number, ("LO", "HI"))
    add("comm_sector_deg", number, ("LO", "HI"))
    add("false_alarm", number, "P")
    choose("impairment", get_args(Impairment))
    add("impairment_seed", whole, "N")
    choose("impaired_side", get_args(Side))
    add("spacing_std", number, "STD")
    add("gain_std", number, "STD")
    add("phase_std_deg", number, "STD", "std of the phases of gain_phase")
    group.add_argument(
        "--reciprocal",
        dest="reciprocal",
        action=argparse.BooleanOptionalAction,
        help=Scenario.model_fields["reciprocal"].description,
    )
    add("coherence", whole, "N")


def scenario_from(args: argparse.Namespace, base: Scenario | None = None) -> Scenario:
    """The scenario that parsed options describe; with `base`, what they change in that one.

    Raises ScenarioError, which names the option at fault.
    """
    scenario = Scenario.load(args.scenario) if base is None else base
    keys = [*Scenario.model_fields, *units.HUMAN]
    changes = {key: value for key in keys if (value := getattr(args, key, None)) is not None}
    try:
        return scenario.replace(**changes)
    except ScenarioError as error:
        message = str(error)
    for key in changes:
        message = re.sub(rf"(^|; )({key}|{units.field_of(key)})\b", rf"\1{_option(key)}", message)
    raise ScenarioError(message)


def scenario_arguments(scenario: Scenario) -> list[str]:
    """Arguments from which `scenario_from` makes this scenario: the nearest preset, and what differs from it.

    Exact wherever degrees and dB are; an angle or a gain that no number of them gives back is rounded to its
    16th digit.
    """
    values = scenario.to_dict()

    def changed(preset: str) -> list[str]:
        base = Scenario.preset(preset).to_dict()
        return [field for field in values if values[field] != base[field]]

    preset = min(PRESETS, key=lambda name: len(changed(name)))
    names = {unit.field: key for key, unit in units.HUMAN.items()}
    human = units.to_human(values)
    arguments = ["--scenario", preset]
    for field in changed(preset):
        key = names.get(field, field)
        value = human[key] if key in human else units.nearest(key, values[field], values["noise_power"])
        if isinstance(value, bool):
            arguments.append(_option(key) if value else f"--no-{_option(key)[2:]}")
            continue
        several = value if isinstance(value, list | tuple) else [value]
        arguments += [_option(key), *(each if isinstance(each, str) else repr(each) for each in several)]
    return arguments


def _option(key: str) -> str:
    """The option of a parameter: its unit stands in the help."""
    return "--" + key.removesuffix("_deg").removesuffix("_db").replace("_", "-")
