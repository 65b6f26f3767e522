"""Symbol and bit error rates."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import CommunicationMetrics
from isac_models.scenario import Scenario
from isac_models.statistics import clopper_pearson

MESSAGE = np.array([0, 1, 2, 3, 0, 1, 2, 3], np.uint8)
DECIDED = np.array([0, 1, 2, 3, 3, 0, 2, 3], np.uint8)  # two wrong symbols, three wrong bits


def test_symbols_and_bits_are_counted_over_frames() -> None:
    metrics = CommunicationMetrics(Scenario())
    metrics.work(DECIDED[:5], MESSAGE[:5])
    metrics.work(DECIDED[5:], MESSAGE[5:])
    result = metrics.result()
    assert (result["ser"], result["ber"]) == (2 / 8, 3 / 16)
    assert (result["ser_low"], result["ser_high"]) == clopper_pearson(2, 8)
    assert (result["ber_low"], result["ber_high"]) == clopper_pearson(1.5, 8)
    assert result["counters"]["ser"] == {"events": 2, "trials": 8, "coherence": 1}


def test_runs_merge_into_one() -> None:
    whole, first, second = (CommunicationMetrics(Scenario()) for _ in range(3))
    whole.work(DECIDED, MESSAGE)
    first.work(DECIDED[:5], MESSAGE[:5])
    second.work(DECIDED[5:], MESSAGE[5:])
    first.merge(second.result())
    assert first.result() == whole.result()


def test_intervals_count_independent_blocks() -> None:
    metrics = CommunicationMetrics(Scenario(coherence=4))
    metrics.work(DECIDED, MESSAGE)
    assert (metrics.result()["ser_low"], metrics.result()["ser_high"]) == clopper_pearson(0.5, 2)


def test_nothing_counted_is_no_rate() -> None:
    result = CommunicationMetrics(Scenario()).result()
    assert np.isnan(result["ser"])
    assert (result["ser_low"], result["ser_high"]) == (0, 1)


@pytest.mark.parametrize("order", [16, 256])
def test_the_bits_are_those_of_the_order(order: int) -> None:
    metrics = CommunicationMetrics(Scenario(order=order))
    metrics.work(np.array([order - 1], np.uint8), np.array([0], np.uint8))
    assert metrics.result()["ber"] == 1


def test_a_second_run_counts_from_nothing() -> None:
    metrics = CommunicationMetrics(Scenario())
    metrics.work(DECIDED, MESSAGE)
    metrics.start()
    assert metrics.result()["counters"]["ser"]["trials"] == 0
