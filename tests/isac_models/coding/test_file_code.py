"""Files as bursts."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac_models.coding import file_code
from isac_models.coding.file_code import FileDecoder, FileEncoder, encode
from isac_models.coding.file_header import FileHeader
from isac_models.coding.layout import FileCode
from isac_models.coding.reed_solomon import LONGEST
from isac_models.errors import UserError

contents = st.binary(max_size=3000)
codes = st.builds(
    FileCode,
    size=st.integers(4, 80),
    data=st.integers(1, 40),
    parity=st.integers(0, 30),
    depth=st.integers(1, 4),
)


def arrive(bursts: list[bytes], lost: set[int], size: int = 60) -> FileDecoder:
    decoder = FileDecoder(size)
    for number, payload in enumerate(bursts):
        decoder.push(number, None if number in lost else payload)
    return decoder


@given(content=contents, code=codes, seed=st.integers(0, 2**32), name=st.text(max_size=20))
def test_a_file_comes_back_in_any_order(content: bytes, code: FileCode, seed: int, name: str) -> None:
    encoder = FileEncoder(name, content, code)
    bursts = list(enumerate(encoder.payloads()))
    assert all(len(payload) == code.size for _, payload in bursts)
    random.Random(seed).shuffle(bursts)
    decoder = FileDecoder(code.size)
    for number, payload in bursts:
        decoder.push(number, payload)
    assert decoder.complete
    assert decoder.content() == content
    assert decoder.header == encoder.header
    assert decoder.missing() == []


@given(content=contents, code=codes, seed=st.integers(0, 2**32))
def test_as_many_bursts_as_a_block_has_parity_may_be_lost(content: bytes, code: FileCode, seed: int) -> None:
    encoder, rng = FileEncoder("f", content, code), random.Random(seed)
    layout, lost = encoder.layout, set()
    for block in range(layout.blocks):
        spare = layout.bursts(block) - layout.data(block)
        lost |= {layout.number(block, s) for s in rng.sample(range(layout.bursts(block)), spare)}
    decoder = arrive(list(encoder.payloads()), lost, code.size)
    assert decoder.content() == content


@given(content=contents, code=codes, seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_what_is_missing_is_named_and_enough(content: bytes, code: FileCode, seed: int, share: float) -> None:
    encoder, rng = FileEncoder("f", content, code), random.Random(seed)
    bursts = list(encoder.payloads())
    lost = {number for number in range(len(bursts)) if rng.random() < share}
    decoder = arrive(bursts, lost, code.size)
    if decoder.header is None:
        assert set(decoder.missing()) <= lost & set(range(encoder.layout.end(0)))
    for _ in range(2):  # the header first, where it is missing
        named = decoder.missing()
        needed = sum(decoder.needed(block) for block in range(decoder.layout.blocks))
        assert len(named) == len(set(named)) == needed
        for number in named:
            decoder.push(number, bursts[number])
    assert decoder.content() == content


def test_rayleigh_outages_are_survived_with_the_code_and_not_without() -> None:
    # |β|² is exponential: a burst is lost where it is below the threshold, here 10 dB below the mean.
    content, rng = random.Random(1).randbytes(200_000), random.Random(2)
    gains = [rng.expovariate(1.0) for _ in range(6000)]
    for code, whole in ((FileCode(depth=4), True), (FileCode(parity=0, depth=4), False)):
        bursts = encode(content, "f", code)
        decoder = arrive(bursts, {number for number in range(len(bursts)) if gains[number] < 0.1})
        assert (decoder.content() == content) is whole
        assert decoder.complete is whole
        assert decoder.progress.recovered > 0


def test_a_long_outage_is_survived_when_blocks_are_sent_in_turns() -> None:
    content = random.Random(1).randbytes(60 * 191 * 4)
    for depth, whole in ((4, True), (1, False)):
        bursts = encode(content, "f", FileCode(depth=depth))
        assert (arrive(bursts, set(range(100, 300))).content() == content) is whole


def test_spare_bursts_are_named_for_those_that_will_be_lost_again() -> None:
    content = bytes(60 * 40)
    decoder = arrive(encode(content, "f", FileCode(data=40, parity=20)), set(range(15, 65)))
    assert len(decoder.missing()) == 30
    assert len(decoder.missing(spare=0.5)) == 45
    assert len(decoder.missing(spare=5.0)) == 50  # no more than are missing
    assert decoder.missing(groups=1) == []


def test_a_wrong_burst_in_the_header_is_mended_by_the_next_ones() -> None:
    bursts = encode(b"content", "f")
    bursts[0] = b"\x07" * 60
    decoder = arrive(bursts, set())
    assert decoder.progress.conflicts == 1
    assert decoder.content() == b"content"


def test_a_wrong_burst_in_the_data_is_not_passed_on() -> None:
    content = random.Random(1).randbytes(600)
    bursts = encode(content, "f")
    bursts[17] = bytes(60)
    decoder = arrive(bursts, set())
    assert decoder.complete
    assert decoder.content() is None


def test_headers_that_are_nothing_but_wrong_begin_anew() -> None:
    decoder = FileDecoder()
    for number in range(15):
        decoder.push(number, b"\x07" * 60)
    assert decoder.progress.conflicts > 0
    for _ in range(2):
        for number, payload in enumerate(encode(b"content", "f")):
            decoder.push(number, payload)
    assert decoder.content() == b"content"


def test_a_file_beyond_the_limit_is_refused_before_anything_is_kept() -> None:
    bursts = encode(bytes(2000), "f")
    decoder = FileDecoder(limit=1999)
    for number, payload in enumerate(bursts):
        decoder.push(number, payload)
    assert decoder.refused == "the file has 2000 bytes, the limit is 1999"
    assert decoder.content() is None
    assert not decoder.complete


def test_a_header_of_a_huge_file_costs_nothing() -> None:
    header = FileHeader("f", 0, b"d" * 32, 1, 254, 64).pack()
    body = bytearray(header[: len(header.rstrip(b"\0"))])
    body[8:16] = struct.pack(">Q", 60_000_000)  # within the limit, with 255 bursts for one of data
    end = 49 + 1
    body[end : end + 4] = struct.pack(">I", zlib.crc32(bytes(body[:end])))
    raw = bytes(body).ljust(300, b"\0")
    decoder = FileDecoder()
    for number in range(5):
        decoder.push(number, raw[60 * number : 60 * number + 60])
    assert decoder.refused or decoder.layout.length == 60_000_000


def test_numbers_and_sizes_that_cannot_be_are_counted_and_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = FileDecoder()
    for number, payload in ((-1, bytes(60)), (0, bytes(59)), (0, bytes(61))):
        decoder.push(number, payload)
    assert decoder.progress.refused == 3
    monkeypatch.setattr(file_code, "WAITING", 10)
    for number in range(1000, 1020):
        decoder.push(number, bytes(60))
    assert decoder.progress.refused == 3 + 10
    for number, payload in enumerate(encode(b"content", "f")):
        decoder.push(number, payload)  # the waiting ones turn out to be beyond the file
    assert decoder.progress.refused == 3 + 20
    assert decoder.content() == b"content"


def test_bursts_beyond_the_window_are_not_kept() -> None:
    content = bytes(60 * LONGEST * 6)
    code = FileCode(data=100, parity=0)
    bursts = encode(content, "f", code)
    decoder = FileDecoder(window=2)
    layout = FileEncoder("f", content, code).layout
    for number in [*range(15), *range(layout.end(1), len(bursts))]:
        decoder.push(number, bursts[number])
    assert decoder.progress.refused == layout.total - layout.end(3)


def test_a_file_that_is_too_large_is_refused_by_the_sender() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 2**40

    with pytest.raises(UserError, match="bursts"):
        FileEncoder("f", Huge())
