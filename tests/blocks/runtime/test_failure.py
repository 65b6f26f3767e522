"""The line that says why a block failed."""

from __future__ import annotations

import pytest

from blocks.runtime.failure import LONGEST_CAUSE, Failure, cause_of, failure_of


class Mute(Exception):
    """Has no text that can be read."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("no antenna"), "ValueError: no antenna"),
        (ValueError("two\n  lines\n"), "ValueError: two lines"),
        (KeyError("wine"), "KeyError: 'wine'"),
        (SystemExit(), "SystemExit"),
        (SystemExit(3), "SystemExit: 3"),
        (Mute(), "Mute"),
        (OSError("no \x1b[2J file"), "OSError: no \\x1b[2J file"),
        (OSError("file \udcff.bin"), "OSError: file \\udcff.bin"),
    ],
)
def test_a_cause_is_one_line_that_can_be_sent(error: BaseException, cause: str) -> None:
    assert cause_of(error) == cause
    cause_of(error).encode()


def test_a_long_cause_is_cut() -> None:
    assert len(cause_of(ValueError("x" * 10**6))) < LONGEST_CAUSE + 20


def test_a_failure_names_block_frame_and_cause() -> None:
    assert (
        str(Failure("detector", 7, "ValueError: no", ""))
        == "block detector failed at frame 7: ValueError: no"
    )
    assert str(Failure("b", None, "OSError: no", "")) == "block b failed: OSError: no"


def test_a_failure_keeps_its_traceback() -> None:
    try:
        raise Mute
    except Mute as error:
        failure = failure_of("b", 0, error)
    assert "test_failure.py" in failure.traceback
    assert "Mute" in failure.traceback


def test_what_followed_from_an_error_is_told_with_it() -> None:
    error = RuntimeError("no samples")
    error.add_note("and then: nobody\nhas connected")
    assert cause_of(error) == "RuntimeError: no samples; and then: nobody has connected"
