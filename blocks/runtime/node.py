"""A node: one process (or the caller's own) that runs some of a graph's blocks, each in a thread."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from threadpoolctl import threadpool_limits

from blocks.runtime.control import ControlClient
from blocks.runtime.exchange import Exchange
from blocks.runtime.failure import failure_of
from blocks.runtime.messages import MessageInlet, MessageOutlet
from blocks.runtime.plan import Instance, Plan
from blocks.runtime.report import DeploymentError, FlowgraphError, Report, summarise
from blocks.runtime.runner import Runner
from blocks.runtime.signals import Signals
from blocks.runtime.transport import Inlet, Outlet, Pipes
from isac_models.errors import UserError

TICK_SECONDS = 0.01  # how late the end of a thread may be noticed
STATUS_SECONDS = 0.2
SILENCE_SECONDS = 5.0  # without a word from the supervisor a node gives up
LEAVE_SECONDS = 1.6  # after Ctrl-C a node waits this long for the supervisor's word
ABORT_SECONDS = 0.3  # how long a node waits for its threads to notice an abort
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Node:
    """Runs the instances that `plan` places on `name`, directed over the control channel.

    `addresses` maps (edge writer is here) edges to the endpoint to bind; see Flowgraph for the
    dialogue: hello → welcome → bound → wire → status … ended → commit → done → exit.
    """

    def __init__(
        self,
        plan: Plan,
        name: str,
        pipes: Pipes,
        control: str,
        bind_to: dict[str, str],
        patience: float,
        parent: int | None = None,
        remote: bool = False,
    ) -> None:
        self.plan, self.name, self.pipes = plan, name, pipes
        self.bind_to, self.patience = bind_to, patience
        self.signals = Signals()
        self.interrupts = 0
        self._control = ControlClient(pipes, control)
        self._control_endpoint = control
        self._instances = plan.on(name)
        self._outlets: dict[str, Outlet] = {}
        self._message_outlets: dict[str, MessageOutlet] = {}
        self._runners: list[Runner] = []
        self._tokens: dict[str, bytes] = {}
        self._heard = time.monotonic()
        self._finished = self._said_ended = self._said_failed = False
        self._parent, self._remote = parent, remote
        self._interrupted_at: float | None = None

    def run(self) -> tuple[str | None, str, Report | None]:
        """Run to the end; returns (error line or None, traceback, report) as the supervisor sent them."""
        try:
            with threadpool_limits(1):
                outcome = self._dialogue()
        except (UserError, FlowgraphError):
            raise
        except Exception as error:
            failure = failure_of(", ".join(i.name for i in self._instances), None, error)
            self._control.send({"op": "failed", "line": str(failure), "traceback": failure.traceback})
            raise
        finally:
            # Threads that have known of an abort for a while, and are not back, are stuck.
            patience = 0.05 if self.signals.abort.is_set() else ABORT_SECONDS
            self.signals.abort.set()
            deadline = time.monotonic() + patience
            for runner in self._runners:
                runner.join(max(0.0, deadline - time.monotonic()))
            if not self._runners:
                for outlet in self._bound().values():
                    outlet.close()
            self._control.close()
        return outcome

    @property
    def stuck(self) -> bool:
        """Whether a block has not come back, so that its thread still holds sockets."""
        return any(runner.is_alive() for runner in self._runners)

    def _dialogue(self) -> tuple[str | None, str, Report | None]:
        said_interrupt, told = 0, 0.0
        hello = {"op": "hello", "node": self.name, "pid": os.getpid(), "plan": self.plan.fingerprint()}
        self._control.send(hello)
        while True:
            message = self._control.receive(TICK_SECONDS)
            if message is not None:
                self._heard = time.monotonic()
                if message.get("op") == "exit" and message.get("user"):
                    raise DeploymentError(message["error"])
                if message.get("op") == "exit":
                    report = message.get("report")
                    return (
                        message.get("error"),
                        message.get("traceback", ""),
                        report and Report.from_dict(report),
                    )
                self._obey(message)
            now = time.monotonic()
            if self.interrupts > said_interrupt:
                said_interrupt = self.interrupts
                self._interrupted_at = self._interrupted_at or now
                self._control.send({"op": "interrupted", "count": said_interrupt})
            if self._left_alone(now):
                return None, "", self._own_report()
            self._check_supervisor(now)
            if (self._tokens and now - told > STATUS_SECONDS) or self._news():
                told = now
                self._tell()

    def _obey(self, message: dict[str, Any]) -> None:
        op = message.get("op")
        if op == "welcome":
            self._tokens = message["tokens"]
            self._bind()
        elif op == "wire":
            self._start(message["endpoints"])
        elif op == "drain":
            self.signals.drain.set()
        elif op == "abort":
            self.signals.abort.set()
        elif op == "commit":
            self.signals.commit.set()

    def _bind(self) -> None:
        """Bind an outlet for every edge whose writer lives here and say where it can be reached."""
        try:
            for edge in (e for i in self._instances for group in i.outputs for e in group if e is not None):
                self._outlets[edge.name] = Outlet(
                    self.pipes, edge.name, self._tokens[edge.name], self.bind_to[edge.name], self.plan.window
                )
            mine = {instance.name for instance in self._instances}
            for name in (edge.name for edge in self.plan.messages if edge.writer in mine):
                place, token = self.bind_to[name], self._tokens[name]
                self._message_outlets[name] = MessageOutlet(self.pipes, name, token, place)
        except UserError as error:
            self._control.send({"op": "refused", "cause": str(error)})
            return
        endpoints = {name: outlet.endpoint for name, outlet in self._bound().items()}
        self._control.send({"op": "bound", "endpoints": endpoints})

    def _bound(self) -> dict[str, Outlet | MessageOutlet]:
        """What others connect to here, by edge."""
        return {**self._outlets, **self._message_outlets}

    def _start(self, endpoints: dict[str, str]) -> None:
        def open_inlet(edge: str) -> Inlet:
            return Inlet(self.pipes, edge, self._tokens[edge], endpoints[edge], self.plan.window)

        def open_messages(edge: str) -> MessageInlet:
            return MessageInlet(self.pipes, edge, self._tokens[edge], endpoints[edge])

        def exchange(instance: Instance) -> Exchange:
            edges = self.plan.messages
            return Exchange(instance.name, edges, self._message_outlets, open_messages, self.signals)

        self._runners = [
            Runner(self.plan, i, self._outlets, open_inlet, self.signals, exchange(i))
            for i in self._instances
        ]
        for runner in self._runners:
            runner.start()

    def _news(self) -> bool:
        """Whether something has happened that the supervisor must hear at once."""
        if self._finished or not self._runners:
            return False
        if not any(r.is_alive() for r in self._runners):
            return True
        if not self._said_failed and any(r.failure for r in self._runners):
            return True
        return not self._said_ended and all(r.ended for r in self._runners)

    def _tell(self) -> None:
        """Send counters and results, and failures or the end when there are any."""
        if not self._runners:
            self._control.send({"op": "alive"})
            return
        self._control.send({"op": "status", "states": self._states()})
        for failure in (r.failure for r in self._runners if r.failure):
            if not self._said_failed:
                self._control.send({"op": "failed", "line": str(failure), "traceback": failure.traceback})
                self._said_failed = True
        if self._finished:
            return
        if not any(r.is_alive() for r in self._runners):
            self._control.send({"op": "done", "states": self._states()})
            self._finished = True
        elif all(r.ended for r in self._runners) and not self._said_ended:
            self._control.send({"op": "ended"})
            self._said_ended = True

    def _states(self) -> dict[str, dict[str, Any]]:
        return {runner.instance.name: runner.state() for runner in self._runners}

    def _left_alone(self, now: float) -> bool:
        """Whether Ctrl-C at this host must end its node without a supervisor that answers."""
        if not self._remote or self._interrupted_at is None:
            return False
        return not self._tokens or now - self._interrupted_at > LEAVE_SECONDS

    def _own_report(self) -> Report:
        plan = self.plan
        return summarise(plan.graph, 0.0, True, plan.order, plan.sinks, self._states())

    def _check_supervisor(self, now: float) -> None:
        """A supervisor on another host is gone when it is silent, the parent process when it has died."""
        silence = now - self._heard
        if not self._tokens and silence > self.patience:
            raise DeploymentError(
                f"node {self.name}: no supervisor answered at {self._control_endpoint} "
                f"in {self.patience:g} s: start the first node, or correct `control` in the deployment file"
            )
        orphaned = self._parent is not None and os.getppid() != self._parent
        if orphaned or (self._remote and self._tokens and silence > SILENCE_SECONDS):
            raise FlowgraphError(f"node {self.name}: the supervisor at {self._control_endpoint} is gone")


def node_process(
    plan: Plan, name: str, control: str, bind_to: dict[str, str], folder: Path | None, parent: int
) -> None:
    """The main function of a child process that runs one node for the process `parent`."""
    pipes = Pipes()
    node = Node(plan, name, pipes, control, bind_to, patience=30.0, parent=parent)

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        node.interrupts += 1

    for number in STOP_SIGNALS:
        signal.signal(number, interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # held since before the fork
    status = 1
    try:
        node.run()
        status = 0
    except (UserError, FlowgraphError):
        # The supervisor is gone and so is whoever would read a message: leave nothing behind.
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
    except Exception:  # noqa: BLE001 - the supervisor has been told, and names it
        pipes.close()
    finally:
        # What blocks have printed; then threads stuck in a block's work() must not keep the process alive.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(status)
