"""The receiving half of a radio, the source of a graph's receive branches."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from blocks.radio.interface import EventKind, Flag, Radio, RadioError, RadioTimeout, Received
from blocks.runtime import Signal, Source
from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.sent import IDLE_SECONDS, TAIL

SILENCE_SECONDS = 30.0
"""How long nothing may be sent before the reception ends with an error."""
MARKS = 64
"""Annotations of a frame: behind a long gap those of the bursts in it are spread over the next ones."""

About = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class RadioReceive(Source):
    """Samples of all receive channels as the radio gives them, gaps by timestamps.

    A frame holds samples that follow on each other without a gap; its tag `time` is the tick of the first,
    `lost` how many samples before it never came. `annotations` and `captures` are for a `SigmfRecorder`:
    where bursts were sent (those too that a gap has swallowed, and those that were marked and then came too
    late, as `unsent`), and where time goes on behind a gap. `about` gives further fields of such an
    annotation, asked once a burst with what the port `sent` told of it. Where the radio's time stands
    still until samples are asked for (`Capabilities.virtual_time`), only what the port `sent` announces is
    received.

    `samples`: receive so many of every channel and end, whatever is sent; the port need not be connected
    then.

    produces: samples (n, rx_channels) complex64
    subscribes: sent, from a RadioTransmit
    publishes: unsent, {"time": tick} of every burst that came too late and was not sent
    """

    produces = {"samples": Signal("rx_channels")}
    subscribes = ("sent",)
    publishes = ("unsent",)

    def __init__(
        self,
        radio: Radio,
        layout: BurstFormat,
        samples: int | None = None,
        about: About | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if samples is not None and samples < 1:
            raise UserError(f"samples must be at least 1, not {samples}")
        self.radio, self.format, self._most, self._about = radio, layout, samples, about
        self.dimensions = {"rx_channels": radio.capabilities.rx_channels}

    def start(self) -> None:
        """Begin to receive."""
        self._horizon = self._last = 0
        self._ended = False
        self._next: int | None = None
        self._lost = self._gaps = self._samples = 0
        self._failed: str | None = None
        self._events: Counter[str] = Counter()
        self._announced: deque[Mapping[str, Any]] = deque()  # bursts that are still to come
        self._marks: deque[dict[str, Any]] = deque()
        self.radio.rx.start()

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        """The next samples, or None behind the last burst."""
        while True:
            self._await()
            if self._waits() or self._samples == self._most:
                self._emit_marks()
                return None
            most = count
            if self._most is not None:
                most = min(count, self._most - self._samples)
            elif self.radio.capabilities.virtual_time:  # the first sample says what time it is
                most = 1 if self._next is None else min(count, self._horizon - self._next)
            try:
                received = self.radio.rx.recv(most)
            except RadioTimeout as error:
                if self._ended and self._most is None and self._next is not None:
                    self._failed = str(error)
                    return None
                raise
            finally:
                self._listen()
            if received.samples.shape[1]:
                return self._frame(received)

    def _await(self) -> None:
        """Hear what was sent; wait for it where nothing else is left to receive."""
        self._hear(0.0)
        silence = 0.0
        while self._waits() and not self._ended and not self.stopping:
            if self._hear(IDLE_SECONDS):
                silence = 0.0
                continue
            silence += IDLE_SECONDS
            self._horizon = self._last
            if silence > SILENCE_SECONDS:
                raise RadioError(f"nothing was sent for {SILENCE_SECONDS:g} s: the reception ends")

    def _waits(self) -> bool:
        """Whether everything that was announced has been received."""
        if self._most is not None:
            return False
        if self._next is None:
            return self._horizon == 0
        if self.radio.capabilities.virtual_time or self._ended:
            return self._next >= self._horizon
        return False

    def _hear(self, timeout: float) -> bool:
        """Take in what was sent; whether there was anything."""
        if self._most is not None:
            timeout = 0.0
        messages = self.messages("sent", timeout)
        for message in messages:
            if "end" in message:
                self._ended, self._horizon = True, self._last
            else:
                # Up to where the next burst can still be queued, and no further before it is known.
                time = int(message["time"])
                self._announced.append(message)
                behind = time + self.format.slot
                self._horizon = max(behind - self.radio.capabilities.lead, 1)
                self._last = behind + TAIL
        return bool(messages)

    def _listen(self) -> None:
        """Count the radio's events, and tell of bursts that were not sent."""
        for event in self.radio.events():
            self._events[event.kind.value] += 1
            if event.kind is EventKind.LATE and event.time is not None:
                ahead = deque(each for each in self._announced if each["time"] != event.time)
                if len(ahead) == len(self._announced):  # it has an annotation by now
                    at = {"sample_start": self.position, "sample_count": 0}
                    self._marks.append({**at, "label": "burst not sent", "tick": event.time, "unsent": True})
                self._announced = ahead
                self.publish("unsent", {"time": event.time})

    def _frame(self, received: Received) -> dict[str, np.ndarray]:
        """The samples, with what is to be known of them as tags."""
        count, lost = received.samples.shape[1], 0
        tags: dict[str, Any] = {}
        if self._next is None or received.time != self._next or Flag.GAP in received.flags:
            if self._next is not None:
                lost = max(received.time - self._next, 0)
                self._gaps += 1
                self._lost += lost
            tags["captures"] = [{"sample_start": self.position, "global_index": received.time}]
        while self._announced and self._announced[0]["time"] < received.time + count:
            self._marks.append(self._mark(self._announced.popleft(), received.time))
        self._emit_marks()
        self._next = received.time + count
        self._samples += count
        self.emit(time=received.time, lost=lost, **tags)
        return {"samples": np.ascontiguousarray(received.samples.T)}

    def _mark(self, told: Mapping[str, Any], now: int) -> dict[str, Any]:
        """The annotation of a burst in a frame that begins at tick `now`, or in the gap before it."""
        time, whole = int(told["time"]), self.format.samples
        late = max(now - time, 0)  # samples of its beginning that never came
        at = {"sample_start": self.position + max(time - now, 0), "sample_count": max(whole - late, 0)}
        more = {} if self._about is None else self._about(told)
        return {**at, "label": "burst", "number": int(told["number"]), "tick": time, **more}

    def _emit_marks(self) -> None:
        marks = [self._marks.popleft() for _ in range(min(len(self._marks), MARKS))]
        if marks:
            self.emit(annotations=marks)

    def finish(self) -> None:
        """Stop receiving."""
        self.radio.rx.stop()

    def abort(self) -> None:
        """Stop receiving."""
        self.radio.rx.stop()

    def result(self) -> dict[str, Any]:
        """Samples received a channel, gaps and samples lost in them, and the radio's events by kind."""
        if not hasattr(self, "_events"):
            return {}
        counts = {"samples": self._samples, "gaps": self._gaps, "lost_samples": self._lost}
        return {**counts, "events": dict(self._events), "ended_early": self._failed}
