"""Settings of radios without hardware; the contract tests them on every backend, here is what is theirs."""

from __future__ import annotations

import pytest

from blocks.radio.interface import Capabilities, Event, RadioError, Received
from blocks.radio.software import SoftwareRadio


class Noted(SoftwareRadio):
    """Two channels out, three in."""

    device = "noted:here"
    capabilities = Capabilities(
        timestamps=True, events=frozenset(), tx_channels=2, rx_channels=3, phase_coherent=True
    )

    def events(self) -> list[Event]:
        return []

    def send(self, *_: object) -> None: ...

    def start(self, *_: object) -> None: ...

    def recv(self, *_: object) -> Received:
        raise NotImplementedError

    def stop(self) -> None: ...

    def now(self) -> int:
        return 0

    def close(self) -> None:
        pass


def test_settings_are_kept_for_every_channel() -> None:
    radio = Noted(1e6, 2e9)
    radio.set_frequency("rx", 1, 3e9)
    assert radio.set_rate(5e5) == 5e5
    assert radio.settings() == {
        "rate": 5e5,
        "tx_gain": [0.0, 0.0],
        "rx_gain": [0.0, 0.0, 0.0],
        "tx_frequency": [2e9, 2e9],
        "rx_frequency": [2e9, 3e9, 2e9],
    }


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_is_positive(rate: float) -> None:
    with pytest.raises(RadioError, match="rate must be a positive number"):
        Noted(rate, 0.0)


def test_there_is_no_amplifier() -> None:
    with pytest.raises(RadioError, match="the noted radio has no amplifier: gain must be 0 dB, not 3"):
        Noted(1e6, 0.0).set_gain("tx", 0, 3.0)
