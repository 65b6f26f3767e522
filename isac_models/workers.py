"""A function over a stream of arguments in several processes: results in order, bounded memory."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import Any, TypeVar

Result = TypeVar("Result")

AHEAD = 2
"""Calls under way or waiting for each worker."""


def ordered(
    function: Callable[..., Result], arguments: Iterable[tuple[Any, ...]], workers: int
) -> Generator[Result]:
    """function(*arguments) for each of them, in their order, computed by `workers` processes.

    The processes start afresh (spawn), so function and arguments must be picklable, and they leave Ctrl-C to
    their parent. Closing the generator drops what has not been fetched and ends them.
    """
    pool = ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        waiting = iter(arguments)
        pending: deque[Future[Result]] = deque(
            pool.submit(function, *each) for each in islice(waiting, AHEAD * workers)
        )
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, *each) for each in islice(waiting, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
