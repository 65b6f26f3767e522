"""Signals ask first and end only what does not run yet, or for the second time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from isac_models.learning.interrupts import SIGNALS, Interrupts


@pytest.fixture(autouse=True)
def _usual_handlers() -> Iterator[None]:
    # Whoever runs the tests may have had signals ignored.
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_before_the_run_a_signal_ends_at_once(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            send(number)
        assert not interrupts.asked


@pytest.mark.parametrize("number", SIGNALS)
def test_during_the_run_the_first_signal_asks(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        interrupts.running = True
        send(number)
        assert interrupts.asked


def test_the_second_ctrl_c_ends_at_once() -> None:
    with Interrupts() as interrupts:
        interrupts.running = True
        send(signal.SIGINT)
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_the_patient_never_end_at_once() -> None:
    with Interrupts(patient=True) as interrupts:
        interrupts.running = True
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            send(number)
        assert interrupts.asked


def test_handlers_come_back_and_ignored_signals_stay_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interrupts() as interrupts:
        interrupts.running = True
        send(signal.SIGHUP)
        assert not interrupts.asked
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_leave_signals_alone() -> None:
    seen: list[object] = []

    def enter() -> None:
        with Interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
