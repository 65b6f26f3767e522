"""Compiled matched filter against the plain form."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from isac_models.detection import Estimator, MatchedFilter
from isac_models.scenario import Scenario

CUTS = [0, 1, 2, 3, 127, 255, 384, 385, 600]
CHANGES: dict[str, dict[str, Any]] = {
    "ideal": {},
    "limited": {"grid_size": 156},
    "one antenna": {"antennas": 1},
    "odd": {"antennas": 7},
    "one column": {"target_sector": (0.0, 0.0), "grid_size": 501},
    "everywhere": {"target_sector": (-np.pi / 2, np.pi / 2), "grid_size": 61},
}


def make(name: str, estimator: Estimator) -> tuple[MatchedFilter, np.ndarray]:
    """A matched filter, and echoes in double precision: noise, some with a strong target."""
    scenario = Scenario.preset("ideal").replace(**CHANGES[name])
    matched_filter = MatchedFilter(scenario, estimator=estimator)
    generator = np.random.default_rng(2)
    shape = (CUTS[-1], scenario.antennas)
    echo = (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)) / np.sqrt(2)
    column = generator.integers(0, matched_filter.angles.size, CUTS[-1])
    strength = generator.exponential(2, CUTS[-1]) * (generator.random(CUTS[-1]) < 0.5)
    echo += strength[:, None] * matched_filter.columns.T[column]
    return matched_filter, echo.astype(np.complex64).astype(np.complex128)


@pytest.mark.parametrize("name", CHANGES)
def test_largest_correlation_is_that_of_the_plain_form(name: str) -> None:
    matched_filter, echo = make(name, "argmax")
    expected = matched_filter.detect(echo)
    found = matched_filter.detect(echo.astype(np.complex64))
    assert found.statistic.dtype == found.angle.dtype == np.float32
    assert expected.angle.dtype == np.float64
    assert np.allclose(found.statistic, expected.statistic, rtol=2e-6)
    # Neighbouring columns can be equal to rounding: another choice must be as large.
    other = np.abs(found.angle - expected.angle) > 1e-6
    assert other.mean() < 0.01
    index = np.abs(matched_filter.angles - found.angle[:, None]).argmin(axis=1)
    chosen = np.abs((echo.conj() * matched_filter.columns.T[index]).sum(axis=1))
    assert np.allclose(chosen, expected.statistic, rtol=1e-5)


@pytest.mark.parametrize("name", CHANGES)
def test_softmax_mean_is_that_of_the_plain_form(name: str) -> None:
    matched_filter, echo = make(name, "softmax")
    expected = matched_filter.detect(echo)
    found = matched_filter.detect(echo.astype(np.complex64))
    assert np.allclose(found.statistic, expected.statistic, rtol=2e-6)
    assert np.abs(found.angle - expected.angle).max() < 1e-5


@pytest.mark.parametrize("name", [name for name in CHANGES if name != "one antenna"])
def test_the_vertex_between_columns_is_that_of_the_plain_form(name: str) -> None:
    matched_filter, echo = make(name, "interpolated")
    expected = matched_filter.detect(echo)
    found = matched_filter.detect(echo.astype(np.complex64))
    assert np.array_equal(found.detected, expected.detected)
    other = np.abs(found.angle - expected.angle) > 2e-5  # rounding chose another of two equal columns
    assert other.mean() < 0.01


@pytest.mark.parametrize("estimator", ["argmax", "interpolated", "softmax"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_row_does_not_depend_on_the_batch(name: str, estimator: Estimator) -> None:
    matched_filter, echo = make(name, estimator)
    rows = echo.astype(np.complex64)
    whole = matched_filter.detect(rows)
    parts = [matched_filter.detect(rows[a:b]) for a, b in pairwise(CUTS)]
    for field in ("detected", "angle", "statistic"):
        pieces = [getattr(part, field) for part in parts]
        assert np.concatenate(pieces).tobytes() == getattr(whole, field).tobytes()


@pytest.mark.parametrize("estimator", ["argmax", "interpolated", "softmax"])
def test_silence_and_huge_and_broken_echoes(estimator: Estimator) -> None:
    matched_filter, _ = make("ideal", estimator)
    echo = np.zeros((4, 16), np.complex64)
    echo[1] = 1e4 * matched_filter.columns[:, 30]
    echo[2, 3] = np.nan
    found = matched_filter.detect(echo)
    assert found.detected.tolist() == [False, True, False, False]
    assert found.statistic[[0, 3]].tolist() == [0, 0]
    assert abs(found.angle[1] - matched_filter.angles[30]) < (2e-5 if estimator == "interpolated" else 1e-6)
    assert np.isnan(found.statistic[2])


def test_no_rows_give_no_rows() -> None:
    matched_filter, _ = make("ideal", "softmax")
    found = matched_filter.detect(np.zeros((0, 16), np.complex64))
    assert found.detected.shape == found.angle.shape == found.statistic.shape == (0,)
