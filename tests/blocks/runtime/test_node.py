"""A node's side of the dialogue, with the supervisor played by the test."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from blocks.runtime import DeploymentError, Flowgraph, FlowgraphError, Report
from blocks.runtime import node as node_module
from blocks.runtime.control import ControlServer
from blocks.runtime.node import Node
from blocks.runtime.transport import Pipes
from tests.blocks.runtime.graphs import DEADLINE, Numbers, Sink


class Stage:
    """A node in a thread, and a supervisor that says what the test tells it to."""

    def __init__(self, serve: bool = True, **options: Any) -> None:
        graph = Flowgraph("stage", frame=10)
        graph.connect(Numbers(100), Sink("index"))
        plan = graph._plan(dict.fromkeys(graph.blocks, "here"))
        self.pipes = Pipes()
        self.server = ControlServer(self.pipes, "inproc://control") if serve else None
        bind_to = {"numbers>sink": "inproc://edge"}
        self.node = Node(
            plan, "here", self.pipes, "inproc://control", bind_to, **{"patience": DEADLINE} | options
        )
        self.outcome: tuple[str | None, str, Report | None] | None = None
        self.error: Exception | None = None
        self.peer = b""
        self.waiting: list[dict[str, Any]] = []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self.node.run()
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.error = error

    def said(self, op: str) -> dict[str, Any]:
        """The next message of this kind from the node; others are passed over."""
        assert self.server is not None
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            if not self.waiting:
                for peer, message in self.server.receive(0.1):
                    self.peer = peer
                    self.waiting.append(message)
            while self.waiting:
                message = self.waiting.pop(0)
                if message["op"] == op:
                    return message
        raise AssertionError(f"no {op}")

    def tell(self, **message: Any) -> None:
        """Say something to the node."""
        assert self.server is not None
        self.server.send(self.peer, message)

    def bound(self) -> dict[str, str]:
        """Welcome the node; the endpoints it gives."""
        self.said("hello")
        self.tell(op="welcome", tokens={"numbers>sink": os.urandom(16)})
        endpoints: dict[str, str] = self.said("bound")["endpoints"]
        return endpoints

    def over(self) -> tuple[str | None, str, Report | None] | None:
        """Wait for the node to leave; what it leaves with."""
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()
        return self.outcome

    def close(self) -> None:
        """End everything."""
        if self.server is not None:
            if self.thread.is_alive():
                self.tell(op="exit")
            self.thread.join(DEADLINE)
            self.server.close()
        self.thread.join(DEADLINE)
        self.pipes.close()


@pytest.fixture
def stage() -> Iterator[Callable[..., Stage]]:
    """Set up a stage; it is cleared after the test."""
    stages: list[Stage] = []

    def build(**options: Any) -> Stage:
        stages.append(Stage(**options))
        return stages[-1]

    yield build
    for one in stages:
        one.close()


def test_a_run_from_hello_to_exit(stage: Callable[..., Stage]) -> None:
    one = stage()
    hello = one.said("hello")
    assert (hello["node"], hello["pid"], hello["plan"]) == ("here", os.getpid(), one.node.plan.fingerprint())
    one.tell(op="welcome", tokens={"numbers>sink": os.urandom(16)})
    endpoints = one.said("bound")["endpoints"]
    assert endpoints == {"numbers>sink": "inproc://edge"}
    one.tell(op="wire", endpoints=endpoints)
    one.said("ended")
    one.tell(op="commit")
    states = one.said("done")["states"]
    assert {name: state["counters"]["snapshots"] for name, state in states.items()} == {
        "numbers": 100,
        "sink": 100,
    }
    assert states["sink"]["result"]["snapshots"] == 100
    assert not states["sink"]["interrupted"]
    report = Report("stage", snapshots=100)
    one.tell(op="exit", report=report.to_dict())
    assert one.over() == (None, "", report)


def test_a_node_is_heard_of_while_it_waits_for_the_others(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "STATUS_SECONDS", 0.02)
    one = stage()
    one.bound()
    for _ in range(3):
        one.said("alive")


def test_a_node_beside_its_supervisor_never_gives_it_up(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(node_module, "STATUS_SECONDS", 0.06)
    one = stage()
    endpoints = one.bound()
    for _ in range(3):
        one.said("alive")
    one.tell(op="wire", endpoints=endpoints)
    one.said("ended")


def test_a_silent_supervisor_on_another_host_is_gone(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "SILENCE_SECONDS", 0.2)
    one = stage(remote=True)
    one.bound()
    one.over()
    assert isinstance(one.error, FlowgraphError)
    assert str(one.error) == "node here: the supervisor at inproc://control is gone"


def test_a_child_whose_parent_died_leaves(stage: Callable[..., Stage]) -> None:
    one = stage(parent=os.getppid() + 1)
    one.over()
    assert isinstance(one.error, FlowgraphError)


def test_no_supervisor_answers(stage: Callable[..., Stage]) -> None:
    one = stage(serve=False, patience=0.1)
    one.over()
    assert isinstance(one.error, DeploymentError)
    assert "no supervisor answered at inproc://control in 0.1 s" in str(one.error)


def test_a_refusal_is_for_the_user_to_mend(stage: Callable[..., Stage]) -> None:
    one = stage()
    one.said("hello")
    one.tell(op="exit", error="node here is running already", user=True)
    one.over()
    assert isinstance(one.error, DeploymentError)
    assert str(one.error) == "node here is running already"


def test_ctrl_c_is_passed_on_and_counted(stage: Callable[..., Stage]) -> None:
    one = stage()
    one.bound()
    for count in (1, 2):
        one.node.interrupts += 1
        assert one.said("interrupted")["count"] == count


@pytest.mark.parametrize("answered", [False, True])
def test_ctrl_c_ends_a_node_whose_supervisor_does_not_answer(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    monkeypatch.setattr(node_module, "LEAVE_SECONDS", 0.1)
    one = stage(remote=True)
    if answered:
        one.tell(op="wire", endpoints=one.bound())
        one.said("ended")
    one.node.interrupts += 1
    outcome = one.over()
    assert outcome is not None
    assert outcome[0] is None
    report = outcome[2]
    assert report is not None
    assert report.interrupted
    assert report.snapshots == (100 if answered else 0)


def test_an_address_that_cannot_be_used_is_told(stage: Callable[..., Stage]) -> None:
    one = stage()
    one.node.bind_to["numbers>sink"] = "tcp://192.0.2.1:5"
    one.said("hello")
    one.tell(op="welcome", tokens={"numbers>sink": os.urandom(16)})
    assert "cannot listen on tcp://192.0.2.1:5" in one.said("refused")["cause"]


def test_what_goes_wrong_in_the_node_itself_is_told(stage: Callable[..., Stage]) -> None:
    one = stage()
    one.bound()
    one.tell(op="wire")
    failed = one.said("failed")
    assert failed["line"] == "block numbers, sink failed: KeyError: 'endpoints'"
    assert "Traceback" in failed["traceback"]
