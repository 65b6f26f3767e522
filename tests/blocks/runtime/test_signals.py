"""What the threads of a node share."""

from blocks.runtime.signals import Signals


def test_nothing_is_said_at_first_and_each_word_is_its_own() -> None:
    signals, others = Signals(), Signals()
    signals.abort.set()
    said = [event.is_set() for event in (signals.drain, signals.abort, signals.commit, others.abort)]
    assert said == [False, True, False, False]
