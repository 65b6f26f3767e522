"""The radar's bursts in a stream of windows: which of them were sent, and what each has brought."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.waveform import header
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.radar import RadarBurst, RadarReceiver
from isac_models.waveform.receiver import BurstReceiver
from isac_models.waveform.sent import Messages, SentBursts
from isac_models.waveform.synchronise import Sync

Values = NDArray[Any]


class RadarStream:
    """Windows of a receiver that stands beside the transmitter and is told what was sent.

    Windows in which nothing was sent, and those that have lost samples, are left out and counted. `offset`
    is by how many ticks a burst is received later than it was sent, as far as that is known.
    """

    def __init__(self, layout: BurstFormat, receiver: RadarReceiver, offset: float = 0.0) -> None:
        self.format, self._receiver = layout, receiver
        self._headers = BurstReceiver(layout)
        self._sent = SentBursts(layout.slot, offset)
        self._used = self._unknown = self._touched = 0
        self._last: RadarBurst | None = None

    def bursts(
        self,
        window: Values,
        time: Values,
        start: Values,
        cfo: Values,
        lost: Values,
        slip: Values | None,
        messages: Messages,
    ) -> Iterator[tuple[int, RadarBurst]]:
        """Every burst that is known, and the tick at which it was sent.

        Fields as a `BurstSynchroniser` produces them; `messages(port, seconds)` as for `SentBursts.find`.
        """
        for b in range(len(time)):
            if slip is not None and slip[b]:
                self._sent.doubt()
            received = float(time[b] + start[b] - self.format.pulse.delay)
            number = self._number(window[b], start[b], cfo[b]) if self._sent.doubtful else None
            burst = self._sent.find(received, number, messages)
            if burst is None:
                self._unknown += 1
                continue
            if lost[b]:
                self._touched += 1
                continue
            symbols = header.encode(burst.number, 0)
            one = self._receiver.receive(window[b], float(start[b]), float(cfo[b]), burst.symbol, symbols)
            if self._last is None or one.leakage_db > 0:  # a window that the end has cut off holds none
                self._last = one
            self._used += 1
            yield burst.time, one

    def listen(self, messages: Messages) -> None:
        """No burst was found, which is no reason to leave unread what was sent."""
        self._sent.listen(messages)

    def _number(self, window: Values, start: float, cfo: float) -> int | None:
        """The burst's number, read from the leakage on the loudest channel."""
        loudest = window[int(np.argmax(np.sum(np.abs(window) ** 2, axis=1)))]
        found = self._headers.receive(loudest, Sync(float(start), float(cfo), 0.0, True)).header
        return None if found is None else found[0]

    def result(self) -> dict[str, Any]:
        """Bursts used, windows without one, bursts left out for lost samples, leakage and echo delay."""
        last = self._last
        return {
            "bursts": self._used,
            "empty_windows": self._unknown,
            "bursts_left_out": self._touched,
            "snapshots_lost": self._touched * self.format.payload,
            "leakage_db": None if last is None else float(last.leakage_db),
            "echo_delay_samples": None if last is None else float(last.delay),
        }
