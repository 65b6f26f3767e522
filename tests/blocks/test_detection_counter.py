"""The detection counter."""

from __future__ import annotations

import numpy as np

from blocks import DetectionCounter


def test_detections_are_counted_from_nothing_in_every_run() -> None:
    counter = DetectionCounter()
    assert counter.result()["detected_share"] is None
    for _ in range(2):
        counter.start()
        counter.work(np.array([True, False, False]))
        counter.work(np.array([True]))
        assert counter.result() == {"detections": 2, "of_snapshots": 4, "detected_share": 0.5}
