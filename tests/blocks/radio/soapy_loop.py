"""SoapySDR devices in a loop: the driver, built once, and its server in a thread."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.radio.interface import RadioError
from blocks.radio.soapy_device import INSTALL
from blocks.radio.system_packages import system_package
from tests.hil.frontend.stream_server import Server
from tests.hil.soapy_driver.build import Missing, build


class Loopback:
    """An engine whose receive channel r hears transmit channel r mod tx."""

    def __init__(self, tx: int = 16, rx: int = 17) -> None:
        self.tx_channels, self.rx_channels = tx, rx
        self.rows = np.arange(rx) % max(tx, 1)
        self.time = 0

    def process(self, samples: np.ndarray) -> np.ndarray:
        """From (tx, n) to (rx, n)."""
        self.time += samples.shape[1]
        return np.asarray(samples[self.rows])

    def restart(self) -> None:
        """Time begins anew."""
        self.time = 0


@functools.cache
def _driver() -> tuple[Any, Path, tempfile.TemporaryDirectory[str]] | str:
    folder = tempfile.TemporaryDirectory(prefix="soapy-")
    try:
        soapy = system_package("SoapySDR", INSTALL)
        library = build(Path(folder.name))
    except (RadioError, Missing) as error:
        return str(error)
    problem = soapy.loadModule(str(library))
    assert not problem, problem
    return soapy, library, folder  # the folder lives as long as this is remembered


def need_bindings() -> Any:
    """SoapySDR's module. Skips where it cannot be had."""
    try:
        return system_package("SoapySDR", INSTALL)
    except RadioError as error:
        pytest.skip(str(error))


def need_driver() -> tuple[Any, Path]:
    """SoapySDR's module and the driver's library, loaded. Skips where either cannot be had."""
    found = _driver()
    if isinstance(found, str):
        pytest.skip(found)
    return found[0], found[1]


@contextlib.contextmanager
def served(engine: Any = None, address: str = "stream:127.0.0.1:0", **options: Any) -> Iterator[Server]:
    """A running server."""
    server, stop = Server(engine or Loopback(), address, **options), threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join(20)


def arguments(server: Server) -> str:
    """What SoapySDR finds it by."""
    return f"driver=isacstream,address={server.addresses[0]}"
