"""Real clients of the IIO daemon: libiio's iio_info, and pyadi-iio's classes as they are."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from tests.blocks.radio.iio_loop import need_libiio, served


def test_iio_info_prints_the_whole_context() -> None:
    program = shutil.which("iio_info")
    if program is None:
        pytest.skip("iio_info is missing: apt-get install libiio-utils")
    with served(2, 2) as server:
        command = [program, "-u", server.addresses[0]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert "ERROR" not in done.stdout
    assert "cf-ad9361-lpc (buffer capable)" in done.stdout
    assert "voltage3:  (input, index: 3, format: le:S12/16>>0)" in done.stdout


def adi_class(name: str) -> Any:
    """A class of pyadi-iio."""
    need_libiio()
    try:
        return getattr(importlib.import_module("adi"), name)
    except ImportError as error:
        pytest.skip(f"pyadi-iio is missing: pip install pyadi-iio ({error})")


def tone(n: int = 256) -> np.ndarray:
    """A tone at pyadi-iio's scale, where 2¹⁵ is full scale."""
    return np.asarray(2**14 * np.exp(2j * np.pi * np.arange(n) / 16))


def test_an_unmodified_pluto_sends_and_receives() -> None:
    kind = adi_class("Pluto")
    with served(2, 2) as server:
        pluto = kind(uri=server.addresses[0])
        pluto.sample_rate = 1_000_000
        pluto.rx_lo = pluto.tx_lo = 915_000_000
        pluto.rx_rf_bandwidth = pluto.tx_rf_bandwidth = 1_000_000
        pluto.gain_control_mode_chan0 = "manual"
        pluto.rx_hardwaregain_chan0 = 6.0
        pluto.tx_hardwaregain_chan0 = -6.0
        assert (pluto.sample_rate, pluto.rx_lo, pluto.rx_hardwaregain_chan0) == (1_000_000, 915_000_000, 6)
        assert "915.0" in repr(pluto)
        pluto.tx_cyclic_buffer = True
        pluto.rx_buffer_size = 1024
        pluto.tx(tone())
        got = pluto.rx()
        assert np.abs(got - np.tile(tone() / 16, 4)).max() <= 2.5  # half a step, twice rounded
        pluto.tx_destroy_buffer()
        pluto.rx_destroy_buffer()


def test_an_unmodified_ad9361_sends_and_receives_on_two_channels() -> None:
    kind = adi_class("ad9361")
    with served(4, 4) as server:
        device = kind(uri=server.addresses[1])
        device.sample_rate = 5_000_000
        device.tx([tone(), -0.5 * tone()])
        device.rx_buffer_size = 256
        first, second = device.rx()
        assert np.abs(first - tone() / 16).max() <= 1.5
        assert np.abs(second + tone() / 32).max() <= 1.5
        device.tx_destroy_buffer()
        device.rx_destroy_buffer()
