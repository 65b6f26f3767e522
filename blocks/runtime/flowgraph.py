"""The flowgraph: connect blocks, run them as threads, processes or hosts, read the report."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from blocks.runtime.block import Block, Source
from blocks.runtime.deployment import Deployment
from blocks.runtime.frame import MalformedFrame, check_name
from blocks.runtime.plan import Plan, make_plan
from blocks.runtime.port import GraphError
from blocks.runtime.report import DeploymentError, Report
from blocks.runtime.run import Deployed, Processes, Run, Threads
from blocks.runtime.supervisor import OnStatus
from blocks.runtime.wiring import Wiring

Transport = Literal["inproc", "ipc", "tcp"]
TRANSPORTS: tuple[Transport, ...] = ("inproc", "ipc", "tcp")


class Flowgraph:
    """The blocks that streams run through: a tree below each source, whose branches may be joined again.

    `seed` keys every random block, `frame` is the number of snapshots a source puts into a frame,
    `window` how many frames may be under way on an edge (bounded memory, back pressure).

        graph = Flowgraph("link", seed=1)
        graph.connect(source, encoder, precoder)
        graph.connect(precoder, reflector, detector, metrics)
        graph.join(comparison, mine=detector, yours=other)
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
        self._wiring = Wiring()
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
        wiring = self._wiring.copy()
        wiring.add(*chain)
        for writer, reader in pairwise(chain):
            wiring.connect(writer.name, reader.name)
        self._wiring = wiring
        return self

    def join(self, block: Block, /, **branches: Block) -> Self:
        """Let `block` take several branches of one stream, each under a name of its own.

            graph.join(PairedSensingMetrics(...), baseline=detector_a, learned=detector_b)

        Frame s of every branch arrives at once, as one frame: the field `detected` of the branch
        `baseline` is `baseline_detected`, which is how the block declares it in `consumes`, and the
        others travel on under such names. Of a tag that several branches carry, the first branch's counts.

        Raises GraphError for branches of two sources, a cycle, a block that is connected or joined
        already, the same block under two names, and as `connect` does.
        """
        wiring = self._wiring.copy()
        wiring.add(*branches.values(), block)
        wiring.join(block.name, {branch: writer.name for branch, writer in branches.items()})
        self._wiring = wiring
        return self

    def message(self, writer: Block, published: str, reader: Block, subscribed: str | None = None) -> Self:
        """Let what `writer` publishes on one message port reach a port of `reader` (default: of that name).

            graph.message(sink, "acknowledged", source)

        Messages go beside the stream: against its direction, in circles, from one port to several and from
        several to one. Both blocks have a place in the stream as well.

        Raises GraphError for a port that the block does not declare, one connection made twice, and a
        block that is connected to itself.
        """
        wiring = self._wiring.copy()
        wiring.add(writer, reader)
        wiring.message(writer.name, published, reader.name, published if subscribed is None else subscribed)
        self._wiring = wiring
        return self

    @property
    def blocks(self) -> Mapping[str, Block]:
        """The blocks by name, in the order in which they were connected."""
        return self._wiring.blocks

    def replicate(self, block: Block, replicas: int) -> Self:
        """Run `replicas` copies of a block, frame s on copy s mod replicas; the result is the same."""
        if replicas < 1:
            raise GraphError(f"{block.name}: replicas must be at least 1")
        if not block.replicable or isinstance(block, Source):
            raise GraphError(f"{block.name} keeps state between frames and cannot be replicated")
        if block.reframes:
            raise GraphError(f"{block.name} reframes its stream and cannot be replicated")
        if block.publishes or block.subscribes:
            raise GraphError(f"{block.name} has message ports and cannot be replicated")
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
        self._wiring.check_complete()
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
            self.name, self.seed, self.frame, self.window, self._wiring, self._replicas, placement
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
