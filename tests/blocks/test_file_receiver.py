"""The receiver of files; a whole transfer is in the test of the sender."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blocks import FileReceiver
from isac_models.coding.file_code import encode
from isac_models.coding.layout import FileCode
from isac_models.coding.packet import PacketFormat
from isac_models.errors import UserError
from tests.blocks.bursts import PAYLOAD, SCENARIO, received

PACKETS = PacketFormat(PAYLOAD, 2)
MESSAGES = [
    PACKETS.messages(number, 0, payload)
    for number, payload in enumerate(encode(b"content", "../name", FileCode(PACKETS.size)))
]


def take(receiver: FileReceiver, numbers: list[int], header: list[int], lost: list[bool]) -> None:
    message = np.concatenate([MESSAGES[number] for number in numbers])
    arrays = received(message, np.array(lost), np.random.default_rng(1))
    receiver.work(**arrays, number=np.array(header))


def test_the_numbers_of_the_headers_are_slots_that_go_round() -> None:
    receiver = FileReceiver(SCENARIO, PAYLOAD)
    receiver.start()
    take(receiver, [0, 1, 2, 3], [10, 8_000_000, 16_000_000, 1], [False] * 4)
    assert receiver._slot == 2**24 + 1


def test_a_header_of_noise_does_not_move_time() -> None:
    receiver = FileReceiver(SCENARIO, PAYLOAD)
    take(receiver, [0, 1, 2], [10, 5_000_000, -1], [False, True, True])
    assert receiver._slot == 12
    take(receiver, [3], [20], [False])
    assert receiver.result()["lost"] == 10 + 2 + 7
    assert receiver.result()["received"] == 2


def test_a_complete_file_is_reported_and_written_at_the_end(tmp_path: Path) -> None:
    receiver = FileReceiver(SCENARIO, PAYLOAD, str(tmp_path / "out"))
    count = len(MESSAGES)
    take(receiver, list(range(count)), list(range(count)), [False] * count)
    assert receiver.published[-1][1]["complete"] is True
    assert list(tmp_path.iterdir()) == []
    assert receiver.result()["intact"] is None
    receiver.finish()
    assert (tmp_path / "out").read_bytes() == b"content"
    assert receiver.result()["file_name"] == "name"


def test_an_incomplete_file_is_not_written(tmp_path: Path) -> None:
    receiver = FileReceiver(SCENARIO, PAYLOAD, str(tmp_path / "out"))
    take(receiver, [0, 1], [0, 1], [False] * 2)
    receiver.finish()
    assert receiver.result()["intact"] is False
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="directory"):
        FileReceiver(SCENARIO, PAYLOAD, str(tmp_path))
