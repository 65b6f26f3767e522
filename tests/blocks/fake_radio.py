"""A radio for tests: what is sent is noted down, what is received is written beforehand."""

from __future__ import annotations

from collections import deque

import numpy as np

from blocks.radio.interface import Capabilities, Event, EventKind, RadioTimeout, Received, check_samples
from blocks.radio.software import SoftwareRadio


class FakeRadio(SoftwareRadio):
    """`script`: what `recv` gives, one after the other; cut where less is asked for. Then it times out.

    `clock`: what `now` says, one after the other, the last one again and again.
    """

    def __init__(
        self,
        script: list[Received] | None = None,
        clock: list[int] | None = None,
        tx_channels: int = 16,
        rx_channels: int = 17,
        virtual_time: bool = False,
    ) -> None:
        self.device = "fake:0"
        self.capabilities = Capabilities(
            timestamps=True,
            events=frozenset(EventKind),
            tx_channels=tx_channels,
            rx_channels=rx_channels,
            phase_coherent=True,
            virtual_time=virtual_time,
        )
        super().__init__(1e6, 0.0)
        self.script, self.clock = deque(script or []), deque(clock or [0])
        self.sent: list[tuple[int | None, np.ndarray]] = []
        self.asked: list[int] = []
        self.waiting_events: list[Event] = []
        self.receiving = False

    def send(
        self, samples: np.ndarray, time: int | None, start_of_burst: bool, end_of_burst: bool, timeout: float
    ) -> None:
        check_samples(samples, self.capabilities.tx_channels)
        assert start_of_burst
        assert end_of_burst
        self.sent.append((time, samples.copy()))

    def start(self, time: int | None, n: int | None) -> None:
        self.receiving = True

    def recv(self, most: int, timeout: float) -> Received:
        assert self.receiving
        assert most >= 1
        self.asked.append(most)
        if not self.script:
            raise RadioTimeout("recv: nothing came")
        first = self.script.popleft()
        if first.samples.shape[1] > most:
            rest = Received(first.samples[:, most:], first.time + most)
            self.script.appendleft(rest)
            first = Received(first.samples[:, :most], first.time, first.flags)
        return first

    def stop(self) -> None:
        self.receiving = False

    def events(self) -> list[Event]:
        found, self.waiting_events = self.waiting_events, []
        return found

    def now(self) -> int:
        return self.clock.popleft() if len(self.clock) > 1 else self.clock[0]

    def close(self) -> None:
        self.receiving = False
