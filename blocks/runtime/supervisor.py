"""The supervisor: directs the nodes of a run, gathers their counters, ends it cleanly whatever happens."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

from blocks.runtime.control import ControlServer, check_message
from blocks.runtime.frame import MalformedFrame
from blocks.runtime.node import SILENCE_SECONDS
from blocks.runtime.plan import Plan
from blocks.runtime.report import DeploymentError, FlowgraphError, Report, summarise
from blocks.runtime.transport import Pipes
from isac_models.errors import UserError

DRAIN_SECONDS = 0.6  # after a stop request: frames under way may still be worked off
ABORT_SECONDS = 0.4  # after an abort: threads may still notice it and blocks put their files away
PING_SECONDS = 0.5
STATUS_SECONDS = 0.25

OnStatus = Callable[[Report], None]


class Supervisor(threading.Thread):
    """Runs the control dialogue. `error` holds the exception the run ended with, if any.

    hello → welcome (edge tokens) → bound (endpoints) → wire (all endpoints) → status, failed,
    interrupted … → ended by every node → commit → done → exit (final report).
    """

    def __init__(
        self,
        plan: Plan,
        pipes: Pipes,
        server: ControlServer,
        processes: Sequence[BaseProcess] = (),
        remote: Collection[str] = (),
        on_status: OnStatus | None = None,
        patience: float = 30.0,
    ) -> None:
        super().__init__(name="supervisor", daemon=True)
        self.plan, self.pipes, self.server = plan, pipes, server
        self.processes, self.remote = processes, remote
        self.on_status, self.patience = on_status, patience
        self.error: Exception | None = None
        self.stop_requests = 0
        self._interrupts: dict[str, int] = {}
        self._digest = plan.fingerprint()
        self._malformed = 0
        self._strangers: set[str] = set()  # nodes whose place somebody with another graph has asked for
        self._tokens = {edge.name: secrets.token_bytes(16) for edge in plan.pipes}
        self._peers: dict[str, bytes] = {}
        self._heard: dict[str, float] = {}
        self._endpoints: dict[str, str] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._bound: set[str] = set()
        self._ended: set[str] = set()
        self._done: set[str] = set()
        self._interrupted = False
        self._aborted = False
        self._stop_at: float | None = None
        self._created = time.monotonic()
        self._began: float | None = None
        self._over: float | None = None
        self._committed = False
        self._state_lock = threading.Lock()

    # What others call ------------------------------------------------------------------------

    def request_stop(self) -> None:
        """Stop the graph: sources end their streams, what is under way is worked off, at most 2 s.

        A second request does not wait for what is under way. Callable from any thread or a signal handler.
        """
        self.stop_requests += 1

    def report(self) -> Report:
        """The run so far."""
        now = self._over or time.monotonic()
        seconds = 0.0 if self._began is None else now - self._began
        with self._state_lock:
            states = dict(self._states)
        # A stop that came when every stream had ended already has interrupted nothing.
        ended = self._committed and not self._aborted
        complete = ended and not any(state["interrupted"] for state in states.values())
        interrupted = self._interrupted and not complete
        plan = self.plan
        report = summarise(plan.graph, seconds, interrupted, plan.order, plan.sinks, states)
        report.malformed_control = self._malformed + self.server.malformed
        return report

    # The thread ------------------------------------------------------------------------------

    def run(self) -> None:
        """Direct the run until every node is done, failed or out of time."""
        try:
            self._direct()
        except Exception as error:  # noqa: BLE001 - raised again by wait()
            self.error = self.error or error
        finally:
            self._over = self._over or time.monotonic()
            for last in (self._dismiss, self._end_processes, self.server.close):
                try:
                    last()
                except Exception as error:  # noqa: BLE001 - what comes after must be done all the same
                    self.error = self.error or error

    def _direct(self) -> None:
        pinged = shown = acted = 0.0
        requests = 0
        while len(self._done) < len(self.plan.nodes):
            for peer, message in self.server.receive(0.05):
                self._hear(peer, message)
            now = time.monotonic()
            # Ctrl-C in a terminal reaches every process of the graph, and is one request.
            asked = max(self.stop_requests, *self._interrupts.values(), 0)
            if asked > requests:
                requests = asked
                self._wind_down(now, patience=DRAIN_SECONDS if requests == 1 else 0.0)
            if self._stop_at is not None and now >= self._stop_at:
                if self._aborted:
                    return
                self._abort()
            if now - pinged > PING_SECONDS:
                pinged = now
                self._tell_all({"op": "ping"})
            if now - acted > 0.1:
                acted = now
                self._check_nodes(now)
            if self.on_status is not None and self._began is not None and now - shown > STATUS_SECONDS:
                shown = now
                self.on_status(self.report())

    def _hear(self, peer: bytes, message: dict[str, Any]) -> None:
        """Act on a message; one that breaks the rules or comes from a stranger is counted and dropped."""
        node = next((name for name, known in self._peers.items() if known == peer), None)
        mine = [] if node is None else [instance.name for instance in self.plan.on(node)]
        try:
            op = check_message(message, mine, [e.name for e in self.plan.pipes if e.writer in mine])
            if op == "hello":
                self._welcome(peer, message)
            elif node is None or (op == "bound" and node in self._bound):
                raise MalformedFrame("not from a node, or said twice")
            else:
                self._heard[node] = time.monotonic()
                self._obey(node, op, message)
        except MalformedFrame:
            self._malformed += 1

    def _obey(self, node: str, op: str, message: dict[str, Any]) -> None:
        if op == "bound":
            self._endpoints.update(message["endpoints"])
            self._bound.add(node)
            if len(self._bound) == len(self.plan.nodes):
                self._began = time.monotonic()
                self._tell_all({"op": "wire", "endpoints": self._endpoints})
        elif op == "refused":
            self._fail(UserError(message["cause"]))
        elif op in ("status", "done"):
            with self._state_lock:
                self._states.update(message["states"])
            if op == "done":
                self._done.add(node)
        elif op == "failed":
            self._fail(FlowgraphError(message["line"], message["traceback"]))
        elif op == "interrupted":
            self._interrupts[node] = message["count"]
        elif op == "ended":
            self._ended.add(node)
            if len(self._ended) == len(self.plan.nodes) and not self._aborted:
                self._over = time.monotonic()
                self._committed = True
                self._tell_all({"op": "commit"})

    def _welcome(self, peer: bytes, message: dict[str, Any]) -> None:
        """Take a node in, or send it away: whoever asks for a place cannot end the run of the others."""
        node = message["node"]
        if node not in self.plan.nodes:
            self._refuse(peer, "the graph has no node of that name with a block to run")
        elif node in self._peers:
            self._refuse(peer, f"node {node} is running already")
        elif message["plan"] != self._digest:
            self._strangers.add(node)
            self._refuse(peer, _another_graph(node))
        else:
            self.server.admit(peer)
            self._peers[node] = peer
            self._heard[node] = time.monotonic()
            mine = {i.name for i in self.plan.on(node)}
            tokens = {e.name: self._tokens[e.name] for e in self.plan.pipes if {e.writer, e.reader} & mine}
            self.server.send(peer, {"op": "welcome", "tokens": tokens})

    def _refuse(self, peer: bytes, cause: str) -> None:
        self.server.send(peer, {"op": "exit", "error": cause, "user": True})

    def _check_nodes(self, now: float) -> None:
        """A process that died or a host that fell silent ends the run, named with its blocks."""
        for process in self.processes:
            if not process.is_alive() and process.name not in self._done:
                blocks = ", ".join(instance.name for instance in self.plan.on(process.name))
                code = process.exitcode or 0
                how = f"killed by signal {-code}" if code < 0 else f"exited with status {code}"
                self._done.add(process.name)
                self._fail(FlowgraphError(f"the process of block {blocks} died: {how}"))
        for node, heard in self._heard.items():
            if node in self.remote and node not in self._done and now - heard > SILENCE_SECONDS:
                blocks = ", ".join(instance.name for instance in self.plan.on(node))
                self._done.add(node)
                self._fail(
                    FlowgraphError(
                        f"node {node} (blocks {blocks}) has not been heard of for {SILENCE_SECONDS:g} s"
                    )
                )
        missing = [node for node in self.plan.nodes if node not in self._peers]
        if missing and now - self._created > self.patience and self.error is None:
            others = [_another_graph(node) for node in missing if node in self._strangers]
            advice = "; ".join(others + ["start it"] * (len(others) < len(missing)))
            late = f"node {', '.join(missing)} did not come up within {self.patience:g} s"
            self._fail(DeploymentError(f"{late}: {advice}"))

    def _wind_down(self, now: float, patience: float) -> None:
        """Let the sources end their streams; abort after `patience` seconds."""
        self._interrupted = True
        if self._began is None:
            self._abort()
        elif not self._aborted:
            self._tell_all({"op": "drain"})
            self._stop_at = now + patience

    def _abort(self) -> None:
        self._aborted = True
        self._stop_at = time.monotonic() + ABORT_SECONDS
        self._tell_all({"op": "abort"})

    def _fail(self, error: Exception) -> None:
        """Keep the first error and stop the graph."""
        if self.error is None:
            self.error = error
        if not self._aborted:
            self._abort()

    def _tell_all(self, message: dict[str, Any]) -> None:
        for peer in self._peers.values():
            self.server.send(peer, message)

    def _dismiss(self) -> None:
        """Send every node home with the final report."""
        try:
            report = self.report()
        except Exception as error:  # noqa: BLE001 - the nodes are told all the same
            self.error = self.error or error
            report = Report(self.plan.graph)
        if isinstance(self.error, FlowgraphError):
            self.error.report = report
        message: dict[str, Any] = {"op": "exit", "report": report.to_dict()}
        if self.error is not None:
            traceback = getattr(self.error, "traceback", "")
            user = isinstance(self.error, UserError)
            message |= {"error": str(self.error), "traceback": traceback, "user": user}
        self._tell_all(message)

    def _end_processes(self) -> None:
        """Wait for the processes to go; those that do not are killed."""
        deadline = time.monotonic() + 0.5
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


def _another_graph(node: str) -> str:
    return f"node {node} built another graph: start every node with the same options, seed and scenario"
