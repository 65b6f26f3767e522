"""Frames and their wire format, version 1 (docs/wire-format.md). Reading trusts nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import msgpack
import numpy as np

MAGIC = "ISAC"
VERSION = 1
FRAME, HELLO, ACK, LOCAL, MESSAGE, LEFT = KINDS = 1, 2, 3, 4, 5, 6
"""Message kinds: a frame (or end of stream) down, a reader's introduction and its acknowledgements up;
inside one process only, the sequence number of a frame that is handed over by reference; on an edge
between message ports, a message down, and up that its reader takes no more."""

MAX_HEADER = 64 * 1024  # bytes
MAX_FIELDS = 64
MAX_DIMENSIONS = 8
MAX_BYTES = 1 << 30  # of all arrays of one frame
BYTES_PER_CONTAINER = 16  # what a message above MAX_HEADER needs for each of its lists and maps, on average
MAX_NAME = 64
MAX_VALUE = MAX_HEADER - 64  # bytes of one message between ports: its header fits in as well
MAX_SEQUENCE = (1 << 63) - 1

DTYPES = {
    np.dtype(code).newbyteorder("<").str: np.dtype(code).newbyteorder("<")
    for code in ("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16")
}
_FLAT = frozenset((int, str, bytes, bool, float, type(None)))
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.#>-]{0,63}")


class MalformedFrame(ValueError):
    """A message that breaks the wire format; the text says which rule."""


@dataclass
class Frame:
    """A batch of consecutive snapshots: named arrays (n, …) that share their first axis.

    `start` is the absolute index of the first snapshot, `count` = n, `sequence` counts frames from
    0. An end-of-stream frame (`end`) has no arrays; its sequence is the number of frames sent.
    `raw` holds the message part an array came from, so that it can be sent on without a copy.
    """

    stream: str
    sequence: int
    start: int
    count: int
    timestamp_ns: int = 0
    end: bool = False
    tags: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)


def only(frame: Frame, fields: Sequence[str]) -> Frame:
    """The frame with the named fields alone, sharing their arrays."""
    arrays = {name: frame.arrays[name] for name in fields if name in frame.arrays}
    raw = {name: part for name, part in frame.raw.items() if name in arrays}
    return replace(frame, tags=dict(frame.tags), arrays=arrays, raw=raw)


def _refuse_extension(code: int, _data: bytes) -> Any:
    raise MalformedFrame(f"extension type {code} is not part of the format")


def _strange(values: Any) -> str | None:
    """What in msgpack-able `values` the format does not carry although msgpack does, if anything."""
    left = [values]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                return "map keys must be strings"
            left.extend(value.values())
        elif isinstance(value, list | tuple):
            left.extend(value)
        elif isinstance(value, msgpack.Timestamp | msgpack.ExtType):
            return "extension types are not part of the format"
    return None


def pack(values: Any) -> bytes:
    """msgpack bytes of plain values; NumPy scalars become Python ones. TypeError for anything else."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(f"cannot be sent: {type(value).__name__} (use numbers, strings, bytes, lists, dicts)")

    data = bytes(msgpack.packb(values, use_bin_type=True, default=plain))
    if _nested(values) and (reason := _strange(values)):
        raise TypeError(f"cannot be sent: {reason}")
    return data


class _Containers:
    """Counts the lists and maps of a message while it is read: an empty one is 1 byte there, 64 in memory."""

    def __init__(self, limit: int) -> None:
        self.left = self.limit = limit

    def count(self, container: Any) -> Any:
        """Called with each list and map, the inner ones first."""
        self.left -= 1
        if self.left < 0:
            raise MalformedFrame(f"more than {self.limit} lists and maps")
        return container


