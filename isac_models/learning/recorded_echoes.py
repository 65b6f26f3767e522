"""Labelled echoes from recordings of the link (docs/recording.md), for training the receiver on them.

A reader of its own for the documented format, which takes three fields of each frame and nothing else: the
learning knows nothing of streams. Every length is checked against the file before memory is set aside.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from isac_models.errors import ScenarioError, UserError
from isac_models.scenario import Scenario

Values = NDArray[Any]

MAGIC, VERSION = b"\x89ISACREC", 1
PREAMBLE = struct.Struct("<8sHHI")
RECORD = struct.Struct("<4sIQQ")  # kind, CRC-32 of the body, snapshots, bytes of the body
LARGEST_DESCRIPTION = 1 << 20
LARGEST_FRAME = (1 << 30) + (1 << 20)
SAME = (
    "antennas",
    "noise_power",
    "impairment",
    "impairment_seed",
    "impaired_side",
    "spacing_std",
    "gain_std",
    "phase_std",
    "reciprocal",
)
"""What a recording shares with the scenario that it is used in: the artifact's description names it."""
WANTED = {"echo": "<c8", "present": "|b1", "angle": "<f4"}
"""Fields that a labelled echo takes, with their dtypes on the wire."""


@dataclass(frozen=True)
class RecordedEchoes:
    """Echoes of present targets.

    echo (n, K) complex64, angle (n,) float32 in radians, sector (n, 2): where each target was searched.
    """

    echo: Values
    angle: Values
    sector: Values


def load_echoes(paths: Sequence[str], scenario: Scenario) -> RecordedEchoes:
    """The echoes of all targets in some recordings of the scenario's array.

    Raises UserError, one line with the file's name, for a file that is no whole recording, one without echoes
    and truth, one of other hardware or noise than the scenario's, and when no target was present.
    """
    parts = [_load(path, scenario) for path in paths]
    echo, angle, sector = (np.concatenate([part[i] for part in parts]) for i in range(3))
    if not len(echo):
        raise UserError(f"no target was present in {', '.join(paths)}: record more snapshots")
    return RecordedEchoes(echo, angle, sector)


def digest(path: str) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Raises UserError for one that cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read recording {path}: {reason}") from None


def _load(path: str, scenario: Scenario) -> tuple[Values, Values, Values]:
    try:
        with open(path, "rb") as file:
            return _read(file, scenario)
    except OSError as error:
        raise UserError(f"cannot read recording {path}: {error.strerror or error}") from None
    except (ValueError, ScenarioError) as error:
        raise UserError(f"recording {path}: {error}") from None


def _read(file: IO[bytes], scenario: Scenario) -> tuple[Values, Values, Values]:
    start = file.read(PREAMBLE.size)
    if len(start) < PREAMBLE.size or not start.startswith(MAGIC):
        raise ValueError("this is not a recording")
    if (version := PREAMBLE.unpack(start)[1]) != VERSION:
        raise ValueError(f"format version {version}, this program reads {VERSION}")
    records = _records(file)
    head = next(records, (b"", 0, b""))
    if head[0] != b"HEAD":
        raise ValueError("its description is missing")
    sector = _described(_unpack(head[2]), scenario)
    echoes: list[Values] = [np.empty((0, scenario.antennas), np.complex64)]
    angles: list[Values] = [np.empty(0, np.float32)]
    for kind, count, body in records:
        if kind == b"DONE":
            echo, angle = np.concatenate(echoes), np.concatenate(angles)
            return echo, angle, np.broadcast_to(sector, (len(echo), 2))
        if kind != b"FRAM":
            raise ValueError("it holds a record of an unknown kind")
        frame = _frame(body, count, scenario.antennas)
        present = frame["present"]
        if not (np.isfinite(frame["echo"]).all() and np.isfinite(frame["angle"]).all()):
            raise ValueError("it holds values that are not finite")
        echoes.append(frame["echo"][present])
        angles.append(frame["angle"][present])
    raise ValueError("it is cut off: what closes a recording is missing")


def _records(file: IO[bytes]) -> Iterator[tuple[bytes, int, bytes]]:
    """Kind, snapshots and body of each record, checked against the file's size and the checksum."""
    size = os.fstat(file.fileno()).st_size
    while len(header := file.read(RECORD.size)) == RECORD.size:
        kind, checksum, count, length = RECORD.unpack(header)
        largest = LARGEST_FRAME if kind == b"FRAM" else LARGEST_DESCRIPTION
        if length > min(largest, size - file.tell()):
            raise ValueError(f"it is cut off or damaged: a record of {length} bytes does not fit")
        body = file.read(length)
        if len(body) != length or zlib.crc32(body) != checksum:
            raise ValueError("it is damaged: a checksum does not match")
        yield kind, count, body


def _unpack(data: bytes) -> Any:
    """A msgpack value; its containers cannot be larger than the data."""
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=True)
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"it is damaged: {error}") from None


def _described(head: Any, scenario: Scenario) -> Values:
    """The sector that was searched, once the description fits."""
    about = head.get("about") if isinstance(head, Mapping) else None
    recorded = about.get("scenario") if isinstance(about, Mapping) else None
    if not isinstance(recorded, Mapping):
        raise ValueError("it does not say what scenario it was recorded in")
    fields = head.get("fields")
    missing = [name for name in WANTED if not (isinstance(fields, Mapping) and name in fields)]
    if missing:
        raise ValueError(f"it holds no {missing[0]}: record with isac_link.py --record")
    there = Scenario.from_dict(dict(recorded))
    for key in SAME:
        if (recorded_as := getattr(there, key)) != (asked := getattr(scenario, key)):
            raise ValueError(f"it was recorded with {key} {recorded_as}, the scenario has {asked}")
    return np.array(there.target_sector)


def _frame(body: bytes, count: int, antennas: int) -> dict[str, Values]:
    """The wanted arrays of a frame in its wire form (docs/wire-format.md)."""
    if len(body) < 4:
        raise ValueError("a frame of it is damaged")
    (parts,) = struct.unpack_from("<I", body)
    if not 1 <= parts <= 128 or 4 + 8 * parts > len(body):
        raise ValueError("a frame of it is damaged")
    lengths = struct.unpack_from(f"<{parts}Q", body, 4)
    if 4 + 8 * parts + sum(lengths) != len(body):
        raise ValueError("a frame of it is damaged")
    offset = 4 + 8 * parts + lengths[0]
    header = _unpack(body[4 + 8 * parts : offset])
    if not (isinstance(header, list) and len(header) == 11 and header[:3] == ["ISAC", 1, 1]):
        raise ValueError("a frame of it is not of wire format version 1")
    fields = header[9]
    if not isinstance(fields, list) or len(fields) != parts - 1 or header[6] != count:
        raise ValueError("a frame of it is damaged")
    found: dict[str, Values] = {}
    for described, length in zip(fields, lengths[1:], strict=True):
        if not (isinstance(described, list) and len(described) == 3):
            raise ValueError("a frame of it is damaged")
        name, dtype, shape = described
        if name in WANTED:
            expected = [antennas] if name == "echo" else []
            if dtype != WANTED[name] or shape != expected:
                raise ValueError(f"its field {name} is {dtype}{shape}, not {WANTED[name]}{expected}")
            if length != count * math.prod(expected) * np.dtype(dtype).itemsize:
                raise ValueError("a frame of it is damaged")
            values = np.frombuffer(body, dtype, length // np.dtype(dtype).itemsize, offset)
            found[name] = values.reshape(count, *expected)
        offset += length
    if found.keys() != WANTED.keys():
        raise ValueError("a frame of it lacks a field")
    return found
