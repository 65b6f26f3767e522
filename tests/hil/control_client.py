"""The harness's end of the laboratory control of the virtual front end."""

from __future__ import annotations

import json
from typing import Any

import zmq


class LabError(RuntimeError):
    """The control refused, or did not answer in time."""


class LabControl:
    """A client of `tests.hil.frontend.control`; every call waits at most `timeout` seconds.

    Raises LabError.
    """

    def __init__(self, address: str, timeout: float = 5.0) -> None:
        self._context = zmq.Context()
        self._address, self._timeout = address, timeout
        self._socket: zmq.Socket[bytes] | None = None

    def call(self, do: str, **details: Any) -> dict[str, Any]:
        """One order and its answer."""
        if self._socket is None:
            self._socket = self._context.socket(zmq.REQ)
            self._socket.setsockopt(zmq.LINGER, 0)
            self._socket.connect(self._address)
        self._socket.send(json.dumps({"do": do, **details}).encode())
        if not self._socket.poll(round(1000 * self._timeout)):
            self._socket.close()  # a REQ that was not answered cannot ask again
            self._socket = None
            raise LabError(f"no answer to {do} from {self._address} in {self._timeout:g} s")
        answer: dict[str, Any] = json.loads(self._socket.recv())
        if not answer.pop("ok", False):
            raise LabError(f"{do}: {answer.get('error')}")
        return answer

    def hello(self) -> dict[str, Any]:
        """session, time, rate, block, tx_channels, rx_channels, addresses."""
        return self.call("hello")

    def scene(self, scene: str, tick: int | None = None) -> int:
        """Switch to "scenario" or "calibration"; the tick from which on it holds."""
        return int(self.call("scene", scene=scene, tick=tick)["first_tick"])

    def truth(self, first_tick: int, ticks: int) -> list[dict[str, Any]]:
        """The blocks in a range of ticks of transmit time: present, theta, alpha, vartheta, beta, …"""
        return list(self.call("truth", first_tick=first_tick, ticks=ticks)["blocks"])

    def inject(self, kind: str, **details: Any) -> None:
        """Order a fault."""
        self.call("inject", kind=kind, **details)

    def settings(self) -> dict[str, Any]:
        """settings and unknowns as drawn."""
        return self.call("settings")

    def stats(self) -> dict[str, Any]:
        """time, clipped_tx, clipped_rx, problems."""
        return self.call("stats")

    def quit(self) -> None:
        """End the front end."""
        self.call("quit")

    def close(self) -> None:
        """Let go of the socket."""
        self._context.destroy(linger=0)
        self._socket = None

    def __enter__(self) -> LabControl:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
