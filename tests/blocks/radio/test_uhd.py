"""UhdRadio against a stand-in of UHD's documented API; real UHD where it is installed, without a device."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.radio.interface import EventKind, RadioError, RadioTimeout
from blocks.radio.uhd import ASYNC, UhdRadio
from tests.blocks.radio.contract import Loop, RadioContract, noise
from tests.blocks.radio.uhd_stand_in import stand_in

DISTRIBUTION = "/usr/bin/python3"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in, in the place of uhd."""
    found = stand_in()
    monkeypatch.setitem(sys.modules, "uhd", found)
    return found


class TestUhdRadio(RadioContract):
    @pytest.fixture
    def loop(self, module: Any) -> Iterator[Loop]:
        with UhdRadio("type=b200", (0, 1), (0, 1)) as radio:
            usrp = module.usrp.MultiUSRP.latest

            def lose(first: int, count: int) -> None:
                usrp.lost = (first, count)

            yield Loop(radio, rate=(3e6, 1e7 / 3), frequency=(9e8, 9e8), gain=(30.0, 30.0), lose=lose)


def test_every_event_of_the_device_has_a_kind() -> None:
    assert set(ASYNC.values()) == set(EventKind) - {EventKind.OVERFLOW}


def test_a_device_that_takes_nothing_is_a_timeout(module: Any) -> None:
    with UhdRadio() as radio:
        module.usrp.MultiUSRP.latest.refuses = True
        with pytest.raises(RadioTimeout, match=r"took 0 of 10 samples within 0\.5 s"):
            radio.tx.send(noise(1, 10), timeout=0.5)


def test_an_error_of_reception_is_one_line(module: Any) -> None:
    with UhdRadio() as radio:
        radio.rx.start()
        for code, words in (("alignment", "alignment while receiving"), ("late", "had passed: start later")):

            def broken(_: np.ndarray, metadata: Any, __: float, code: str = code) -> int:
                metadata.error_code = module.types.RXMetadataErrorCode[code]
                return 0

            radio._rx.recv = broken
            with pytest.raises(RadioError, match=words):
                radio.rx.recv()


def test_the_settings_of_the_opening_reach_the_device(module: Any) -> None:
    with UhdRadio(rate=2e6, frequency=1e9, tx_gain=10, rx_gain=20, clock_source="external") as radio:
        assert radio.settings() == {
            "rate": 2e6,
            "tx_gain": [10.0],
            "rx_gain": [20.0],
            "tx_frequency": [1e9],
            "rx_frequency": [1e9],
        }
        usrp = module.usrp.MultiUSRP.latest
        assert (usrp.clock, usrp.time) == ("external", "internal")
        radio.rx.start()
        with pytest.raises(RadioError, match="stop it first"):
            radio.set_rate(1e6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tx_channels": (2,)}, r"tx_channels \[2\]: this device has 2"),
        ({"rx_channels": ()}, r"rx_channels \[\]"),
        ({"rate": 1e9}, "rate must be from 100000 to 1e.07, not 1e.09"),
        ({"frequency": 1.0}, "freq must be from 7e.07 to 6e.09, not 1"),
        ({"time_source": "sundial"}, "no time source 'sundial': this device has internal, external, gpsdo"),
    ],
)
def test_what_the_device_does_not_have_is_refused(module: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(RadioError, match=words):
        UhdRadio(**options)


def test_a_device_that_is_not_there_is_one_line(module: Any) -> None:
    module.usrp.MultiUSRP.found = False
    with pytest.raises(RadioError, match=r"no USRP answers to 'addr=1.2.3.4' .*uhd_find_devices") as caught:
        UhdRadio("addr=1.2.3.4")
    assert "\n" not in str(caught.value)


def test_a_python_without_uhd_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uhd", None)
    with pytest.raises(RadioError, match=r"which .*: build UHD for it"):
        UhdRadio()


def test_the_stand_in_has_no_name_that_uhd_does_not_have(tmp_path: Path) -> None:
    """Against real UHD, by the interpreter that has it."""
    names = {
        "types": ["TXMetadata", "RXMetadata", "TXAsyncMetadata", "TimeSpec", "StreamMode", "StreamCMD"],
        "usrp": ["MultiUSRP", "StreamArgs"],
    }
    methods = [
        *(
            f"{verb}_{way}_{what}"
            for verb in ("get", "set")
            for way in ("tx", "rx")
            for what in ("rate", "gain")
        ),
        *(f"get_{way}_{what}" for way in ("tx", "rx") for what in ("rates", "gain_range", "freq_range")),
        *(f"get_{way}_{what}" for way in ("tx", "rx") for what in ("num_channels", "stream", "freq")),
        *("get_num_mboards", "get_clock_sources", "get_time_sources", "set_clock_source", "set_time_source"),
        *("get_mboard_sensor", "get_mboard_sensor_names", "set_time_now", "set_time_unknown_pps"),
        *("get_time_now", "set_tx_freq", "set_rx_freq"),
    ]
    script = f"""
import uhd
for part, found in {names!r}.items():
    assert not [name for name in found if not hasattr(getattr(uhd, part), name)]
assert not [name for name in {methods!r} if not hasattr(uhd.usrp.MultiUSRP, name)]
assert set({[*ASYNC]!r}) <= set(uhd.types.TXMetadataEventCode.__members__)
assert {{"none", "timeout", "late", "overflow"}} <= set(uhd.types.RXMetadataErrorCode.__members__)
assert {{"start_cont", "stop_cont", "num_done"}} <= set(uhd.types.StreamMode.__members__)
assert uhd.types.TimeSpec.from_ticks(1234567, 1e6).to_ticks(1e6) == 1234567
metadata = uhd.types.TXMetadata()
metadata.has_time_spec, metadata.time_spec = True, uhd.types.TimeSpec(0.0)
metadata.start_of_burst = metadata.end_of_burst = True
command = uhd.types.StreamCMD(uhd.types.StreamMode.num_done)
command.num_samps, command.stream_now, command.time_spec = 5, False, metadata.time_spec
arguments = uhd.usrp.StreamArgs("fc32", "sc16")
arguments.channels = [0, 1]
received, told = uhd.types.RXMetadata(), uhd.types.TXAsyncMetadata()
received.error_code.name, received.out_of_sequence, told.event_code.name, uhd.types.TuneRequest(1e9)
try:
    uhd.usrp.MultiUSRP("addr=127.0.0.1")
except RuntimeError as error:
    print("no device:", str(error).splitlines()[0])
"""
    try:
        probe = subprocess.run(
            [DISTRIBUTION, "-c", "import uhd"], capture_output=True, timeout=60, check=False
        )
    except OSError:
        pytest.skip("the distribution has no Python")
    if probe.returncode:
        pytest.skip("UHD is not installed (Debian: apt-get install python3-uhd)")
    done = subprocess.run(
        [DISTRIBUTION, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "no device: LookupError" in done.stdout
