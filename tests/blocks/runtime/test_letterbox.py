"""The message ports of a block that is tested alone."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from blocks.runtime import Block
from blocks.runtime.frame import MAX_VALUE


class Echo(Block):
    """Says again what it hears."""

    publishes = ("said",)
    subscribes = ("heard",)

    def work(self) -> None:
        for value in self.messages("heard", timeout=60.0):
            self.publish("said", value)


def test_what_is_delivered_is_found_once_and_what_is_published_is_kept() -> None:
    echo = Echo()
    for value in (1, {"token": b"\0\xff"}, None):
        echo.deliver("heard", value)
    echo.work()
    assert echo.published == [("said", 1), ("said", {"token": b"\0\xff"}), ("said", None)]
    echo.work()
    assert len(echo.published) == 3
    assert not echo.stopping


def test_values_arrive_as_they_would_in_a_graph() -> None:
    echo = Echo()
    given = {"pair": (1, np.int64(2)), "gain": np.float32(0.5)}
    echo.publish("said", given)
    ((port, got),) = echo.published
    assert (port, got) == ("said", {"pair": [1, 2], "gain": 0.5})
    assert type(got["gain"]) is float
    given["pair"] = ()  # changed afterwards
    assert got["pair"] == [1, 2]


@pytest.mark.parametrize(
    ("value", "error", "line"),
    [
        ({1, 2}, TypeError, "cannot be sent: set"),
        (np.zeros(3), TypeError, "cannot be sent: ndarray"),
        ({1: 2}, TypeError, "map keys must be strings"),
        (b"x" * MAX_VALUE, ValueError, f"the limit is {MAX_VALUE}: send it in pieces"),
    ],
)
def test_what_cannot_be_sent_is_refused(value: Any, error: type[Exception], line: str) -> None:
    echo = Echo()
    with pytest.raises(error, match=re.escape(line)):
        echo.publish("said", value)
    with pytest.raises(error, match=re.escape(line)):
        echo.deliver("heard", value)
    assert echo.published == []
    assert echo.messages("heard") == []


def test_the_largest_message() -> None:
    echo = Echo()
    echo.publish("said", b"x" * (MAX_VALUE - 3))
    assert len(echo.published[0][1]) == MAX_VALUE - 3


def test_a_port_that_is_not_declared_is_named() -> None:
    echo = Echo()
    with pytest.raises(ValueError, match="block echo declares no message port 'heard' in `publishes`"):
        echo.publish("heard", 1)
    for call in (echo.messages, lambda port: echo.deliver(port, 1)):
        with pytest.raises(ValueError, match="block echo declares no message port 'said' in `subscribes`"):
            call("said")


def test_a_new_beginning_forgets_all_messages() -> None:
    echo = Echo()
    echo.publish("said", 1)
    echo.deliver("heard", 2)
    echo.attach(None)
    assert echo.published == []
    assert echo.messages("heard") == []
