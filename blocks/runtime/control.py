"""The control channel: small maps between the supervisor of a run and its nodes."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import asdict
from math import inf
from typing import Any

from blocks.runtime.frame import MAX_HEADER, MalformedFrame, pack, unpack
from blocks.runtime.report import BlockReport
from blocks.runtime.transport import MAX_AT_ONCE, MAX_WAITING, Pipes, offer

MAX_CONTROL = 4 << 20  # bytes of one message of a node: the results of its blocks
MAX_HELLO = 1 << 10  # bytes of one message of a peer that has not been admitted
MAX_EXIT = 64 << 20  # bytes of one message of the supervisor: the results of all blocks
MAX_TEXT = 256  # characters of a name or an endpoint

_COUNTERS = {name: type(value) for name, value in asdict(BlockReport()).items()}


class ControlServer:
    """The supervisor's end of the control channel: small maps to and from every node."""

    def __init__(self, pipes: Pipes, endpoint: str) -> None:
        self.malformed = 0
        self._admitted: set[bytes] = set()
        self._socket, self.endpoint = pipes.listen(endpoint, MAX_CONTROL, unread=MAX_WAITING)

    def admit(self, peer: bytes) -> None:
        """Take messages of up to MAX_CONTROL bytes from this peer from now on."""
        self._admitted.add(peer)

    def receive(self, timeout: float) -> list[tuple[bytes, dict[str, Any]]]:
        """The (peer, message) pairs that have come, waiting at most `timeout` seconds for the first.

        At most MAX_AT_ONCE messages are read, and none after `timeout`: a peer that sends without
        end does not hold the supervisor. What is no map, or too long, is counted and dropped.
        """
        messages: list[tuple[bytes, dict[str, Any]]] = []
        deadline = time.monotonic() + timeout
        for number in range(MAX_AT_ONCE):
            left = deadline - time.monotonic()
            if number and left <= 0:
                break
            if not self._socket.poll(0 if messages else max(0, int(left * 1000))):
                break
            try:
                peer, content = self._open(self._socket.recv_multipart())
                messages.append((peer, content))
            except MalformedFrame:
                self.malformed += 1
        return messages

    def _open(self, parts: list[bytes]) -> tuple[bytes, dict[str, Any]]:
        if len(parts) != 2:
            raise MalformedFrame("a message has one part")
        content = unpack(parts[1], MAX_CONTROL if parts[0] in self._admitted else MAX_HELLO)
        if not isinstance(content, dict):
            raise MalformedFrame("not a map")
        return parts[0], content

    def send(self, peer: bytes, message: dict[str, Any]) -> None:
        """Send a message to one node (lost if that node is gone, or does not read)."""
        offer(self._socket, peer, pack(message))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _is(value: Any, kind: type, limit: int = MAX_CONTROL) -> bool:
    """Whether `value` is a text, a whole number, a number or a map of counts that a node may send."""
    if kind is str:
        return isinstance(value, str) and len(value) <= limit
    if kind is dict:
        return isinstance(value, dict) and all(_is(count, int) for count in value.values())
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        return False
    return 0 <= value < inf


def _is_state(state: Any) -> bool:
    if not isinstance(state, dict) or state.keys() != {"counters", "result", "interrupted"}:
        return False
    counters, result = state["counters"], state["result"]
    return (
        isinstance(counters, dict)
        and counters.keys() == _COUNTERS.keys()
        and all(_is(counters[name], kind) for name, kind in _COUNTERS.items())
        and (result is None or isinstance(result, dict))
        and isinstance(state["interrupted"], bool)
    )


def _are_states(states: Any, instances: Collection[str]) -> bool:
    return isinstance(states, dict) and all(
        name in instances and _is_state(state) for name, state in states.items()
    )


def _are_places(places: Any, edges: Collection[str]) -> bool:
    if not isinstance(places, dict) or places.keys() != set(edges):
        return False
    return all(_is(place, str, MAX_TEXT) for place in places.values())


def check_message(message: Mapping[str, Any], instances: Collection[str], edges: Collection[str]) -> str:
    """The op of a node's message, or MalformedFrame if its content is not what that op promises.

    `instances` live on the node, `edges` have their writers there; a hello, which comes from anyone,
    needs neither.
    """
    op = message.get("op")
    match op:
        case "hello":
            good = _is(message.get("node"), str, MAX_TEXT) and _is(message.get("plan"), str, MAX_TEXT)
        case "bound":
            good = _are_places(message.get("endpoints"), edges)
        case "refused":
            good = _is(message.get("cause"), str)
        case "status" | "done":
            good = _are_states(message.get("states"), instances)
        case "failed":
            good = _is(message.get("line"), str) and _is(message.get("traceback"), str)
        case "interrupted":
            good = _is(message.get("count"), int)
        case _:
            good = op in ("alive", "ended")
    if not good or not isinstance(op, str):
        raise MalformedFrame("not a message of a node")
    return op


class ControlClient:
    """A node's end of the control channel. Used from one thread at a time."""

    def __init__(self, pipes: Pipes, endpoint: str) -> None:
        self._socket = pipes.dial(endpoint, MAX_EXIT)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the supervisor (lost if that is gone). ValueError for one it would refuse."""
        data = pack(message)
        if len(data) > MAX_HEADER:
            unpack(data, MAX_CONTROL)
        offer(self._socket, data)

    def receive(self, timeout: float) -> dict[str, Any] | None:
        """The next message of the supervisor, or None after `timeout` seconds."""
        if not self._socket.poll(int(timeout * 1000)):
            return None
        try:
            content = unpack(self._socket.recv(), MAX_EXIT)
        except MalformedFrame:
            return None
        return content if isinstance(content, dict) else None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
