"""A client of the IIO daemon that speaks its protocol over a bare socket."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.blocks.radio.iio_loop import served
from tests.hil.frontend.iio_server import Server

PATIENCE = 20.0
RX, TX, PHY = "cf-ad9361-lpc", "cf-ad9361-dds-core-lpc", "ad9361-phy"


class Client:
    """A socket, and lines over it."""

    def __init__(self, server: Server, context: int = 0) -> None:
        host, port = server.addresses[context].removeprefix("ip:").split(":")
        self.socket = socket.create_connection((host, int(port)), PATIENCE)
        self.file = self.socket.makefile("rb")

    def ask(self, command: str, data: bytes = b"") -> int:
        """The number that a command is answered with."""
        self.socket.sendall(command.encode() + b"\r\n" + data)
        return int(self.file.readline())

    def value(self, command: str) -> str:
        """The text that a command is answered with."""
        length = self.ask(command)
        assert length > 0
        data = self.file.read(length + 1)
        assert data[-2:] == b"\0\n"
        return data[:-2].decode()

    def write(self, command: str, text: str) -> int:
        """The answer to writing a value."""
        return self.ask(f"{command} {len(text) + 1}", text.encode() + b"\0")

    def samples(self, length: int) -> np.ndarray:
        """The answer to one READBUF with both channels open: (n, 4) int16."""
        self.socket.sendall(f"READBUF {RX} {length}\r\n".encode())
        parts, left, mask = [], length, True
        while left:
            count = int(self.file.readline())
            if mask:
                assert self.file.readline() == b"0000000f\n"
                mask = False
            parts.append(self.file.read(count))
            left -= count
        return np.frombuffer(b"".join(parts), "<i2").reshape(-1, 4)

    def close(self) -> None:
        """Hang up."""
        self.file.close()
        self.socket.close()


@contextlib.contextmanager
def talking(*contexts: int, tx: int = 4, rx: int = 4, fifo: int = 1 << 17) -> Iterator[tuple[Server, Any]]:
    """A daemon, and a client of each context; the client alone if it is one."""
    with served(tx, rx, fifo) as server:
        clients = [Client(server, context) for context in contexts or (0,)]
        try:
            yield server, clients if len(clients) > 1 else clients[0]
        finally:
            for client in clients:
                client.close()


def opened(client: Client, samples: int = 100, *, tx: bool = True) -> Client:
    """Both directions open with all channels."""
    for device in (TX, RX) if tx else (RX,):
        assert client.ask(f"OPEN {device} {samples} 0000000f") == 0
    return client


def push(client: Client, codes: np.ndarray) -> int:
    """The answer to a pushed buffer (n, 4)."""
    data = codes.astype("<i2").tobytes()
    assert client.ask(f"WRITEBUF {TX} {len(data)}") == 0
    client.socket.sendall(data)
    return int(client.file.readline())


def ramp(n: int, first: int = 1) -> np.ndarray:
    """Different codes (n, 4) of the upper twelve bits."""
    return (np.arange(first, first + 4 * n) % 2000).reshape(n, 4) << 4
