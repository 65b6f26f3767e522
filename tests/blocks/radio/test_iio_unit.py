"""One IIO context through the real libiio: levels, settings, and contexts that are something else."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator

import numpy as np
import pytest

from blocks.radio.iio_unit import Unit, decode, encode, library
from blocks.radio.interface import RadioError
from tests.blocks.radio.contract import noise, refused
from tests.blocks.radio.iio_loop import need_libiio, served
from tests.hil.frontend.iio_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A daemon with one context."""
    need_libiio()
    with served(2, 2) as found:
        yield found


def test_the_transmitters_upper_twelve_bits_carry_the_level() -> None:
    levels = np.array([[0.5 - 0.25j, 1 - 1j, 1 / 2048]], np.complex64)
    codes = np.frombuffer(encode(levels), "<i2").reshape(-1, 2)
    assert codes.tolist() == [[1024 << 4, -512 << 4], [2047 << 4, -2047 << 4], [16, 0]]


def test_i_and_q_of_all_channels_lie_side_by_side() -> None:
    levels = np.array([[0.25 + 0.5j], [-0.25 - 0.5j]], np.complex64)
    assert np.frombuffer(encode(levels), "<i2").tolist() == [8192, 16384, -8192, -16384]
    got = decode(bytearray(np.array([512, 1024, -512, -1024], "<i2").tobytes()), 2)
    assert got.dtype == np.complex64
    np.testing.assert_array_equal(got, levels)


def test_what_was_sent_comes_back_within_half_a_step(server: Server) -> None:
    unit = Unit(server.addresses[0], 5.0)
    assert (unit.tx_channels, unit.rx_channels) == (2, 2)
    levels = noise(2, 256)
    unit.open_transmit(2, 256, 4)
    unit.push(levels)
    unit.open_receive(2, 256, 4)
    got = unit.refill()
    unit.close_streams()
    assert np.abs((got - levels).view(np.float32)).max() <= 0.5 / 2048


def test_missing_and_lost_samples_are_told_until_cleared(server: Server) -> None:
    unit = Unit(server.addresses[0], 5.0)
    unit.open_transmit(1, 256, 4)
    unit.push(noise(1, 256))
    unit.open_receive(1, 256, 4)
    unit.refill()
    assert (unit.starved(), unit.overflown()) == (False, False)
    server.inject("drop", samples=10)
    unit.refill()
    assert unit.starved()
    assert unit.overflown()
    unit.clear()
    assert (unit.starved(), unit.overflown()) == (False, False)
    unit.close_streams()


def test_settings_are_read_back(server: Server) -> None:
    unit = Unit(server.addresses[0], 5.0)
    assert unit.set_rate(4e6) == unit.rate() == 4e6
    assert unit.set_frequency("tx", 1.25e9) == unit.frequency("tx") == 1.25e9
    assert unit.frequency("rx") == 2.4e9
    assert unit.set_gain("tx", 1, -10.3) == unit.gain("tx", 1) == -10.25
    assert "Operation not supported" in refused(lambda: unit.set_gain("rx", 0, 10))
    unit.hold_gain(0)
    assert unit.set_gain("rx", 0, 10) == unit.gain("rx", 0) == 10


def test_the_tone_generators_are_silenced(server: Server) -> None:
    tone = server.contexts[0].chip.devices[1].channels[4].attributes["raw"]
    tone.write("1")
    unit = Unit(server.addresses[0], 5.0)
    unit.open_transmit(2, 256, 4)
    unit.close_streams()
    assert tone.read() == "0"


def test_a_device_that_is_no_ad9361_is_refused(server: Server) -> None:
    context = server.contexts[0]
    context.xml = context.xml.replace(b"cf-ad9361-lpc", b"ad7124")
    with pytest.raises(RadioError, match="has no cf-ad9361-lpc"):
        Unit(server.addresses[0], 5.0)


@pytest.mark.parametrize("form", [b"be:S12/16&gt;&gt;0", b"le:U12/16&gt;&gt;0", b"le:S24/32&gt;&gt;0"])
def test_another_sample_format_is_refused(server: Server, form: bytes) -> None:
    context = server.contexts[0]
    context.xml = context.xml.replace(b"le:S12/16&gt;&gt;0", form)
    with pytest.raises(RadioError, match="no signed little-endian samples of 16 bits"):
        Unit(server.addresses[0], 5.0)


def test_a_context_that_is_no_xml_is_refused(server: Server) -> None:
    server.contexts[0].xml = b"<html>not found</html>"
    with pytest.raises(RadioError, match="no IIO context answers"):
        Unit(server.addresses[0], 5.0)


def test_a_missing_binding_and_another_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "iio", None)
    with pytest.raises(RadioError, match="pylibiio<1"):
        library()
    newer = types.ModuleType("iio")
    newer.version = (1, 0, "v1.0")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "iio", newer)
    with pytest.raises(RadioError, match=r"libiio 1 has another interface"):
        library()
