"""The three ways to run a plan: threads of this process, child processes, nodes of a deployment."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import tempfile
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from blocks.runtime.control import ControlServer
from blocks.runtime.deployment import Deployment
from blocks.runtime.node import Node, node_process
from blocks.runtime.plan import Plan
from blocks.runtime.report import FlowgraphError, Report
from blocks.runtime.supervisor import OnStatus, Supervisor
from blocks.runtime.transport import Pipes
from isac_models.errors import UserError


class Run:
    """A started graph. Subclasses set `supervisor` or `node` and release what they hold in `close`."""

    supervisor: Supervisor | None = None
    node: Node | None = None

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._node_outcome: tuple[str | None, str, Report | None] | None = None
        self._node_error: Exception | None = None
        self._node_thread: threading.Thread | None = None
        self._closed = False

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
        threads = [t for t in (self.supervisor, self._node_thread) if t is not None]
        previous = None
        main = threading.current_thread() is threading.main_thread()
        if main:

            def interrupt(_signum: int, _frame: FrameType | None) -> None:
                self.stop()

            previous = signal.signal(signal.SIGINT, interrupt)
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.1)
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
        self._closed = True


class Threads(Run):
    """Every block a thread of this process, every edge an inproc pipe."""

    def __init__(self, plan: Plan, on_status: OnStatus | None) -> None:
        super().__init__(plan)
        self._pipes = Pipes()
        server = ControlServer(self._pipes, "inproc://control")
        self.supervisor = Supervisor(plan, self._pipes, server, on_status=on_status)
        bind_to = {edge.name: f"inproc://edge-{number}" for number, edge in enumerate(plan.edges)}
        self.supervisor.start()
        self._run_node(Node(plan, plan.nodes[0], self._pipes, "inproc://control", bind_to, patience=30.0))

    def close(self) -> None:
        """See Run.close."""
        if not self._closed:
            super().close()
            _finish_threads(self)
            _close_pipes(self._pipes, self._node_thread)


class Processes(Run):
    """One process a node of the plan, on this machine; edges inside a process are inproc."""

    def __init__(self, plan: Plan, transport: str, on_status: OnStatus | None) -> None:
        super().__init__(plan)
        self._folder = Path(tempfile.mkdtemp(prefix="isac-")) if transport == "ipc" else None
        bind_to = {}
        for number, edge in enumerate(plan.edges):
            ends = {plan.instances[edge.writer].node, plan.instances[edge.reader].node}
            far = f"ipc://{self._folder}/{number}" if self._folder else "tcp://127.0.0.1:*"
            bind_to[edge.name] = f"inproc://edge-{number}" if len(ends) == 1 else far
        # Fork first: no thread or socket of this run exists yet in this process.
        self._control = f"ipc://{self._folder}/control" if self._folder else _free_tcp_endpoint()
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(method)
        self._processes: list[BaseProcess] = []
        try:
            for name in plan.nodes:
                arguments = (plan, name, self._control, bind_to, self._folder)
                process = context.Process(target=node_process, args=arguments, name=name, daemon=True)  # type: ignore[attr-defined]
                process.start()
                self._processes.append(process)
            self._pipes = Pipes()
            server = ControlServer(self._pipes, self._control)
        except BaseException:
            for process in self._processes:
                process.kill()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self.supervisor = Supervisor(plan, self._pipes, server, self._processes, on_status)
        self.supervisor.start()

    def close(self) -> None:
        """See Run.close."""
        if not self._closed:
            super().close()
            _finish_threads(self)
            for process in self._processes:
                if process.is_alive():
                    process.kill()
                process.join()
                process.close()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            _close_pipes(self._pipes)


class Deployed(Run):
    """This host's part of a deployment: the first node supervises, the others connect to it."""

    def __init__(self, plan: Plan, deployment: Deployment, name: str, on_status: OnStatus | None) -> None:
        super().__init__(plan)
        self._pipes = Pipes(deployment.certificate_path)
        control = f"tcp://{deployment.control}"
        entry = deployment.nodes[name]
        bind_to = {}
        for number, edge in enumerate(plan.edges):
            ends = {plan.instances[edge.writer].node, plan.instances[edge.reader].node}
            far = f"tcp://{entry.host}:{entry.ports}"
            bind_to[edge.name] = f"inproc://edge-{number}" if len(ends) == 1 else far
        if name == deployment.supervisor:
            try:
                server = ControlServer(self._pipes, control)
            except UserError:
                self._pipes.close()
                raise
            self.supervisor = Supervisor(
                plan, self._pipes, server, on_status=on_status, patience=deployment.patience
            )
            self.supervisor.start()
        self._run_node(Node(plan, name, self._pipes, control, bind_to, deployment.patience))

    def close(self) -> None:
        """See Run.close."""
        if not self._closed:
            super().close()
            _finish_threads(self)
            _close_pipes(self._pipes, self._node_thread)


def _finish_threads(run: Run) -> None:
    """Stop and join the threads of a run that was left early (an exception in the caller)."""
    if run.supervisor is not None and run.supervisor.is_alive():
        run.supervisor.request_stop()
        run.supervisor.request_stop()
        run.supervisor.join(5.0)
    if run._node_thread is not None:
        run._node_thread.join(5.0)


def _close_pipes(pipes: Pipes, thread: threading.Thread | None = None) -> None:
    """Terminate the context, unless a block's thread is stuck in work() and still holds a socket."""
    if thread is None or not any(t.is_alive() and hasattr(t, "instance") for t in threading.enumerate()):
        pipes.close()


def _free_tcp_endpoint() -> str:
    """A loopback endpoint for the control channel with a port free just now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"
