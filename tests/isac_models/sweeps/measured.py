"""Results that stand in for measured ones: every rate is what a test says, with the interval of its count."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from isac_models.pairing import Estimate
from isac_models.scenario import Scenario
from isac_models.sweeps.catalogue import Card, Catalogue
from isac_models.sweeps.points import Point
from isac_models.sweeps.studies import Study

Rates = dict[str, float]
Truth = Callable[[str, Point], Rates]
"""ser, p_md and rmse_rad of a contender, by its name, at a point."""
SNAPSHOTS = 1_200_000


class Cards(Catalogue):
    """A catalogue of models that were never trained."""

    def __init__(self, *cards: Card) -> None:
        self.cards = list(cards)

    def learned(self, scenario: Scenario) -> dict[str, Card]:
        """Those of the scenario's grid, by recipe."""
        fit = [each for each in self.cards if each.kind == "model-driven"]
        return {each.recipe: each for each in fit if each.scenario.grid_size == scenario.grid_size}

    def neural(self, scenario: Scenario) -> list[Card]:
        """Narrow networks first."""
        return sorted((each for each in self.cards if each.kind == "neural"), key=lambda each: each.hidden)


def learned_card(grid_size: int, recipe: str = "paper", iterations: int = 50_000) -> Card:
    """A learned A."""
    scenario = Scenario.preset("impaired").replace(grid_size=grid_size)
    training = {"recipe": recipe, "iterations": iterations}
    name = f"learned-{grid_size}-{recipe}.safetensors"
    return Card(name, f"sha-{grid_size}-{recipe}", "model-driven", scenario, training, 1e-4, 0, ())


def neural_card(hidden: int, omegas: tuple[float, ...], **training: Any) -> Card:
    """Networks of a width."""
    training = {"iterations": 50_000, **training}
    name, sha256 = f"neural-{hidden}.safetensors", f"sha-{hidden}"
    return Card(name, sha256, "neural", Scenario.preset("impaired"), training, 0.5, hidden, omegas)


def results_of(study: Study, truth: Truth) -> dict[str, dict[str, Any]]:
    """A result for every point of a study."""
    return {point.key: result_of(point, truth) for _, point in study.points}


def result_of(point: Point, truth: Truth) -> dict[str, Any]:
    """What `measure` would give back for rates that are exactly the true ones."""
    own = truth(point.contender.name, point)
    rates: Rates = {}
    for key, value in {**own, "ber": own["ser"] / 2, "p_fa": 0.01}.items():
        error = 1.96 * _error(key, value)
        rates |= {key: value, f"{key}_low": value - error, f"{key}_high": value + error}
    versus = {}
    for other in point.versus:
        theirs = truth(other.name, point)
        pair: dict[str, Any] = {"common": SNAPSHOTS // 2}
        for key, value in own.items():
            ratio = value / theirs[key]
            relative = math.hypot(_error(key, value) / value, _error(key, theirs[key]) / theirs[key])
            estimate = Estimate.of_ratio(ratio, relative)
            pair[key] = {"ratio": ratio, "low": estimate.low, "high": estimate.high, "error": estimate.error}
        pair["rmse_rad"] |= {"own": own["rmse_rad"], "other": theirs["rmse_rad"]}
        versus[other.name] = pair
    closed = {"ser": own["ser"], "p_md_genie": 0.8 * own["p_md"], "rmse_bound_rad": 0.9 * own["rmse_rad"]}
    return {
        "estimator": point.contender.estimator or "network",
        "snapshots": point.snapshots,
        "rates": rates,
        "theory": {} if point.contender.method == "neural" else closed,
        "threshold": 10.25,
        "warnings": [],
        "versus": versus,
    }


def _error(key: str, value: float) -> float:
    """Standard error of a rate among the snapshots, or of an RMSE."""
    if key == "rmse_rad":
        return value / math.sqrt(SNAPSHOTS)
    return math.sqrt(value * (1 - value) / SNAPSHOTS)


def alike(name: str, point: Point) -> Rates:
    """All methods draw the same curve."""
    rho = point.rho
    p_md = 0.07 + 0.55 * (1 - rho) ** 2
    return {"ser": 0.001 / (1.001 - rho) ** 0.9, "p_md": p_md, "rmse_rad": 0.011 + 0.1 * (1 - rho) ** 3}
