"""The flowgraph: connect blocks, run them as threads, processes or hosts, read the report."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from blocks.runtime.block import Block, Source
from blocks.runtime.deployment import Deployment
from blocks.runtime.frame import MalformedFrame, check_name
from blocks.runtime.plan import Fields, Plan, check_complete, fields_after, make_plan
from blocks.runtime.port import GraphError
from blocks.runtime.report import DeploymentError, Report
from blocks.runtime.run import Deployed, Processes, Run, Threads
from blocks.runtime.supervisor import OnStatus

Transport = Literal["inproc", "ipc", "tcp"]
TRANSPORTS: tuple[Transport, ...] = ("inproc", "ipc", "tcp")


class Flowgraph:
    """A tree of blocks that streams run through.

    `seed` keys every random block, `frame` is the number of snapshots a source puts into a frame,
    `window` how many frames may be under way on an edge (bounded memory, back pressure).

        graph = Flowgraph("link", seed=1)
        graph.connect(source, encoder, precoder)
        graph.connect(precoder, reflector, detector, metrics)
        report = graph.run()                     # or run("ipc"), or: with graph: … report()

    Raises GraphError (a UserError, one line) for what cannot run, when it is connected or started.
    """

    def __init__(self, name: str, seed: int = 0, frame: int = 16384, window: int = 8) -> None:
        try:
            check_name(name, f"flowgraph name {name!r}")
        except MalformedFrame as error:
            raise GraphError(f"{error}: use a letter, then letters, digits, _ . or -") from None
        rules: list[tuple[str, object, int]] = [("seed", seed, 0), ("frame", frame, 1), ("window", window, 1)]
        for what, number, least in rules:
            if not isinstance(number, int) or number < least:
                raise GraphError(f"{what} must be a whole number, at least {least}, not {number!r}")
        self.name, self.seed, self.frame, self.window = name, seed, frame, window
        self.blocks: dict[str, Block] = {}
        self._parents: dict[str, str] = {}
        self._readers: dict[str, list[str]] = {}
        self._available: dict[str, Fields] = {}
        self._replicas: dict[str, int] = {}
        self._groups: list[list[str]] = []
        self._run: Run | None = None

    # Building --------------------------------------------------------------------------------

    def connect(self, *chain: Block) -> Self:
        """Connect blocks in a row; fields, dtypes and shapes are checked as far as a source is known.

        Raises GraphError naming both blocks and the field for a missing field, a wrong dtype or
        shape; for a cycle, a second input, two blocks of one name. The graph is then as it was before.
        """
        if len(chain) < 2:
            raise GraphError("connect at least two blocks")
        named = dict(self.blocks)
        for block in chain:
            _check_block(block)
            if named.setdefault(block.name, block) is not block:
                raise GraphError(f"two blocks are called {block.name}: give one another name=")
        readers = {name: list(names) for name, names in self._readers.items()}
        before = dict(self.blocks), dict(self._parents), readers, dict(self._available)
        try:
            for writer, reader in pairwise(chain):
                self._check_edge(writer, reader)
                self.blocks.setdefault(writer.name, writer)
                self.blocks.setdefault(reader.name, reader)
                self._parents[reader.name] = writer.name
                self._readers.setdefault(writer.name, []).append(reader.name)
                self._spread(writer.name)
        except GraphError:
            self.blocks, self._parents, self._readers, self._available = before
            raise
        return self

    def _check_edge(self, writer: Block, reader: Block) -> None:
        if isinstance(reader, Source):
            raise GraphError(f"{reader.name} is a source and has no input to connect {writer.name} to")
        ancestor: str | None = writer.name
        while ancestor is not None:
            if ancestor == reader.name:
                raise GraphError(
                    f"connecting {writer.name} to {reader.name} makes a cycle: streams run one way"
                )
            ancestor = self._parents.get(ancestor)
        if reader.name in self._parents:
            parent = self._parents[reader.name]
            again = "already" if parent == writer.name else f"already to {parent}"
            raise GraphError(
                f"{reader.name} is connected {again}, not again to {writer.name}: a block has one input"
            )

    def _spread(self, name: str) -> None:
        """Carry the known fields from `name` down, checking each block."""
        if name not in self._available:
            if not isinstance(self.blocks[name], Source):
                return
            self._available[name] = fields_after(self.blocks[name], None, "nothing")
        for reader in self._readers.get(name, ()):
            self._available[reader] = fields_after(self.blocks[reader], self._available[name], name)
            self._spread(reader)

    def replicate(self, block: Block, replicas: int) -> Self:
        """Run `replicas` copies of a block, frame s on copy s mod replicas; the result is the same."""
        if replicas < 1:
            raise GraphError(f"{block.name}: replicas must be at least 1")
        if not block.replicable or isinstance(block, Source):
            raise GraphError(f"{block.name} keeps state between frames and cannot be replicated")
        self._replicas[block.name] = replicas
        return self

    def together(self, *blocks: Block) -> Self:
        """With ipc or tcp, run these blocks in one process instead of one each."""
        self._groups.append([block.name for block in blocks])
        return self

    # Running ---------------------------------------------------------------------------------

    def start(
        self,
        transport: Transport = "inproc",
        on_status: OnStatus | None = None,
        nodes: str | Path | Deployment | None = None,
        node: str | None = None,
    ) -> Self:
        """Start the graph and return. `nodes` (tcp) is a deployment file, `node` this host's name in it.

        Raises GraphError or DeploymentError, before anything runs, when the graph is incomplete or
        an address cannot be used.
        """
        if self._run is not None and self._run.active:
            raise GraphError(f"flowgraph {self.name} is running already")
        if transport not in TRANSPORTS:
            raise GraphError(f"unknown transport {transport!r}: choose one of {', '.join(TRANSPORTS)}")
        if nodes is not None and transport != "tcp":
            raise DeploymentError("a deployment file needs the tcp transport")
        if (nodes is None) != (node is None):
            raise DeploymentError("a deployment file and the name of this node in it go together")
        check_complete(self.blocks, self._parents, self._readers)
        if nodes is not None:
            deployment = nodes if isinstance(nodes, Deployment) else Deployment.load(Path(nodes))
            plan = self._plan(deployment.placement(self.blocks))
            self._run = Deployed(plan, deployment, deployment.node(node), on_status)
        elif transport == "inproc":
            self._run = Threads(self._plan(dict.fromkeys(self.blocks, "threads")), on_status)
        else:
            self._run = Processes(self._plan(self._own_process()), transport, on_status)
        return self

    def _own_process(self) -> dict[str, str]:
        group = {name: names[0] for names in self._groups for name in names}
        return {name: group.get(name, name) for name in self.blocks}

    def _plan(self, placement: dict[str, str]) -> Plan:
        return make_plan(
            self.name,
            self.seed,
            self.frame,
            self.window,
            self.blocks,
            self._readers,
            self._available,
            self._replicas,
            placement,
        )

    def wait(self) -> Report:
        """Wait for the end. Ctrl-C stops the graph within 2 s and sets `interrupted` in the report.

        Raises FlowgraphError naming block, frame and cause when a block failed (its `report` holds
        what was counted), UserError when an address could not be used.
        """
        if self._run is None:
            raise GraphError(f"flowgraph {self.name} has not been started")
        return self._run.wait()

    def stop(self) -> None:
        """Ask the sources to end their streams and stop within 2 s; `wait` returns the report."""
        if self._run is not None:
            self._run.stop()

    def report(self) -> Report:
        """Counters and results so far."""
        if self._run is None:
            return Report(self.name)
        return self._run.report()

    def run(
        self,
        transport: Transport = "inproc",
        on_status: OnStatus | None = None,
        nodes: str | Path | Deployment | None = None,
        node: str | None = None,
    ) -> Report:
        """`start` and `wait`."""
        return self.start(transport, on_status, nodes, node).wait()

    def __enter__(self) -> Self:
        if self._run is None or not self._run.active:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()
        if kind is None:
            self.wait()
        elif self._run is not None:
            self._run.close()


def _check_block(block: object) -> None:
    """What is connected is a block that was made, not its class or something else."""
    if isinstance(block, type):
        raise GraphError(f"{block.__name__} is a class: connect {block.__name__}(…), a block made of it")
    if not isinstance(block, Block):
        raise GraphError(f"a {type(block).__name__} is not a block")
    if not hasattr(block, "name"):
        raise GraphError(f"{type(block).__name__}.__init__ must call super().__init__()")
