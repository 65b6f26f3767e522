"""The wire format: every frame survives the trip, and no message whatever does harm."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from blocks.runtime.frame import (
    ACK,
    BYTES_PER_CONTAINER,
    DTYPES,
    FRAME,
    HELLO,
    LOCAL,
    MAGIC,
    MAX_BYTES,
    MAX_DIMENSIONS,
    MAX_FIELDS,
    MAX_HEADER,
    MAX_SEQUENCE,
    MESSAGE,
    VERSION,
    Frame,
    MalformedFrame,
    decode_header,
    decode_parts,
    encode_header,
    encode_parts,
    pack,
    tags_of,
    unpack,
)

NAMES = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_.#>-]{0,20}\Z")
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """Frames of any count, with any number of fields of any dtype and shape, empty ones too."""
    count = draw(st.integers(0, 9))
    arrays = {}
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        tail = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
        dtype = np.dtype(draw(st.sampled_from(sorted(DTYPES))))
        arrays[name] = draw(hnp.arrays(dtype, (count, *tail)))
    whole = st.integers(0, MAX_SEQUENCE)
    tags = draw(st.dictionaries(st.text(), PLAIN, max_size=3))
    return Frame(draw(NAMES), draw(whole), draw(whole), count, draw(whole), False, tags, arrays)


def delivered(parts: list[Any]) -> list[bytes]:
    """The parts as they come out of a socket."""
    return [bytes(memoryview(part).cast("B")) if memoryview(part).nbytes else b"" for part in parts]


def header(**changes: Any) -> list[Any]:
    """Values of a good header of five snapshots of one float32 field, some of them changed."""
    values = {
        "magic": MAGIC, "version": VERSION, "kind": FRAME, "stream": "link", "sequence": 3, "start": 15,
        "count": 5, "timestamp": 7, "end": False, "fields": [["a", "<f4", []]], "tags": {},
    }  # fmt: skip
    return list((values | changes).values())


def message(*parts: bytes, **changes: Any) -> list[bytes]:
    """A message with that header, and the five values unless `parts` are given."""
    return [msgpack.packb(header(**changes)), *(parts or (bytes(20),))]


@given(frames())
def test_a_frame_survives_the_trip(frame: Frame) -> None:
    got = decode_parts(delivered(encode_parts(frame)))
    for name in ("stream", "sequence", "start", "count", "timestamp_ns", "end", "tags"):
        assert getattr(got, name) == getattr(frame, name)
    assert list(got.arrays) == list(frame.arrays)
    for name, array in frame.arrays.items():
        assert got.arrays[name].dtype == array.dtype
        assert got.arrays[name].shape == array.shape
        assert got.arrays[name].tobytes() == array.tobytes()
        assert got.arrays[name].flags.aligned
        assert not got.arrays[name].flags.writeable


@pytest.mark.parametrize("code", sorted(DTYPES))
@pytest.mark.parametrize("shape", [(0,), (7,), (7, 0), (0, 5), (3, 2, 4), (1,) * MAX_DIMENSIONS])
def test_every_dtype_and_shape(code: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(code)
    got = decode_parts(delivered(encode_parts(Frame("s", 0, 0, shape[0], arrays={"x": array}))))
    np.testing.assert_array_equal(got.arrays["x"], array, strict=True)


def test_an_end_of_stream_carries_its_tags() -> None:
    got = decode_parts(delivered(encode_parts(Frame("s", 9, 81, 0, 5, end=True, tags={"length": 12}))))
    assert (got.end, got.sequence, got.start, got.tags, got.arrays) == (True, 9, 81, {"length": 12}, {})


@pytest.mark.parametrize("code", ["f4", "c8", "i2", "u8", "f8"])
def test_the_wire_is_little_endian_and_contiguous(code: str) -> None:
    plain = np.arange(24).reshape(4, 6).astype(code)
    for given_ in (plain.astype(plain.dtype.newbyteorder(">")), np.asfortranarray(plain), plain[:, ::-1]):
        parts = delivered(encode_parts(Frame("s", 0, 0, 4, arrays={"x": given_})))
        assert parts[1] == np.ascontiguousarray(given_, dtype="<" + code).tobytes()
        np.testing.assert_array_equal(decode_parts(parts).arrays["x"], given_)


def test_arrays_are_neither_copied_out_nor_in() -> None:
    array = np.arange(6, dtype=np.float32)
    parts = encode_parts(Frame("s", 0, 0, 6, arrays={"x": array}))
    assert np.shares_memory(parts[1], array)
    assert np.shares_memory(decode_parts(parts).arrays["x"], array)


def test_a_part_received_is_sent_on_as_it_is() -> None:
    array, part = np.arange(4, dtype=np.int64), object()
    assert encode_parts(Frame("s", 0, 0, 4, arrays={"x": array}, raw={"x": part}))[1] is part


def test_only_the_fields_asked_for_are_sent() -> None:
    frame = Frame("s", 0, 0, 2, arrays={name: np.zeros(2, np.uint8) for name in "abc"})
    assert list(decode_parts(encode_parts(frame, ["c", "a", "missing"])).arrays) == ["c", "a"]
    assert len(encode_parts(frame, [])) == 1


def test_an_unaligned_part_is_copied() -> None:
    wanted = np.arange(5, dtype=np.float64)
    part = memoryview(b"x" + wanted.tobytes())[1:]
    shifted = part if np.frombuffer(part).ctypes.data % 8 else memoryview(bytes(part))
    got = decode_parts([message(fields=[["a", "<f8", []]])[0], shifted]).arrays["a"]
    assert got.flags.aligned
    assert got.flags.writeable is False
    np.testing.assert_array_equal(got, wanted)
    assert np.shares_memory(got, np.frombuffer(shifted, np.uint8)) == (shifted is not part)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"magic": "isac"}, "not an ISAC message"),
        ({"magic": None}, "not an ISAC message"),
        ({"version": 2}, "version 2"),
        ({"version": True}, "version True"),
        ({"version": 1.0}, "version"),
        ({"kind": 0}, "kind 0"),
        ({"kind": LOCAL}, "where a frame was expected"),
        ({"kind": 7}, "kind 7"),
        ({"kind": MESSAGE}, "where a frame was expected"),
        ({"kind": True}, "kind True"),
        ({"kind": []}, "kind"),
        ({"kind": ACK}, "where a frame was expected"),
        ({"extra": 1}, "8 values"),
        ({"stream": "no good"}, "stream"),
        ({"stream": ""}, "stream"),
        ({"stream": "x" * 65}, "stream"),
        ({"stream": 5}, "stream"),
        ({"stream": "a\n"}, "stream"),
        ({"sequence": -1}, "sequence"),
        ({"sequence": 2**63}, "sequence"),
        ({"sequence": True}, "sequence"),
        ({"sequence": 1.0}, "sequence"),
        ({"start": None}, "start"),
        ({"count": -5}, "count"),
        ({"count": MAX_BYTES + 1}, "count"),
        ({"count": 4}, "do not fill"),
        ({"count": 6}, "do not fill"),
        ({"timestamp": "now"}, "timestamp"),
        ({"end": 0}, "end"),
        ({"end": True}, "end-of-stream"),
        ({"tags": []}, "tags"),
        ({"tags": {b"key": 1}}, "keys"),
        ({"tags": {"deep": [{b"key": 1}]}}, "keys"),
        ({"tags": {5: 1}}, "msgpack"),
        ({"tags": {"when": msgpack.Timestamp(1, 2)}}, "extension"),
        ({"tags": {"what": msgpack.ExtType(7, b"code")}}, "extension type 7"),
        ({"fields": {}}, "fields"),
        ({"fields": []}, "0 fields in 1 parts"),
        ({"fields": [["a", "<f4", []]] * 2}, "2 fields in 1 parts"),
        ({"fields": ["a"]}, "a field is"),
        ({"fields": [["a", "<f4"]]}, "a field is"),
        ({"fields": [["1a", "<f4", []]]}, "field name"),
        ({"fields": [[None, "<f4", []]]}, "field name"),
        ({"fields": [["a", ">f4", []]]}, "dtype"),
        ({"fields": [["a", "O", []]]}, "dtype"),
        ({"fields": [["a", ["<f4"], []]]}, "dtype"),
        ({"fields": [["a", "<f4", 5]]}, "dimensions"),
        ({"fields": [["a", "<f4", [1] * MAX_DIMENSIONS]]}, "dimensions"),
        ({"fields": [["a", "<f4", [-1]]]}, "dimension must be"),
        ({"fields": [["a", "<f4", [True]]]}, "dimension must be"),
        ({"fields": [["a", "<f4", [1.0]]]}, "dimension must be"),
        ({"fields": [["a", "<f4", [MAX_BYTES + 1]]]}, "dimension must be"),
        ({"fields": [["a", "<f4", [MAX_BYTES] * 7]]}, "do not fill"),
        ({"fields": [["a", "<f4", [0]]]}, "do not fill"),
    ],
    ids=str,
)
def test_a_malformed_header_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(MalformedFrame, match=why):
        decode_parts(message(**changes))


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([], "empty message"),
        ([b""], "not msgpack"),
        ([b"GET / HTTP/1.1\r\n"], "not msgpack"),
        ([pack({})], "not an ISAC message"),
        ([pack([MAGIC, VERSION])], "not an ISAC message"),
        ([b"\x91" * 2000 + b"\x90"], "not msgpack"),
        ([b"\xdd\xff\xff\xff\xff"], "not msgpack"),
        ([b"\xc6\xff\xff\xff\xff"], "not msgpack"),
        ([pack([MAGIC, VERSION, FRAME]) + b"\x00"], "not msgpack"),
        ([b"\x93\xa4ISAC\xa2\xff\xfe\x01"], "not msgpack"),
        ([pack(header(tags={"long": "x" * MAX_HEADER}))], "the limit is"),
        (message(fields=[[f"f{n}", "|u1", []] for n in range(65)])[:1] + [bytes(5)] * 65, "65 fields"),
        (message(bytes(20), bytes(20), fields=[["a", "<f4", []]] * 2), "field a twice"),
        (message(bytes([0, 1, 1, 0, 2]), fields=[["a", "|b1", []]]), "neither 0 nor 1"),
        (message(bytes(19)), "do not fill"),
        (message(bytes(21)), "do not fill"),
        # No bytes at all, and yet more than an array can be.
        (message(b"", count=0, fields=[["a", "<f4", [MAX_BYTES] * 3]]), "larger than an array can be"),
    ],
    ids=range(17),
)
def test_a_malformed_message_is_refused(parts: list[bytes], why: str) -> None:
    with pytest.raises(MalformedFrame, match=why):
        decode_parts(parts)


def test_more_bytes_than_a_frame_may_have_are_refused() -> None:
    part = np.broadcast_to(np.uint8(0), (MAX_BYTES // 2 + 1,)).data  # one byte of memory
    fields = [["a", "|u1", []], ["b", "|u1", []]]
    with pytest.raises(MalformedFrame, match="arrays of more than"):
        decode_parts([*message(count=MAX_BYTES // 2 + 1, fields=fields)[:1], part, part])


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_random_bytes_do_no_harm(parts: list[bytes]) -> None:
    with pytest.raises(MalformedFrame):
        decode_parts(parts)


@given(
    st.lists(PLAIN | st.integers(-2, 70), min_size=8, max_size=8),
    st.lists(st.binary(max_size=40), max_size=3),
)
def test_random_header_values_do_no_harm(values: list[Any], parts: list[bytes]) -> None:
    data = msgpack.packb([MAGIC, VERSION, FRAME, *values])
    try:
        frame = decode_parts([data, *parts])
    except MalformedFrame:
        return
    assert all(len(array) == frame.count for array in frame.arrays.values())


@settings(max_examples=300)
@given(frames(), st.data())
def test_flipped_bits_do_no_harm(frame: Frame, data: st.DataObject) -> None:
    parts = [bytearray(part) for part in delivered(encode_parts(frame))]
    for _ in range(data.draw(st.integers(1, 3))):
        part = data.draw(st.sampled_from([part for part in parts if part]))
        part[data.draw(st.integers(0, len(part) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        got = decode_parts([bytes(part) for part in parts])
    except MalformedFrame:
        return
    assert sum(a.nbytes for a in got.arrays.values()) == sum(len(part) for part in parts[1:])


@settings(max_examples=200)
@given(frames(), st.data())
def test_a_cut_message_does_no_harm(frame: Frame, data: st.DataObject) -> None:
    parts = delivered(encode_parts(frame))
    which = data.draw(st.integers(0, len(parts) - 1))
    if parts[which]:
        parts[which] = parts[which][: data.draw(st.integers(0, len(parts[which]) - 1))]
        with pytest.raises(MalformedFrame):
            decode_parts(parts)


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (Frame("my link", 0, 0, 1), "'my link'"),
        (Frame("s", 0, 0, 1, arrays={"größe": np.zeros(1)}), "größe"),
        (Frame("s", 0, 0, 1, arrays={"x": np.zeros(1, np.float16)}), "dtype float16"),
        (Frame("s", 0, 0, 1, arrays={"x": np.array(["text"])}), "dtype <U4"),
        (Frame("s", 0, 0, 1, arrays={"x": np.array(5)}), "0 dimensions"),
        (Frame("s", 0, 0, 1, arrays={"x": np.zeros((1,) * 9)}), "9 dimensions"),
        (Frame("s", 0, 0, 1, arrays={f"f{n}": np.zeros(1) for n in range(MAX_FIELDS + 1)}), "65 fields"),
        (Frame("s", 0, 0, 2**28, arrays={"x": np.broadcast_to(1.0, 2**28)}), "smaller frames"),
        (Frame("s", 0, 0, 1, tags={"text": "x" * MAX_HEADER}), "tags make a header of"),
        (Frame("s", 0, 0, 1, tags={"map": {1: 2}}), "keys must be strings"),
        (Frame("s", 0, 0, 1, tags={"map": [{b"a": 2}]}), "keys must be strings"),
        (Frame("s", 0, 0, 1, tags={"when": msgpack.Timestamp(1, 2)}), "extension types"),
        (Frame("s", 0, 0, 1, tags={"when": date(2020, 1, 1)}), "date"),
        (Frame("s", 0, 0, 1, tags={"set": {1}}), "set"),
        (Frame("s", 0, 0, 1, tags={"array": np.zeros(3)}), "ndarray"),
    ],
    ids=range(15),
)
def test_what_no_reader_would_take_is_not_sent(frame: Frame, why: str) -> None:
    with pytest.raises((TypeError, ValueError), match=why):
        encode_parts(frame)


def test_numpy_scalars_travel_as_plain_ones() -> None:
    values = {"n": np.int32(5), "x": np.float32(0.5), "flag": np.bool_(True), "list": [np.uint8(1)]}
    got = unpack(pack(values))
    assert got == {"n": 5, "x": 0.5, "flag": True, "list": [1]}
    assert [type(value) for value in got.values()] == [int, float, bool, list]


def test_headers_of_every_kind() -> None:
    assert decode_header(encode_header(HELLO, "a>b", b"token", 5)) == (HELLO, ["a>b", b"token", 5])
    assert decode_header(encode_header(ACK, 7)) == (ACK, [7])


@pytest.mark.parametrize("one", [b"\x90", b"\x80"], ids=["lists", "maps"])
def test_a_large_message_may_not_hold_lists_and_maps_alone(one: bytes) -> None:
    limit = 1 << 20
    count = limit // BYTES_PER_CONTAINER
    full = msgpack.packb([[]] * (count - 1) + [0] * count)
    assert len(unpack(full, limit)) == 2 * count - 1
    with pytest.raises(MalformedFrame, match=f"more than {count} lists and maps"):
        unpack(b"\xdd" + (limit - 5).to_bytes(4, "big") + one * (limit - 5), limit)


def test_later_tags_win() -> None:
    assert tags_of({"a": 1, "b": 1}, {}, {"b": 2}) == {"a": 1, "b": 2}
