"""The constellation probe."""

from __future__ import annotations

import numpy as np

from blocks import ConstellationProbe


def test_the_first_points_are_kept_equalised() -> None:
    probe = ConstellationProbe(points=5)
    csi = np.array([2, 1j, 4], np.complex64)
    symbol = np.array([1 + 1j, 1 - 1j, -1 + 1j], np.complex64)
    message = np.array([3, 1, 2], np.uint8)
    for _ in range(3):
        probe.work(csi * symbol, csi, message)
    result = probe.result()
    assert result["message"] == [3, 1, 2, 3, 1]
    assert result["i"] == [1, 1, -1, 1, 1]
    assert result["q"] == [1, -1, 1, 1, -1]


def test_a_dead_channel_is_left_out() -> None:
    probe = ConstellationProbe()
    probe.work(np.ones(2, np.complex64), np.array([0, 1], np.complex64), np.array([1, 2], np.uint8))
    assert probe.result() == {"i": [1.0], "q": [0.0], "message": [2]}


def test_nothing_seen_is_nothing_shown() -> None:
    assert ConstellationProbe().result() == {"i": [], "q": [], "message": []}
