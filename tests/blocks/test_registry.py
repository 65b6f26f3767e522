"""The registry of blocks that stand in for one another."""

from __future__ import annotations

import pytest

from blocks import Demodulator, Detector, Precoder
from blocks.registry import KINDS, build, check, load
from blocks.runtime import Block
from isac_models.errors import UserError
from isac_models.scenario import Scenario


def test_the_baseline_is_there() -> None:
    assert load("precoder", "baseline") is Precoder
    assert load("detector", "matched-filter") is Detector
    assert load("demodulator", "ml") is Demodulator


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_loads_a_block(kind: str) -> None:
    for name in KINDS[kind]:
        assert issubclass(load(kind, name), Block)


def test_an_unknown_name_is_one_line_that_helps() -> None:
    with pytest.raises(UserError, match="unknown precoder 'basline': there is baseline"):
        load("precoder", "basline")


def test_the_nearest_of_several_is_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "detector", {"matched-filter": "a:b", "learned": "c:d"})
    with pytest.raises(UserError, match=r"did you mean learned\?"):
        check("detector", "learnt")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_module:Thing", "PYTHONPATH"),
        ("blocks.detector:Missing", "has no attribute 'Missing'"),
        ("isac_models.scenario:Scenario", "not a class of blocks"),
        (":Thing", "does not load"),
    ],
)
def test_a_class_that_does_not_load_is_named(name: str, reason: str) -> None:
    with pytest.raises(UserError, match=f"detector '{name}'.*{reason}"):
        load("detector", name)


def test_a_class_of_ones_own_is_built_with_what_was_given_only() -> None:
    scenario = Scenario.preset("ideal")
    assert (
        type(build("demodulator", "blocks.demodulator:Demodulator", scenario, estimator=None)) is Demodulator
    )
    with pytest.raises(UserError, match="estimator="):
        build("demodulator", "ml", scenario, estimator="argmax")
