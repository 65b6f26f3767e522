"""Reading recordings: whole ones, cut-off ones, damaged and malicious ones."""

from __future__ import annotations

import struct
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.runtime.frame import Frame, pack
from blocks.runtime.port import Field, Signal, Symbols
from blocks.runtime.recording import FRAME, HEAD, MAX_FRAME, PREAMBLE, RECORD, Recording
from blocks.runtime.recording_writer import RecordingWriter
from isac_models.errors import UserError

SIZES = (5, 7, 3)


def record(path: Path, sizes: tuple[int, ...] = SIZES, complete: bool = True) -> Path:
    """A recording of frames whose messages count snapshots."""
    writer = RecordingWriter(str(path))
    start = 0
    for sequence, size in enumerate(sizes):
        arrays: dict[str, np.ndarray] = {
            "message": np.arange(start, start + size, dtype=np.uint8),
            "echo": np.full((size, 4), start + 1j, dtype=np.complex64),
        }
        if sequence == 0:
            writer.describe(arrays, {"seed": 3})
        writer.write(Frame("link", sequence, start, size, 0, tags={"number": sequence}, arrays=arrays))
        start += size
    return Path(writer.close({"last": True}, complete))


def test_a_recording_gives_back_what_was_written(tmp_path: Path) -> None:
    recording = Recording(str(record(tmp_path / "a.rec")))
    assert recording.fields == {"message": Symbols(), "echo": Signal(4)}
    assert (recording.frames, recording.snapshots, recording.complete) == (3, 15, True)
    assert recording.about == {"seed": 3}
    assert recording.tags == {"last": True}
    read = [recording.read(n) for n in range(3)]
    recording.close()
    assert [frame.tags["number"] for frame in read] == [0, 1, 2]
    assert np.array_equal(np.concatenate([f.arrays["message"] for f in read]), np.arange(15))
    assert read[1].arrays["echo"].shape == (7, 4)


def test_a_snapshot_is_found_in_its_frame(tmp_path: Path) -> None:
    recording = Recording(str(record(tmp_path / "a.rec")))
    assert [recording.frame_at(p) for p in (0, 4, 5, 11, 12, 14)] == [
        (0, 0),
        (0, 4),
        (1, 0),
        (1, 6),
        (2, 0),
        (2, 2),
    ]


