"""Files at either end of a burst link."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from blocks.runtime.file_bursts import BurstParser, read_file, write_file
from isac_models.coding.packet import PacketFormat
from isac_models.constellation import Constellation
from isac_models.errors import UserError


def test_files_that_cannot_be_sent_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert read_file(str(tmp_path / "file")) == b"content"
    with pytest.raises(UserError, match="7 bytes, the limit is 6"):
        read_file(str(tmp_path / "file"), 6)
    with pytest.raises(UserError, match="No such file"):
        read_file(str(tmp_path / "missing"))
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(UserError, match="not a regular file"):
            read_file(str(tmp_path / name))


def test_only_a_whole_file_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert write_file(str(path), None) is None
    assert write_file(None, b"x") is None
    assert list(tmp_path.iterdir()) == []
    assert write_file(str(path), b"content") == str(path)
    assert path.read_bytes() == b"content"


def test_symbols_are_decided_and_their_packet_is_read() -> None:
    layout, constellation = PacketFormat(96, 2), Constellation(4)
    message = layout.messages(7, 1, b"0123456789abcdef")
    csi = np.full(96, 0.5j, np.complex64)
    symbols = (csi * constellation.points[message]).astype(np.complex64)
    parse = BurstParser(layout, constellation)
    assert parse(symbols, csi) == (7, 1, b"0123456789abcdef")
    assert parse(-symbols, csi) is None
