"""The detection map."""

from __future__ import annotations

import numpy as np

from blocks import DetectionMap
from isac_models.scenario import Scenario


def test_targets_are_counted_where_they_are_and_where_they_are_found() -> None:
    block = DetectionMap(Scenario(target_sector=(0.0, 0.4)), bins=4)
    block.work(
        present=np.array([True, True, True, False]),
        angle=np.array([0.05, 0.35, 0.4, 0.05], np.float32),
        detected=np.array([True, True, False, True]),
        estimated_angle=np.array([0.15, 0.9, 0.4, 0.15], np.float32),
    )
    result = block.result()
    found = np.array(result["found"])
    assert found.sum() == 2
    assert found[0, 1] == 1
    assert found[3, 3] == 1  # an estimate beyond the sector falls into its outer bin
    assert result["missed"] == [0, 0, 0, 1]
    np.testing.assert_allclose(result["edges"], [0, 0.1, 0.2, 0.3, 0.4])


def test_a_sector_of_one_angle_has_a_map() -> None:
    edges = DetectionMap(Scenario(grid_size=181, target_sector=(0.0, 0.0))).result()["edges"]
    assert edges[0] < 0 < edges[-1]
