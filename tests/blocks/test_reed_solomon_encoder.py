"""The encoder of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blocks import ReedSolomonEncoder
from isac_models.coding.file_code import encode
from isac_models.coding.layout import FileCode
from isac_models.coding.packet import PacketFormat
from isac_models.errors import UserError
from tests.blocks.bursts import PAYLOAD, SCENARIO


@pytest.mark.parametrize("frame", [PAYLOAD, 5 * PAYLOAD + 7])
def test_the_bursts_of_the_file_are_sent_in_order(tmp_path: Path, frame: int) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"content" * 100)
    encoder = ReedSolomonEncoder(SCENARIO, str(path), PAYLOAD, data=20, parity=5)
    messages = []
    while (out := encoder.work(frame)) is not None:
        assert len(out["message"]) <= frame
        messages.append(out["message"])
        encoder.position += len(out["message"])
    packets = PacketFormat(PAYLOAD, 2)
    found = [packets.parse(burst) for burst in np.concatenate(messages).reshape(-1, PAYLOAD)]
    expected = encode(b"content" * 100, "a.bin", FileCode(packets.size, 20, 5, 4))
    assert found == [(number, 0, data) for number, data in enumerate(expected)]
    assert encoder.result() == {"file_bytes": 700, "bursts": len(expected)}


def test_what_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UserError, match="No such file"):
        ReedSolomonEncoder(SCENARIO, str(tmp_path / "missing"), PAYLOAD)
    with pytest.raises(UserError, match="cannot carry a file"):
        ReedSolomonEncoder(SCENARIO, str(tmp_path / "file"), 16)
    with pytest.raises(UserError, match="frames of 10 snapshots"):
        ReedSolomonEncoder(SCENARIO, str(tmp_path / "file"), PAYLOAD).work(10)
