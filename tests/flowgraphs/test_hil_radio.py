"""The radio that isac_hil.py opens, and its calibration, in process."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hil_radio
from blocks.radio.interface import RadioError
from hil_radio import open_bench
from isac_hil_options import parse_arguments
from isac_models.errors import UserError
from isac_models.impairments import Impairments
from isac_models.waveform.burst_format import BurstFormat

LAYOUT = BurstFormat(2)


def options(*more: str) -> argparse.Namespace:
    """Of a simulated radio of two antennas."""
    return parse_arguments(["--radio", "sim", "--antennas", "2", *more])


def test_impairments_are_drawn_and_changed_by_their_names() -> None:
    given = options("--front-end-seed", "5", "--front-end=--cfo=0.001", "--front-end=no-noise")
    with open_bench(given, LAYOUT) as bench:
        radio: Any = bench.radio
        assert radio.impairments.cfo == 0.001
        assert not radio.impairments.noise
        assert np.array_equal(radio.impairments.transmit, Impairments.draw(5, 2).transmit)
        assert radio.device == "sim:5"
    with pytest.raises(RadioError, match="closed"):
        radio.rx.recv(1)


def test_rate_and_carrier_are_set_on_every_channel() -> None:
    with open_bench(options("--rate", "2e6", "--frequency", "1e9"), LAYOUT) as bench:
        settings = bench.radio.settings()
    assert settings["rate"] == 2e6
    assert settings["rx_frequency"] == [1e9] * 3
    assert settings["tx_frequency"] == [1e9] * 2


def test_a_clock_that_is_not_locked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocks.radio.software.SoftwareRadio.clock_locked", lambda self: False)
    with pytest.raises(RadioError, match="reference clock is not locked"), open_bench(options(), LAYOUT):
        pass


def test_a_calibration_is_measured_kept_and_used_again(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    given = options("--calibration", str(path))
    with open_bench(given, LAYOUT) as bench:
        measured = bench.calibration()
        assert measured is not None
        begin = bench.radio.now()
    with open_bench(given, LAYOUT) as bench:
        again = bench.calibration()
        assert again is not None
        assert np.array_equal(again.transmit, measured.transmit)
        assert bench.radio.now() == 0 < begin
    with (
        open_bench(options("--calibration", str(path), "--rate", "2e6"), LAYOUT) as bench,
        pytest.raises(UserError, match="for another rate"),
    ):
        bench.calibration()
    with open_bench(options("--calibration", str(path), "--calibrate", "--rate", "2e6"), LAYOUT) as bench:
        new = bench.calibration()
        assert new is not None
        assert new.key["rate"] == 2e6
    assert '"rate": 2000000.0' in path.read_text()


def test_without_calibration_none_is_measured_and_the_scenario_begins() -> None:
    with open_bench(options("--without", "calibration"), LAYOUT) as bench:
        assert bench.calibration() is None
        present = [bench.truth(slot * LAYOUT.slot)[0] for slot in range(1, 200)]
        angles = [bench.truth(slot * LAYOUT.slot)[1] for slot in range(1, 200)]
    low, high = bench.options.scenario.target_sector
    assert low <= min(angles) < max(angles) <= high
    assert abs(np.mean(present) - 0.5) < 5 * 0.5 / np.sqrt(199)


def test_a_device_of_one_s_own_needs_a_calibration() -> None:
    with open_bench(options(), LAYOUT) as bench:
        bench.lab = None
        with pytest.raises(UserError, match=r"--device needs --calibration FILE\.json"):
            bench.calibration()


def test_messages_are_sent_for_whole_bursts() -> None:
    with open_bench(options("--bursts", "3"), LAYOUT) as bench:
        source = bench.source()
        assert len(source.work(10_000)["message"]) == 3 * LAYOUT.payload


def test_ports_of_a_device_are_counted_from_the_first() -> None:
    found = hil_radio._behind("zmq", "tcp://10.0.0.1:2000", LAYOUT)
    assert found["tx_addresses"] == ["tcp://10.0.0.1:2000", "tcp://10.0.0.1:2001"]
    assert found["rx_addresses"] == [f"tcp://10.0.0.1:{port}" for port in (2002, 2003, 2004)]
    for bad in ("tcp://10.0.0.1", "10.0.0.1:2000", "tcp://10.0.0.1:65534", "tcp://a:b"):
        with pytest.raises(UserError, match="write tcp://HOST:PORT, the first of 5 ports"):
            hil_radio._behind("zmq", bad, LAYOUT)


def test_contexts_of_iio_devices_come_with_commas() -> None:
    found = hil_radio._behind("iio", "ip:10.0.0.1,ip:10.0.0.2", LAYOUT)
    assert found["contexts"] == ["ip:10.0.0.1", "ip:10.0.0.2"]
    assert found["phase_coherent"] is False
    assert (found["tx_channels"], found["rx_channels"]) == (2, 3)
