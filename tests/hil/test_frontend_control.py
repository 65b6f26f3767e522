"""The laboratory's control, and the harness's client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from tests.hil.control_client import LabControl, LabError
from tests.hil.frontend.control import Control
from tests.hil.frontend.engine import FrontEnd
from tests.hil.frontend.faults import Fault, check
from tests.hil.frontend.settings import Settings


class Recorder:
    """A server that notes its faults."""

    addresses = ["somewhere"]

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def inject(self, kind: str, **details: Any) -> None:
        """Note it."""
        self.faults.append(check(kind, details))


class Lab:
    """An engine, a recorder, the control over them."""

    def __init__(self) -> None:
        self.engine, self.server, self.stop = FrontEnd(Settings()), Recorder(), threading.Event()
        self.control = Control(self.engine, self.server, self.stop, "tcp://127.0.0.1:*")


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Running, and ended afterwards."""
    made = Lab()
    made.control.start()
    yield made
    made.stop.set()
    made.control.join()


def test_the_harness_learns_and_orders_everything(lab: Lab) -> None:
    with LabControl(lab.control.address) as client:
        hello = client.hello()
        assert (hello["session"], hello["time"]) == (lab.engine.session, 0)
        assert (hello["tx_channels"], hello["rx_channels"]) == (16, 17)
        assert client.truth(0, 2561) == lab.engine.truth(0, 2561)
        assert [block["first_tick"] for block in client.truth(1279, 2)] == [0, 1280]
        assert client.scene("calibration", 1281) == 2560
        assert [block["scene"] for block in client.truth(1280, 2560)] == ["scenario", "calibration"]
        client.inject("drop", samples=7)
        assert lab.server.faults[0].samples == 7
        assert client.settings()["unknowns"]["cfo"] == lab.engine.unknowns.cfo
        assert client.settings()["settings"]["scenario"]["antennas"] == 16
        assert client.stats() == {"time": 0, "clipped_tx": 0, "clipped_rx": 0, "problems": {}}
        client.quit()
    assert lab.stop.is_set()


@pytest.mark.parametrize(
    ("do", "details", "reason"),
    [
        ("dance", {}, "do must be one of hello"),
        ("truth", {"first_tick": -1, "ticks": 1}, "first_tick must be a whole number"),
        ("truth", {"first_tick": 0, "ticks": 10**12}, "at most 65536 blocks"),
        ("truth", {}, "missing"),
        ("scene", {"scene": "moon"}, "scene must be"),
        ("inject", {"kind": "quake"}, "fault must be one of"),
        ("inject", {"kind": "drop", "samples": -4}, "samples must be a number"),
        ("inject", {"kind": "drop", "height": 4}, "unknown detail 'height'"),
    ],
)
def test_a_bad_order_is_answered_with_the_reason(
    lab: Lab, do: str, details: dict[str, Any], reason: str
) -> None:
    with LabControl(lab.control.address) as client, pytest.raises(LabError, match=reason):
        client.call(do, **details)


def test_the_client_does_not_wait_for_ever() -> None:
    context = zmq.Context()
    socket = context.socket(zmq.REP)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    with LabControl(f"tcp://127.0.0.1:{port}", timeout=0.02) as client:
        for _ in range(2):  # and can ask again
            with pytest.raises(LabError, match="no answer to hello"):
                client.hello()
    context.destroy(linger=0)


DETAILS = ("scene", "tick", "first_tick", "ticks", "kind", "samples", "seconds", "self")
values = st.recursive(st.none() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
orders = st.fixed_dictionaries(
    {"do": st.sampled_from(["hello", "scene", "truth", "inject", "settings", "stats"])},
    optional=dict.fromkeys(DETAILS, values),
)


@pytest.fixture(scope="module")
def idle() -> Iterator[Lab]:
    """Never started: answers when called."""
    made = Lab()
    yield made
    made.stop.set()
    made.control.start()
    made.control.join()


@given(st.binary(max_size=200) | orders.map(lambda order: json.dumps(order).encode()))
def test_whatever_comes_in_is_answered(idle: Lab, request_bytes: bytes) -> None:
    answer = idle.control.answer(request_bytes)
    assert isinstance(answer["ok"], bool)
    json.dumps(answer)
