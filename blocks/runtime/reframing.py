"""What a block has made of a frame: its arrays checked and put in, also where it reframes its stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from blocks.runtime.frame import Frame, tags_of
from blocks.runtime.port import ResolvedField

Fields = Mapping[str, ResolvedField]


class Reframer:
    """Makes the frames of a block that `reframes`: as many items as its arrays have, counted by itself.

    `made` is the number of items so far. A frame without items keeps its tags back for the next frame that
    has some, because nobody below looks at it; `held` are those under way.
    """

    def __init__(self, gives: Fields) -> None:
        self.made = 0
        self.held: dict[str, Any] = {}
        self._gives = gives

    def reframe(self, frame: Frame, arrays: Mapping[str, np.ndarray] | None, what: str = "work") -> Frame:
        """A frame of the number and tags of `frame` that holds `arrays` alone (None: no items).

        Raises ValueError for arrays that are not what was declared, or not equally long.
        """
        arrays = empty(self._gives) if arrays is None else arrays
        first = next(iter(arrays.values()), None)
        count = len(first) if isinstance(first, np.ndarray) and first.ndim else 0
        tags = tags_of(self.held, frame.tags)
        now, self.held = (tags, {}) if count else ({}, tags)
        made = replace(frame, start=self.made, count=count, end=False, tags=now, arrays={}, raw={})
        fill(made, self._gives, arrays, what)
        self.made += count
        return made


def empty(fields: Fields) -> dict[str, np.ndarray]:
    """Arrays (0, …) of the fields."""
    return {name: np.empty((0, *field.shape), field.dtype) for name, field in fields.items()}


def fill(frame: Frame, gives: Fields, arrays: Mapping[str, np.ndarray], what: str = "work") -> None:
    """Put the arrays that `what` has returned into the frame, checked and read-only.

    Raises ValueError unless they are the fields `gives`, each of the frame's count.
    """
    if arrays.keys() != gives.keys():
        promised, given = ", ".join(gives) or "nothing", ", ".join(arrays) or "nothing"
        raise ValueError(f"{what}() returned {given} where produces declares {promised}")
    for name, field in gives.items():
        array = arrays[name]
        check_array(name, field, array, frame.count)
        array = np.ascontiguousarray(array).view()
        array.flags.writeable = False
        frame.arrays[name] = array
        frame.raw.pop(name, None)


def check_array(name: str, field: ResolvedField, array: Any, count: int) -> None:
    """ValueError unless `array` is an array (count, …) of the field."""
    if not isinstance(array, np.ndarray) or not field.accepts(array) or len(array) != count:
        got = f"{array.dtype.name}{array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"the field {name!r} must be {field} with n = {count}, not {got}")
