"""The message source: random messages, files, pictures, pipes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from blocks import MessageSource
from isac_models.errors import UserError
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("ideal")


def drain(source: MessageSource, frame: int) -> tuple[np.ndarray, dict[str, object], dict[str, object]]:
    """All messages, the tags of the first frame and those of the end of the stream."""
    messages, first = [], {}
    while (out := source.work(frame)) is not None:
        if source.position == 0:
            first = source.take_emitted()
        assert source.take_emitted() == {}
        messages.append(out["message"])
        source.position += len(out["message"])
    last = source.take_emitted()
    source.finish()
    return np.concatenate(messages), first, last


@pytest.mark.parametrize("order", [4, 16, 64, 256])
def test_random_messages_are_uniform_and_do_not_depend_on_the_frame(order: int) -> None:
    scenario = SCENARIO.replace(order=order)
    count = 256 * 200
    whole, first, last = drain(MessageSource(scenario, count), count)
    pieces, _, _ = drain(MessageSource(scenario, count), 1000)
    assert np.array_equal(whole, pieces)
    assert whole.dtype == np.uint8
    seen = np.bincount(whole, minlength=order)
    expected = count / order
    assert len(seen) == order
    assert np.abs(seen - expected).max() < 5 * np.sqrt(expected)
    assert first == last == {"payload_kind": "random", "payload_bytes": 0}


def test_a_seed_gives_its_own_messages() -> None:
    sources = [MessageSource(SCENARIO, 1000) for _ in range(3)]
    for source, seed in zip(sources, (1, 1, 2), strict=True):
        source.bind(seed)
    a, b, c = (drain(source, 100)[0] for source in sources)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize(("order", "bits"), [(4, 2), (16, 4), (64, 6), (256, 8)])
def test_a_file_goes_bit_by_bit_and_random_messages_follow(tmp_path: Path, order: int, bits: int) -> None:
    data = bytes(range(251))
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    scenario = SCENARIO.replace(order=order)
    needed = -(-len(data) * 8 // bits)
    sent, first, last = drain(MessageSource(scenario, file=str(path)), 37)
    more, _, _ = drain(MessageSource(scenario, needed + 100, str(path)), 37)
    random, _, _ = drain(MessageSource(scenario, needed + 100), 1000)
    string = "".join(f"{byte:08b}" for byte in data).ljust(needed * bits, "0")
    assert sent.tolist() == [int(string[i : i + bits], 2) for i in range(0, len(string), bits)]
    assert np.array_equal(more, np.concatenate([sent, random[needed:]]))
    assert first == {"payload_kind": "file", "payload_bytes": 251}
    assert last == {**first, "payload_sha256": hashlib.sha256(data).hexdigest()}


def test_a_restarted_source_repeats_its_frame(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(os.urandom(100))
    source = MessageSource(SCENARIO, 1000, str(path))
    source.position = 350  # the frame that spans the file's end
    once = source.work(100)
    again = MessageSource(SCENARIO, 1000, str(path))
    again.position = 350
    twice = again.work(100)
    assert once is not None
    assert twice is not None
    assert np.array_equal(once["message"], twice["message"])
    source.abort()
    again.abort()


def test_a_pipe_is_sent_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    source = MessageSource(SCENARIO, file=str(path))
    keeper = os.open(path, os.O_RDWR)
    os.write(keeper, b"hello")
    first = source.work(20)
    os.close(keeper)
    assert first is not None
    assert first["message"].tolist() == [
        int(f"{b:08b}"[i : i + 2], 2) for b in b"hello" for i in (0, 2, 4, 6)
    ]
    assert source.take_emitted() == {"payload_kind": "stream"}
    source.position = 20
    assert source.work(20) is None
    assert source.take_emitted()["payload_bytes"] == 5
    source.finish()


def test_too_few_snapshots_name_the_number_needed(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(100))
    with pytest.raises(UserError, match="needs 400 snapshots"):
        MessageSource(SCENARIO, 399, str(path))
    drain(MessageSource(SCENARIO, 400, str(path)), 100)


def test_a_source_needs_something_to_send() -> None:
    with pytest.raises(UserError, match="snapshots or a file"):
        MessageSource(SCENARIO)


def test_snapshots_do_not_go_with_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(UserError, match="leave the snapshots out"):
        MessageSource(SCENARIO, 100, str(path))
