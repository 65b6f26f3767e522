"""One address for all channels."""

from __future__ import annotations

from tests.hil.frontend.settings import SettingsError


def expand(address: str, transmitters: int, receivers: int) -> tuple[list[str], list[str]]:
    """The addresses of all channels, transmitting and receiving. Raises SettingsError."""
    base = address.removeprefix("zmq:")
    if base.startswith("ipc://") and len(base) > len("ipc://"):
        folder = base.rstrip("/")
        if len(folder) > 100:
            raise SettingsError(f"address {address}: the folder's path is too long for a socket")
        return [f"{folder}/tx{i}" for i in range(transmitters)], [f"{folder}/rx{i}" for i in range(receivers)]
    host, _, port = base.removeprefix("tcp://").rpartition(":")
    if not base.startswith("tcp://") or not host or not port.isdecimal() or len(port) > 5:
        raise SettingsError(f"address {address!r}: give zmq:tcp://HOST:PORT or zmq:ipc://FOLDER")
    first = int(port)
    if not 1 <= first <= 65536 - transmitters - receivers:
        raise SettingsError(f"address {address!r}: the last port would be above 65535")
    places = [f"tcp://{host}:{first + i}" for i in range(transmitters + receivers)]
    return places[:transmitters], places[transmitters:]
