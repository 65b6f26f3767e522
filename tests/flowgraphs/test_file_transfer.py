"""A file through a graph that loses bursts, with the return path as message port."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from blocks import FileReceiver, FileSender, ReedSolomonDecoder, ReedSolomonEncoder
from blocks.runtime import Block, Count, Flowgraph, Signal, Symbols
from tests.blocks.bursts import PAYLOAD, SCENARIO, received

Transport = Literal["inproc", "ipc"]
CONTENT = np.random.default_rng(5).bytes(30_000)


class Outages(Block):
    """A Rayleigh channel seen burst by burst: those below the threshold are noise without a number."""

    consumes = {"message": Symbols()}
    produces = {"payload": Signal(PAYLOAD), "csi": Signal(PAYLOAD), "number": Count()}
    reframes = True

    def __init__(self, share: float, name: str | None = None) -> None:
        super().__init__(name)
        self._threshold = -np.log1p(-share)

    def work(self, message: np.ndarray) -> dict[str, np.ndarray]:
        first = self.position // PAYLOAD
        rng = np.random.default_rng(first)
        lost = rng.exponential(size=len(message) // PAYLOAD) < self._threshold
        number = np.where(lost, -1, first + np.arange(len(lost)))
        return {**received(message, lost, rng), "number": number}


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_file_arrives_whole_with_a_return_path(tmp_path: Path, transport: Transport, share: float) -> None:
    (tmp_path / "in").write_bytes(CONTENT)
    sender = FileSender(SCENARIO, str(tmp_path / "in"), PAYLOAD, data=100, parity=30)
    receiver = FileReceiver(SCENARIO, PAYLOAD, str(tmp_path / "out"))
    graph = Flowgraph("transfer", frame=8 * PAYLOAD)
    graph.connect(sender, Outages(share), receiver)
    graph.message(receiver, "report", sender)
    report = graph.run(transport)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert report.results["file_receiver"]["intact"] is True
    assert report.results["file_sender"]["state"] == "done"


@pytest.mark.parametrize(("parity", "whole"), [(64, True), (0, False)])
def test_without_a_return_path_the_code_decides(tmp_path: Path, parity: int, whole: bool) -> None:
    (tmp_path / "in").write_bytes(CONTENT)
    encoder = ReedSolomonEncoder(SCENARIO, str(tmp_path / "in"), PAYLOAD, parity=parity)
    decoder = ReedSolomonDecoder(SCENARIO, PAYLOAD, str(tmp_path / "out"))
    graph = Flowgraph("broadcast", frame=8 * PAYLOAD)
    graph.connect(encoder, Outages(0.1), decoder)
    report = graph.run("inproc")
    assert report.results["reed_solomon_decoder"]["intact"] is whole
    assert (tmp_path / "out").exists() is whole
