"""Random draws that depend on (seed, key, lane, absolute index) alone, never on how a run is cut up.

`SnapshotRandom` is counter-based (Philox4x32-10, Salmon et al., SC 2011): draw number i of a lane is a pure
function of i, so another batch size, a second worker or a restart gives the same values. `NumpyRandom` offers
the same methods over a `numpy.random.Generator`, for double precision and for generators of one's own.
"""

from __future__ import annotations

import hashlib
from functools import cache
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

Values = NDArray[Any]

LARGEST_BOUND = 65536


class Random(Protocol):
    """What the propagation models and sources draw from.

    `lane` separates independent sequences of one stream, `start` is the absolute index of the first draw,
    `count` the number of draws. A lane is used with one method and one width only.
    """

    dtype: np.dtype[Any]
    """float32 or float64: the precision of the draws."""

    def normal(self, lane: int, start: int, count: int, width: int = 1) -> Values:
        """N(0, 1): (count, width)."""
        ...

    def complex_normal(
        self, lane: int, start: int, count: int, width: int | None = None, variance: float = 1.0
    ) -> Values:
        """CN(0, variance): (count,), or (count, width)."""
        ...

    def uniform(self, lane: int, start: int, count: int, low: float = 0.0, high: float = 1.0) -> Values:
        """U[low, high): (count,)."""
        ...

    def integers(self, lane: int, start: int, count: int, bound: int) -> Values:
        """Uniform integers in [0, bound), bound ≤ 65536: (count,) uint8 or uint16."""
        ...


@cache
def _kernels() -> ModuleType:
    from isac_models.kernels import philox  # here, because it imports numba

    return philox


def preload() -> None:
    """Load the compiled kernels now instead of with the first draw."""
    _kernels()


