"""Which trained models there are for a figure: those in a folder, and those that come with the package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isac_models.errors import UserError
from isac_models.scenario import Scenario

if TYPE_CHECKING:
    from isac_models.artifact import Artifact

PAPER = "paper"
"""The recipe of the paper, which is the one that the figures show."""
PAPER_ITERATIONS = 50_000


@dataclass(frozen=True)
class Card:
    """What the figures need to know of a trained model."""

    source: str
    """Shipped name or path, to load it again."""
    sha256: str
    kind: str
    scenario: Scenario
    """What it was trained on."""
    training: Mapping[str, Any]
    held_out_loss: float
    hidden: int
    """Neurons of a hidden layer of the sensing networks, 0 for a learned A."""
    omegas: tuple[float, ...]
    """The ω_r that a neural artifact holds, rising."""

    @property
    def recipe(self) -> str:
        """Name of the recipe that it was trained by."""
        return str(self.training.get("recipe", PAPER))

    @property
    def iterations(self) -> int:
        """Iterations that were asked for, in each step of the training."""
        return int(self.training.get("iterations", 0))

    @property
    def steps(self) -> int:
        """Iterations that were run, on average over the steps: a training may end when its loss is flat."""
        every = 2 if self.kind == "neural" else 1
        return int(self.training.get("steps", every * self.iterations)) // every


def card(artifact: Artifact) -> Card:
    """The card of a loaded artifact."""
    tensors = artifact.tensors
    neural = artifact.kind == "neural"
    return Card(
        source=artifact.name,
        sha256=artifact.sha256,
        kind=artifact.kind,
        scenario=artifact.scenario,
        training=artifact.training,
        held_out_loss=artifact.held_out_loss,
        hidden=int(tensors["beamformer.0.bias"].shape[-1]) if neural else 0,
        omegas=tuple(sorted(float(omega) for omega in tensors["omega"])) if neural else (),
    )


class Catalogue:
    """The artifacts below some folders, and the shipped ones.

    Files that are no artifacts, such as checkpoints, are passed over; one that cannot be used is reported to
    `warn`. Raises UserError when a folder does not exist.
    """

    def __init__(self, folders: Sequence[str | Path], warn: Callable[[str], None]) -> None:
        from isac_models import artifact

        self.cards: list[Card] = []
        paths: list[str] = []
        for folder in folders:
            if not Path(folder).is_dir():
                raise UserError(f"--artifacts {folder}: there is no such folder")
            paths += sorted(str(path) for path in Path(folder).rglob("*.safetensors"))
        for source in [path for path in paths if _says_it_is_one(path)] + artifact.shipped():
            try:
                self.cards.append(card(artifact.load(source)))
            except UserError as error:
                warn(f"left out: {error}")

    def learned(self, scenario: Scenario) -> dict[str, Card]:
        """The learned A for the scenario's hardware and grid, by recipe; the paper's first."""
        found: dict[str, Card] = {}
        fitting = [
            each
            for each in self.cards
            if each.kind == "model-driven"
            and each.scenario.grid_size == scenario.grid_size
            and _same_system(each.scenario, scenario)
        ]
        for each in sorted(fitting, key=_preference):
            found.setdefault(each.recipe, each)
        return found

    def neural(self, scenario: Scenario) -> list[Card]:
        """The networks for the scenario's hardware and modulation, one for each width, narrow ones first."""
        found: dict[int, Card] = {}
        fitting = [
            each
            for each in self.cards
            if each.kind == "neural"
            and each.scenario.order == scenario.order
            and each.scenario.comm_gain == scenario.comm_gain
            and _same_system(each.scenario, scenario)
        ]
        for each in sorted(fitting, key=_preference):
            found.setdefault(each.hidden, each)
        return [found[hidden] for hidden in sorted(found)]


def _preference(each: Card) -> tuple[bool, int, int, float]:
    """The paper's recipe first, then long trainings, then many ω_r, then what came out best."""
    return each.recipe != PAPER, -each.iterations, -len(each.omegas), each.held_out_loss


def _same_system(one: Scenario, other: Scenario) -> bool:
    """Whether hardware and radar powers are the same; sectors and grid aside."""
    from isac_models.artifact_fit import same_hardware

    powers = ("noise_power", "radar_gain", "transmit_energy")
    return same_hardware(one, other) and all(getattr(one, key) == getattr(other, key) for key in powers)


def _says_it_is_one(path: str) -> bool:
    """Whether a safetensors file is meant as an artifact. A damaged one still says so, and is reported."""
    from isac_models.artifact_file import KEY, LARGEST_HEADER

    try:
        with open(path, "rb") as file:
            return f'"{KEY}"'.encode() in file.read(8 + LARGEST_HEADER)
    except OSError:
        return True
