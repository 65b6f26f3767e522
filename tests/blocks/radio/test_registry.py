"""Radios by name, and what is said when one cannot be had."""

from __future__ import annotations

import subprocess
import sys

import pytest

from blocks.radio.interface import RadioError
from blocks.radio.registry import RADIOS, missing, open_radio, radio_class
from blocks.radio.sim import SimRadio
from isac_models.scenario import Scenario


def test_a_radio_opens_by_its_name_with_its_options() -> None:
    with open_radio("sim", scenario=Scenario(antennas=2), seed=5) as radio:
        assert isinstance(radio, SimRadio)
        assert radio.device == "sim:5"
        assert radio.capabilities.tx_channels == 2


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(RadioError, match="no radio 'crystal': choose one of sim, zmq, soapy, iio, uhd"):
        open_radio("crystal")


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(RadioError, match="the sim radio has no option 'volume': it has scenario, "):
        open_radio("sim", volume=11)


@pytest.mark.parametrize("library", ["SoapySDR", "adi", "uhd", "elsewhere"])
def test_a_library_that_is_missing_is_named_with_its_remedy(library: str) -> None:
    error = ModuleNotFoundError("no", name=f"{library}.inner")
    assert f"needs {library}, which this Python does not have: " in str(missing("soapy", error))


def test_a_backend_that_was_left_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blocks.radio.zmq", None)
    with pytest.raises(RadioError, match="the zmq radio "):
        radio_class("zmq")


def test_no_backend_is_imported_before_it_is_chosen() -> None:
    script = "import sys, blocks.radio.registry; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {module for module, _ in RADIOS.values()}
    assert not loaded & {"zmq", "uhd", "SoapySDR", "adi", "iio", "scipy", "numba"}
