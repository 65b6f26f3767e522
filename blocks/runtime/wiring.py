"""Which block reads which, and the checks that need no run: ports, cycles, joins, what is left open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Self

from blocks.runtime.block import Block, Source
from blocks.runtime.frame import DTYPES, MAX_DIMENSIONS, MalformedFrame, check_name
from blocks.runtime.port import Field, GraphError, ResolvedField, arrives_as

Fields = dict[str, ResolvedField]

Cut = tuple[str, tuple[str, ...]]
"""Where a stream begins, and the blocks that have reframed it since: frames of equal cut are equally long."""

ALONE = ""
"""The branch of a block that has one input."""
BRANCH = PORT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")


class Wiring:
    """The blocks of a graph by name, and what each reads as {branch: writer}.

    A block that joins nothing reads the branch ALONE. `fields` holds what leaves each block, as far as
    its source is known. Whatever does not fit raises GraphError, in one line; the wiring may then be
    half changed, so that a caller changes a `copy`.
    """

    def __init__(self) -> None:
        self.blocks: dict[str, Block] = {}
        self.inputs: dict[str, dict[str, str]] = {}
        self.fields: dict[str, Fields] = {}
        self.messages: list[tuple[str, str, str, str]] = []

    def copy(self) -> Self:
        """The same wiring, to be changed on its own."""
        other = type(self)()
        other.blocks, other.inputs, other.fields = dict(self.blocks), dict(self.inputs), dict(self.fields)
        other.messages = list(self.messages)
        return other

    def add(self, *blocks: Block) -> None:
        """Take blocks in; one that is there already stays."""
        for block in blocks:
            _check_block(block)
            if self.blocks.setdefault(block.name, block) is not block:
                raise GraphError(f"two blocks are called {block.name}: give one another name=")

    def connect(self, writer: str, reader: str) -> None:
        """Let `reader` take what leaves `writer`, as its one input."""
        if isinstance(self.blocks[reader], Source):
            raise GraphError(f"{reader} is a source and has no input to connect {writer} to")
        if reader in self._above(writer):
            raise GraphError(f"connecting {writer} to {reader} makes a cycle: streams run one way")
        if reader in self.inputs:
            known = self.inputs[reader]
            if ALONE not in known:
                raise GraphError(f"{reader} joins {_list(known)} already, and takes nothing beside")
            again = "already" if known[ALONE] == writer else f"already to {known[ALONE]}"
            raise GraphError(
                f"{reader} is connected {again}, not again to {writer}: a block has one input; "
                "one that compares branches has a join"
            )
        self.inputs[reader] = {ALONE: writer}
        self._settle()

    def join(self, reader: str, branches: Mapping[str, str]) -> None:
        """Let `reader` take {branch: writer}, every branch a descendant of one source."""
        if isinstance(self.blocks[reader], Source):
            raise GraphError(f"{reader} is a source and has no input to join {_list(branches)} in")
        if reader in self.inputs:
            known = self.inputs[reader]
            how = f"is connected to {known[ALONE]}" if ALONE in known else f"joins {_list(known)}"
            raise GraphError(f"{reader} {how} already: name all its branches in one join()")
        if len(branches) < 2:
            raise GraphError(f"{reader}: join at least two branches; connect() takes one")
        named: dict[str, str] = {}
        for branch, writer in branches.items():
            if not BRANCH.fullmatch(branch):
                raise GraphError(
                    f"branch name {branch!r} of {reader}: a letter, then at most 31 letters, digits or _"
                )
            if writer in named:
                raise GraphError(f"{reader}: the branches {named[writer]} and {branch} are both {writer}")
            named[writer] = branch
            if reader in self._above(writer):
                raise GraphError(f"joining {writer} in {reader} makes a cycle: streams run one way")
        self.inputs[reader] = dict(branches)
        self._settle()

    def message(self, writer: str, published: str, reader: str, subscribed: str) -> None:
        """Let what `writer` publishes on one message port reach the port of `reader`."""
        for name, port, what in ((writer, published, "publishes"), (reader, subscribed, "subscribes")):
            declared = getattr(self.blocks[name], what)
            if isinstance(declared, str):
                raise GraphError(f"{name}: {what} must be a tuple of port names, not the string {declared!r}")
            if port not in declared:
                raise GraphError(
                    f"{name} has no message port {port!r} in {what}: it has {', '.join(declared) or 'none'}"
                )
            if not PORT.fullmatch(str(port)):
                raise GraphError(
                    f"message port {port!r} of {name}: a letter, then at most 31 letters, digits or _"
                )
        if writer == reader:
            raise GraphError(f"{writer} cannot send messages to itself")
        if (writer, published, reader, subscribed) in self.messages:
            raise GraphError(f"{writer}.{published} sends messages to {reader}.{subscribed} already")
        self.messages.append((writer, published, reader, subscribed))

    def readers(self, name: str) -> list[tuple[str, str]]:
        """The blocks that read `name`, each with the branch that this is to it, in order of connection."""
        return [
            (reader, branch)
            for reader, inputs in self.inputs.items()
            for branch, writer in inputs.items()
            if writer == name
        ]

    def carried(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """{(writer, reader): fields that travel}: those that the reader or a block below it consumes."""
        needed: dict[str, set[str] | None] = {}  # of what arrives at a block; None: all
        travels: dict[tuple[str, str], tuple[str, ...]] = {}
        for name in reversed(self._ordered()):
            leaving: set[str] = set()
            everything = self.blocks[name].consumes_all
            for reader, branch in self.readers(name):
                wanted = needed[reader]
                everything |= wanted is None
                sent = [f for f in self.fields[name] if wanted is None or arrives_as(branch, f) in wanted]
                leaving.update(sent)
                travels[name, reader] = tuple(sent)
            block = self.blocks[name]
            if block.reframes:
                needed[name] = None if block.consumes_all else set(block.consumes)
            else:
                needed[name] = None if everything else (leaving - set(block.produces)) | set(block.consumes)
        return travels

    def check_complete(self) -> None:
        """Every port is connected: inputs of all but sources, outputs of all that produce."""
        if not self.blocks:
            raise GraphError("the graph has no blocks: connect at least a source and a sink")
        read = {writer for inputs in self.inputs.values() for writer in inputs.values()}
        for name, block in self.blocks.items():
            if not isinstance(block, Source) and name not in self.inputs:
                raise GraphError(f"the input of {name} is not connected: connect a source upstream of it")
            if name not in read and (block.produces or isinstance(block, Source)):
                raise GraphError(f"the output of {name} is not connected: connect a block that consumes it")

    def _above(self, name: str) -> set[str]:
        """The blocks that `name` descends from, and itself."""
        found, waiting = {name}, [name]
        while waiting:
            writers = set(self.inputs.get(waiting.pop(), {}).values()) - found
            found |= writers
            waiting += writers
        return found

    def _ordered(self) -> list[str]:
        """Every block after those that it reads."""
        return list(
            TopologicalSorter(
                {name: list(self.inputs.get(name, {}).values()) for name in self.blocks}
            ).static_order()
        )

    def _settle(self) -> None:
        """Work out the fields that leave each block whose source is known, checking every port."""
        self.fields = {}
        cuts: dict[str, Cut] = {}
        for name in self._ordered():
            block, inputs = self.blocks[name], self.inputs.get(name, {})
            if len(inputs) > 1:
                self._check_source(name)
            cuts[name] = self._cut(name, cuts)
            if isinstance(block, Source):
                self.fields[name] = fields_after(block, {}, "nothing")
            elif inputs and all(writer in self.fields for writer in inputs.values()):
                upstream = inputs[ALONE] if ALONE in inputs else f"the join of {_list(inputs)}"
                self.fields[name] = fields_after(block, self._arriving(name), upstream)

    def _check_source(self, name: str) -> None:
        """The branches of a join descend from one source, as far as that is known."""
        seen: dict[str, str] = {}
        for branch, writer in self.inputs[name].items():
            for source in self._above(writer):
                if isinstance(self.blocks[source], Source):
                    seen[source] = branch
        if len(seen) > 1:
            (one, first), (two, second) = list(seen.items())[:2]
            raise GraphError(
                f"{name} joins branches of two sources, {first} of {one} and {second} of {two}: "
                "their frames have nothing in common"
            )

    def _cut(self, name: str, cuts: Mapping[str, Cut]) -> Cut:
        """How the frames that leave a block are cut; GraphError for a join of branches cut differently.

        Branches whose beginnings are not connected yet are compared when they are.
        """
        inputs = self.inputs.get(name, {})
        seen: dict[str, tuple[str, Cut]] = {}
        for branch, writer in inputs.items():
            cut = cuts[writer]
            first, other = seen.setdefault(cut[0], (branch, cut))
            if other != cut:
                raise GraphError(
                    f"{name} joins branches whose frames differ in length: {first} is reframed by "
                    f"{_list(other[1]) or 'no block'}, {branch} by {_list(cut[1]) or 'no block'}"
                )
        beginning, reframers = next(iter(seen.values()))[1] if len(seen) == 1 else (name, ())
        return beginning, (*reframers, name) if self.blocks[name].reframes else reframers

    def _arriving(self, name: str) -> Fields:
        """What reaches a block; at a join every field has the name of its branch before its own."""
        fields: Fields = {}
        for branch, writer in self.inputs[name].items():
            for key, field in self.fields[writer].items():
                arriving = arrives_as(branch, key)
                if arriving in fields:
                    raise GraphError(
                        f"{name}: two branches give the field {arriving!r}: call one branch something else"
                    )
                try:
                    check_name(arriving, f"{arriving!r}, which it makes of the field {key!r},")
                except MalformedFrame as error:
                    raise GraphError(f"the branch {branch} of {name}: {error}") from None
                fields[arriving] = field
        return fields


def fields_after(block: Block, before: Fields, upstream: str) -> Fields:
    """The fields that leave `block` when `before` reaches it; GraphError names what does not fit."""
    takes, gives = _resolved(block, block.consumes), _resolved(block, block.produces)
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
    if block.reframes:
        return gives
    for name in gives:
        if name in before and name not in takes:
            raise GraphError(f"{block.name} produces the field {name!r}, which {upstream} already sends")
    return {**before, **gives}


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


def _check_block(block: object) -> None:
    """What is connected is a block that was made, not its class or something else."""
    if isinstance(block, type):
        raise GraphError(f"{block.__name__} is a class: connect {block.__name__}(…), a block made of it")
    if not isinstance(block, Block):
        raise GraphError(f"a {type(block).__name__} is not a block")
    if not hasattr(block, "name"):
        raise GraphError(f"{type(block).__name__}.__init__ must call super().__init__()")
    if block.reframes and isinstance(block, Source):
        raise GraphError(f"{block.name} is a source: it makes frames, and has none to reframe")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
