"""Reading SigMF recordings, our own and others', without trusting them."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from blocks.runtime.port import Field, Flags, Real, Signal, Symbols
from blocks.runtime.sigmf_meta import COMPANION, DATA, META, base_of, load_meta
from isac_models.errors import UserError

MAX_CHANNELS = 1024
MAX_FIELDS = 16
CHUNK = 1 << 20
SCALARS = {"bool": Flags(), "uint8": Symbols(), "float32": Real()}
"""Kinds of values that a recording of the truth carries; a float32 holds each of them exactly."""
DATATYPE = re.compile(r"[cr](f32|f64|i32|i16|u32|u16|i8|u8)(_le|_be)?")
NATIVE = {"cf32_le": np.dtype("<c8"), "rf32_le": np.dtype("<f4")}
"""Datatypes that are read as they are; the library converts the other ones."""
FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class Scalar:
    """A named value of every snapshot in a recording of the truth; `role` is "truth" or "decision"."""

    name: str
    dtype: str
    role: str


class SigmfDataset:
    """One pair of metadata and samples: checked when it is opened, read block by block.

    `samples` of `channels` interleaved channels; `about` are the global fields. The checksum is compared
    while samples are read in order, for converted datatypes when the recording is opened.
    Raises UserError for what is missing, malformed, unsupported, or of a size that does not fit.
    """

    def __init__(self, path: str, datatypes: re.Pattern[str] = DATATYPE) -> None:
        self.path = path
        values = load_meta(path)
        self.about: dict[str, Any] = values["global"]
        self.captures: list[dict[str, Any]] = values["captures"]
        self.annotations: list[dict[str, Any]] = values["annotations"]
        self.datatype = str(self.about["core:datatype"])
        self.channels = int(self.about.get("core:num_channels", 1))
        if not datatypes.fullmatch(self.datatype):
            raise UserError(f"recording {path} has the datatype {self.datatype[:20]}, which is not supported")
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise UserError(f"recording {path} has {self.channels} channels, the limit is {MAX_CHANNELS}")
        self._refuse_foreign_layouts()
        self._file: IO[bytes] | None = None
        self._size = self._checked_size(base_of(path) + DATA)
        self.samples = self._size // self._sample_bytes
        self._restart_hash()
        if self.datatype not in NATIVE:
            self._open_converted()

    def read(self, start: int, count: int) -> np.ndarray:
        """Samples `start` … `start + count`: (count, channels) complex64, or float32 of a real datatype.

        Raises ValueError for samples that are not finite, and, at the end, where the checksum differs.
        """
        array = self._native(start, count) if self.datatype in NATIVE else self._converted(start, count)
        real = array.view(np.float32) if array.dtype == np.complex64 else array
        with np.errstate(over="ignore", invalid="ignore"):
            suspect = not np.isfinite(real.sum())
        if suspect and not np.isfinite(real).all():
            row = int(np.flatnonzero(~np.isfinite(real).reshape(count, -1).all(axis=1))[0])
            raise ValueError(f"recording {self.path}: sample {start + row} is not a finite number")
        return array

    def close(self) -> None:
        """Let go of the file; what is read next is read from it anew."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._restart_hash()

    def _refuse_foreign_layouts(self) -> None:
        skipped = any(capture.get("core:header_bytes") for capture in self.captures)
        if skipped or self.about.get("core:trailing_bytes") or "core:dataset" in self.about:
            raise UserError(
                f"recording {self.path} is a non-conforming dataset (samples in a foreign file, or bytes "
                "between them): convert it first, with sigmf_convert"
            )

    def _checked_size(self, path: str) -> int:
        from sigmf.sigmffile import dtype_info

        self._sample_bytes = int(dtype_info(self.datatype)["sample_size"]) * self.channels
        try:
            status = os.stat(path)
        except OSError as error:
            raise UserError(f"recording {self.path}: its samples {path}: {error.strerror}") from None
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"recording {self.path}: its samples {path} are not a regular file")
        size = status.st_size
        if size % self._sample_bytes:
            raise UserError(
                f"recording {self.path}: {path} has {size} bytes, no multiple of the "
                f"{self._sample_bytes} bytes of a sample of {self.channels} channels of {self.datatype}"
            )
        if size == 0:
            raise UserError(f"recording {self.path} holds no samples")
        stated = self.about.get("isac:samples")
        if stated is not None and stated != size // self._sample_bytes:
            raise UserError(
                f"recording {self.path}: {path} holds {size // self._sample_bytes} samples, not the "
                f"{stated} that were recorded"
            )
        return size

    def _restart_hash(self) -> None:
        known = self.datatype in NATIVE and "core:sha512" in self.about
        self._hash = hashlib.sha512() if known else None
        self._hashed = 0

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = open(base_of(self.path) + DATA, "rb")  # noqa: SIM115  (closed by close)
            if os.fstat(self._file.fileno()).st_size != self._size:
                raise ValueError(f"recording {self.path} was changed after it was opened")
        return self._file

    def _native(self, start: int, count: int) -> np.ndarray:
        file = self._opened()
        array = np.empty((count, self.channels), NATIVE[self.datatype])
        raw = array.reshape(-1).view(np.uint8).data
        file.seek(start * self._sample_bytes)
        if file.readinto(raw) != len(raw):  # type: ignore[attr-defined]
            raise ValueError(f"recording {self.path} ends before its sample {start + count}")
        if self._hash is not None and start == self._hashed:
            self._hash.update(raw)
            self._hashed += count
            if self._hashed == self.samples:
                self._compare(self._hash.hexdigest(), ValueError)
        return array

    def _open_converted(self) -> None:
        """Let the library convert; it reads samples where it likes, so the checksum comes first."""
        import sigmf

        if "core:sha512" in self.about:
            checksum = hashlib.sha512()
            file = self._opened()
            while chunk := file.read(CHUNK):
                checksum.update(chunk)
            self.close()
            self._compare(checksum.hexdigest(), UserError)
        values = {"global": dict(self.about), "captures": [], "annotations": []}
        self._library = sigmf.SigMFFile(values, data_file=base_of(self.path) + DATA, skip_checksum=True)

    def _converted(self, start: int, count: int) -> np.ndarray:
        with np.errstate(over="ignore"):  # what float64 holds and float32 does not becomes infinite
            array = np.asarray(self._library.read_samples(start, count)).reshape(count, self.channels)
            return array.astype(np.complex64 if array.dtype.kind == "c" else np.float32, copy=False)

    def _compare(self, checksum: str, kind: type[ValueError]) -> None:
        if checksum != str(self.about["core:sha512"]).lower():
            raise kind(f"recording {self.path} is damaged: the checksum of its samples differs")


