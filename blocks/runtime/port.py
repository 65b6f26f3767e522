"""Ports: what a block consumes and produces, checked when blocks are connected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isac_models.errors import UserError

Dimension = int | str


class GraphError(UserError):
    """The graph cannot run as it was put together; the message names the blocks and the field."""


@dataclass(frozen=True)
class Field:
    """One named array of a frame: its dtype and its shape after the snapshot axis.

    `shape` may hold names: they are looked up in the block's `dimensions`, then in its
    `scenario`, so that ``Signal("antennas")`` is complex64 of shape (n, scenario.antennas).
    """

    dtype: str
    shape: tuple[Dimension, ...] = ()

    def resolve(self, sizes: Mapping[str, int]) -> ResolvedField:
        """The field with every dimension name replaced by its size; KeyError names a missing one."""
        shape = tuple(sizes[d] if isinstance(d, str) else int(d) for d in self.shape)
        return ResolvedField(np.dtype(self.dtype), shape)


@dataclass(frozen=True)
class ResolvedField:
    """A field whose shape is known: dtype, and shape (…) so that the array is (n, …)."""

    dtype: np.dtype
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype.name}({', '.join(['n', *map(str, self.shape)])})"

    def accepts(self, array: np.ndarray) -> bool:
        """Whether an array (n, …) has this dtype and shape."""
        return array.dtype == self.dtype and array.shape[1:] == self.shape and array.ndim >= 1


def arrives_as(branch: str, field: str) -> str:
    """The name of a field at the reader: at a join the branch's name stands before it."""
    return f"{branch}_{field}" if branch else field


def Signal(*shape: Dimension) -> Field:
    """Complex baseband samples, complex64 of shape (n, *shape)."""
    return Field("complex64", shape)


def Symbols() -> Field:
    """Message indices 0 … M-1 with M ≤ 256, uint8 of shape (n,)."""
    return Field("uint8")


def Real(*shape: Dimension) -> Field:
    """Real values such as angles in radians, float32 of shape (n, *shape)."""
    return Field("float32", shape)


def Flags() -> Field:
    """Yes or no for every snapshot, bool of shape (n,)."""
    return Field("bool")


def Count() -> Field:
    """Integers, int64 of shape (n,)."""
    return Field("int64")
