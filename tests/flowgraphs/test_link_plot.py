"""The plot of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from blocks import ConstellationProbe, DetectionMap
from isac_models.beamforming import baseline_beam
from isac_models.scenario import Scenario
from link_plot import plot_link

PICTURE = {"width": 2, "height": 1, "rgb": b"\xff\0\0\0\xff\0"}


def results(scenario: Scenario, pictures: bool) -> dict[str, dict[str, Any]]:
    """What the probes of a run that saw nothing report."""
    found = {
        "constellation_probe": ConstellationProbe().result(),
        "detection_map": DetectionMap(scenario).result(),
    }
    return {**found, "message_sink": {"preview": [PICTURE, PICTURE]}} if pictures else found


@pytest.mark.parametrize("pictures", [True, False])
@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_every_format_is_written_whole(tmp_path: Path, ending: str, magic: bytes, pictures: bool) -> None:
    scenario = Scenario.preset("impaired")
    path = tmp_path / f"link.{ending}"
    plot_link(str(path), scenario, baseline_beam(scenario), results(scenario, pictures))
    assert path.read_bytes().startswith(magic)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["ideal", "limited", "unseen"])
@pytest.mark.parametrize("order", [4, 256])
def test_every_scenario_is_drawn(tmp_path: Path, name: str, order: int) -> None:
    scenario = Scenario.preset(name).replace(order=order)
    plot_link(str(tmp_path / "link.png"), scenario, baseline_beam(scenario), results(scenario, False))


def test_a_sector_of_one_angle_is_drawn(tmp_path: Path) -> None:
    scenario = Scenario(grid_size=181, target_sector=(0.0, 0.0))
    plot_link(str(tmp_path / "link.png"), scenario, baseline_beam(scenario), results(scenario, False))
