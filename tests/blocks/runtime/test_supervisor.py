"""The supervisor's side of the dialogue, with nodes played by the test."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pytest
import zmq

from blocks.runtime import BlockReport, DeploymentError, Flowgraph, FlowgraphError
from blocks.runtime import supervisor as supervisor_module
from blocks.runtime.control import ControlClient, ControlServer
from blocks.runtime.frame import pack
from blocks.runtime.plan import Plan
from blocks.runtime.supervisor import Supervisor
from blocks.runtime.transport import MAX_AT_ONCE, Pipes
from isac_models.errors import UserError
from tests.blocks.runtime.graphs import DEADLINE, Double, Numbers, Sink

NODES = {"numbers": "first", "double": "second", "sink": "first"}


class Stage:
    """A supervisor, and nodes that say what the test tells them to."""

    def __init__(self, control: str = "inproc://control", **options: Any) -> None:
        graph = Flowgraph("stage")
        graph.connect(Numbers(10), Double(), Sink("double"))
        self.plan: Plan = graph._plan(NODES)
        self.pipes = Pipes()
        server = ControlServer(self.pipes, control)
        self.control = server.endpoint
        self.supervisor = Supervisor(self.plan, self.pipes, server, **options)
        self.supervisor.start()
        self.clients: dict[str, ControlClient] = {}

    def node(self, name: str, **changes: Any) -> ControlClient:
        """A node that says hello."""
        client = ControlClient(self.pipes, self.control)
        self.clients[f"{name}-{len(self.clients)}"] = client
        client.send({"op": "hello", "node": name, "pid": 1, "plan": self.plan.fingerprint()} | changes)
        return client

    def both(self) -> tuple[ControlClient, ControlClient]:
        """Both nodes, running."""
        nodes = self.node("first"), self.node("second")
        for node, edge in zip(nodes, ("numbers>double", "double>sink"), strict=True):
            said(node, "welcome")
            node.send({"op": "bound", "endpoints": {edge: "a place"}})
        for node in nodes:
            said(node, "wire")
        return nodes

    def states(self, *names: str, interrupted: bool = False) -> dict[str, Any]:
        """What a node tells about its blocks."""
        counters = asdict(BlockReport(frames=1, snapshots=10))
        return {name: {"counters": counters, "result": None, "interrupted": interrupted} for name in names}

    def end(self, *nodes: ControlClient, interrupted: bool = False) -> None:
        """Both nodes, the first one first, end, commit and are done."""
        for node in nodes:
            node.send({"op": "ended"})
        for node, mine in zip(nodes, (("numbers", "sink"), ("double",)), strict=True):
            said(node, "commit")
            node.send({"op": "done", "states": self.states(*mine, interrupted=interrupted)})

    def over(self) -> Exception | None:
        """Wait for the end of the run; what it ended with."""
        self.supervisor.join(DEADLINE)
        assert not self.supervisor.is_alive()
        return self.supervisor.error

    def close(self) -> None:
        """End everything."""
        self.supervisor.stop_requests += 2
        self.supervisor.join(DEADLINE)
        for client in self.clients.values():
            client.close()
        self.pipes.close()


def said(node: ControlClient, op: str) -> dict[str, Any]:
    """The next message to a node of this kind; others but pings may not come before it."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        message = node.receive(0.1)
        if message is not None and message["op"] != "ping":
            assert message["op"] == op, message
            return message
    raise AssertionError(f"no {op}")


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
    first = one.node("first")
    assert set(said(first, "welcome")["tokens"]) == {"numbers>double", "double>sink"}
    first.send({"op": "bound", "endpoints": {"numbers>double": "a"}})
    second = one.node("second")
    tokens = said(second, "welcome")["tokens"]
    assert all(len(token) == 16 for token in tokens.values())
    assert len(set(tokens.values())) == 2
    second.send({"op": "bound", "endpoints": {"double>sink": "b"}})
    for node in (first, second):
        assert said(node, "wire")["endpoints"] == {"numbers>double": "a", "double>sink": "b"}
    one.end(first, second)
    for node in (first, second):
        message = said(node, "exit")
        assert "error" not in message
        assert message["report"]["snapshots"] == 10
    assert one.over() is None
    assert not one.supervisor.report().interrupted


def test_commit_waits_for_every_node(stage: Callable[..., Stage]) -> None:
    one = stage()
    first, second = one.both()
    first.send({"op": "ended"})
    second.send({"op": "failed", "line": "block double failed: ValueError: no", "traceback": "trace"})
    said(first, "abort")
    second.send({"op": "ended"})
    for node, block in ((first, "numbers"), (second, "double")):
        node.send({"op": "done", "states": one.states(block)})
    assert said(first, "exit")["error"] == "block double failed: ValueError: no"
    error = one.over()
    assert isinstance(error, FlowgraphError)
    assert (str(error), error.traceback) == ("block double failed: ValueError: no", "trace")
    assert error.report is not None
    assert error.report.blocks["numbers"].snapshots == 10


