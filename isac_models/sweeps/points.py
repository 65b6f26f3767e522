"""One point of a figure: a method on a scenario, beside others on the same messages, targets and noise.

A point is plain JSON data, so that it can be sent to another machine, and its key is a checksum of all that
its result depends on, so that a result is found again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from isac_models.scenario import Scenario
from isac_models.sweeps.store import canonical

VERSION = 1
"""Of what a point's result means: another one makes every key new."""

Method = Literal["baseline", "learned", "neural", "best beam"]


@dataclass(frozen=True)
class Contender:
    """A method as it takes part: `name` is how results call it."""

    name: str
    method: Method
    grid_size: int
    known_array: bool = False
    """The baseline with the true steering vectors."""
    estimator: str = ""
    """How the detector reads the angle; "" is the method's own way."""
    artifact: str = ""
    """Shipped name or path of the trained model …"""
    sha256: str = ""
    """… and the checksum of its arrays, by which the point knows it."""

    def identity(self) -> dict[str, Any]:
        """All that a result depends on, fit for JSON."""
        return {key: value for key, value in asdict(self).items() if key not in ("name", "artifact")}


@dataclass(frozen=True)
class Point:
    """`contender` at ρ (ω_r) on a scenario, paired with each of `versus`."""

    scenario: Scenario
    rho: float
    seed: int
    """Of messages, targets, channels and noise."""
    snapshots: int
    contender: Contender
    versus: tuple[Contender, ...] = ()

    @property
    def key(self) -> str:
        """Checksum of all that the result depends on."""
        values = self.to_dict()
        values["contender"] = self.contender.identity()
        values["versus"] = [{"name": each.name, **each.identity()} for each in self.versus]
        return hashlib.sha256(canonical({"version": VERSION, **values})).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and for `from_dict`."""
        return {
            "scenario": self.scenario.to_dict(),
            "rho": self.rho,
            "seed": self.seed,
            "snapshots": self.snapshots,
            "contender": asdict(self.contender),
            "versus": [asdict(each) for each in self.versus],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The point that `to_dict` described."""
        return cls(
            Scenario.from_dict(values["scenario"]),
            values["rho"],
            values["seed"],
            values["snapshots"],
            Contender(**values["contender"]),
            tuple(Contender(**each) for each in values["versus"]),
        )

    def artifacts(self) -> dict[str, str]:
        """Names or paths of the trained models that it needs, by their checksum."""
        return {each.sha256: each.artifact for each in (self.contender, *self.versus) if each.artifact}
