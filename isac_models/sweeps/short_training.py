"""Short trainings of a learned A, for quick figures where none was trained at full length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from isac_models.options import scenario_arguments
from isac_models.scenario import Scenario

ITERATIONS = 5000
"""A tenth of the paper's, in seconds …"""
RECIPE = "cosine"
"""… by the recipe that gets far in them."""

Say = Callable[[str], Any]


def train_short(scenarios: Sequence[Scenario], folder: Path, say: Say, warn: Say) -> bool:
    """Train a learned A for each scenario, in a folder of its own below `folder`; False when none came out.

    A training that was interrupted goes on. What does not work is reported to `warn`: a quick figure can do
    without. Raises KeyboardInterrupt when a training was stopped by Ctrl-C; what was trained is kept.
    """
    if find_spec("torch") is None:
        warn("a learned A is missing and training needs torch: pip install 'isac-blocks[learn]'")
        return False
    from isac_models import train
    from isac_models.learning.folder import Folder

    done = False
    for scenario in scenarios:
        own = Folder(folder / _name(scenario))
        say(f"training a learned A for {ITERATIONS:,} iterations, the paper has 50,000, in {own.path}")
        if own.checkpoint.exists():
            arguments = ["model-driven", "--resume", str(own.path)]
        else:
            arguments = ["model-driven", *scenario_arguments(scenario), "--out", str(own.path)]
            arguments += ["--iterations", str(ITERATIONS), "--recipe", RECIPE]
        status = train.main([*arguments, "--quiet"])
        if status == train.INTERRUPTED:
            raise KeyboardInterrupt
        if status:
            warn(f"the training in {own.path} failed; the figures do without it")
        done |= status == 0
    return done


def _name(scenario: Scenario) -> str:
    """One folder for every hardware and grid."""
    parts = [scenario.impairment, str(scenario.impairment_seed), scenario.impaired_side]
    hardware = "ideal" if scenario.impairment == "none" else "-".join(parts)
    return f"{hardware}-{scenario.grid_size}"