def test_the_first_failure_is_the_one_that_is_told(stage: Callable[..., Stage]) -> None:
    one = stage()
    first, second = one.both()
    for node, line in ((first, "the cause"), (second, "its consequence")):
        node.send({"op": "failed", "line": line, "traceback": ""})
        if node is first:
            said(second, "abort")
    assert str(one.over()) == "the cause"


def test_a_stranger_is_sent_away_and_the_run_goes_on(stage: Callable[..., Stage]) -> None:
    one = stage()
    message = said(one.node("stranger"), "exit")
    assert message["error"] == "the graph has no node of that name with a block to run"
    assert message["user"]
    first, second = one.both()
    assert said(one.node("second"), "exit")["error"] == "node second is running already"
    one.end(first, second)
    assert one.over() is None


@pytest.mark.parametrize("known", [True, False], ids=["node", "stranger"])
def test_what_breaks_the_rules_changes_nothing_and_is_counted(
    stage: Callable[..., Stage], known: bool
) -> None:
    one = stage()
    first, second = one.both()
    peer = first if known else ControlClient(one.pipes, "inproc://control")
    one.clients["another"] = peer
    good = one.states("numbers")["numbers"]
    counters = good["counters"]
    bad_counters: list[Any] = [
        None, {}, counters | {"more": 1}, counters | {"frames": "many"}, counters | {"frames": -1},
        counters | {"frames": True}, counters | {"frames": 0.5}, counters | {"busy_seconds": float("nan")},
        counters | {"lost_on": 1}, counters | {"lost_on": {"left": -1}},
    ]  # fmt: skip
    bad_states: list[Any] = [
        None, [], 5, {"numbers": None}, {"numbers": {}}, {"nobody": good}, {"double": good},
        {"numbers": good | {"result": 5}}, {"numbers": good | {"interrupted": 2}},
        *({"numbers": good | {"counters": bad}} for bad in bad_counters),
    ]  # fmt: skip
    places = {"numbers>double": "elsewhere"}
    bad: list[dict[str, Any]] = [
        {}, {"op": None}, {"op": ["done"]}, {"op": "commit"}, {"op": "hello"}, {"op": "hello", "node": None},
        {"op": "hello", "node": ["second"], "plan": ""}, {"op": "hello", "node": "second", "plan": 7},
        {"op": "hello", "node": "n" * 300, "plan": ""}, {"op": "failed"}, {"op": "failed", "line": "l"},
        {"op": "failed", "line": 5, "traceback": ""}, {"op": "refused"}, {"op": "refused", "cause": {}},
        {"op": "interrupted"}, {"op": "interrupted", "count": "2"}, {"op": "interrupted", "count": True},
        {"op": "bound"}, {"op": "bound", "endpoints": []}, {"op": "bound", "endpoints": {}},
        {"op": "bound", "endpoints": {"numbers>double": 5}}, {"op": "bound", "endpoints": places},
        {"op": "bound", "endpoints": places | {"double>sink": "elsewhere"}},
        *({"op": op, "states": states} for op in ("status", "done") for states in bad_states),
    ]  # fmt: skip
    for message in bad:
        peer.send(message)
    deadline = time.monotonic() + DEADLINE
    while one.supervisor.report().malformed_control < len(bad):
        assert time.monotonic() < deadline
        second.receive(0.02)
    one.end(first, second)
    assert one.over() is None
    report = one.supervisor.report()
    assert (report.malformed, report.snapshots) == (len(bad), 10)


def test_a_flood_neither_holds_the_run_nor_its_end(stage: Callable[..., Stage]) -> None:
    one = stage(control="tcp://127.0.0.1:*")
    over = threading.Event()

    def flood() -> None:
        with one.pipes.context.socket(zmq.DEALER) as foreign:
            foreign.linger, foreign.sndtimeo = 0, 100
            foreign.connect(one.control)
            messages = [pack({"op": "hello", "node": "first", "plan": "other"}), pack({"op": "hello"})]
            while not over.is_set():
                with contextlib.suppress(zmq.Again):
                    for message in messages * 50:
                        foreign.send(message)

    thread = threading.Thread(target=flood)
    thread.start()
    deadline = time.monotonic() + DEADLINE
    try:
        while one.supervisor.report().malformed_control < MAX_AT_ONCE:
            assert time.monotonic() < deadline
            thread.join(0.01)
        first, second = one.both()
        one.supervisor.request_stop()
        said(first, "drain")
        said(second, "drain")
        one.end(first, second)
        assert one.over() is None
    finally:
        over.set()
        thread.join()