def test_every_cut_is_refused_with_the_number_of_whole_frames_or_salvaged(tmp_path: Path) -> None:
    whole = record(tmp_path / "a.rec").read_bytes()
    cut = tmp_path / "cut.rec"
    seen = set()
    for length in range(PREAMBLE.size, len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(UserError) as caught:
            Recording(str(cut))
        if "whole frames" in str(caught.value):
            salvaged = Recording(str(cut), salvage=True)
            assert ("--salvage" in str(caught.value)) == (salvaged.frames > 0)
            assert f"after {salvaged.frames} whole frames ({salvaged.snapshots} snapshots)" in str(
                caught.value
            )
            assert salvaged.salvaged
            assert not salvaged.complete
            seen.add(salvaged.frames)
    assert seen == {0, 1, 2, 3}


def test_a_torn_tail_of_zeros_is_not_taken_for_a_frame(tmp_path: Path) -> None:
    path = record(tmp_path / "a.rec")
    whole = path.read_bytes()
    last = whole.rindex(FRAME)
    path.write_bytes(whole[: last + RECORD.size + 40] + bytes(len(whole) - last))
    salvaged = Recording(str(path), salvage=True)
    assert (salvaged.frames, salvaged.snapshots) == (2, 12)


def test_a_stopped_run_leaves_a_recording_that_can_be_played(tmp_path: Path) -> None:
    path = record(tmp_path / "a.rec", complete=False)
    assert path.name == "a.rec.partial"
    recording = Recording(str(path))
    assert (recording.complete, recording.salvaged, recording.frames) == (False, False, 3)


def test_a_damaged_frame_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = record(tmp_path / "a.rec")
    data = bytearray(path.read_bytes())
    data[data.index(FRAME) + RECORD.size + 60] ^= 1
    path.write_bytes(data)
    recording = Recording(str(path))
    with pytest.raises(ValueError, match="frame 0 is damaged"):
        recording.read(0)
    assert recording.read(1).count == 7
    recording.close()


def test_a_whole_recording_with_a_damaged_frame_is_salvaged_up_to_it(tmp_path: Path) -> None:
    path = record(tmp_path / "a.rec")
    data = bytearray(path.read_bytes())
    data[data.rindex(FRAME) + RECORD.size + 60] ^= 1
    path.write_bytes(data)
    salvaged = Recording(str(path), salvage=True)
    assert (salvaged.frames, salvaged.salvaged, salvaged.complete) == (2, True, False)
    with closing(Recording(str(path))) as recording, pytest.raises(ValueError, match=r"frame 2 .*--salvage"):
        recording.read(2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not a recording"),
        (b"\x89PNG\r\n\x1a\n", "is not a recording"),
        (PREAMBLE.pack(b"\x89ISACREC", 2, 0, 0), "format version 2"),
        (PREAMBLE.pack(b"\x89ISACREC", 1, 0, 0), "damaged"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        Recording(str(path))


def test_missing_files_and_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        Recording(str(tmp_path / "missing"))
    with pytest.raises(UserError, match="directory"):
        Recording(str(tmp_path))


def body_of(kind: bytes, body: bytes, count: int = 0) -> bytes:
    return RECORD.pack(kind, zlib.crc32(body), count, len(body)) + body


@pytest.mark.parametrize(
    "head",
    [
        [],
        {"fields": []},
        {"fields": {"a": "<f4"}},
        {"fields": {"a": ["|O", []]}},
        {"fields": {"a": ["<f4", [-1]]}},
        {"fields": {"a": ["<f4", [1 << 62]]}},
        {"fields": {"a": ["<f4", [1] * 30]}},
    ],
)
def test_a_malicious_description_is_refused(tmp_path: Path, head: Any) -> None:
    path = tmp_path / "a.rec"
    path.write_bytes(PREAMBLE.pack(b"\x89ISACREC", 1, 0, 0) + body_of(HEAD, pack(head)))
    with pytest.raises(UserError, match="damaged"):
        Recording(str(path))


def test_a_record_that_claims_more_than_the_file_holds_allocates_nothing(tmp_path: Path) -> None:
    path = record(tmp_path / "a.rec")
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, data.index(FRAME) + 16, MAX_FRAME)
    path.write_bytes(data)
    with pytest.raises(UserError, match="after 0 whole frames"):
        Recording(str(path))


@pytest.mark.parametrize(
    "parts", [b"", b"\xff\xff\xff\xff", struct.pack("<IQ", 1, 1 << 60), struct.pack("<IQ", 1, 0) + b"x"]
)
def test_malformed_parts_are_refused(tmp_path: Path, parts: bytes) -> None:
    path = record(tmp_path / "a.rec")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(FRAME)] + body_of(FRAME, parts) + data[data.rindex(b"DONE") :])
    recording = Recording(str(path))
    with pytest.raises(ValueError, match="frame 0 is damaged"):
        recording.read(0)
    recording.close()


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_flipped_byte_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: int, flip: int
) -> None:
    path = record(tmp_path_factory.mktemp("flip") / "a.rec")
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= flip
    path.write_bytes(data)
    try:
        with closing(Recording(str(path))) as recording:
            frames = [recording.read(n) for n in range(recording.frames)]
    except ValueError:
        return
    assert [frame.count for frame in frames] == list(SIZES)


def test_fields_of_every_dtype_are_described(tmp_path: Path) -> None:
    writer = RecordingWriter(str(tmp_path / "a.rec"))
    arrays = {
        "flag": np.array([True, False]),
        "wide": np.zeros((2, 3, 4), np.complex128),
        "none": np.zeros((2, 0), np.float32),
        "big": np.zeros(2, ">i4"),
    }
    writer.describe(arrays, {})
    writer.write(Frame("s", 0, 0, 2, 0, arrays=arrays))
    recording = Recording(writer.close({}, complete=True))
    expected = {"flag": "bool", "wide": "complex128", "none": "float32", "big": "int32"}
    assert recording.fields == {k: Field(d, arrays[k].shape[1:]) for k, d in expected.items()}
    frame = recording.read(0)
    recording.close()
    assert all(np.array_equal(frame.arrays[key], array) for key, array in arrays.items())
