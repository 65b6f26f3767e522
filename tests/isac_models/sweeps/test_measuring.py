"""A point's result is what the evaluation measures, whoever stands beside the contender."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from isac_models.artifact import load, save
from isac_models.errors import UserError
from isac_models.monte_carlo import evaluate
from isac_models.scenario import Scenario
from isac_models.sweeps.best_beam import best_isac_beam, known_array_filter
from isac_models.sweeps.measuring import files_of, measure, system
from isac_models.sweeps.points import Contender, Point
from isac_models.theory import genie_missed_detection, symbol_error_rate
from tests.isac_models.artifacts import model_driven, neural

SCENARIO = Scenario.preset("impaired")
BASELINE = Contender("baseline", "baseline", 500, estimator="argmax")
KNOWN = Contender("known", "baseline", 500, known_array=True, estimator="argmax")
BEST = Contender("best", "best beam", 500, known_array=True, estimator="argmax")
SNAPSHOTS = 20_000


def learned(path: Path, grid_size: int = 500) -> Contender:
    """The true steering matrix as if it had been learned."""
    save(path, model_driven(SCENARIO.replace(grid_size=grid_size)))
    sha256 = load(path).sha256
    return Contender("learned", "learned", grid_size, estimator="softmax", artifact=str(path), sha256=sha256)


def test_the_rates_are_those_of_the_evaluation() -> None:
    point = Point(SCENARIO, 0.4, 3, SNAPSHOTS, KNOWN, (BASELINE,))
    result = measure(point.to_dict(), {})
    same = evaluate(SCENARIO, rho=0.4, known_array=True, snapshots=SNAPSHOTS, seed=3)
    assert result["rates"] == same.tally.rates()
    assert result["counters"] == same.tally.to_dict()
    # Another number of BLAS threads adds up in another order.
    assert result["theory"] == pytest.approx(same.theory, rel=1e-9)
    assert result["threshold"] == pytest.approx(same.system.detector.threshold.amplitude, rel=1e-9)
    assert (result["estimator"], result["snapshots"]) == ("argmax", SNAPSHOTS)
    assert Point.from_dict(result["point"]) == point
    json.dumps(result, allow_nan=False)


def test_threads_of_the_linear_algebra_change_nothing() -> None:
    point = Point(Scenario.preset("ideal"), 0.4, 1, 4000, BEST).to_dict()
    with threadpool_limits(1):
        one = measure(point, {})
    with threadpool_limits(2):
        two = measure(point, {})
    assert {**one, "seconds": 0} == {**two, "seconds": 0}


def test_comparisons_are_on_the_same_draws() -> None:
    again = replace(KNOWN, name="again")
    result = measure(Point(SCENARIO, 1.0, 3, SNAPSHOTS, KNOWN, (BASELINE, again)).to_dict(), {})
    other = evaluate(SCENARIO, rho=1.0, snapshots=SNAPSHOTS, seed=3).tally.rates()
    pair = result["versus"]["baseline"]
    assert pair["p_md"]["ratio"] == pytest.approx(result["rates"]["p_md"] / other["p_md"])
    assert pair["p_md"]["low"] < pair["p_md"]["ratio"] < pair["p_md"]["high"]
    assert pair["rmse_rad"]["ratio"] == pytest.approx(pair["rmse_rad"]["own"] / pair["rmse_rad"]["other"])
    assert pair["rmse_rad"]["ratio"] < 1  # the impaired array shows in the angle
    found = result["counters"]["rmse_rad"]["count"]
    assert 0.9 * found < pair["common"] < found
    itself = result["versus"]["again"]
    assert itself["common"] == found
    assert [itself[metric]["ratio"] for metric in ("ser", "p_md", "rmse_rad")] == [1, 1, 1]


def test_the_learned_method_uses_its_artifact_and_its_own_grid(tmp_path: Path) -> None:
    contender = learned(tmp_path / "a.safetensors", 156)
    result = measure(Point(SCENARIO, 1.0, 3, SNAPSHOTS, contender).to_dict(), {})
    coarse = SCENARIO.replace(grid_size=156)
    same = evaluate(coarse, known_array=True, estimator="softmax", rho=1.0, snapshots=SNAPSHOTS, seed=3)
    # The artifact holds the true array, and single precision moves hardly a decision.
    for key, value in same.tally.rates().items():
        assert result["rates"][key] == pytest.approx(value, rel=1e-3, abs=1e-4)
    assert result["estimator"] == "softmax"


def test_the_best_beam_reaches_what_it_promises() -> None:
    result = measure(Point(SCENARIO, 0.8, 3, 100_000, BEST, (KNOWN,)).to_dict(), {})
    beam = best_isac_beam(SCENARIO, 0.8, known_array_filter(SCENARIO))
    assert result["theory"]["ser"] == pytest.approx(symbol_error_rate(SCENARIO, beam), rel=1e-9)
    assert result["theory"]["p_md_genie"] == pytest.approx(genie_missed_detection(SCENARIO, beam), rel=1e-9)
    assert result["rates"]["ser_low"] < result["theory"]["ser"] < result["rates"]["ser_high"]
    assert result["rates"]["p_md"] > result["theory"]["p_md_genie"]
    assert result["versus"]["known"]["p_md"]["high"] < 1


def test_a_model_outside_its_training_is_used_with_a_warning(tmp_path: Path) -> None:
    contender = learned(tmp_path / "a.safetensors")
    point = Point(SCENARIO.replace(impairment_seed=2), 1.0, 3, 100, contender)
    (warning,) = measure(point.to_dict(), {})["warnings"]
    assert "on other hardware" in warning


def test_artifacts_travel_with_their_points(tmp_path: Path) -> None:
    contender = learned(tmp_path / "a.safetensors")
    point = Point(SCENARIO, 1.0, 3, 500, contender, (BASELINE,))
    files = files_of(point)
    assert list(files) == [contender.sha256]
    here = measure(point.to_dict(), {})
    elsewhere = replace(contender, artifact=str(tmp_path / "nowhere.safetensors"))
    moved = replace(point, contender=elsewhere)
    assert measure(moved.to_dict(), files)["counters"] == here["counters"]
    with pytest.raises(UserError, match=r"nowhere\.safetensors"):
        measure(moved.to_dict(), {})


def test_no_other_model_takes_the_place_of_the_planned_one(tmp_path: Path) -> None:
    contender = learned(tmp_path / "a.safetensors")
    save(tmp_path / "a.safetensors", model_driven(SCENARIO.replace(impairment_seed=2)))
    with pytest.raises(UserError, match="has changed since the figures were planned"):
        system(SCENARIO, replace(contender, sha256="0" * 64), 1.0)


def test_networks_are_measured_like_everyone(tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    save(path, neural(SCENARIO, hidden=5, omega=(0.0, 1.0)))
    contender = Contender("neural", "neural", 500, artifact=str(path), sha256=load(path).sha256)
    result = measure(Point(SCENARIO, 1.0, 3, 20_000, contender, (BASELINE,)).to_dict(), {})
    # Untrained ones know nothing: they guess, at the false-alarm rate that they were calibrated to.
    assert result["rates"]["ser"] > 0.5
    assert result["rates"]["p_fa_low"] < 0.012
    assert result["rates"]["p_fa_high"] > 0.008
    assert result["theory"]["ser"] is None
    assert result["versus"]["baseline"]["p_md"]["low"] > 1
