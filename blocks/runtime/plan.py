"""The graph as it will run: block instances, edges between them, the fields each edge carries."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import gcd

from blocks.runtime.block import Block
from blocks.runtime.frame import MAX_FIELDS
from blocks.runtime.port import GraphError
from blocks.runtime.wiring import Fields, Wiring


@dataclass(frozen=True)
class Edge:
    """One pipe from a writer instance to a reader instance, and the fields it carries."""

    name: str
    writer: str
    reader: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class MessageEdge:
    """One pipe from a message port of a writer instance to one of a reader instance."""

    name: str
    writer: str
    reader: str
    publishes: str
    subscribes: str


@dataclass
class Instance:
    """One running copy of a block: number `index` of `replicas`, with its pipes.

    `inputs[branch][k]` is the edge from replica k of the block upstream on that branch (frame s comes
    from replica s mod len); the one input of a block that joins nothing is the branch ALONE. `outputs`
    holds, for each downstream block, the edges to its replicas.
    """

    name: str
    block: Block
    index: int
    replicas: int
    node: str
    inputs: dict[str, list[Edge | None]] = field(default_factory=dict)
    outputs: list[list[Edge | None]] = field(default_factory=list)
    takes: Fields = field(default_factory=dict)
    gives: Fields = field(default_factory=dict)


@dataclass
class Plan:
    """All instances by name, the order and sinks of the report, and the settings of the run."""

    graph: str
    seed: int
    frame: int
    window: int
    instances: dict[str, Instance]
    order: list[str]
    sinks: list[str]
    messages: list[MessageEdge] = field(default_factory=list)

    @property
    def edges(self) -> list[Edge]:
        """Every edge once, in the order of its writers."""
        return [
            edge for i in self.instances.values() for group in i.outputs for edge in group if edge is not None
        ]

    @property
    def pipes(self) -> list[Edge | MessageEdge]:
        """Every edge, those between message ports after those of frames."""
        return [*self.edges, *self.messages]

    @property
    def nodes(self) -> list[str]:
        """The nodes that hold an instance, in order."""
        return list(dict.fromkeys(instance.node for instance in self.instances.values()))

    def on(self, node: str) -> list[Instance]:
        """The instances that live on a node."""
        return [instance for instance in self.instances.values() if instance.node == node]

    def fingerprint(self) -> str:
        """A digest that is equal on two hosts only if they built the same graph."""
        lines = [f"{self.graph} {self.seed} {self.frame} {self.window}"]
        for i in self.instances.values():
            fields = " ".join(
                f"{key}:{value}" for group in (i.takes, i.gives) for key, value in group.items()
            )
            block = i.block
            built = (
                f"{dict(block.parameters)} {getattr(block, 'scenario', '')}" + " reframes" * block.reframes
            )
            lines.append(f"{i.name} {type(block).__name__} {block.stream_key} {i.node} [{fields}] {built}")
            for branch, edges in i.inputs.items():
                lines.append(f"{branch}: {' '.join(edge.name for edge in edges if edge is not None)}")
        lines += [f"{edge.name} {' '.join(edge.fields)}" for edge in self.edges]
        lines += [f"message {edge.name}" for edge in self.messages]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _copy(block: Block) -> Block:
    """A replica; GraphError when a block says that it is replicable and is not."""
    try:
        return copy.deepcopy(block)
    except Exception as error:  # noqa: BLE001 - whatever a block's parts raise, it cannot be replicated
        raise GraphError(f"{block.name} cannot be replicated: {error}") from None


def make_plan(
    graph: str,
    seed: int,
    frame: int,
    window: int,
    wiring: Wiring,
    replicas: Mapping[str, int],
    placement: Mapping[str, str],
) -> Plan:
    """Lay out instances and edges. Frame s of a block is worked on by replica s mod its replicas."""
    blocks = wiring.blocks
    instances: dict[str, Instance] = {}

    def instance_name(name: str, index: int) -> str:
        return f"{name}#{index}" if replicas.get(name, 1) > 1 else name

    for name, block in blocks.items():
        count = replicas.get(name, 1)
        for index in range(count):
            one = block if index == 0 else _copy(block)
            one.bind(seed)
            key = instance_name(name, index)
            instances[key] = Instance(
                key,
                one,
                index,
                count,
                placement[name],
                inputs={branch: [] for branch in wiring.inputs.get(name, {})},
                takes=one.resolve(one.consumes),
                gives=one.resolve(one.produces),
            )
    travels = wiring.carried()
    for name in blocks:
        for reader, branch in wiring.readers(name):
            carried = travels[name, reader]
            if len(carried) > MAX_FIELDS:
                raise GraphError(f"{name} sends {len(carried)} fields to {reader}, the limit is {MAX_FIELDS}")
            ours, theirs = replicas.get(name, 1), replicas.get(reader, 1)
            common = gcd(ours, theirs)
            table: list[list[Edge | None]] = [
                [
                    Edge(f"{w}>{r}", w, r, carried) if i % common == j % common else None
                    for j in range(theirs)
                    for r in (instance_name(reader, j),)
                ]
                for i in range(ours)
                for w in (instance_name(name, i),)
            ]
            for i in range(ours):
                instances[instance_name(name, i)].outputs.append(table[i])
            for j in range(theirs):
                instances[instance_name(reader, j)].inputs[branch] = [table[i][j] for i in range(ours)]
    sinks = [name for name in blocks if not wiring.readers(name)]
    messages = [
        MessageEdge(f"{writer}.{published}>{reader}.{subscribed}", writer, reader, published, subscribed)
        for writer, published, reader, subscribed in wiring.messages
    ]
    return Plan(graph, seed, frame, window, instances, list(blocks), sinks, messages)
