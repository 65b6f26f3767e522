"""Truth beside every snapshot."""

from __future__ import annotations

import numpy as np

from blocks import SceneTruth


def test_every_snapshot_has_the_truth_of_its_burst_which_is_asked_for_once() -> None:
    asked: list[int] = []

    def truth(tick: int) -> tuple[bool, float]:
        asked.append(tick)
        return tick % 2560 == 0, tick / 10_000

    times = np.array([1280, 1280, 0, 3840, 0, 1280])
    out = SceneTruth(truth).work(transmit_time=times)
    assert sorted(asked) == [0, 1280, 3840]
    assert out["present"].tolist() == [False, False, True, False, True, False]
    assert out["present"].dtype == bool
    assert np.allclose(out["angle"], times / 10_000)
    assert out["angle"].dtype == np.float32


def test_how_the_stream_is_cut_changes_nothing() -> None:
    def truth(tick: int) -> tuple[bool, float]:
        return tick > 3, float(tick)

    times = np.repeat(np.arange(8), 5)
    whole = SceneTruth(truth).work(transmit_time=times)
    for cut in (1, 7, 20, 39):
        parts = [SceneTruth(truth).work(transmit_time=part) for part in (times[:cut], times[cut:])]
        for key in ("present", "angle"):
            assert np.array_equal(np.concatenate([part[key] for part in parts]), whole[key])