def unpack(data: Any, limit: int = MAX_HEADER) -> Any:
    """Plain values from at most `limit` bytes of msgpack, or MalformedFrame.

    A message above MAX_HEADER may have one list or map for every BYTES_PER_CONTAINER of `limit`.
    """
    size = memoryview(data).nbytes
    if size > limit:
        raise MalformedFrame(f"message of {size} bytes, the limit is {limit}")
    options: dict[str, Any] = {"raw": False, "strict_map_key": True, "ext_hook": _refuse_extension}
    if size > MAX_HEADER:
        count = _Containers(limit // BYTES_PER_CONTAINER).count
        options |= {"list_hook": count, "object_hook": count}
    try:
        values = msgpack.unpackb(data, **options)
    except MalformedFrame:
        raise
    except Exception as error:  # noqa: BLE001 - the library raises many kinds; each means the same here
        raise MalformedFrame(f"not msgpack: {type(error).__name__}") from None
    # msgpack reads its own timestamps and byte keys without asking; only a list of plain values has none.
    if _nested(values) and (reason := _strange(values)):
        raise MalformedFrame(reason)
    return values


def _nested(values: Any) -> bool:
    """Whether `values` is anything but a flat list, or a flat map, of numbers, strings, bytes, …"""
    if type(values) is dict:
        return not (set(map(type, values)) <= {str} and set(map(type, values.values())) <= _FLAT)
    return type(values) is not list or not set(map(type, values)) <= _FLAT


def encode_value(value: Any) -> bytes:
    """msgpack bytes of what is sent from port to port; TypeError or ValueError for what cannot be."""
    data = pack(value)
    if len(data) > MAX_VALUE:
        raise ValueError(f"a message of {len(data)} bytes, the limit is {MAX_VALUE}: send it in pieces")
    return data


def encode_header(kind: int, *values: Any) -> bytes:
    """The header part of a message: magic, version, kind, then the values of that kind."""
    return pack([MAGIC, VERSION, kind, *values])


def decode_header(data: Any) -> tuple[int, list[Any]]:
    """(kind, values) of a header, or MalformedFrame."""
    values = unpack(data)
    if not isinstance(values, list) or len(values) < 3 or values[0] != MAGIC:
        raise MalformedFrame("not an ISAC message")
    if type(values[1]) is not int or values[1] != VERSION:
        raise MalformedFrame(f"wire format version {values[1]!r}, this program reads version {VERSION}")
    if type(values[2]) is not int or values[2] not in KINDS:
        raise MalformedFrame(f"unknown message kind {values[2]!r}")
    return values[2], values[3:]


def _wire_array(name: str, array: np.ndarray) -> np.ndarray:
    """`array` little-endian and C-contiguous, uncopied when it already is."""
    dtype = array.dtype.newbyteorder("<")
    if not 1 <= array.ndim <= MAX_DIMENSIONS:
        raise ValueError(f"field {name!r} has {array.ndim} dimensions, not 1 … {MAX_DIMENSIONS}")
    if dtype.str not in DTYPES:
        raise TypeError(f"field {name!r} has dtype {array.dtype}, which the wire format does not carry")
    return np.asarray(array, dtype=dtype, order="C")


def encode_parts(frame: Frame, fields: Sequence[str] | None = None) -> list[Any]:
    """Message parts [header, array, …] of a frame, the arrays uncopied; only `fields` if given.

    Raises TypeError or ValueError for what a reader would refuse: it could never be delivered.
    """
    names = list(frame.arrays) if fields is None else [name for name in fields if name in frame.arrays]
    layout, parts = [], []
    size = sum(frame.arrays[name].nbytes for name in names)
    if size > MAX_BYTES:
        raise ValueError(f"a frame of {size} bytes, the limit is {MAX_BYTES}: use smaller frames")
    if len(names) > MAX_FIELDS:
        raise ValueError(f"a frame of {len(names)} fields, the limit is {MAX_FIELDS}")
    for name in [frame.stream, *names]:
        check_name(name, f"{name!r}")
    for name in names:
        array = _wire_array(name, frame.arrays[name])
        layout.append([name, array.dtype.str, list(array.shape[1:])])
        parts.append(frame.raw.get(name, array))
    times = (frame.sequence, frame.start, frame.count, frame.timestamp_ns)
    header = encode_header(FRAME, frame.stream, *times, frame.end, layout, frame.tags)
    if len(header) > MAX_HEADER:
        raise ValueError(f"tags make a header of {len(header)} bytes, the limit is {MAX_HEADER}")
    return [header, *parts]


def _integer(value: Any, what: str, high: int = MAX_SEQUENCE) -> int:
    if type(value) is not int or not 0 <= value <= high:
        raise MalformedFrame(f"{what} must be an integer 0 … {high}")
    return value


def check_integer(value: Any, what: str, high: int = MAX_SEQUENCE) -> int:
    """`value` if it is an integer in 0 … high, else MalformedFrame naming `what`."""
    return _integer(value, what, high)


def check_name(value: Any, what: str) -> str:
    """`value` if it is a legal name, else MalformedFrame naming `what`."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise MalformedFrame(f"{what} is not a name of at most {MAX_NAME} characters")
    return value


def _array(name: str, code: Any, tail: Any, count: int, part: memoryview) -> np.ndarray:
    """The array of one part, its size checked before anything is made."""
    dtype = DTYPES.get(code) if isinstance(code, str) else None
    if dtype is None:
        raise MalformedFrame(f"field {name}: dtype is not one of {', '.join(DTYPES)}")
    if not isinstance(tail, list) or len(tail) >= MAX_DIMENSIONS:
        raise MalformedFrame(f"field {name}: more than {MAX_DIMENSIONS} dimensions")
    shape = (count, *(_integer(size, f"field {name}: dimension", MAX_BYTES) for size in tail))
    if part.nbytes != prod(shape) * dtype.itemsize:
        raise MalformedFrame(f"field {name}: {part.nbytes} bytes do not fill {dtype}{shape}")
    if part.nbytes == 0:
        try:
            array = np.empty(shape, dtype)
        except ValueError:
            raise MalformedFrame(f"field {name}: shape {shape} is larger than an array can be") from None
    else:
        array = np.frombuffer(part, dtype).reshape(shape)
    if dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise MalformedFrame(f"field {name}: a flag that is neither 0 nor 1")
    if not array.flags.aligned:
        array = array.copy()
    array.flags.writeable = False
    return array


def decode_parts(parts: Sequence[Any]) -> Frame:
    """The frame in message parts (buffers), its arrays read-only views of them, or MalformedFrame.

    Header size, field count, names, dtypes, shapes and byte counts are checked before an array is
    made; an array is copied only when its part is not aligned in memory.
    """
    if not parts:
        raise MalformedFrame("empty message")
    kind, values = decode_header(parts[0])
    if kind != FRAME:
        raise MalformedFrame(f"message kind {kind} where a frame was expected")
    if len(values) != 8:
        raise MalformedFrame(f"a frame header has 8 values after the kind, this one {len(values)}")
    stream, sequence, start, count, timestamp, end, layout, tags = values
    frame = Frame(
        stream=check_name(stream, "stream"),
        sequence=_integer(sequence, "sequence"),
        start=_integer(start, "start"),
        count=_integer(count, "count", MAX_BYTES),
        timestamp_ns=_integer(timestamp, "timestamp"),
    )
    if not isinstance(end, bool) or not isinstance(tags, dict) or not isinstance(layout, list):
        raise MalformedFrame("end must be a flag, tags a map, fields a list")
    if len(layout) > MAX_FIELDS or len(layout) != len(parts) - 1:
        raise MalformedFrame(f"{len(layout)} fields in {len(parts) - 1} parts (at most {MAX_FIELDS})")
    if end and (layout or count):
        raise MalformedFrame("an end-of-stream frame carries no arrays")
    views = [memoryview(part) for part in parts[1:]]
    if sum(view.nbytes for view in views) > MAX_BYTES:
        raise MalformedFrame(f"arrays of more than {MAX_BYTES} bytes")
    frame.end, frame.tags = end, tags
    for entry, view in zip(layout, views, strict=True):
        if not isinstance(entry, list) or len(entry) != 3:
            raise MalformedFrame("a field is [name, dtype, dimensions]")
        name = check_name(entry[0], "field name")
        if name in frame.arrays:
            raise MalformedFrame(f"field {name} twice")
        frame.arrays[name] = _array(name, entry[1], entry[2], count, view)
    return frame


def tags_of(*groups: Mapping[str, Any]) -> dict[str, Any]:
    """Tags of several origins as one dict, later ones winning."""
    merged: dict[str, Any] = {}
    for group in groups:
        merged.update(group)
    return merged