def test_the_nodes_are_sent_home_even_if_the_report_fails(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stage()
    first, second = one.both()

    def fail(*_: Any) -> None:
        raise KeyError("no such block")

    monkeypatch.setattr(supervisor_module, "summarise", fail)
    ended: list[bool] = []
    monkeypatch.setattr(one.supervisor, "_end_processes", lambda: ended.append(True))
    one.end(first, second)
    assert isinstance(one.over(), KeyError)
    assert "no such block" in said(first, "exit")["error"]
    assert ended
    assert one.supervisor.server._socket.closed


def test_who_built_another_graph_is_refused_and_the_run_goes_on(stage: Callable[..., Stage]) -> None:
    one = stage()
    line = "node second built another graph: start every node with the same options, seed and scenario"
    message = said(one.node("second", plan="other"), "exit")
    assert (message["error"], message["user"]) == (line, True)
    first, second = one.both()
    one.end(first, second)
    assert one.over() is None


def test_who_built_another_graph_is_named_when_nobody_else_comes(stage: Callable[..., Stage]) -> None:
    one = stage(patience=0.5)
    said(one.node("second", plan="other"), "exit")
    line = "node second built another graph: start every node with the same options, seed and scenario"
    error = one.over()
    assert isinstance(error, DeploymentError)
    assert str(error) == f"node first, second did not come up within 0.5 s: {line}; start it"


def test_an_address_that_cannot_be_used_ends_the_run(stage: Callable[..., Stage]) -> None:
    one = stage()
    node = one.node("first")
    said(node, "welcome")
    node.send({"op": "refused", "cause": "tcp://1.2.3.4:5 is in use"})
    error = one.over()
    assert isinstance(error, UserError)
    assert str(error) == "tcp://1.2.3.4:5 is in use"


def test_one_ctrl_c_heard_by_all_is_one_request(stage: Callable[..., Stage]) -> None:
    one = stage()
    first, second = one.both()
    one.supervisor.request_stop()
    for node in (first, second):
        node.send({"op": "interrupted", "count": 1})
        said(node, "drain")
    one.end(first, second, interrupted=True)
    assert one.over() is None
    assert one.supervisor.report().interrupted


def test_a_second_ctrl_c_aborts(stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "DRAIN_SECONDS", DEADLINE)
    one = stage()
    first, second = one.both()
    second.send({"op": "interrupted", "count": 1})
    said(first, "drain")
    second.send({"op": "interrupted", "count": 2})
    said(first, "drain")
    said(first, "abort")
    said(first, "exit")
    assert one.over() is None
    assert one.supervisor.report().interrupted


def test_a_stop_when_all_has_ended_interrupts_nothing(stage: Callable[..., Stage]) -> None:
    one = stage()
    first, second = one.both()
    one.supervisor.request_stop()
    said(first, "drain")
    said(second, "drain")
    one.end(first, second, interrupted=False)
    assert one.over() is None
    assert not one.supervisor.report().interrupted


def test_a_stop_before_all_have_come_ends_the_run(stage: Callable[..., Stage]) -> None:
    one = stage()
    first = one.node("first")
    said(first, "welcome")
    one.supervisor.request_stop()
    said(first, "abort")
    said(first, "exit")
    assert one.over() is None
    assert one.supervisor.report().interrupted


def test_a_host_that_falls_silent_is_named(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "SILENCE_SECONDS", 0.2)
    one = stage(remote=["second"])
    first, _ = one.both()
    said(first, "abort")
    error = one.over()
    assert isinstance(error, FlowgraphError)
    assert str(error) == "node second (blocks double) has not been heard of for 0.2 s"


def test_a_node_here_may_be_silent(stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    """A block may hold the interpreter for long; whether its process lives is known without its word."""
    monkeypatch.setattr(supervisor_module, "SILENCE_SECONDS", 0.01)
    one = stage()
    first, second = one.both()
    pings = 0
    while pings < 2:
        pings += first.receive(0.1) == {"op": "ping"}
    one.end(first, second)
    assert one.over() is None


def test_a_node_that_does_not_come_is_named(stage: Callable[..., Stage]) -> None:
    one = stage(patience=0.1)
    said(one.node("first"), "welcome")
    error = one.over()
    assert isinstance(error, DeploymentError)
    assert str(error) == "node second did not come up within 0.1 s: start it"


def test_the_run_can_be_watched(stage: Callable[..., Stage]) -> None:
    seen: list[int] = []
    one = stage(on_status=lambda report: seen.append(report.snapshots))
    first, second = one.both()
    first.send({"op": "status", "states": one.states("sink")})
    deadline = time.monotonic() + DEADLINE
    while not seen or seen[-1] != 10:
        assert time.monotonic() < deadline
        first.receive(0.05)
    one.end(first, second)
    assert one.over() is None
