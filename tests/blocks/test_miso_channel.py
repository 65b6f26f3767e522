"""The simulated communication channel."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import MisoChannel
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("impaired")


def sent(count: int) -> tuple[np.ndarray, np.ndarray]:
    symbol = np.exp(1j * np.arange(count)).astype(np.complex64)
    return np.outer(symbol, np.full(16, 0.25)).astype(np.complex64), symbol


def test_a_frame_may_be_cut_anywhere() -> None:
    transmitted, symbol = sent(300)
    channel = MisoChannel(SCENARIO)
    channel.position = 1000
    whole = channel.work(transmitted, symbol)
    channel.position = 1000
    first = channel.work(transmitted[:77], symbol[:77])
    channel.position = 1077
    second = channel.work(transmitted[77:], symbol[77:])
    for key in ("received", "csi"):
        assert np.array_equal(whole[key], np.concatenate([first[key], second[key]]))
        assert whole[key].dtype == np.complex64


def test_the_noise_has_its_power() -> None:
    transmitted, symbol = sent(100_000)
    out = MisoChannel(SCENARIO.replace(noise_power=2.0)).work(transmitted, symbol)
    noise = np.abs(out["received"] - out["csi"] * symbol) ** 2
    assert noise.mean() == pytest.approx(2, abs=5 * 2 / np.sqrt(len(noise)))


def test_channels_that_share_a_stream_key_draw_the_same() -> None:
    transmitted, symbol = sent(100)
    a, b = MisoChannel(SCENARIO), MisoChannel(SCENARIO, name="second", stream_key="miso_channel")
    other = MisoChannel(SCENARIO, name="third")
    for block in (a, b, other):
        block.bind(7)
    received = [block.work(transmitted, symbol)["received"] for block in (a, b, other)]
    assert np.array_equal(received[0], received[1])
    assert not np.array_equal(received[0], received[2])
