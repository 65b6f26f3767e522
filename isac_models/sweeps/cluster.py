"""Sweeps on Dask: every task that is not in the store yet, on a cluster of this machine or a given one.

A result is kept the moment it arrives, so that whatever ends a sweep early costs the tasks under way alone. A
task whose worker dies is computed again elsewhere, up to four times.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
from collections.abc import Callable, Generator, Iterator, Mapping
from multiprocessing import resource_tracker
from typing import Any

from isac_models.errors import UserError
from isac_models.sweeps.store import Result, Store

CONNECTING = 15
"""Seconds that a given cluster has to answer, and then to show a worker."""
ENVIRONMENT = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 1 << 30,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 1 << 25,
}
"""Dask has workers give every freed array back to the system, which costs a third of their time here."""
Progress = Callable[[int, int], None]
"""Called with the number of finished tasks and of all."""


class SweepError(RuntimeError):
    """A sweep that could not be finished, in one line. What was finished is kept."""


def sweep(
    function: Callable[..., Result],
    tasks: Mapping[str, tuple[Any, ...]],
    store: Store,
    *,
    address: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Result]:
    """function(*arguments) for the arguments of every key, taken from the store where it is there already.

    `address`: a dask.distributed scheduler, whose workers must be able to import the function; None starts
    `workers` processes on this machine, by default one for every processor. With 0 workers, this process
    computes everything itself.

    Raises UserError when there is no cluster at the address or a result cannot be kept, what the function
    raises as UserError, and SweepError when a task fails otherwise. Ctrl-C is passed on. In every case the
    store keeps what was finished.
    """
    results = {key: found for key in tasks if (found := store.load(key)) is not None}
    missing = {key: arguments for key, arguments in tasks.items() if key not in results}
    if progress is not None:
        progress(len(results), len(tasks))
    if not missing:
        return results
    arriving = (
        ((key, function(*arguments)) for key, arguments in missing.items())
        if workers == 0 and address is None
        else _on_cluster(function, missing, address, workers)
    )
    with contextlib.closing(arriving):
        for key, result in arriving:
            store.save(key, result)
            kept = store.load(key)
            if kept is None:
                raise SweepError(f"{store.path(key)} could not be read back")
            results[key] = kept
            if progress is not None:
                progress(len(results), len(tasks))
    return {key: results[key] for key in tasks}


def check_cluster(address: str) -> None:
    """Find out at once whether there are workers.

    Raises UserError when there are none, or Dask is missing.
    """
    with _client(_distributed(), address, 0):
        pass


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError:
        raise UserError(
            "sweeps need dask and distributed: pip install 'isac-blocks[sweep]', or give --workers 0"
        ) from None


def _on_cluster(
    function: Callable[..., Result],
    tasks: Mapping[str, tuple[Any, ...]],
    address: str | None,
    workers: int | None,
) -> Generator[tuple[str, Result]]:
    """Keys and results in the order in which they are finished."""
    distributed = _distributed()
    with _client(distributed, address, min(workers or os.cpu_count() or 1, len(tasks))) as client:
        # Priorities keep the order given: figures are finished one after the other.
        futures = {
            client.submit(function, *arguments, key=f"point-{key}", priority=-n, pure=False): key
            for n, (key, arguments) in enumerate(tasks.items())
        }
        finished = distributed.as_completed(list(futures), loop=client.loop)
        for future in finished:
            key = futures.pop(future)
            yield key, _result(distributed, future, key)
            future.release()


def _result(distributed: Any, future: Any, key: str) -> Any:
    """What a finished task returned."""
    if future.status == "cancelled":
        raise SweepError("the connection to the cluster was lost; the same command goes on from here")
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, UserError):
        raise error
    if isinstance(error, distributed.KilledWorker):
        raise SweepError(
            f"point {key[:12]}: the worker died each time it was tried; does it have enough memory?"
        )
    raise SweepError(f"point {key[:12]}: {type(error).__name__}: {' '.join(str(error).split())}") from error


@contextlib.contextmanager
def _client(distributed: Any, address: str | None, workers: int) -> Iterator[Any]:
    """A client of the cluster at the address, or of a new one on this machine, closed at the end."""
    with contextlib.ExitStack() as opened:
        if address is None:
            import dask

            with _interrupts_held(), dask.config.set(ENVIRONMENT):
                cluster = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
            opened.callback(_closed, cluster)
            client = distributed.Client(cluster)
            opened.callback(_closed, client)
        else:
            try:
                client = distributed.Client(address, timeout=CONNECTING)
                opened.callback(_closed, client)
                client.wait_for_workers(1, timeout=CONNECTING)
            except (OSError, ValueError) as error:
                reason = " ".join(str(error).split())
                raise UserError(f"no Dask cluster with workers at {address}: {reason}") from None
        yield client


def _closed(resource: Any) -> None:
    """Close a client or a cluster; a second Ctrl-C must not leave processes behind."""
    with _interrupts_held():
        resource.close()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until the end of the block.

    Threads and processes started inside never see it: on a terminal it reaches every process of the group,
    and workers have to leave it to their parent.
    """
    resource_tracker.ensure_running()  # else the first process started inside lets SIGINT through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
