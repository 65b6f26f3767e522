"""Errors that a user can cause and mend."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with an escape such as ``\\x1b`` for every character that a terminal does not show.

    For what is shown of files, their names and devices' answers: control characters would be obeyed, and
    what cannot be encoded, as parts of a file's name may be, would be an error of its own.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )


def one_line(text: str) -> str:
    """`text` in one line that can be printed: white space as single blanks, the rest as in `printable`."""
    return printable(" ".join(text.split()))


class UserError(ValueError):
    """Something the user gave is wrong: the message is one line that says what, and what to do.

    Programs print it after ``error:`` and leave with exit status 2.
    """


class ScenarioError(UserError):
    """A scenario that does not exist, cannot be read, or holds impossible values."""
