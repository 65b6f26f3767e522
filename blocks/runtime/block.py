"""The block: a class that declares its fields and writes one method."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from blocks.runtime.port import Field, GraphError, ResolvedField
from isac_models.draws import SnapshotRandom

Arrays = Mapping[str, np.ndarray]
NO_TAGS: Mapping[str, Any] = MappingProxyType({})
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def snake_case(text: str) -> str:
    """``MisoChannel`` → ``miso_channel``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text).lower()


class Block:
    """One stage of a stream: takes a frame of n snapshots, adds fields to it, passes the rest on.

    A subclass declares `consumes` and `produces` and writes `work`; the runtime owns sockets,
    threads, clocks and errors. Every array has the snapshots on its first axis. Fields a block
    does not consume pass it untouched. Without a graph, ``SomeBlock(...).work(field=array)`` works
    on arrays alone.

    A block that takes several branches of a stream (`Flowgraph.join`) finds the branch's name before
    every field: `baseline_detected` is the field `detected` of the branch `baseline`.

    `name` is unique in a graph (default: the class name in snake_case). `stream_key` keys the
    block's random draws (default: the name); blocks that share one draw the same noise.
    """

    consumes: Mapping[str, Field] = NO_TAGS
    """Fields that `work` takes as keyword arguments."""
    produces: Mapping[str, Field] = NO_TAGS
    """Fields that `work` returns."""
    consumes_all: bool = False
    """Whether `work` is given every field that reaches the block, declared or not."""
    replicable: ClassVar[bool] = False
    """True when `work` depends on its arguments, `random` and `position` only."""
    dimensions: Mapping[str, int] = NO_TAGS
    """Sizes of the dimension names in the fields, before those of `self.scenario`."""
    parameters: Mapping[str, Any] = NO_TAGS
    """What else decides the block's output (numbers, strings): all hosts of a deployment must agree on it."""

    def __init__(self, name: str | None = None, stream_key: str | None = None) -> None:
        self.name = snake_case(type(self).__name__) if name is None else name
        if not NAME.fullmatch(self.name):
            raise GraphError(
                f"block name {self.name!r}: use a letter, then letters, digits, _ or - (lower case)"
            )
        self.stream_key = self.name if stream_key is None else stream_key
        self.position = 0
        self.tags: Mapping[str, Any] = {}
        self._random: SnapshotRandom | None = None
        self._emitted: dict[str, Any] = {}

    # What a subclass writes ------------------------------------------------------------------

    def start(self) -> None:
        """Called in the block's own thread and process before the first frame of a run: reset counts here."""

    def work(self, *args: Any, **fields: Any) -> Arrays | None:
        """Turn the consumed arrays (n, …) into the produced ones; a sink returns None."""
        raise TypeError(f"block {self.name} ({type(self).__name__}) does not define work()")

    def finish(self) -> None:
        """Called after the end of the stream, with its tags in `self.tags`: commit results here."""

    def abort(self) -> None:
        """Called instead of `finish` when the graph stops early: leave nothing half-written."""

    def result(self) -> dict[str, Any] | None:
        """What the report shows for this block (plain numbers, strings, lists, dicts), or None."""
        return None

    # What the runtime and subclasses use -----------------------------------------------------

    @property
    def random(self) -> SnapshotRandom:
        """Counter-based draws keyed by (graph seed, stream key); seed 0 outside a graph."""
        if self._random is None:
            self._random = SnapshotRandom(0, self.stream_key)
        return self._random

    def bind(self, seed: int) -> None:
        """Key the block's random draws by the graph's seed."""
        self._random = SnapshotRandom(seed, self.stream_key)

    def emit(self, **tags: Any) -> None:
        """Attach tags to the frame that this call of `work` produces (msgpack-able values)."""
        self._emitted.update(tags)

    def take_emitted(self) -> dict[str, Any]:
        """The tags emitted since the last call, and forget them."""
        emitted, self._emitted = self._emitted, {}
        return emitted

    def resolve(self, fields: Mapping[str, Field]) -> dict[str, ResolvedField]:
        """`fields` with every dimension name replaced by this block's size for it."""
        sizes = dict(self.dimensions)
        scenario = getattr(self, "scenario", None)
        for field in fields.values():
            for d in field.shape:
                if isinstance(d, str) and d not in sizes:
                    value = getattr(scenario, d, None)
                    if not isinstance(value, int):
                        raise GraphError(
                            f"block {self.name}: no size is known for the dimension {d!r} of a field: "
                            "set it in `dimensions`, or give the block a `scenario` that has it"
                        )
                    sizes[d] = value
        return {key: field.resolve(sizes) for key, field in fields.items()}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class Source(Block):
    """A block that starts a stream: its `work` makes snapshots instead of transforming them."""

    def work(self, count: int) -> Arrays | None:
        """Up to `count` snapshots from index `self.position` on; None or empty ends the stream.

        Tags emitted by the call that ends the stream travel on the end-of-stream frame.
        """
        raise TypeError(f"source {self.name} ({type(self).__name__}) does not define work()")
