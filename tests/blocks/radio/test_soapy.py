"""SoapyRadio through real SoapySDR and a driver of our own: the contract, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from blocks.radio.soapy import SoapyRadio
from tests.blocks.radio.contract import Loop, RadioContract
from tests.blocks.radio.soapy_loop import arguments, need_driver, served


class TestSoapyRadio(RadioContract):
    @pytest.fixture
    def loop(self) -> Iterator[Loop]:
        need_driver()
        with served() as server, SoapyRadio(arguments(server)) as radio:
            yield Loop(
                radio,
                accuracy=0.0,
                gain=(3.1, 3.0),
                lose=lambda first, count: server.inject("overflow", at=first, samples=count),
            )
