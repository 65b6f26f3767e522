"""Whether the settings of a training, as a file may hold them, are all there and of their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from isac_models.errors import UserError
from isac_models.options import LARGEST_COUNT

NAMES: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list[float]: "a list of numbers",
    list[str]: "a list of texts",
}
"""What a setting may be, in words."""


def check_types(settings: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    """Raise UserError, which begins with its name, for a setting that is not of its type; types: of NAMES.

    A whole number is a number as well, true and false are none, a tuple is a list. None is of every type.
    """
    for key, kind in types.items():
        if settings[key] is not None and not _is(settings[key], kind):
            raise UserError(f"{key} must be {NAMES[kind]}, not {settings[key]!r:.60}")


def check_complete(saved: Mapping[str, Any], complete: Mapping[str, Any]) -> None:
    """Raise UserError for a setting that was not saved and would be another one's default."""
    for key, value in complete.items():
        if key not in saved or (saved[key] is None and value is not None):
            raise UserError(f"the setting {key} is missing")


def _is(value: Any, kind: Any) -> bool:
    if inner := get_args(kind):
        return isinstance(value, list | tuple) and all(_is(each, inner[0]) for each in value)
    if type(value) is int and kind in (int, float):
        return abs(value) <= LARGEST_COUNT
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))
