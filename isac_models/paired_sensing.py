"""Several detectors on the same targets and noise: what sets their misses and angle errors apart.

RMSE given detection is confounded with detection: a detector that misses the weak targets errs less on the
rest. So errors are also counted on the targets that every detector has found, and for each two of them on
those that both have found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, permutations
from typing import Any, Self

from numpy.typing import NDArray

from isac_models.pairing import PairedErrors, PairedRate
from isac_models.scenario import Scenario
from isac_models.statistics import SquaredErrorCounter

Values = NDArray[Any]
Pair = tuple[str, str]


@dataclass
class PairedSensingTally:
    """Counts of detectors by name: `errors` (rad) on the targets that all have found, and those of each pair.

    A pair is named in the order of the detectors. `misses` counts among all targets, `pair_errors` on those
    that both have found. `coherence` snapshots share a target, as in `SensingTally`.
    """

    errors: dict[str, SquaredErrorCounter]
    misses: dict[Pair, PairedRate]
    pair_errors: dict[Pair, PairedErrors]

    @classmethod
    def empty(cls, scenario: Scenario, names: Sequence[str]) -> Self:
        """Nothing counted yet. Targets and their estimates lie inside the sector, which limits the error."""
        low, high = scenario.target_sector
        common: dict[str, Any] = {"coherence": scenario.coherence, "limit": high - low}
        pairs = list(combinations(names, 2))
        return cls(
            {name: SquaredErrorCounter(**common) for name in names},
            {pair: PairedRate(coherence=scenario.coherence) for pair in pairs},
            {pair: PairedErrors(**common) for pair in pairs},
        )

    def add(
        self, present: Values, angle: Values, detected: Mapping[str, Values], estimate: Mapping[str, Values]
    ) -> None:
        """Count one batch: presence and true angle (n,), and each detector's decision and estimate (n,)."""
        everyone = present.copy()
        for found in detected.values():
            everyone &= found
        for name, counter in self.errors.items():
            counter.add(estimate[name][everyone] - angle[everyone])
        for (first, second), rate in self.misses.items():
            rate.add(~detected[first], ~detected[second], present)
            both = present & detected[first] & detected[second]
            self.pair_errors[first, second].add(
                estimate[first][both] - angle[both], estimate[second][both] - angle[both]
            )

    def merge(self, other: Self) -> Self:
        """The counts of two separate runs together."""
        return type(self)(
            {name: counter.merge(other.errors[name]) for name, counter in self.errors.items()},
            {pair: rate.merge(other.misses[pair]) for pair, rate in self.misses.items()},
            {pair: counter.merge(other.pair_errors[pair]) for pair, counter in self.pair_errors.items()},
        )

    def rates(self) -> dict[str, Any]:
        """RMSE on the common targets by detector, `pairs[first][second]` with ratios and differences.

        Every value has the ends of its 95 % interval; NaN where nothing was counted.
        """
        methods: dict[str, dict[str, float]] = {}
        for name, counter in self.errors.items():
            low, high = counter.interval()
            ends = {"common_rmse_rad_low": low, "common_rmse_rad_high": high}
            methods[name] = {"common_rmse_rad": counter.rmse, **ends}
        pairs: dict[str, dict[str, dict[str, float]]] = {name: {} for name in self.errors}
        for first, second in permutations(self.errors, 2):
            misses, errors = self._pair(first, second)
            values: dict[str, float] = {"common": errors.count}
            for key, counted in (("p_md", misses), ("rmse_rad", errors)):
                values |= counted.ratio().to_dict(f"{key}_ratio")
                values |= counted.difference().to_dict(f"{key}_difference")
            pairs[first][second] = values
        common = next((counter.count for counter in self.errors.values()), 0)
        return {"common": common, "methods": methods, "pairs": pairs}

    def _pair(self, first: str, second: str) -> tuple[PairedRate, PairedErrors]:
        """The counts of two detectors, in this order."""
        if (first, second) in self.misses:
            return self.misses[first, second], self.pair_errors[first, second]
        return self.misses[second, first].swapped(), self.pair_errors[second, first].swapped()

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain values, from which `from_dict` makes the tally again."""
        return {
            "errors": {name: dict(counter.to_dict()) for name, counter in self.errors.items()},
            "pairs": [
                {
                    "names": list(pair),
                    "misses": asdict(self.misses[pair]),
                    "errors": asdict(self.pair_errors[pair]),
                }
                for pair in self.misses
            ],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The tally that `to_dict` described."""
        pairs = [((one["names"][0], one["names"][1]), one) for one in values["pairs"]]
        return cls(
            {name: SquaredErrorCounter.from_dict(each) for name, each in values["errors"].items()},
            {names: PairedRate(**one["misses"]) for names, one in pairs},
            {names: PairedErrors(**one["errors"]) for names, one in pairs},
        )
