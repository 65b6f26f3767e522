"""The three ways to run a plan: threads of this process, child processes, nodes of a deployment."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from blocks.runtime.control import ControlServer
from blocks.runtime.deployment import Deployment
from blocks.runtime.node import STOP_SIGNALS, Node, node_process
from blocks.runtime.plan import Plan
from blocks.runtime.report import FlowgraphError, Report
from blocks.runtime.supervisor import OnStatus, Supervisor
from blocks.runtime.transport import Pipes
from isac_models.errors import UserError

JOIN_SECONDS = 5.0  # how long a thread that has been told to end is waited for


class Run:
    """A started graph. Subclasses set `supervisor` or `node` and release what they hold in `close`."""

    supervisor: Supervisor | None = None
    node: Node | None = None
    _pipes: Pipes | None = None

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._node_outcome: tuple[str | None, str, Report | None] | None = None
        self._node_error: Exception | None = None
        self._node_thread: threading.Thread | None = None
        self._closed = False
        self._owner = os.getpid()
        # A program that ends without having waited leaves no process and no file behind either.
        atexit.register(self.close)

    @property
    def active(self) -> bool:
        """Whether the run has not been waited for yet."""
        return not self._closed

    def stop(self) -> None:
        """Ask for an early end."""
        if self.supervisor is not None:
            self.supervisor.request_stop()
        elif self.node is not None:
            self.node.interrupts += 1

    def report(self) -> Report:
        """Counters and results so far (on a node that does not supervise: once the run is over)."""
        if self.supervisor is not None:
            return self.supervisor.report()
        outcome = self._node_outcome
        return outcome[2] if outcome and outcome[2] else Report(self.plan.graph)

    def wait(self) -> Report:
        """Wait for the end; see Flowgraph.wait."""
        first = self.supervisor or self._node_thread
        previous = None
        main = threading.current_thread() is threading.main_thread()
        if main:

            def interrupt(_signum: int, _frame: FrameType | None) -> None:
                self.stop()

            previous = signal.signal(signal.SIGINT, interrupt)
        try:
            while first is not None and first.is_alive():
                first.join(0.1)
            if self._node_thread is not None:
                self._node_thread.join(JOIN_SECONDS)
        finally:
            if main:
                signal.signal(signal.SIGINT, previous or signal.default_int_handler)
            self.close()
        return self._outcome()

    def _outcome(self) -> Report:
        if self.supervisor is not None:
            if self.supervisor.error is not None:
                raise self.supervisor.error
            return self.supervisor.report()
        if self._node_error is not None:
            raise self._node_error
        assert self._node_outcome is not None
        error, traceback, report = self._node_outcome
        if error is not None:
            raise FlowgraphError(error, traceback, report)
        return report or Report(self.plan.graph)

    def _run_node(self, node: Node) -> None:
        """Run a node of this process in a thread of its own."""

        def body() -> None:
            try:
                self._node_outcome = node.run()
            except Exception as error:  # noqa: BLE001 - raised again by wait()
                self._node_error = error

        self.node = node
        self._node_thread = threading.Thread(target=body, name=f"node {node.name}", daemon=True)
        self._node_thread.start()

    def close(self) -> None:
        """Stop what still runs and release sockets, processes and files. Safe to call twice."""
        if not self._closed and self._owner == os.getpid():
            self._closed = True
            atexit.unregister(self.close)
            _finish_threads(self)
            self._release()

    def _release(self) -> None:
        """Give back what the run holds; its threads have ended."""
        if self._pipes is not None:
            self._pipes.close(wait=self.node is None or not self.node.stuck)


class Threads(Run):
    """Every block a thread of this process, every edge an inproc pipe."""

    def __init__(self, plan: Plan, on_status: OnStatus | None) -> None:
        super().__init__(plan)
        self._pipes = pipes = Pipes()
        server = ControlServer(pipes, "inproc://control")
        self.supervisor = Supervisor(plan, pipes, server, on_status=on_status)
        bind_to = {edge.name: f"inproc://edge-{number}" for number, edge in enumerate(plan.pipes)}
        self.supervisor.start()
        self._run_node(Node(plan, plan.nodes[0], pipes, "inproc://control", bind_to, patience=30.0))


class Processes(Run):
    """One process a node of the plan, on this machine; edges inside a process are inproc."""

    def __init__(self, plan: Plan, transport: str, on_status: OnStatus | None) -> None:
        self._processes: list[BaseProcess] = []
        self._folder: Path | None = None
        super().__init__(plan)
        self._folder = Path(tempfile.mkdtemp(prefix="isac-")) if transport == "ipc" else None
        bind_to = {}
        for number, edge in enumerate(plan.pipes):
            ends = {plan.instances[edge.writer].node, plan.instances[edge.reader].node}
            far = f"ipc://{self._folder}/{number}" if self._folder else "tcp://127.0.0.1:*"
            bind_to[edge.name] = f"inproc://edge-{number}" if len(ends) == 1 else far
        # Fork first: no thread or socket of this run exists yet in this process.
        self._control = f"ipc://{self._folder}/control" if self._folder else _free_tcp_endpoint()
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(method)
        try:
            with _stops_held():
                for name in plan.nodes:
                    arguments = (plan, name, self._control, bind_to, self._folder, os.getpid())
                    process = context.Process(target=node_process, args=arguments, name=name, daemon=True)  # type: ignore[attr-defined]
                    process.start()
                    self._processes.append(process)
            self._pipes = pipes = Pipes()
            server = ControlServer(pipes, self._control)
        except BaseException:
            self.close()
            raise
        self.supervisor = Supervisor(plan, pipes, server, self._processes, on_status=on_status)
        self.supervisor.start()

    def _release(self) -> None:
        for process in self._processes:
            if process.is_alive():
                process.kill()
            process.join()
            process.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        super()._release()


class Deployed(Run):
    """This host's part of a deployment: the first node supervises, the others connect to it."""

    def __init__(self, plan: Plan, deployment: Deployment, name: str, on_status: OnStatus | None) -> None:
        pipes = Pipes(deployment.certificate_path)
        super().__init__(plan)
        self._pipes = pipes
        control = f"tcp://{deployment.control}"
        entry = deployment.nodes[name]
        bind_to = {}
        for number, edge in enumerate(plan.pipes):
            ends = {plan.instances[edge.writer].node, plan.instances[edge.reader].node}
            far = f"tcp://{entry.host}:{entry.ports}"
            bind_to[edge.name] = f"inproc://edge-{number}" if len(ends) == 1 else far
        if name == deployment.supervisor:
            try:
                server = ControlServer(pipes, control)
            except UserError:
                self.close()
                raise
            remote = [node for node in plan.nodes if node != name]
            self.supervisor = Supervisor(plan, pipes, server, (), remote, on_status, deployment.patience)
            self.supervisor.start()
        far_away = self.supervisor is None
        patience = deployment.patience
        self._run_node(Node(plan, name, pipes, control, bind_to, patience, remote=far_away))


def _finish_threads(run: Run) -> None:
    """Stop and join the threads of a run that was left early (an exception in the caller)."""
    if run.supervisor is not None and run.supervisor.is_alive():
        run.supervisor.request_stop()
        run.supervisor.request_stop()
        run.supervisor.join(JOIN_SECONDS)
    elif run.node is not None:
        run.node.interrupts += 1
    if run._node_thread is not None:
        run._node_thread.join(JOIN_SECONDS)


@contextlib.contextmanager
def _stops_held() -> Iterator[None]:
    """Keep Ctrl-C until afterwards: a fork would swallow it, and a child that is not ready die of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _free_tcp_endpoint() -> str:
    """A loopback endpoint for the control channel with a port free just now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"
