"""Ordered results from several processes."""

from __future__ import annotations

import os
from itertools import count, islice

import pytest

from isac_models.workers import ordered


def test_results_come_in_order_from_other_processes() -> None:
    assert list(ordered(pow, ((n, 2) for n in range(9)), 2)) == [n**2 for n in range(9)]
    assert os.getpid() not in set(ordered(os.getpid, [()] * 3, 2))


def test_an_endless_stream_is_taken_as_it_is_fetched() -> None:
    results = ordered(abs, ((-n,) for n in count()), 2)
    assert list(islice(results, 5)) == [0, 1, 2, 3, 4]
    results.close()


def test_an_error_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(ordered(divmod, [(1, 1), (1, 0)], 2))
