"""The plot of a comparison."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest

from compare_options import METHODS
from compare_plot import plot_comparison
from isac_models.beamforming import baseline_beam
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("impaired")
PICTURE = {"width": 2, "height": 1, "rgb": b"\xff\0\0\0\xff\0"}
RATES = ("ser", "p_md", "common_rmse_rad")


def summary(rate: float = 0.1) -> dict[str, Any]:
    """What the plot takes from a comparison."""
    values = {f"{key}{end}": rate * factor for key in RATES for end, factor in ENDS.items()}
    theory = {"ser": rate, "p_md_genie": rate, "rmse_bound_rad": None}
    methods = {method: {**values, "theory": theory if n else None} for n, method in enumerate(METHODS)}
    return {"methods": methods}


ENDS = {"": 1.0, "_low": 0.9, "_high": 1.2}
BEAMS = {method: baseline_beam(SCENARIO, 0.3 * n) for n, method in enumerate(METHODS)}


@pytest.mark.parametrize("pictures", [0, 1, 3])
@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_every_format_is_written_whole(tmp_path: Path, ending: str, magic: bytes, pictures: int) -> None:
    path = tmp_path / f"comparison.{ending}"
    results = {f"message_sink_{method}": {"preview": [PICTURE, PICTURE]} for method in METHODS[:pictures]}
    plot_comparison(str(path), SCENARIO, BEAMS, summary(), results)
    assert path.read_bytes().startswith(magic)
    assert os.listdir(tmp_path) == [path.name]


def test_every_method_is_labelled_and_so_are_the_sectors(tmp_path: Path) -> None:
    path = tmp_path / "comparison.svg"
    plot_comparison(str(path), SCENARIO, BEAMS, summary(), {})
    text = path.read_text()
    for word in ("baseline", "learned", "known array", "target sector", "receiver sector", "genie", "theory"):
        assert f"<!-- {word} -->" in text


@pytest.mark.parametrize("rate", [math.nan, math.inf, 0.0])
def test_a_run_that_saw_nothing_is_drawn(tmp_path: Path, rate: float) -> None:
    path = tmp_path / "comparison.png"
    plot_comparison(str(path), SCENARIO, BEAMS, summary(rate), {})
    assert path.exists()
