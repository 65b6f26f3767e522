"""What each figure measures: its scenario, its curves, its points, and what is missing for it.

The paper's: `fig3` (no impairment, no limit on complexity), `fig4` (impaired hardware, with and without the
limit), `fig5-low` and `fig5-unrestricted` (the unseen sector, as its caption and as its text have it).
Beside them: `roc` (P_d over P_fa at ρ = 1) and `snr` (P_md, RMSE and SER over the SNR at ρ = 0.4, the ω_r of
networks that serves both).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from isac_models.scenario import Scenario
from isac_models.sweeps.catalogue import PAPER, PAPER_ITERATIONS, Card, Catalogue
from isac_models.sweeps.points import Contender, Point

RHOS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.15, 0.4, 0.6, 0.8, 1.0)
"""ρ of the baseline and the learned A, ω_r of the networks (Sec. V-A)."""
FALSE_ALARMS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7)
SNRS_DB = (-10.0, -7.5, -5.0, -2.5, 0.0, 2.5, 5.0, 7.5, 10.0, 12.5, 15.0, 17.5, 20.0)
SNR_COMM_OVER_RADAR_DB = 20.0
SNR_RHO = 0.4
UNLIMITED, LIMITED = 500, 156
"""Grid points of the learned A: 8000 and 2496 complex parameters."""
WIDE, NARROW = 1024, 21
"""Hidden neurons of the networks: 6 409 250 and 5 095 parameters."""
UNSEEN_DEG = (-20.0, 20.0)

Axis = Literal["rho", "false_alarm", "snr_radar_db"]
AXES: dict[str, Axis] = {"roc": "false_alarm", "snr": "snr_radar_db"}
"""What the thirteen steps of a study change, where it is not ρ."""
FIGURES: dict[str, tuple[str, ...]] = {
    "fig3": ("fig3",),
    "fig4": ("fig4",),
    "fig5": ("fig5-low", "fig5-unrestricted"),
    "roc": ("roc",),
    "snr": ("snr",),
}
"""What the command line calls a figure, and the studies behind it."""
TITLES = {
    "fig3": "Fig. 3: no hardware impairment, no limit on complexity",
    "fig4": "Fig. 4: impaired hardware, with and without a limit on complexity",
    "fig5-low": "Fig. 5 (as its caption says, low complexity): unseen sector −20° … 20°",
    "fig5-unrestricted": "Fig. 5 (as its text says, no limit on complexity): unseen sector −20° … 20°",
    "roc": "ROC at ρ = 1",
    "snr": "Over the SNR at ρ = 0.4, SNR_c = SNR_r + 20 dB",
}


@dataclass(frozen=True)
class Curve:
    """How a contender is shown."""

    name: str
    label: str
    shown: bool = True
    """False for one that has no points of its own: others are compared with it."""


@dataclass(frozen=True)
class Study:
    """One plot: a scenario, its curves, and their points."""

    name: str
    scenario: Scenario
    axis: Axis
    curves: tuple[Curve, ...]
    points: tuple[tuple[float, Point], ...]
    """(value on the axis, point)."""
    missing: tuple[str, ...]
    """What is not shown and how to get it, a line each."""
    untrained: tuple[Scenario, ...]
    """For which a learned A is missing."""

    @property
    def title(self) -> str:
        """What the plot is called."""
        return TITLES[self.name]

    @property
    def setting(self) -> str:
        """The hardware in words."""
        return setting_of(self.scenario)

    @property
    def stem(self) -> str:
        """Name of its files without the ending."""
        impairment = self.scenario.impairment
        hardware = "" if impairment == "none" else f"-{impairment}-{self.scenario.impairment_seed}"
        side = "-transmit" if hardware and self.scenario.impaired_side == "transmit" else ""
        return f"{self.name}{hardware}{side}"


def setting_of(scenario: Scenario) -> str:
    """The hardware of a scenario in words."""
    if scenario.impairment == "none":
        return "ideal array"
    side = "both directions" if scenario.impaired_side == "both" else "transmitter only"
    return f"{scenario.impairment} impairment of {side}, hardware seed {scenario.impairment_seed}"


def study(name: str, scenario: Scenario, catalogue: Catalogue, snapshots: int) -> Study:
    """The study of that name on the hardware of a scenario; `fig3` is without impairment always."""
    if name == "fig3":
        scenario = scenario.replace(impairment="none", impairment_seed=1)
    if name.startswith("fig5"):
        scenario = scenario.replace(target_sector_deg=UNSEEN_DEG)
    grids = {"fig4": (UNLIMITED, LIMITED), "fig5-low": (LIMITED,)}.get(name, (UNLIMITED,))
    widths = {"fig4": ("wide", "narrow"), "fig5-low": ("narrow",)}.get(name, ("wide",))
    scenario = scenario.replace(grid_size=grids[0])
    cast = _Cast(name, scenario, catalogue, grids, widths)
    axis = AXES.get(name, "rho")
    points = []
    for value, rho, physics in _steps(axis, scenario):
        # Draws for one hardware are not those for another, so that their errors are independent.
        seed = physics.impairment_seed
        for contender, versus in cast.members():
            if cast.has(contender, rho):
                others = tuple(other for other in versus if cast.has(other, rho))
                points.append((value, Point(physics, rho, seed, snapshots, contender, others)))
    return Study(
        name, scenario, axis, tuple(cast.curves), tuple(points), tuple(cast.missing), tuple(cast.untrained)
    )


def _steps(axis: Axis, scenario: Scenario) -> Iterator[tuple[float, float, Scenario]]:
    """Value on the axis, ρ and scenario of each of the thirteen steps."""
    if axis == "rho":
        yield from ((rho, rho, scenario) for rho in RHOS)
    elif axis == "false_alarm":
        yield from ((level, 1.0, scenario.replace(false_alarm=level)) for level in FALSE_ALARMS)
    else:
        for snr in SNRS_DB:
            powers = {"snr_radar_db": snr, "snr_comm_db": snr + SNR_COMM_OVER_RADAR_DB}
            yield snr, SNR_RHO, scenario.replace(**powers)


class _Cast:
    """Who takes part in a study, and with whom each is compared."""

    def __init__(
        self,
        name: str,
        scenario: Scenario,
        catalogue: Catalogue,
        grids: Sequence[int],
        widths: Sequence[str],
    ) -> None:
        self.name, self.scenario, self.catalogue = name, scenario, catalogue
        self.curves: list[Curve] = []
        self.missing: list[str] = []
        self.untrained: list[Scenario] = []
        self.learned: list[Contender] = []
        self.neural: list[Contender] = []
        self.omegas: dict[str, tuple[float, ...]] = {}
        grid = grids[0]
        self.baseline = Contender("baseline", "baseline", grid, estimator="argmax")
        self.known = Contender("known", "baseline", grid, known_array=True, estimator="argmax")
        self.known_softmax = Contender(
            "known-softmax", "baseline", grid, known_array=True, estimator="softmax"
        )
        # A reference for all grids has the finer one.
        self.best = Contender("best", "best beam", UNLIMITED, known_array=True, estimator="argmax")
        self.ideal = scenario.impairment == "none"
        self._add(self.baseline, f"baseline, N={grid}")
        if not self.ideal:
            self._add(self.known, f"known array, N={grid}")
        self._add(self.known_softmax, "known array, softmax angle", shown=False)
        self._add(self.best, "best beam, known array")
        for each in grids:
            self._learned(scenario.replace(grid_size=each))
        for width in widths:
            self._neural(width)

    def _add(self, contender: Contender, label: str, shown: bool = True) -> Contender:
        self.curves.append(Curve(contender.name, label, shown))
        return contender

    def _learned(self, scenario: Scenario) -> None:
        found = self.catalogue.learned(scenario)
        if not found:
            self.untrained.append(scenario)
            command = f"{training_command('model-driven', scenario)} --grid-size {scenario.grid_size}"
            self.missing.append(f"learned A, N={scenario.grid_size}: {command} --out DIR")
        for n, (recipe, card) in enumerate(found.items()):
            if n and self.name not in ("fig3", "fig4"):
                break
            name = f"learned-{scenario.grid_size}" + (f"-{recipe}" if n else "")
            contender = Contender(
                name,
                "learned",
                scenario.grid_size,
                estimator="softmax",
                artifact=card.source,
                sha256=card.sha256,
            )
            label = f"learned A, N={scenario.grid_size}" + ("" if recipe == PAPER else f", {recipe}")
            self.learned.append(self._add(contender, label + _trained(card)))

    def _neural(self, width: str) -> None:
        cards = self.catalogue.neural(self.scenario)
        # The widest there is stands for the paper's; its label says how wide it is.
        chosen = [card for card in cards if (card.hidden > NARROW) == (width == "wide")][-1:]
        if not chosen:
            hidden = WIDE if width == "wide" else NARROW
            self.missing.append(
                f"networks, N={hidden}: {training_command('neural', self.scenario)} "
                f"--hidden {hidden} --omega all --out DIR"
            )
        for card in chosen:
            contender = Contender(
                f"neural-{width}", "neural", self.scenario.grid_size, artifact=card.source, sha256=card.sha256
            )
            self._add(contender, f"networks, N={card.hidden}" + _trained(card))
            self.neural.append(contender)
            self.omegas[contender.name] = card.omegas

    def has(self, contender: Contender, rho: float) -> bool:
        """Whether a contender can take a ρ: networks have the ω_r that they were trained for."""
        return contender.name not in self.omegas or rho in self.omegas[contender.name]

    def members(self) -> Iterator[tuple[Contender, tuple[Contender, ...]]]:
        """Each contender, and those that it is compared with."""
        known = () if self.ideal else (self.known,)
        references = (self.baseline, *known, self.known_softmax)
        yield self.baseline, known
        yield from ((each, ()) for each in known)
        yield self.best, (self.baseline, *known)
        for n, contender in enumerate(self.learned):
            yield contender, (*references, *self.learned[:n])
        for n, contender in enumerate(self.neural):
            yield contender, (*references, *self.learned, *self.neural[n + 1 :])


def _trained(card: Card) -> str:
    """What a label adds for a training other than the paper's 50 000 iterations with the default losses."""
    least, most = card.ran
    remarks = list(card.variant)
    if least < card.iterations:
        ran = f"{least:,}" if least == most else f"{least:,} … {most:,}"
        remarks.insert(0, f"{ran} of {card.iterations:,} iterations")
    elif card.iterations != PAPER_ITERATIONS:
        remarks.insert(0, f"{card.iterations:,} iterations")
    return f" ({', '.join(remarks)})" if remarks else ""


def training_command(kind: str, scenario: Scenario) -> str:
    """What trains for the hardware of a scenario, without grid, networks and folder."""
    command = f"python -m isac_models.train {kind} --scenario "
    if scenario.impairment == "none":
        return f"{command}ideal"
    options = "" if scenario.impairment == "spacing" else f" --impairment {scenario.impairment}"
    if scenario.impairment_seed != 1:
        options += f" --impairment-seed {scenario.impairment_seed}"
    if scenario.impaired_side != "both":
        options += f" --impaired-side {scenario.impaired_side}"
    return f"{command}impaired{options}"
