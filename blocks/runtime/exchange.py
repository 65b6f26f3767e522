"""The message ports of one running block: what it publishes, what it takes, and the waiting between."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from blocks.runtime.frame import MalformedFrame, encode_value, unpack
from blocks.runtime.messages import MAX_UNREAD, MessageInlet, MessageOutlet
from blocks.runtime.plan import MessageEdge
from blocks.runtime.signals import Aborted, Signals
from blocks.runtime.transport import POLL_SECONDS, await_any

CONNECT_SECONDS = 30.0  # how long a writer waits for its reader to introduce itself
OVERRUN_SECONDS = 1.0  # how long a block that publishes waits for a reader that has left too much unread


class MessageOverrun(RuntimeError):
    """A block has published more than a reader takes."""


class Exchange:
    """Carries out `publish` and `messages` of one block, in the thread of its `work`.

    `outlets` and `edges` are the message edges of the block's instance; `idle`, given to `open`, is called
    while something is waited for, and has to call `serve` among other things.
    """

    def __init__(
        self,
        name: str,
        edges: Sequence[MessageEdge],
        outlets: Mapping[str, MessageOutlet],
        open_inlet: Callable[[str], MessageInlet],
        signals: Signals,
    ) -> None:
        self._sends = [(edge, outlets[edge.name]) for edge in edges if edge.writer == name]
        self._takes = [edge for edge in edges if edge.reader == name]
        self._open_inlet, self._signals = open_inlet, signals
        self._idle: Callable[[], object] = self.serve
        self._inlets: list[tuple[str, MessageInlet]] = []
        self._boxes: dict[str, deque[tuple[MessageInlet, bytes]]] = {}
        self._malformed = self.received = 0
        self.cut_short = self._left = False
        self._thread = 0

    def open(self, idle: Callable[[], object]) -> None:
        """Connect to the writers; called in the thread that uses the exchange from then on."""
        self._thread = threading.get_ident()
        self._idle = idle
        self._boxes = {edge.subscribes: deque() for edge in self._takes}
        self._inlets = [(edge.subscribes, self._open_inlet(edge.name)) for edge in self._takes]

    # What a block asks for -------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether the graph drains or aborts."""
        return self._signals.drain.is_set() or self._signals.abort.is_set()

    def publish(self, port: str, value: Any) -> None:
        """Send to every reader of the port; to none where it is not connected.

        A reader that has not introduced itself is waited for: what is sent before stays here until this
        thread looks at the socket again, and the block may go on to wait for hardware, which waits for the
        reader. Raises TypeError or ValueError for what cannot be sent, MessageOverrun when a reader has
        MAX_UNREAD messages unread and takes none of them for OVERRUN_SECONDS, and TimeoutError for one that
        does not introduce itself.
        """
        self._check_thread("publish")
        data = encode_value(value)
        for edge, outlet in self._sends:
            if edge.publishes == port:
                outlet.pump()
                if not (outlet.connected or outlet.left):
                    self._await_reader(outlet)
                if outlet.full:
                    self._await_room(edge, outlet)
                outlet.send(data)

    def _await_reader(self, outlet: MessageOutlet) -> None:
        deadline = time.monotonic() + CONNECT_SECONDS
        while not (outlet.connected or outlet.left):
            if self._signals.abort.is_set():
                raise Aborted
            if time.monotonic() > deadline:
                raise TimeoutError(_unreached(outlet))
            await_any([outlet.socket], POLL_SECONDS)
            self._idle()

    def _await_room(self, edge: MessageEdge, outlet: MessageOutlet) -> None:
        deadline = time.monotonic() + OVERRUN_SECONDS
        while outlet.full:
            if self._signals.abort.is_set():
                raise Aborted
            if time.monotonic() > deadline:
                raise MessageOverrun(
                    f"{edge.reader} has left {MAX_UNREAD} messages on its port {edge.subscribes!r} unread: "
                    f"let it take them in every work(), or publish fewer"
                )
            await_any([outlet.socket], POLL_SECONDS)
            self._idle()

    def messages(self, port: str, timeout: float) -> list[Any]:
        """What has come on the port, oldest first, waiting at most `timeout` seconds for the first.

        The wait ends, with nothing, when the graph drains and when all writers have ended; Aborted is
        raised when it aborts. Raises RuntimeError for a wait on a port that is not connected: nothing
        could ever come.
        """
        self._check_thread("messages")
        box = self._boxes.get(port)
        if box is None:
            if timeout > 0 and not self._left:
                raise RuntimeError(
                    f"nothing can come on the message port {port!r}: connect a writer with graph.message()"
                )
            return []
        deadline = time.monotonic() + timeout
        self._sweep()
        while not box:
            if self._signals.abort.is_set():
                raise Aborted
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            if self._signals.drain.is_set():
                self.cut_short = True
                return []
            self._idle()
            if not box:
                inlets = [inlet for name, inlet in self._inlets if name == port]
                if all(inlet.ended for inlet in inlets):
                    return []
                await_any([inlet.socket for inlet in inlets], min(left, POLL_SECONDS))
                self._sweep()
        return self._open_all(box)

    def _open_all(self, box: deque[tuple[MessageInlet, bytes]]) -> list[Any]:
        """The values in the box, which is empty afterwards; what is no msgpack is counted and dropped."""
        values, writers = [], set()
        while box:
            inlet, data = box.popleft()
            inlet.taken += 1
            writers.add(inlet)
            try:
                values.append(unpack(data))
            except MalformedFrame:
                self._malformed += 1
        for inlet in writers:
            inlet.acknowledge()
        self.received += len(values)
        return values

    def _check_thread(self, what: str) -> None:
        if threading.get_ident() != self._thread:
            raise RuntimeError(f"{what}() belongs to the thread that calls work(), not to another")

    # What its runner asks for ----------------------------------------------------------------

    def serve(self) -> None:
        """Hear readers and take in what writers have sent: called between frames, and in every wait."""
        for _, outlet in self._sends:
            outlet.pump()
        self._sweep()
        for _, inlet in self._inlets:
            inlet.tend()

    def _sweep(self) -> None:
        """Put what has come into the boxes."""
        for port, inlet in [] if self._left else self._inlets:
            self._boxes[port].extend((inlet, data) for data in inlet.sweep())

    def leave(self) -> None:
        """The block's stream has ended: it publishes nothing more, and its writers drop what is left."""
        self._left = True
        self._boxes.clear()
        for _, inlet in self._inlets:
            inlet.leave()
        for _, outlet in self._sends:
            outlet.end()

    def settle(self) -> None:
        """Stay until every reader has left, so that nothing published is lost.

        Raises TimeoutError for a reader that never introduced itself, Aborted when the graph aborts.
        """
        for _, outlet in self._sends:
            self._await_reader(outlet)
        # No limit from here on. A reader leaves when its own stream ends, which may rightly be hours after
        # this one's: only the whole graph knows whether it still works. One that has died, or whose host is
        # gone, aborts the graph; one that works without end is stopped like any run, by a drain or an abort.
        while waiting := [outlet for _, outlet in self._sends if not outlet.left]:
            if self._signals.abort.is_set():
                raise Aborted
            await_any([outlet.socket for outlet in waiting], POLL_SECONDS)
            self._idle()

    def close(self) -> None:
        """Close the sockets."""
        for one in self._pipes():
            one.close()

    def _pipes(self) -> list[MessageOutlet | MessageInlet]:
        return [*(outlet for _, outlet in self._sends), *(inlet for _, inlet in self._inlets)]

    @property
    def malformed(self) -> int:
        """Messages that broke the format."""
        return self._malformed + sum(one.malformed for one in self._pipes())

    @property
    def published(self) -> int:
        """Messages published, each counted once for every reader."""
        return sum(outlet.published for _, outlet in self._sends)

    @property
    def dropped(self) -> int:
        """Of the messages published those that a reader left without having taken them."""
        return sum(outlet.dropped for _, outlet in self._sends)


def _unreached(outlet: MessageOutlet) -> str:
    reader = outlet.name.partition(">")[2]
    return (
        f"{reader} has not connected to {outlet.endpoint} in {CONNECT_SECONDS:g} s: "
        "can its host reach this address?"
    )
