"""The registry of blocks that stand in for one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blocks import Demodulator, Detector, LearnedDetector, LearnedPrecoder, Precoder, QamEncoder
from blocks.registry import KINDS, build, check, load, takes
from blocks.runtime import Block
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven


def test_the_baseline_is_there() -> None:
    assert load("precoder", "baseline") is Precoder
    assert load("detector", "matched-filter") is Detector
    assert load("demodulator", "ml") is Demodulator
    assert load("encoder", "qam") is QamEncoder


def test_what_is_learned_is_there() -> None:
    assert load("precoder", "learned") is LearnedPrecoder
    assert load("detector", "learned") is LearnedDetector


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_loads_a_block(kind: str) -> None:
    for name in KINDS[kind]:
        assert issubclass(load(kind, name), Block)


def test_an_unknown_name_is_one_line_that_helps() -> None:
    with pytest.raises(UserError, match="precoder 'random': there is baseline, learned, neural; your"):
        load("precoder", "random")


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


def test_what_is_offered_reaches_those_who_name_it() -> None:
    scenario = Scenario.preset("limited").replace(spacing_std=0.1)
    offers: dict[str, Any] = {"known_array": True, "artifact": None, "phi": 0.3, "colour": "blue"}
    known = build("precoder", "baseline", scenario, offers, rho=0.2)
    np.testing.assert_array_equal(known.beam, Precoder(scenario, 0.2, 0.3, known_array=True).beam)
    assert type(build("demodulator", "ml", scenario, offers)) is Demodulator
    offers = {"artifact": model_driven(scenario), "known_array": True}
    learned = build("detector", "learned", scenario, offers)
    assert learned.artifact.kind == "model-driven"


@pytest.mark.parametrize(
    ("kind", "name", "parameter", "expected"),
    [
        ("precoder", "baseline", "known_array", True),
        ("precoder", "baseline", "artifact", False),
        ("precoder", "learned", "artifact", True),
        ("precoder", "learned", "known_array", False),
        ("detector", "learned", "artifact", True),
        ("detector", "matched-filter", "phi", False),
        ("encoder", "qam", "artifact", False),
    ],
)
def test_it_is_known_what_a_block_takes(kind: str, name: str, parameter: str, expected: bool) -> None:
    assert takes(kind, name, parameter) is expected