class SnapshotRandom:
    """Counter-based draws of one stream.

    Draw i of a lane takes c = ⌈words / 4⌉ Philox calls, number i·c first, where a real normal, a uniform or
    an integer takes one 32-bit word and a complex normal two. Streams of another key or seed are independent.

    `dtype` float64 evaluates the same words in double precision (plain NumPy, slower).

    Raises ValueError for a negative seed, and from every method for a negative start or count.
    """

    def __init__(self, seed: int, key: str, dtype: DTypeLike = np.float32) -> None:
        if seed < 0:
            raise ValueError(f"seed {seed} must not be negative")
        self.seed = seed
        self.key = key
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"draws are float32 or float64, not {self.dtype}")
        digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=12, person=b"isac-blocks").digest()
        k0, k1, k2 = np.frombuffer(digest, dtype="<u4").tolist()
        self.key_words: tuple[int, int, int] = (k0, k1, k2)

    def normal(self, lane: int, start: int, count: int, width: int = 1, out: Values | None = None) -> Values:
        """N(0, 1): (count, width), in the contiguous memory `out` if given."""
        _check_memory(out, (count, width), self.dtype)
        return self._normals(lane, start, count, width, 1.0, out)

    def complex_normal(
        self,
        lane: int,
        start: int,
        count: int,
        width: int | None = None,
        variance: float = 1.0,
        out: Values | None = None,
    ) -> Values:
        """CN(0, variance): (count,), or (count, width), in the contiguous memory `out` if given.

        Real and imaginary part have variance/2 each.
        """
        columns = 1 if width is None else width
        kind = np.result_type(self.dtype, np.complex64)
        _check_memory(out, (count,) if width is None else (count, width), kind)
        given = None if out is None else out.view(self.dtype).reshape(count, 2 * columns)
        values = self._normals(lane, start, count, 2 * columns, (variance / 2) ** 0.5, given).view(kind)
        return values[:, 0] if width is None else values

    def uniform(self, lane: int, start: int, count: int, low: float = 0.0, high: float = 1.0) -> Values:
        """U[low, high) in steps of (high - low)/2²⁴: (count,)."""
        _check(start, count)
        if self.dtype == np.float32:
            values = np.empty(count, np.float32)
            _kernels().uniforms(values, low, high - low, start, lane, *self.key_words)
            return values
        words = philox_words(self.key_words, lane, start, count)[:, 0]
        return low + (high - low) * ((words >> np.uint32(8)) * 2.0**-24)

    def integers(self, lane: int, start: int, count: int, bound: int) -> Values:
        """Uniform integers in [0, bound): (count,) uint8 up to a bound of 256, uint16 up to 65536.

        Exactly uniform for powers of two, within bound/2³² otherwise.
        """
        _check(start, count)
        if not 1 <= bound <= LARGEST_BOUND:
            raise ValueError(f"bound {bound} must be in 1 .. {LARGEST_BOUND}")
        values = np.empty(count, np.uint8 if bound <= 256 else np.uint16)
        fill = _kernels().bytes_below if bound <= 256 else _kernels().shorts_below
        fill(values, bound, start, lane, *self.key_words)
        return values

    def _normals(
        self, lane: int, start: int, count: int, width: int, scale: float, out: Values | None
    ) -> Values:
        """scale·N(0, 1): (count, width)."""
        _check(start, count)
        calls = -(-width // 4)
        if self.dtype == np.float64:
            values = normals_from_words(philox_words(self.key_words, lane, start * calls, count * calls))
            values = scale * values.reshape(count, 4 * calls)[:, :width]
        elif width == 2:
            values = np.empty((count, 2), np.float32) if out is None else out
            _kernels().normal_pairs(values.reshape(-1), scale, start, lane, *self.key_words)
            return values
        else:
            whole = out is not None and width == 4 * calls
            values = out if whole and out is not None else np.empty((count, 4 * calls), np.float32)
            _kernels().normals(values.reshape(-1), scale, start * calls, lane, *self.key_words)
            if whole:
                return values
            values = np.ascontiguousarray(values[:, :width])
        if out is None:
            return values
        out[...] = values
        return out


class NumpyRandom:
    """The methods of `SnapshotRandom` over an explicit NumPy generator, drawn in sequence.

    `lane` and `start` have no effect: the values depend on the order of the calls.
    """

    def __init__(self, generator: np.random.Generator, dtype: DTypeLike = np.float32) -> None:
        self.generator = generator
        self.dtype = np.dtype(dtype)
        self._real: Any = self.dtype.type

    def normal(self, lane: int, start: int, count: int, width: int = 1) -> Values:
        """N(0, 1): (count, width)."""
        return self.generator.standard_normal((count, width), dtype=self._real)

    def complex_normal(
        self, lane: int, start: int, count: int, width: int | None = None, variance: float = 1.0
    ) -> Values:
        """CN(0, variance): (count,), or (count, width)."""
        parts = self.normal(lane, start, count, 2 * (1 if width is None else width))
        parts *= self._real((variance / 2) ** 0.5)
        values = parts.view(np.result_type(self.dtype, np.complex64))
        return values[:, 0] if width is None else values

    def uniform(self, lane: int, start: int, count: int, low: float = 0.0, high: float = 1.0) -> Values:
        """U[low, high): (count,)."""
        unit = self.generator.random(count, dtype=self._real)
        values: Values = self._real(low) + self._real(high - low) * unit
        return values

    def integers(self, lane: int, start: int, count: int, bound: int) -> Values:
        """Uniform integers in [0, bound): (count,) uint8 up to a bound of 256, uint16 up to 65536."""
        return self.generator.integers(bound, size=count, dtype=np.uint8 if bound <= 256 else np.uint16)


def _check(start: int, count: int) -> None:
    if start < 0 or count < 0:
        raise ValueError(f"start {start} and count {count} must not be negative")


def _check_memory(out: Values | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if out is not None and not (out.flags.c_contiguous and out.shape == shape and out.dtype == dtype):
        raise ValueError(f"out must be a contiguous {dtype} array of shape {shape}")


# The plain form: the definition that the kernels are tested against, and the path of double precision.


def philox4x32(counter: Values, key: Values) -> Values:
    """Philox4x32-10: counters (n, 4) and one key (2,), uint32, to random words (n, 4) uint32."""
    low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1, c2, c3 = (counter[:, i].astype(np.uint64) for i in range(4))
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(10):
        p0 = c0 * np.uint64(0xD2511F53)
        p1 = c2 * np.uint64(0xCD9E8D57)
        c0, c1 = (p1 >> high) ^ c1 ^ np.uint64(k0), p1 & low
        c2, c3 = (p0 >> high) ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def philox_words(key_words: tuple[int, int, int], lane: int, call: int, count: int) -> Values:
    """Words of calls number `call` … `call + count - 1` of a lane: (count, 4) uint32."""
    number = np.arange(count, dtype=np.uint64) + np.uint64(call)
    counter = np.empty((count, 4), np.uint32)
    counter[:, 0] = number & np.uint64(0xFFFFFFFF)
    counter[:, 1] = number >> np.uint64(32)
    counter[:, 2] = lane
    counter[:, 3] = key_words[2]
    return philox4x32(counter, np.array(key_words[:2], np.uint32))


def normals_from_words(words: Values) -> Values:
    """Box–Muller in double precision: words (n, 4) uint32 to N(0, 1) deviates (n, 4) float64.

    The words are first rounded to float32, as in the kernels, so that both compute the same deviates.
    """
    first, second = words[:, 0::2], words.view(np.int32)[:, 1::2]
    u = (first.astype(np.float32) + np.float32(0.5)).astype(np.float64) * 2.0**-32
    turn = second.astype(np.float32).astype(np.float64) * 2.0**-32
    radius = np.sqrt(-2.0 * np.log(u))
    deviates = np.empty(words.shape)
    deviates[:, 0::2] = radius * np.cos(2 * np.pi * turn)
    deviates[:, 1::2] = radius * np.sin(2 * np.pi * turn)
    return deviates
