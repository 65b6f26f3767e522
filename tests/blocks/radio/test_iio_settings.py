"""What can be set at a radio over IIO, and what is said of the rest."""

from __future__ import annotations

import numpy as np

from blocks.radio.iio import IioRadio
from blocks.radio.iio_settings import IioSettings
from tests.blocks.radio.contract import collect, joined, noise, refused
from tests.blocks.radio.iio_loop import HALF_STEP, looped


def test_a_radio_over_iio_is_set_through_its_array() -> None:
    assert issubclass(IioRadio, IioSettings)


def test_gains_act_and_are_rounded_to_what_the_chip_has() -> None:
    with looped(2, 2) as (radio, _):
        assert radio.set_gain("tx", 1, -6.1) == -6
        assert radio.set_gain("rx", 1, 3.4) == 3
        sent = noise(2, 1000) / 4
        radio.tx.send(sent, 0)
        radio.rx.start(0, 1000)
        got = joined(collect(radio))
        assert np.abs(got[0] - sent[0]).max() <= HALF_STEP
        assert np.abs(got[1] - sent[1] * 10 ** (-3 / 20)).max() <= 3 * HALF_STEP


def test_a_context_has_one_carrier_a_direction() -> None:
    with looped(4, 4) as (radio, _):
        radio.set_frequency("tx", 1, 915e6)
        radio.set_frequency("rx", 2, 868e6)
        assert radio.settings()["tx_frequency"] == [915e6, 915e6, 2.4e9, 2.4e9]
        assert radio.settings()["rx_frequency"] == [2.4e9, 2.4e9, 868e6, 868e6]


def test_a_clock_that_is_not_locked_is_told() -> None:
    with looped() as (radio, server):
        assert radio.clock_locked()
        server.inject("unlock", context=1)
        assert not radio.clock_locked()


def test_refusals_say_what_there_is() -> None:
    with looped() as (radio, _):
        assert "2083334 to 61440000" in refused(lambda: radio.set_rate(1e6))
        assert "FIR filter" in refused(lambda: radio.set_rate(1e6))
        assert "FIR filter" not in refused(lambda: radio.set_rate(1e9))
        assert "70000000 to 6000000000" in refused(lambda: radio.set_frequency("rx", 0, 1e6))
        assert "-89.75" in refused(lambda: radio.set_gain("tx", 0, 3))
        refused(lambda: radio.set_rate(float("nan")))
