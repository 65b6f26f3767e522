"""What the bindings are asked, and what a device is that has as little as it may have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blocks.radio import soapy_device
from blocks.radio.interface import RadioError
from blocks.radio.soapy_device import SoapyDevice
from tests.blocks.radio import soapy_stand_in
from tests.blocks.radio.soapy_loop import need_bindings


@pytest.fixture
def soapy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in of the module."""
    module = soapy_stand_in.module()
    monkeypatch.setattr(soapy_device, "system_package", lambda name, install: module)
    return module


def test_the_constants_are_those_of_soapysdr() -> None:
    real = need_bindings()
    named = {name: getattr(real, f"SOAPY_SDR_{name}") for name in ("TX", "RX", "END_BURST", "HAS_TIME")}
    errors = ["TIMEOUT", "STREAM_ERROR", "CORRUPTION", "OVERFLOW", "NOT_SUPPORTED", "TIME_ERROR", "UNDERFLOW"]
    named |= {name: getattr(real, f"SOAPY_SDR_{name}") for name in errors}
    assert {name: getattr(soapy_device, name) for name in named} == named
    assert soapy_device.FORMAT == real.SOAPY_SDR_CF32


def test_what_a_plain_device_lacks_is_known(soapy: Any) -> None:
    device = SoapyDevice("", None, None)
    assert device.channels == {"tx": 1, "rx": 1}
    assert not any([device.timed, device.tells, device.tells_lock, device.phase_coherent])
    assert device.locked()


def test_a_device_that_is_not_there_is_one_line(soapy: Any) -> None:
    with pytest.raises(
        RadioError, match=r"^no SoapySDR device for 'none': SoapySDR::Device::make\(\) no match$"
    ):
        SoapyDevice("none", None, None)


def test_a_device_that_cannot_be_used_is_let_go(soapy: Any) -> None:
    with pytest.raises(RadioError, match="the device has 1 receive channels, not 2: ask for 1 at most"):
        SoapyDevice("", 1, 2)
    assert soapy.made[0].closed == 1


def test_a_format_that_it_has_not_is_refused(soapy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soapy_device, "FORMAT", "CS8")
    with pytest.raises(
        RadioError, match=r"^no tx stream of 1 channels with CS8 samples .*unsupported format$"
    ):
        SoapyDevice("", None, None)


def test_a_closed_device_is_not_touched_again(soapy: Any) -> None:
    device = SoapyDevice("", None, None)
    device.close()
    device.close()
    assert soapy.made[0].closed == 3  # two streams and the device
    into = np.empty((1, 5), np.complex64)
    for call in (
        device.now,
        device.rate,
        device.stop,
        device.status,
        lambda: device.read(into, 0),
        lambda: device.write(into, None, True, 0),
        lambda: device.start(None, 0),
    ):
        with pytest.raises(RadioError, match="the device is gone"):
            call()


def test_settings_answer_with_what_became_of_them(soapy: Any) -> None:
    device = SoapyDevice("", None, None)
    assert device.set_rate(1_234_567.0) == 1_235_000.0
    assert device.set_gain("rx", 0, 3.3) == 3.0
    assert device.set_frequency("tx", 0, 2.4e9) == 2.4e9


@pytest.mark.parametrize("rate", [5e5, 3e6, float("nan"), -1e6])
def test_a_rate_outside_the_ranges_is_refused_with_them(soapy: Any, rate: float) -> None:
    with pytest.raises(RadioError, match=r"100000, 1e\+06 to 2e\+06|must be a number"):
        SoapyDevice("", None, None).set_rate(rate)


def test_channels_of_different_rates_are_refused(soapy: Any) -> None:
    device = SoapyDevice("", None, None)
    soapy.made[0].rates[1] = 2e6
    with pytest.raises(RadioError, match=r"different rates \(1e\+06, 2e\+06\)"):
        device.rate()


def test_a_device_without_sources_has_the_internal_one(soapy: Any) -> None:
    device = SoapyDevice("", None, None)
    device.set_source("clock", "internal")
    with pytest.raises(RadioError, match="time source 'gpsdo' is not there: choose one of internal"):
        device.set_source("time", "gpsdo")
