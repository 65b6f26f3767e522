"""The laboratory's door: whoever stands outside the link orders scenes and faults, and learns the truth.

A ZeroMQ REP socket; a request is a JSON object with "do", the answer one with "ok" and, if false, "error".
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import zmq

from tests.hil.frontend.engine import FrontEnd

LARGEST_REQUEST = 1 << 16
MOST_BLOCKS = 1 << 16
POLL_MS = 50
MAX_TICK = 1 << 53


class Control:
    """Answers at `address` in a thread of its own: hello, scene, truth, inject, settings, stats, quit."""

    def __init__(self, engine: FrontEnd, server: Any, stop: threading.Event, address: str) -> None:
        self._engine, self._server, self._stop = engine, server, stop
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_REQUEST)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise ValueError(f"control at {address}: {zmq.strerror(error.errno or 0)}") from None
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begin to answer; ends with the event given."""
        self._thread.start()

    def join(self) -> None:
        """Wait until all is closed."""
        self._thread.join(2)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(POLL_MS):
                self._socket.send(json.dumps(self.answer(self._socket.recv())).encode())
        self._context.destroy(linger=200)

    def answer(self, request: bytes) -> dict[str, Any]:
        """The answer to a request; never raises for what came in."""
        orders: dict[str, Callable[..., dict[str, Any]]] = {
            "hello": self._hello,
            "scene": self._scene,
            "truth": self._truth,
            "inject": self._inject,
            "settings": self._settings,
            "stats": self._stats,
            "quit": self._quit,
        }
        try:
            order = json.loads(request)
            if not isinstance(order, dict) or order.get("do") not in orders:
                raise ValueError(f"do must be one of {', '.join(orders)}")
            details = {key: value for key, value in order.items() if key != "do"}
            return {"ok": True, **orders[order["do"]](**details)}
        except (ValueError, TypeError, RecursionError) as error:
            return {"ok": False, "error": " ".join(str(error).split())[:200]}

    def _hello(self) -> dict[str, Any]:
        engine = self._engine
        return {
            "session": engine.session,
            "time": engine.time,
            "rate": engine.settings.rate,
            "block": engine.settings.block,
            "tx_channels": engine.tx_channels,
            "rx_channels": engine.rx_channels,
            "addresses": self._server.addresses,
        }

    def _scene(self, scene: str, tick: int | None = None) -> dict[str, Any]:
        if tick is not None:
            _tick("tick", tick)
        return {"first_tick": self._engine.switch_scene(scene, tick)}

    def _truth(self, first_tick: int, ticks: int) -> dict[str, Any]:
        _tick("first_tick", first_tick)
        _tick("ticks", ticks)
        if ticks > MOST_BLOCKS * self._engine.settings.block:
            raise ValueError(f"truth: at most {MOST_BLOCKS} blocks at once")
        return {"blocks": self._engine.truth(first_tick, ticks), "session": self._engine.session}

    def _inject(self, kind: str, **details: Any) -> dict[str, Any]:
        self._server.inject(kind, **details)
        return {}

    def _settings(self) -> dict[str, Any]:
        return {"settings": asdict(self._engine.settings), "unknowns": self._engine.unknowns.to_json()}

    def _stats(self) -> dict[str, Any]:
        return {**self._engine.stats(), "problems": dict(getattr(self._server, "problems", {}))}

    def _quit(self) -> dict[str, Any]:
        self._stop.set()
        return {}


def _tick(name: str, value: Any) -> None:
    if type(value) is not int or not 0 <= value <= MAX_TICK:
        raise ValueError(f"{name} must be a whole number from 0 to 2^53")
