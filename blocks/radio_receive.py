"""The receiving half of a radio, the source of a graph's receive branches."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from blocks.radio.interface import EventKind, Flag, Radio, RadioError, RadioTimeout, Received
from blocks.runtime import Signal, Source
from blocks.runtime.frame import MAX_HEADER, pack
from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.sent import IDLE_SECONDS, TAIL

SILENCE_SECONDS = 30.0
"""How long nothing may be sent before the reception ends with an error."""
MARK_BYTES = MAX_HEADER - (16 << 10)
"""Of a frame's annotations: behind a long gap those of the bursts in it are spread over the next frames."""

About = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class RadioReceive(Source):
    """Samples of all receive channels as the radio gives them, gaps by timestamps.

    A frame holds samples that follow on each other without a gap; its tag `time` is the tick of the first,
    `lost` how many samples before it never came. `annotations` and `captures` are for a `SigmfRecorder`:
    where bursts were sent (those too that a gap has swallowed, and those that were marked and then came too
    late, as `unsent`), and where time goes on behind a gap. `about` gives further fields of such an
    annotation, asked once a burst with what the port `sent` told of it. What is left at the end travels with
    the end of the stream, as much of it as the tags of one frame hold; `annotations_missing` counts the
    annotations that no frame has told of so far. Where the radio's time stands
    still until samples are asked for (`Capabilities.virtual_time`), only what the port `sent` announces is
    received.

    What has been received goes out first: an error beside it (a reader of `unsent` that takes nothing more,
    an `about` that fails) ends the stream behind that frame.

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
        self._marks: deque[tuple[int, dict[str, Any]]] = deque()  # with their bytes
        self._unmarked = 0
        self._trouble: Exception | None = None  # met beside samples that were to go out first
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
            except Exception as error:
                self._listen()
                over = self._ended and self._most is None and self._next is not None
                if over and isinstance(error, RadioTimeout):
                    self._end_early(error)
                    if self._trouble is not None:
                        raise self._trouble from error
                    return None
                if self._trouble is not None:
                    error.add_note(f"and then: {self._trouble}")
                raise
            self._listen()
            if received.samples.shape[1]:
                return self._frame(received)

    def _end_early(self, error: RadioTimeout) -> None:
        """The radio has fallen silent before the end of the last burst: tell of those that never came."""
        while self._announced:
            self._mark(self._announced.popleft(), self._last)
        self._emit_marks()
        self._failed = str(error)

    def _await(self) -> None:
        """Hear what was sent; wait for it where nothing else is left to receive.

        Raises what went wrong beside the last samples: they have gone out by now.
        """
        if self._trouble is not None:
            raise self._trouble
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
        """Count the radio's events, and tell of bursts that were not sent. What fails here waits its turn."""
        try:
            for time in self._unsent():
                self.publish("unsent", {"time": time})
        except Exception as error:  # noqa: BLE001 - raised by `work` when nothing is lost by it
            self._trouble = self._trouble or error

    def _unsent(self) -> list[int]:
        """The times of bursts that, as the radio says now, were not sent."""
        times = []
        for event in self.radio.events():
            self._events[event.kind.value] += 1
            if event.kind is EventKind.LATE and event.time is not None:
                ahead = deque(each for each in self._announced if each["time"] != event.time)
                if len(ahead) == len(self._announced):  # it has an annotation by now
                    at = {"sample_start": self.position, "sample_count": 0}
                    self._keep({**at, "label": "burst not sent", "tick": event.time, "unsent": True})
                self._announced = ahead
                times.append(event.time)
        return times

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
            self._mark(self._announced.popleft(), received.time)
        self._emit_marks()
        self._next = received.time + count
        self._samples += count
        self.emit(time=received.time, lost=lost, **tags)
        return {"samples": np.ascontiguousarray(received.samples.T)}

    def _mark(self, told: Mapping[str, Any], now: int) -> None:
        """Annotate a burst in a frame that begins at tick `now`, or in the gap before it."""
        time, whole = int(told["time"]), self.format.samples
        late = max(now - time, 0)  # samples of its beginning that never came
        at = {"sample_start": self.position + max(time - now, 0), "sample_count": max(whole - late, 0)}
        try:
            more = {} if self._about is None else self._about(told)
            self._keep({**at, "label": "burst", "number": int(told["number"]), "tick": time, **more})
        except Exception as error:  # noqa: BLE001 - raised by `work` when nothing is lost by it
            self._unmarked += 1
            self._trouble = self._trouble or error

    def _keep(self, mark: dict[str, Any]) -> None:
        """An annotation for the frames to come; one that none can carry counts as missing."""
        size = len(pack(mark))
        if size > MARK_BYTES:
            self._unmarked += 1
        else:
            self._marks.append((size, mark))

    def _emit_marks(self) -> None:
        """Tell of bursts, of as many as the tags of a frame hold."""
        marks, room = [], MARK_BYTES
        while self._marks and self._marks[0][0] <= room:
            size, mark = self._marks.popleft()
            marks.append(mark)
            room -= size
        missing = len(self._marks) + self._unmarked
        if marks or missing:
            self.emit(annotations=marks, annotations_missing=missing)

    def finish(self) -> None:
        """Stop receiving."""
        self.radio.rx.stop()

    def abort(self) -> None:
        """Stop receiving."""
        self.radio.rx.stop()

    def result(self) -> dict[str, Any]:
        """Samples received a channel, gaps and samples lost in them, and the radio's events by kind.

        trouble: what went wrong beside the last samples, where the graph was told to stop behind them.
        """
        if not hasattr(self, "_events"):
            return {}
        counts = {"samples": self._samples, "gaps": self._gaps, "lost_samples": self._lost}
        trouble = None if self._trouble is None else str(self._trouble)
        return {**counts, "events": dict(self._events), "ended_early": self._failed, "trouble": trouble}
