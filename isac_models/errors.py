"""Errors that a user can cause and mend."""

from __future__ import annotations


class UserError(ValueError):
    """Something the user gave is wrong: the message is one line that says what, and what to do.

    Programs print it after ``error:`` and leave with exit status 2.
    """


class ScenarioError(UserError):
    """A scenario that does not exist, cannot be read, or holds impossible values."""
