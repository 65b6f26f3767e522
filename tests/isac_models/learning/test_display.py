"""Progress is shown as often as it should, and never stands in the way."""

from __future__ import annotations

import io
import math

import pytest

from isac_models.learning.display import PLAIN, Display, describe, duration
from isac_models.learning.loop import Progress


class Watch:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def run(display: Display, clock: Watch, seconds: int, rate: int = 16) -> Progress:
    """Iterations at a steady rate."""
    progress = Progress(held_out_losses=[(0, 0.25)])
    for _ in range(seconds * rate):
        clock.now += 1 / rate
        progress.count(0.125)
        display.update(progress, 10_000)
    display.close()
    return progress


def test_plain_lines_come_every_ten_seconds() -> None:
    clock, out = Watch(), io.StringIO()
    run(Display(stream=out, clock=clock), clock, 45)
    lines = out.getvalue().splitlines()
    assert len(lines) == math.floor((45 - 1 / 16) / PLAIN) == 4
    # At 16 iterations a second the first lines tell of 1 + 160 and 1 + 320 iterations.
    assert lines[0] == "161 of 10,000  16.0/s  loss 0.125  held out 0.25  10 min 15 s left"
    assert lines[1].startswith("321 of 10,000  16.0/s  ")


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    clock, out = Watch(), io.StringIO()
    display = Display(stream=out, clock=clock)
    progress = Progress(held_out_losses=[(0, 1.0)])
    for second in range(200):
        clock.now += 1
        for _ in range(100 if second < 100 else 10):
            progress.count(1.0)
        display.update(progress, 50_000)
    lines = out.getvalue().splitlines()
    assert "  100.0/s  " in lines[8]
    assert "  10.0/s  " in lines[-1]


def test_a_terminal_gets_one_live_line() -> None:
    clock, out = Watch(), Terminal()
    run(Display(stream=out, clock=clock), clock, 3)
    shown = out.getvalue()
    assert "45 of 10,000  16.0/s" in shown
    assert shown.count("\x1b[2K") >= 9  # it is redrawn, four times a second


@pytest.mark.parametrize(("columns", "bar"), [("80", False), ("120", True)])
def test_a_narrow_terminal_shows_all_words(columns: str, bar: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    clock, out = Watch(), Terminal()
    run(Display(stream=out, clock=clock), clock, 3)
    assert "10 min 22 s left" in out.getvalue()
    assert ("━" in out.getvalue()) == bar


def test_notes_stand_on_lines_of_their_own() -> None:
    clock, out = Watch(), Terminal()
    display = Display(stream=out, clock=clock)
    progress = run(display, clock, 2)
    display.note("a note")
    clock.now += 1
    display.update(progress, 10_000)
    display.close()
    assert "a note\n" in out.getvalue()


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Watch()
    display = Display(quiet=True, clock=clock)
    run(display, clock, 45)
    display.note("a note")
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_left_does_not_end_the_training() -> None:
    clock = Watch()
    display = Display(stream=Closed(), clock=clock)
    run(display, clock, 45)
    display.note("a note")


def test_what_is_not_known_is_left_out() -> None:
    text = describe(Progress(), 100, math.nan)
    assert text == "0 of 100  loss nan  held out nan"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (845, "14 min 5 s"),
        (3600, "1 h 0 min"),
        (12_059, "3 h 20 min"),
        (360_000, "100 h 0 min"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
