"""IIO contexts in a loop: the daemon in a thread, and libiio where it is installed."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from blocks.radio.iio import IioRadio
from tests.hil.frontend.iio_server import Server

HALF_STEP = 1.01 * np.sqrt(2) / 4096
"""Largest error of a sample that was rounded to twelve bits in both parts."""
SYSTEM = "/usr/lib/python3/dist-packages"


def need_libiio() -> None:
    """Skip where libiio or its binding is missing; a distribution's binding is found, too."""
    try:
        importlib.import_module("iio")
    except (ImportError, OSError, AttributeError):
        sys.modules.pop("iio", None)
        sys.path.append(SYSTEM)
        try:
            importlib.import_module("iio")
        except (ImportError, OSError, AttributeError) as error:
            pytest.skip(f"libiio is missing: apt-get install libiio0, pip install 'pylibiio<1' ({error})")
        finally:
            sys.path.remove(SYSTEM)


class Loopback:
    """An engine whose receive channel r hears transmit channel r mod tx."""

    def __init__(self, tx: int, rx: int) -> None:
        self.tx_channels, self.rx_channels = tx, rx
        self.gains = {"tx": np.zeros(tx), "rx": np.zeros(rx)}
        self.happened: list[str] = []

    def process(self, samples: np.ndarray) -> np.ndarray:
        """From (tx, n) to (rx, n)."""
        sent = samples * 10 ** (self.gains["tx"][:, None] / 20)
        heard = sent[np.arange(self.rx_channels) % self.tx_channels]
        return np.asarray(heard * 10 ** (self.gains["rx"][:, None] / 20))

    def gain(self, direction: str, channel: int) -> float:
        """In dB."""
        return float(self.gains[direction][channel])

    def set_gain(self, direction: str, channel: int, gain_db: float) -> float:
        """In dB."""
        self.gains[direction][channel] = gain_db
        return gain_db

    def retune(self) -> None:
        """Noted down."""
        self.happened.append("retune")

    def rewind(self) -> None:
        """Noted down."""
        self.happened.append("rewind")

    def restart(self) -> None:
        """Noted down; gains go."""
        self.happened.append("restart")
        for gains in self.gains.values():
            gains[:] = 0


@contextlib.contextmanager
def served(tx: int = 3, rx: int = 4, fifo: int = 1 << 17) -> Iterator[Server]:
    """A running daemon."""
    server, stop = Server(Loopback(tx, rx), fifo=fifo), threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join(20)


@contextlib.contextmanager
def looped(tx: int = 3, rx: int = 4, **options: Any) -> Iterator[tuple[IioRadio, Server]]:
    """A radio and its front end."""
    need_libiio()
    with served(tx, rx) as server:
        options = {"chunk": 512, "tx_channels": tx, "rx_channels": rx, **options}
        with IioRadio(server.addresses, **options) as radio:
            yield radio, server
