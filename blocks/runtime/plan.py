"""The graph as it will run: block instances, edges between them, the fields each edge carries."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd

from blocks.runtime.block import Block, Source
from blocks.runtime.frame import DTYPES, MAX_DIMENSIONS, MAX_FIELDS, check_name
from blocks.runtime.port import Field, GraphError, ResolvedField

Fields = dict[str, ResolvedField]


@dataclass(frozen=True)
class Edge:
    """One pipe from a writer instance to a reader instance, and the fields it carries."""

    name: str
    writer: str
    reader: str
    fields: tuple[str, ...]


@dataclass
class Instance:
    """One running copy of a block: number `index` of `replicas`, with its pipes.

    `inputs[k]` is the edge from replica k of the upstream block (frame s comes from replica
    s mod len); `outputs` holds, for each downstream block, the edges to its replicas.
    """

    name: str
    block: Block
    index: int
    replicas: int
    node: str
    inputs: list[Edge | None] = field(default_factory=list)
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

    @property
    def edges(self) -> list[Edge]:
        """Every edge once, in the order of its writers."""
        return [
            edge for i in self.instances.values() for group in i.outputs for edge in group if edge is not None
        ]

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
            built = f"{dict(block.parameters)} {getattr(block, 'scenario', '')}"
            lines.append(f"{i.name} {type(block).__name__} {block.stream_key} {i.node} [{fields}] {built}")
        lines += [f"{edge.name} {' '.join(edge.fields)}" for edge in self.edges]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _resolved(block: Block, declared: Mapping[str, Field]) -> Fields:
    """The declared fields of a block; GraphError for one that no frame can carry."""
    fields: Fields = {}
    for name in declared:
        try:
            check_name(name, "its name")
            fields |= block.resolve({name: declared[name]})
            if fields[name].dtype.str not in DTYPES:
                raise ValueError(f"its dtype must be one of {', '.join(DTYPES)}")
            if len(fields[name].shape) >= MAX_DIMENSIONS or min(fields[name].shape, default=0) < 0:
                raise ValueError(f"its shape must have less than {MAX_DIMENSIONS} sizes, none negative")
        except GraphError:
            raise
        except (TypeError, ValueError) as error:
            raise GraphError(
                f"{block.name} declares the field {name!r}, which cannot be sent: {error}"
            ) from None
    return fields


def fields_after(block: Block, before: Fields | None, upstream: str) -> Fields:
    """The fields that leave `block` when `before` reaches it; GraphError names what does not fit."""
    takes, gives = _resolved(block, block.consumes), _resolved(block, block.produces)
    before = before or {}
    for name, wanted in takes.items():
        given = before.get(name)
        if given is None:
            have = ", ".join(before) or "no field"
            raise GraphError(
                f"{block.name} needs the field {name!r} ({wanted}), but {upstream} sends only: {have}"
            )
        if given != wanted:
            raise GraphError(
                f"{block.name} expects the field {name!r} as {wanted}, but {upstream} sends {given}"
            )
    for name in gives:
        if name in before and name not in takes:
            raise GraphError(f"{block.name} produces the field {name!r}, which {upstream} already sends")
    return {**before, **gives}


def check_complete(
    blocks: Mapping[str, Block], parents: Mapping[str, str], readers: Mapping[str, Sequence[str]]
) -> None:
    """Every port is connected, or GraphError: inputs of all but sources, outputs of all that produce."""
    if not blocks:
        raise GraphError("the graph has no blocks: connect at least a source and a sink")
    for name, block in blocks.items():
        if not isinstance(block, Source) and name not in parents:
            raise GraphError(f"the input of {name} is not connected: connect a source upstream of it")
        if not readers.get(name) and (block.produces or isinstance(block, Source)):
            raise GraphError(f"the output of {name} is not connected: connect a block that consumes it")


def _needed(name: str, blocks: Mapping[str, Block], readers: Mapping[str, Sequence[str]]) -> set[str] | None:
    """Fields that `name` and everything below it consume of what reaches `name`; None means all."""
    block = blocks[name]
    below: set[str] = set()
    for reader in readers.get(name, ()):
        wanted = _needed(reader, blocks, readers)
        if wanted is None:
            return None
        below |= wanted
    return None if block.consumes_all else (below - set(block.produces)) | set(block.consumes)


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
    blocks: Mapping[str, Block],
    readers: Mapping[str, Sequence[str]],
    available: Mapping[str, Fields],
    replicas: Mapping[str, int],
    placement: Mapping[str, str],
) -> Plan:
    """Lay out instances and edges. Frame s of a block is worked on by replica s mod its replicas."""
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
                takes=one.resolve(one.consumes),
                gives=one.resolve(one.produces),
            )
    for name in blocks:
        for reader in readers.get(name, ()):
            wanted = _needed(reader, blocks, readers)
            carried = tuple(key for key in available[name] if wanted is None or key in wanted)
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
                instances[instance_name(reader, j)].inputs = [table[i][j] for i in range(ours)]
    sinks = [name for name in blocks if not readers.get(name)]
    return Plan(graph, seed, frame, window, instances, list(blocks), sinks)
