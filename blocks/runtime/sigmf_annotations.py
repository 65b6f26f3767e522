"""Annotations and captures that reach a SigMF recorder as tags of its stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

CORE = {
    "annotations": (
        "sample_start",
        "sample_count",
        "label",
        "comment",
        "generator",
        "freq_lower_edge",
        "freq_upper_edge",
        "uuid",
    ),
    "captures": ("sample_start", "datetime", "frequency", "global_index"),
}
MAX_CAPTURES = 10_000
MAX_BYTES = 8 << 20  # of all annotations from tags, as text: half of what a reader takes


class Annotations:
    """Gathers the tags ``annotations`` and ``captures``, at most `limit` annotations of some MiB of them.

    Keys of the specification need no ``core:`` before them, other ones get ``isac:``. The tag
    ``annotations_missing`` says how many annotations no frame has told of so far: those that are missing
    still when the stream ends are left out, like those above the limit.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self._above, self._missing = limit, 0, 0
        self.annotations: list[dict[str, Any]] = []
        self._captures: list[dict[str, Any]] = []
        self._bytes = 0

    @property
    def left_out(self) -> int:
        """Annotations that are not among these."""
        return self._above + self._missing

    def take(self, tags: Mapping[str, Any], origin: int = 0) -> None:
        """What the tags of one frame say; positions are counted from `origin` on.

        Raises ValueError for entries that are no maps, or begin before the recording.
        """
        missing = tags.get("annotations_missing", self._missing)
        if type(missing) is not int or missing < 0:
            raise ValueError("the tag 'annotations_missing' must be a whole number from 0 on")
        self._missing = missing
        for kind, core in CORE.items():
            given = tags.get(kind)
            if given is None:
                continue
            if not isinstance(given, list | tuple):
                raise ValueError(f"the tag {kind!r} must be a list of maps, not {type(given).__name__}")
            for each in given:
                entry = _entry(kind, each, core, origin)
                if kind == "captures":
                    if len(self._captures) >= MAX_CAPTURES:  # a gap that is not told of would shift all time
                        raise ValueError(f"more than {MAX_CAPTURES} captures in one recording")
                    self._captures.append(entry)
                elif len(self.annotations) < self.limit and self._bytes + len(repr(entry)) <= MAX_BYTES:
                    self.annotations.append(entry)
                    self._bytes += len(repr(entry))
                else:
                    self._above += 1

    def extend(self, annotations: Iterable[Mapping[str, Any]], left_out: int) -> None:
        """Add annotations from elsewhere, which have kept to a limit of their own."""
        self.annotations += [_entry("annotations", each, CORE["annotations"], 0) for each in annotations]
        self._above += left_out

    def captures_after(self, first: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All captures; `first` describes sample 0 where no tag has, and the frequency where none is told."""
        told = {each["core:sample_start"]: each for each in self._captures}
        told[0] = {**first, **told.get(0, {})}
        shared = {key: first[key] for key in ("core:frequency",) if key in first}
        return [{**shared, **told[start]} for start in sorted(told)]


def _entry(kind: str, given: Any, core: tuple[str, ...], origin: int) -> dict[str, Any]:
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ValueError(f"an entry of the tag {kind!r} is no map of names")
    entry = {}
    for key, value in given.items():
        known = key.removeprefix("core:")
        entry[key if ":" in key else f"core:{known}" if known in core else f"isac:{key}"] = value
    start, count = entry.get("core:sample_start"), entry.get("core:sample_count", 0)
    if type(start) is not int or type(count) is not int or start < origin or count < 0:
        raise ValueError(
            f"an entry of the tag {kind!r} needs a whole sample_start from {origin} on and a count ≥ 0"
        )
    entry["core:sample_start"] = start - origin
    return entry
