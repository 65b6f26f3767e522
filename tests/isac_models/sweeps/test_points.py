"""A point's key knows everything that its result depends on, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from isac_models.scenario import Scenario
from isac_models.sweeps.points import Contender, Point

BASELINE = Contender("baseline", "baseline", 500, estimator="argmax")
LEARNED = Contender("learned", "learned", 500, estimator="softmax", artifact="a.safetensors", sha256="aa")
POINT = Point(Scenario.preset("impaired"), 0.4, 1, 1000, LEARNED, (BASELINE,))


def test_a_point_travels_as_json() -> None:
    assert Point.from_dict(json.loads(json.dumps(POINT.to_dict()))) == POINT


@pytest.mark.parametrize(
    "change",
    [
        {"scenario": Scenario.preset("impaired").replace(impairment_seed=2)},
        {"scenario": Scenario.preset("impaired").replace(impaired_side="transmit")},
        {"rho": 0.41},
        {"seed": 2},
        {"snapshots": 1001},
        {"contender": replace(LEARNED, sha256="bb")},
        {"contender": replace(LEARNED, estimator="argmax")},
        {"contender": replace(LEARNED, grid_size=156)},
        {"contender": replace(BASELINE, known_array=True)},
        {"versus": ()},
        {"versus": (replace(BASELINE, known_array=True),)},
        {"versus": (replace(BASELINE, name="other"),)},  # results are found under this name
    ],
)
def test_the_key_changes_with_the_result(change: dict[str, Any]) -> None:
    assert replace(POINT, **change).key != POINT.key


def test_the_key_does_not_depend_on_names_and_places() -> None:
    elsewhere = replace(LEARNED, artifact="/elsewhere/b.safetensors", name="also learned")
    assert replace(POINT, contender=elsewhere).key == POINT.key


def test_the_artifacts_of_a_point_are_those_of_all_that_take_part() -> None:
    other = replace(LEARNED, name="other", artifact="b", sha256="bb")
    assert replace(POINT, versus=(BASELINE, other)).artifacts() == {"aa": "a.safetensors", "bb": "b"}
