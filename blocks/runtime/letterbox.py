"""The message ports of a block that is in no running graph: what it publishes, and what a test delivers."""

from __future__ import annotations

from typing import Any, Protocol

from blocks.runtime.frame import encode_value, unpack


class MessagePorts(Protocol):
    """What `Block.publish` and `Block.messages` are carried out by."""

    @property
    def stopping(self) -> bool:
        """Whether the graph has been told to stop."""

    def publish(self, port: str, value: Any) -> None:
        """Send `value` to every reader of the port."""

    def messages(self, port: str, timeout: float) -> list[Any]:
        """The messages that have come, oldest first, waiting at most `timeout` seconds for the first."""


class Letterbox:
    """Keeps what a block publishes in `published`, as (port, value) pairs, and hands out what was delivered.

    Values go through the wire's coding, so that they arrive as they would in a graph (tuples as lists)
    and what could not be sent raises the same TypeError or ValueError.
    """

    stopping = False

    def __init__(self) -> None:
        self.published: list[tuple[str, Any]] = []
        self._delivered: dict[str, list[Any]] = {}

    def publish(self, port: str, value: Any) -> None:
        """Keep the value."""
        self.published.append((port, unpack(encode_value(value))))

    def deliver(self, port: str, value: Any) -> None:
        """Put a message where the next `messages` of the port finds it."""
        self._delivered.setdefault(port, []).append(unpack(encode_value(value)))

    def messages(self, port: str, timeout: float = 0.0) -> list[Any]:
        """What has been delivered since the last call. Nothing else can come, so that it never waits."""
        return self._delivered.pop(port, [])
