"""Which trained models there are for a figure: those in a folder, and those that come with the package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from isac_models.errors import UserError
from isac_models.learning.neural_settings import iterations_run
from isac_models.scenario import Scenario

if TYPE_CHECKING:
    from isac_models.artifact import Artifact

PAPER = "paper"
"""The recipe of the paper, which is the one that the figures show."""
PAPER_ITERATIONS = 50_000


VARIANTS: Mapping[tuple[str, Any], str] = MappingProxyType(
    {
        ("literal_loss", False): "literal loss",
        ("mask", "detected"): "angle loss on all targets",
        ("angle_unit", "sector"): "angle loss in rad²",
        ("scale_inputs", True): "inputs not scaled",
        ("precision", "float32"): "bfloat16",
    }
)
"""Settings of the networks' training with their defaults, and what another value is called."""


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
    def ran(self) -> tuple[int, int]:
        """Fewest and most iterations that a step took: a training, or an ω_r of it, may end early."""
        if self.kind != "neural":
            steps = int(self.training.get("steps", self.iterations))
            return steps, steps
        taken = iterations_run(self.iterations, self.training.get("stopped_at", ()))
        return min(taken), max(taken)

    @property
    def variant(self) -> tuple[str, ...]:
        """In words, what of the networks' training is not the default."""
        return tuple(
            words for (key, usual), words in VARIANTS.items() if self.training.get(key, usual) != usual
        )


def card(artifact: Artifact) -> Card:
    """The card of a loaded artifact.

    Raises UserError for one whose description of its training cannot be.
    """
    tensors = artifact.tensors
    neural = artifact.kind == "neural"
    made = Card(
        source=artifact.name,
        sha256=artifact.sha256,
        kind=artifact.kind,
        scenario=artifact.scenario,
        training=artifact.training,
        held_out_loss=artifact.held_out_loss,
        hidden=int(tensors["beamformer.0.bias"].shape[-1]) if neural else 0,
        omegas=tuple(sorted(float(omega) for omega in tensors["omega"])) if neural else (),
    )
    try:
        possible = min(made.iterations, *made.ran) >= 0
    except (TypeError, ValueError, OverflowError):
        possible = False
    if not possible:
        raise UserError(f"{artifact.name}: its description has an impossible number of iterations")
    return made


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


def _preference(each: Card) -> tuple[bool, bool, int, int, float]:
    """The paper's recipe first, then the default losses, long trainings, many ω_r, then what came out best.

    Losses are compared last, and then are of one kind unless both are of other kinds than the default.
    """
    other = set(each.variant) - {VARIANTS["precision", "float32"]}
    return each.recipe != PAPER, bool(other), -each.iterations, -len(each.omegas), each.held_out_loss


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
