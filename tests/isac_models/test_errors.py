"""The errors of a user are one family."""

from __future__ import annotations

from isac_models.errors import ScenarioError, UserError, one_line, printable


def test_programs_need_to_catch_one_class_only() -> None:
    assert issubclass(ScenarioError, UserError)
    assert issubclass(UserError, ValueError)


def test_what_a_terminal_would_obey_is_shown_instead() -> None:
    assert printable("Zürich – α = 3") == "Zürich – α = 3"
    assert printable("a\x1b[2J\x07b") == "a\\x1b[2J\\x07b"
    assert printable("\x9b31m\u202e\n") == "\\x9b31m\\u202e\\n"
    assert printable("caf\udce9").encode() == b"caf\\udce9"


def test_an_error_is_one_line_whatever_is_in_it() -> None:
    assert one_line(" no\n such\tfile\r\x1b[0m ") == "no such file \\x1b[0m"
