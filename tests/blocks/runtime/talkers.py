"""Blocks that talk to each other over message ports, and a loop that they close."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks.runtime import Flowgraph
from blocks.runtime.report import BlockReport
from tests.blocks.runtime.graphs import DEADLINE, Double, Numbers, Sink


class Stepper(Numbers):
    """A source that sends a frame only when all of the last one have been acknowledged."""

    subscribes = ("acknowledged",)

    def __init__(self, total: int | None = 1000, readers: int = 1, name: str | None = None) -> None:
        super().__init__(total, name)
        self.readers = readers

    def start(self) -> None:
        self.confirmed: list[list[Any]] = []

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        missing = self.readers if self.position else 0
        while missing > 0 and not self.stopping:
            got = self.messages("acknowledged", DEADLINE)
            assert got or self.stopping, "no acknowledgement came"
            self.confirmed += got
            missing -= len(got)
        return None if self.stopping else super().work(count)

    def result(self) -> dict[str, Any]:
        return {"confirmed": self.confirmed[-3:], "count": len(self.confirmed)}


class Confirming(Sink):
    """A sink that acknowledges every frame."""

    publishes = ("acknowledged",)

    def work(self, **fields: np.ndarray) -> None:
        super().work(**fields)
        self.publish("acknowledged", [self.name, self.position])


class Talker(Numbers):
    """A source that says `words` in every frame."""

    publishes = ("word",)

    def __init__(self, total: int = 100, words: int = 1, name: str | None = None) -> None:
        super().__init__(total, name)
        self.words = words

    def work(self, count: int) -> dict[str, np.ndarray] | None:
        for number in range(self.words):
            self.publish("word", [self.position, number])
        return super().work(count)


class Listener(Sink):
    """A sink that takes words, waiting up to `patience` seconds for some in every frame."""

    subscribes = ("word", "other")

    def __init__(self, *wanted: str, patience: float = 0.0, name: str | None = None) -> None:
        super().__init__(*wanted, name=name)
        self.patience = patience

    def start(self) -> None:
        super().start()
        self.words: list[Any] = []

    def work(self, **fields: np.ndarray) -> None:
        super().work(**fields)
        self.words += self.messages("word", self.patience)

    def result(self) -> dict[str, Any]:
        return {"words": self.words}


def loop(total: int | None, frame: int = 1, sinks: int = 1, **options: Any) -> tuple[Flowgraph, Stepper]:
    """A source that waits for its sinks."""
    graph = Flowgraph("loop", frame=frame, **options)
    source = Stepper(total, sinks)
    for number in range(sinks):
        sink = Confirming("index", "double", name=f"sink_{number}")
        graph.connect(source, Double(f"double_{number}"), sink)
        graph.message(sink, "acknowledged", source)
    return graph, source


def balance(report: BlockReport) -> tuple[int, int, int]:
    """Messages published, received and dropped by a block."""
    return report.messages_published, report.messages_received, report.messages_dropped
