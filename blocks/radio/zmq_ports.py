"""The sockets of a ZeroMQ radio: one a channel, all served by one thread. They speak the REQ/REP protocol.

A transmit channel binds a ROUTER, which is a REP that knows its peers apart, so that a peer that began anew
is seen; a receive channel connects a DEALER, which is a REQ that may be asked again. On the wire both are
indistinguishable from REP and REQ: an empty part, then the request or the samples.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import recv_monitor_message

from blocks.radio.interface import RadioError

MOST_SAMPLES = 3_072_000
"""Samples of one reply at most: the buffer of srsRAN 4G's driver (rf_zmq_imp_trx.h)."""
LARGEST = 2 * 8 * MOST_SAMPLES  # bytes: beyond it ZeroMQ itself hangs up before memory is set aside
AT_ONCE = 8  # messages taken of one socket before the others have their turn
HEARTBEAT_MS, GONE_MS = 2000, 10_000  # a host that vanished without a word


@dataclass(frozen=True)
class Connected:
    """The receive channel's peer is there."""

    channel: int


@dataclass(frozen=True)
class Lost:
    """The receive channel's peer is gone."""

    channel: int


@dataclass(frozen=True)
class Request:
    """`peer` asks a transmit channel for samples."""

    channel: int
    peer: bytes
    parts: list[bytes]


@dataclass(frozen=True)
class Reply:
    """What came on a receive channel."""

    channel: int
    parts: list[bytes]


Happening = Connected | Lost | Request | Reply


class Ports:
    """Sockets of all channels. Only `wake` may be called by another thread than the one that serves them.

    Raises RadioError for an address that cannot be used.
    """

    def __init__(self, tx_addresses: Sequence[str], rx_addresses: Sequence[str]) -> None:
        self.rx_addresses = list(rx_addresses)
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        self._tx: list[zmq.Socket[bytes]] = []
        self._rx: list[zmq.Socket[bytes]] = []
        self._monitors: list[zmq.Socket[bytes]] = []
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._poller.register(self._far, zmq.POLLIN)
        try:
            self.tx_addresses = [self._bind(address) for address in tx_addresses]
            self._connect()
        except RadioError:
            self.close()
            raise

    def wake(self) -> None:
        """Make `wait` return; from any thread."""
        with contextlib.suppress(OSError):  # full: it is awake already; closed: nobody waits
            self._near.send(b"\0")

    def wait(self, seconds: float) -> list[Happening]:
        """What happened, at once or within `seconds`: comings and goings before messages."""
        ready = {s for s, _ in self._poller.poll(max(0, round(1000 * seconds)))}
        if self._far.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                self._far.recv(4096)
        found: list[Happening] = []
        for channel, monitor in enumerate(self._monitors):
            for event in self._drain(monitor):
                kind = event["event"]
                found.append(Connected(channel) if kind == zmq.EVENT_HANDSHAKE_SUCCEEDED else Lost(channel))
        for channel, router in enumerate(self._tx):
            if router in ready:
                found.extend(Request(channel, parts[0], parts[1:]) for parts in self._messages(router))
        for channel, dealer in enumerate(self._rx):
            if dealer in ready:
                found.extend(Reply(channel, parts) for parts in self._messages(dealer))
        return found

    def answer(self, channel: int, peer: bytes, samples: bytes) -> bool:
        """Send samples to a peer that has asked; False when it is gone."""
        try:
            self._tx[channel].send_multipart([peer, b"", samples], zmq.DONTWAIT)
        except zmq.ZMQError:  # EHOSTUNREACH, or it takes nothing any more
            return False
        return True

    def request(self, channel: int, body: bytes) -> None:
        """Ask a receive channel's peer for samples."""
        with contextlib.suppress(zmq.Again):  # gone meanwhile: that is reported as Lost
            self._rx[channel].send_multipart([b"", body], zmq.DONTWAIT)

    def reconnect(self) -> None:
        """Close all sockets of the receive channels and open new ones: what was on its way is lost."""
        self._disconnect()
        self._connect()

    def close(self) -> None:
        """Close all sockets. May be called twice."""
        self._disconnect()
        for router in self._tx:
            router.close(0)
        self._tx.clear()
        self._near.close()
        self._far.close()
        self._context.term()

    def _bind(self, address: str) -> str:
        router = self._context.socket(zmq.ROUTER)
        self._tx.append(router)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        router.setsockopt(zmq.MAXMSGSIZE, 1024)
        self._prepare(router)
        try:
            router.bind(address)
        except (zmq.ZMQError, OverflowError, TypeError) as error:
            taken = isinstance(error, zmq.ZMQError) and error.errno == zmq.EADDRINUSE
            why = "it is in use by another program, choose another" if taken else _reason(error)
            raise RadioError(f"transmit channel {len(self._tx) - 1} cannot bind {address}: {why}") from None
        self._poller.register(router, zmq.POLLIN)
        bound = router.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(bound, bytes)
        return bound.rstrip(b"\0").decode()

    def _connect(self) -> None:
        for channel, address in enumerate(self.rx_addresses):
            dealer = self._context.socket(zmq.DEALER)
            self._rx.append(dealer)
            dealer.setsockopt(zmq.MAXMSGSIZE, LARGEST)
            dealer.setsockopt(zmq.RECONNECT_IVL, 20)
            dealer.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
            self._prepare(dealer)
            monitor = dealer.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
            self._monitors.append(monitor)
            try:
                dealer.connect(address)
            except (zmq.ZMQError, OverflowError, TypeError) as error:
                raise RadioError(
                    f"receive channel {channel} cannot connect to {address}: {_reason(error)}"
                ) from None
            self._poller.register(dealer, zmq.POLLIN)
            self._poller.register(monitor, zmq.POLLIN)

    def _disconnect(self) -> None:
        for monitor, dealer in zip(self._monitors, self._rx, strict=True):
            for each in (monitor, dealer):
                if each in self._poller:
                    self._poller.unregister(each)
            dealer.disable_monitor()
            monitor.close(0)
            dealer.close(0)
        self._monitors.clear()
        self._rx.clear()

    @staticmethod
    def _prepare(each: zmq.Socket[bytes]) -> None:
        each.setsockopt(zmq.LINGER, 0)
        each.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        each.setsockopt(zmq.HEARTBEAT_TIMEOUT, GONE_MS)

    @staticmethod
    def _drain(monitor: zmq.Socket[bytes]) -> Iterator[dict[str, int]]:
        with contextlib.suppress(zmq.Again):
            while True:
                yield dict(recv_monitor_message(monitor, zmq.DONTWAIT))  # type: ignore[arg-type]

    @staticmethod
    def _messages(each: zmq.Socket[bytes]) -> Iterator[list[bytes]]:
        with contextlib.suppress(zmq.Again):
            for _ in range(AT_ONCE):
                yield each.recv_multipart(zmq.DONTWAIT)


def _reason(error: Exception) -> str:
    detail = error.strerror if isinstance(error, zmq.ZMQError) else str(error)
    return f"{detail}: give tcp://HOST:PORT or ipc://FILE"
