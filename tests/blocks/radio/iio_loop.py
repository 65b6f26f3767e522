"""IIO contexts in a loop: the daemon in a thread, and libiio where it is installed."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from tests.hil.frontend.iio_server import Server

SYSTEM = "/usr/lib/python3/dist-packages"


def need_libiio() -> None:
    """Skip where libiio or its binding is missing; a distribution's binding is found, too."""
    try:
        import iio  # type: ignore[import-not-found, unused-ignore]
    except (ImportError, OSError, AttributeError):
        sys.modules.pop("iio", None)
        sys.path.append(SYSTEM)
        try:
            import iio  # noqa: F401
        except (ImportError, OSError, AttributeError) as error:
            pytest.skip(f"libiio is missing: apt-get install libiio0, pip install 'pylibiio<1' ({error})")
        finally:
            sys.path.remove(SYSTEM)


class Loopback:
    """An engine whose receive channel r hears transmit channel r mod tx."""

    def __init__(self, tx: int, rx: int) -> None:
        self.rows = np.arange(rx) % max(tx, 1)
        self.time = 0

    def process(self, samples: np.ndarray) -> np.ndarray:
        """From (tx, n) to (rx, n)."""
        self.time += samples.shape[1]
        return np.asarray(samples[self.rows])


@contextlib.contextmanager
def served(tx: int = 3, rx: int = 4, fifo: int = 1 << 17) -> Iterator[Server]:
    """A running daemon."""
    server, stop = Server(Loopback(tx, rx), "127.0.0.1:0", tx, rx, fifo), threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join(20)