class SigmfRecording:
    """A recording of complex samples and, where there is one, of the truth behind them.

    `fields` name → Field: the samples under the name `field`, and every value of the role "truth".
    `about` is what the recording says of its run (scenario, seed, …), empty for one of another origin.
    Raises UserError as `SigmfDataset` does, and for a truth that does not belong to the samples.
    """

    def __init__(self, path: str, field: str = "echo") -> None:
        self.path, self.field = path, field
        self.signal = SigmfDataset(path)
        self.snapshots, self.channels = self.signal.samples, self.signal.channels
        about = self.signal.about
        run = about.get("isac:run")
        self.about: dict[str, Any] = dict(run) if isinstance(run, dict) else {}
        if "isac:scenario" in about:
            self.about["scenario"] = about["isac:scenario"]
        self.sample_rate: float | None = about.get("core:sample_rate")
        self.stale = about.get("isac:calibration_stale") is True
        """Whether the front end was started again during the run: its calibration did not hold to the end."""
        self.truth: SigmfDataset | None = None
        self.scalars: list[Scalar] = []
        if "isac:truth" in about:
            self._open_truth(about["isac:truth"])
        played = [each for each in self.scalars if each.role == "truth"]
        self.fields: dict[str, Field] = {
            field: Signal(self.channels),
            **{each.name: SCALARS[each.dtype] for each in played},
        }

    def read(self, start: int, count: int) -> dict[str, np.ndarray]:
        """Snapshots `start` … `start + count`: the samples (count, channels) complex64, each value (count,).

        Raises ValueError for what is not finite or damaged.
        """
        samples = self.signal.read(start, count).astype(np.complex64, copy=False)
        arrays = {self.field: samples}
        if self.truth is not None:
            values = self.truth.read(start, count)
            for column, scalar in enumerate(self.scalars):
                if scalar.name in self.fields:
                    arrays[scalar.name] = np.ascontiguousarray(values[:, column]).astype(scalar.dtype)
        return arrays

    def close(self) -> None:
        """Let go of the files."""
        for one in (self.signal, self.truth):
            if one is not None:
                one.close()

    def _open_truth(self, described: Any) -> None:
        malformed = UserError(f"recording {self.path}: what it says of its truth is malformed")
        columns = described.get("fields") if isinstance(described, dict) else None
        if not isinstance(columns, list) or not 1 <= len(columns) <= MAX_FIELDS:
            raise malformed
        for column in columns:
            if not isinstance(column, dict):
                raise malformed
            scalar = Scalar(*(str(column.get(key)) for key in ("name", "dtype", "role")))
            named = FIELD.fullmatch(scalar.name) and scalar.name != self.field
            if not named or scalar.dtype not in SCALARS or scalar.role not in ("truth", "decision"):
                raise malformed
            self.scalars.append(scalar)
        if len({each.name for each in self.scalars}) != len(columns):
            raise malformed
        # The name follows from that of the recording: no path is taken from the file.
        self.truth = SigmfDataset(base_of(self.path) + COMPANION + META, re.compile("rf32_le"))
        if (self.truth.samples, self.truth.channels) != (self.snapshots, len(columns)):
            raise UserError(f"recording {self.path}: {self.truth.path} does not belong to it")
        if described.get("sha512") != self.truth.about.get("core:sha512"):
            raise UserError(f"recording {self.path}: {self.truth.path} is that of another run")
