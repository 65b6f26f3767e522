"""The control channel: small maps between the supervisor of a run and its nodes."""

from __future__ import annotations

import time
from typing import Any

from blocks.runtime.frame import MalformedFrame, pack, unpack
from blocks.runtime.transport import Pipes, offer

MAX_CONTROL = 16 << 20  # bytes of one control message


class ControlServer:
    """The supervisor's end of the control channel: small maps to and from every node."""

    def __init__(self, pipes: Pipes, endpoint: str) -> None:
        self.malformed = 0
        self._socket, self.endpoint = pipes.listen(endpoint, MAX_CONTROL)

    def receive(self, timeout: float) -> list[tuple[bytes, dict[str, Any]]]:
        """The (peer, message) pairs that have come, waiting at most `timeout` seconds for the first."""
        messages: list[tuple[bytes, dict[str, Any]]] = []
        wait_until = time.monotonic() + timeout
        while self._socket.poll(max(0, int((wait_until - time.monotonic()) * 1000)) if not messages else 0):
            parts = self._socket.recv_multipart()
            try:
                content = unpack(parts[1], MAX_CONTROL) if len(parts) == 2 else None
                if not isinstance(content, dict):
                    raise MalformedFrame("not a map")
                messages.append((parts[0], content))
            except MalformedFrame:
                self.malformed += 1
        return messages

    def send(self, peer: bytes, message: dict[str, Any]) -> None:
        """Send a message to one node (lost if that node is gone)."""
        self._socket.send_multipart([peer, pack(message)])

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class ControlClient:
    """A node's end of the control channel. Used from one thread at a time."""

    def __init__(self, pipes: Pipes, endpoint: str) -> None:
        self._socket = pipes.dial(endpoint, MAX_CONTROL)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the supervisor (lost if that is gone)."""
        offer(self._socket, pack(message))

    def receive(self, timeout: float) -> dict[str, Any] | None:
        """The next message of the supervisor, or None after `timeout` seconds."""
        if not self._socket.poll(int(timeout * 1000)):
            return None
        try:
            content = unpack(self._socket.recv(), MAX_CONTROL)
        except MalformedFrame:
            return None
        return content if isinstance(content, dict) else None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
