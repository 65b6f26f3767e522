"""The radio over ZeroMQ against real GNU Radio: a flowgraph of gr-zeromq is the channel."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from blocks.radio.interface import EventKind
from blocks.radio.zmq import Dialect, ZmqRadio
from tests.blocks.radio.contract import PATIENCE, Loop, RadioContract, collect, joined, noise

CHANNEL = Path(__file__).with_name("gnu_radio_channel.py")
CHANNELS = 3


@cache
def interpreter() -> str | None:
    """A Python that has GNU Radio: this one, or that of the distribution."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            done = subprocess.run(
                [python, "-c", "import gnuradio.zeromq"],
                capture_output=True,
                timeout=60,
                check=False,
                env={},
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return python
    return None


@contextmanager
def flowgraph(folder: Path, delay: int, gain: float, dialect: Dialect) -> Iterator[ZmqRadio]:
    """A radio whose channel is GNU Radio: y[t] = gain · x[t - delay]."""
    python = interpreter()
    if python is None:
        pytest.skip("GNU Radio is not installed (Debian: apt-get install gnuradio)")
    rx = [f"ipc://{folder}/rx{channel}" for channel in range(CHANNELS)]
    tx = [f"ipc://{folder}/tx{channel}" for channel in range(CHANNELS)]
    command = [python, str(CHANNEL), str(delay), str(gain), *rx, "--", *tx]
    with (
        ZmqRadio(tx, rx, dialect=dialect) as radio,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env={}) as process,
    ):
        try:
            yield radio
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.mark.parametrize("dialect", ["gnuradio", "srsran"])
def test_bursts_go_through_gnu_radio_to_the_sample(tmp_path: Path, dialect: Dialect) -> None:
    with flowgraph(tmp_path, 7, 0.5, dialect) as radio:
        one, two = noise(CHANNELS, 3000, 1), noise(CHANNELS, 1000, 2)
        radio.tx.send(one, 5000)
        radio.tx.send(two, 12_001)
        radio.rx.start(0, 20_000)
        expected = np.zeros((CHANNELS, 20_000), np.complex64)
        expected[:, 5007:8007], expected[:, 12_008:13_008] = one / 2, two / 2
        np.testing.assert_array_equal(joined(collect(radio)), expected)
        assert [(event.kind, event.time) for event in radio.events()] == [
            (EventKind.BURST_ACK, 5000),
            (EventKind.BURST_ACK, 12_001),
        ]


@pytest.mark.slow
class TestThroughGnuRadio(RadioContract):
    @pytest.fixture
    def loop(self, tmp_path: Path) -> Iterator[Loop]:
        with flowgraph(tmp_path, 3, 1.0, "gnuradio") as radio:
            yield Loop(radio, delay=3)
