"""The sender of files, with its receiver at the other end of a channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks import FileReceiver, FileSender
from isac_models.coding.packet import PacketFormat
from isac_models.coding.repeat import BurstFlag, Timing
from isac_models.errors import UserError
from tests.blocks.bursts import PAYLOAD, SCENARIO, received

CONTENT = np.random.default_rng(5).bytes(20_000)
PACKETS = PacketFormat(PAYLOAD, 2)


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "picture.png").write_bytes(CONTENT)
    return str(tmp_path / "picture.png")


def frames(sender: FileSender, most: int = 8 * PAYLOAD) -> Any:
    while (out := sender.work(most)) is not None:
        yield out["message"]
        sender.position += len(out["message"])


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
def test_a_file_arrives_identical_through_outages(tmp_path: Path, path: str, share: float) -> None:
    rng = np.random.default_rng(2)
    out = tmp_path / "out"
    sender = FileSender(SCENARIO, path, PAYLOAD, data=100, parity=30)
    receiver = FileReceiver(SCENARIO, PAYLOAD, str(out))
    told = 0
    for message in frames(sender):
        slot = sender.position // PAYLOAD + np.arange(len(message) // PAYLOAD)
        lost = rng.exponential(size=len(slot)) < -np.log1p(-share)
        seen = ~lost | (rng.random(len(slot)) < 0.5)  # of the lost ones, half are not even noticed
        arrays = received(message, lost, rng)
        number = np.where(lost, -1, slot)
        receiver.work(**{key: each[seen] for key, each in arrays.items()}, number=number[seen])
        for port, report in receiver.published[told:]:
            assert port == "report"
            if rng.random() >= share:
                sender.deliver("report", report)
        told = len(receiver.published)
    receiver.finish()
    assert out.read_bytes() == CONTENT
    found = receiver.result()
    assert (found["intact"], found["file_name"], found["state"]) == (True, "picture.png", "done")
    assert found["loss"] == pytest.approx(share, abs=0.06)
    sent = sender.result()
    assert (sent["state"], sent["file_bytes"]) == ("done", 20_000)
    if share != 0.2:
        assert (sent["repeats"] > 0) == (share > 0)


def test_a_slot_without_anything_to_send_is_filled(path: str) -> None:
    sender = FileSender(SCENARIO, path, PAYLOAD, timing=Timing(window=1))
    flags = []
    for message in frames(sender):
        bursts = message.reshape(-1, PAYLOAD)
        assert len(bursts) <= 8
        flags += [packet[1] for burst in bursts if (packet := PACKETS.parse(burst))]
        if len(flags) > 80:
            break
    assert flags[47] == BurstFlag.ASK  # the header's block: 16 bytes a burst, 16 + 32 bursts
    assert flags[48:80] == [BurstFlag.FILL] * 32
    assert sender.result()["fills"] >= 32


def test_a_stream_ends_when_nobody_answers(path: str) -> None:
    sender = FileSender(SCENARIO, path, PAYLOAD, timing=Timing(patience=2))
    assert sum(len(message) for message in frames(sender)) > 0
    assert sender.result()["state"] == "failed"
    assert "no answer" in sender.result()["reason"]


def test_reports_that_are_none_are_ignored(path: str) -> None:
    sender = FileSender(SCENARIO, path, PAYLOAD)
    reports: list[Any] = [None, "text", [], {"base": 10**9, "missing": []}]
    for report in reports:
        sender.deliver("report", report)
    assert sender.work(8 * PAYLOAD) is not None
    assert sender.result()["reports"] == 0


def test_what_cannot_be_is_refused(path: str) -> None:
    with pytest.raises(UserError, match="bursts must be"):
        FileSender(SCENARIO, path, PAYLOAD, bursts=0)
    with pytest.raises(UserError, match="frames of 10"):
        FileSender(SCENARIO, path, PAYLOAD).work(10)
