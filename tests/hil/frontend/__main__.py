"""``python -m tests.hil.frontend``: the front end by hand or for a test."""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import signal
import sys
import threading
from typing import Any

PROTOCOLS = ("zmq", "iio", "stream")
EXAMPLE = """
Prints one line of JSON with its addresses when it is ready; ends on SIGTERM, SIGINT, or the control's quit.
What is not given of the unknowns is drawn from --seed.

  python -m tests.hil.frontend --address zmq:tcp://127.0.0.1:20000 --seed 7 --clock-ppm 10 --ue-delay 12.5
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    new = argparse.ArgumentParser(
        prog="python -m tests.hil.frontend",
        description="A virtual radio front end: array, converters, clocks, target, receiver behind a radio.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = new.add_argument
    add(
        "--protocol",
        choices=PROTOCOLS,
        help="what to speak (default: what the address begins with, else zmq)",
    )
    add(
        "--address",
        default=None,
        help="where: zmq:tcp://HOST:PORT, zmq:ipc://FOLDER, … (default: the protocol's)",
    )
    add(
        "--control",
        default="tcp://127.0.0.1:*",
        help="ZeroMQ address of the laboratory control (default %(default)s)",
    )
    add("--scenario", help="JSON file with the scenario's values (default: the paper's, array as designed)")
    add(
        "--paced",
        type=float,
        metavar="RATE",
        help="real time: RATE ticks/s, at most 100000 (default: virtual time)",
    )
    add("--ask-count", action="store_true", help="zmq: ask transmitters with a count, as GNU Radio does")
    add(
        "--namespace",
        action="store_true",
        help="run in a network namespace of its own, where only ipc:// addresses reach (Linux)",
    )
    add("--until-eof", action="store_true", help="end when standard input closes")
    known = new.add_argument_group("settings")
    known.add_argument("--seed", type=int, default=1, help="of everything the link is not told (default 1)")
    known.add_argument("--scene", choices=("scenario", "calibration"), default="scenario")
    known.add_argument("--block", type=int, default=1280, help="ticks of a coherence block (default 1280)")
    known.add_argument(
        "--rate", type=float, default=1e6, help="ticks/s that the radio says it has (default 1e6)"
    )
    known.add_argument(
        "--bits", type=int, default=12, help="of the converters; 0: neither rounding nor clipping"
    )
    known.add_argument("--tx-gain-db", type=float, default=0.0)
    known.add_argument("--rx-gain-db", type=float, default=0.0)
    known.add_argument(
        "--gain-spread-db", type=float, default=1.5, help="± of the chains' gains (default 1.5)"
    )
    for name, what in (
        ("noise", "receiver noise"),
        ("fading", "amplitudes drawn per block: the mean amplitude instead, phases random"),
        ("leakage", "transmit leakage"),
        ("chain-errors", "gain and phase errors of the chains"),
    ):
        known.add_argument(
            f"--no-{name}", dest=name.replace("-", "_"), action="store_false", help=f"without {what}"
        )
    unknown = new.add_argument_group("unknowns, drawn if not given")
    for name, what in (
        ("cfo", "carrier offset of the communication receiver, cycles/sample (±0.004)"),
        ("cfo-drift", "its drift, cycles/sample² (±5e-11)"),
        ("radar-cfo", "carrier offset of the radar receivers, cycles/sample (±1e-4)"),
        ("clock-ppm", "sampling clock of the communication receiver, ppm, + is fast (±10)"),
        ("leakage-delay", "samples, at least 4 (4…20)"),
        ("echo-after", "samples from the leakage to the echo (1…6)"),
        ("ue-delay", "samples to the communication receiver, at least 5 (5…30)"),
        ("leakage-db", "leakage over the mean echo, dB (20…40)"),
    ):
        unknown.add_argument(f"--{name}", type=float, default=None, help=what)
    return new


def start(arguments: argparse.Namespace, stop: threading.Event) -> tuple[Any, Any, Any]:
    """Engine, server and control that the arguments ask for. Raises ValueError, one line."""
    from dataclasses import fields

    from tests.hil.frontend.control import Control
    from tests.hil.frontend.engine import FrontEnd
    from tests.hil.frontend.settings import ScenarioValues, Settings

    given = vars(arguments)
    scenario = ScenarioValues.load(given["scenario"]) if given["scenario"] else ScenarioValues()
    names = {f.name for f in fields(Settings)} - {"scenario"}
    settings = Settings(scenario, **{name: value for name, value in given.items() if name in names})
    protocol = given["protocol"] or ((given["address"] or "").partition(":")[0])
    protocol = protocol if protocol in PROTOCOLS else "zmq"
    more: dict[str, Any] = {}
    if given["paced"] is not None:
        if not 1 <= given["paced"] <= 1e5:
            raise ValueError(f"--paced must be from 1 to 100000 ticks/s, not {given['paced']:g}")
        more["pace"] = given["paced"]
    if given["ask_count"]:
        more["ask_count"] = True
    engine = FrontEnd(settings)
    module = importlib.import_module(f"tests.hil.frontend.{protocol}_server")
    default = {"zmq": "zmq:tcp://127.0.0.1:20000"}.get(protocol, getattr(module, "DEFAULT_ADDRESS", ""))
    server = module.Server(engine, given["address"] or default, **more)
    try:
        return engine, server, Control(engine, server, stop, given["control"])
    except ValueError:
        stop.set()
        server.run(stop)  # that has nothing to do but to close its sockets
        raise


def leave_the_network() -> None:
    """Move this process, still of one thread, into a network namespace of its own. Raises ValueError.

    Who may not make one makes a user namespace around it, where the machine allows that.
    """
    network, user = 0x40000000, 0x10000000  # CLONE_NEWNET, CLONE_NEWUSER of sched.h
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(network) and library.unshare(network | user):
        raise ValueError(f"--namespace: {os.strerror(ctypes.get_errno())}")


def main(argv: list[str] | None = None) -> int:
    """Run until told to end; returns the exit status."""
    arguments = parser().parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # The link needs the other cores, and the products here are small.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        if arguments.namespace:
            leave_the_network()
        engine, server, control = start(arguments, stop)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    ready = {
        "ready": True,
        "session": engine.session,
        "addresses": server.addresses,
        "control": control.address,
        "tx_channels": engine.tx_channels,
        "rx_channels": engine.rx_channels,
    }
    print(json.dumps(ready), flush=True)
    if arguments.until_eof:
        threading.Thread(target=_wait_for_eof, args=(stop,), daemon=True).start()
    control.start()
    try:
        server.run(stop)
    finally:
        stop.set()
        control.join()
    return 0


def _wait_for_eof(stop: threading.Event) -> None:
    while os.read(0, 4096):  # a buffered read would hold a lock that the interpreter needs to end
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
