"""The block: a class that declares its fields and writes one method."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from blocks.runtime.letterbox import Letterbox, MessagePorts
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

    A block that `reframes` returns arrays of any length n ≥ 0, whatever the length of the frame: bursts
    found in samples, say. None of the fields that reach it go further, only those that it produces.
    Frames keep their numbers and tags; the tags of one that gives no items wait for the next that does.
    Blocks below get no `work` for a frame without items, but `listen`.

    Blocks may tell each other things beside the stream, against its direction too, over message ports:
    `publish` sends, `messages` receives, `Flowgraph.message` connects.

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
    reframes: ClassVar[bool] = False
    """Whether `work` returns frames of other lengths than it takes, and passes no field on."""
    publishes: Sequence[str] = ()
    """Message ports that the block sends on."""
    subscribes: Sequence[str] = ()
    """Message ports that the block receives on."""
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
        self._letterbox = Letterbox()
        self._ports: MessagePorts = self._letterbox

    # What a subclass writes ------------------------------------------------------------------

    def start(self) -> None:
        """Called in the block's own thread and process before the first frame of a run: reset counts here."""

    def work(self, *args: Any, **fields: Any) -> Arrays | None:
        """Turn the consumed arrays (n, …) into the produced ones; a sink returns None."""
        raise TypeError(f"block {self.name} ({type(self).__name__}) does not define work()")

    def listen(self) -> None:
        """Called instead of `work` for a frame without items: take what came on message ports."""

    def flush(self) -> Arrays | None:
        """Called once on a block that `reframes`, after its last frame: what it still holds, or None.

        It goes out as one more frame. `position` is the number of items that came in.
        """

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

    def publish(self, port: str, value: Any) -> None:
        """Send `value` (numbers, strings, bytes, lists, dicts; 64 KiB) to every reader of a message port.

        Each reader gets what one writer publishes completely and in order. A call returns at once when every
        reader listens, and unless one has 1024 messages unread. Raises MessageOverrun when that lasts for a
        second, TimeoutError for a reader that does not come in 30 s, TypeError or ValueError for what cannot
        be sent. Where nobody reads the port nothing happens.
        Outside a graph the value is kept in `published`. Call it from `start`, `work`, `listen` or `flush`.
        """
        if port not in self.publishes:
            raise ValueError(f"block {self.name} declares no message port {port!r} in `publishes`")
        self._ports.publish(port, value)

    def messages(self, port: str, timeout: float = 0.0) -> list[Any]:
        """The messages that have come on a port since the last call, oldest first; perhaps none.

        Waits up to `timeout` seconds for the first one; a wait ends early when every writer has ended,
        and when the graph is told to stop (`stopping`). Raises RuntimeError for a wait on a port that
        nobody is connected to. Outside a graph it returns what was put there with `deliver`. Call it
        from `start`, `work`, `listen` or `flush`: what has not been taken when the block's stream ends is
        dropped.
        """
        if port not in self.subscribes:
            raise ValueError(f"block {self.name} declares no message port {port!r} in `subscribes`")
        return self._ports.messages(port, timeout)

    @property
    def stopping(self) -> bool:
        """Whether the graph has been told to stop: a source that waits should end its stream."""
        return self._ports.stopping

    @property
    def published(self) -> list[tuple[str, Any]]:
        """What the block has published outside a graph, as (port, value), oldest first."""
        return self._letterbox.published

    def deliver(self, port: str, value: Any) -> None:
        """Put a message on a port of a block outside a graph, for its next `messages`."""
        if port not in self.subscribes:
            raise ValueError(f"block {self.name} declares no message port {port!r} in `subscribes`")
        self._letterbox.deliver(port, value)

    def attach(self, ports: MessagePorts | None) -> None:
        """Let messages go over `ports` (None: stay with the block), and forget those of before."""
        self._letterbox = Letterbox()
        self._ports = self._letterbox if ports is None else ports

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
