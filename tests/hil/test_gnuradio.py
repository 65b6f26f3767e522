"""Real GNU Radio as the channel between both sides of the link, over gr-zeromq."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.hil
ROOT = Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"  # GNU Radio is Debian's, and so is the interpreter that it is built for
PORTS = 33


def free_ports() -> int:
    """The first of PORTS consecutive ports that nobody listens on."""
    for first in range(21000, 30000, PORTS):
        held = []
        try:
            for port in range(first, first + PORTS):
                one = socket.socket()
                held.append(one)
                one.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
    raise RuntimeError("no free ports")


@pytest.fixture
def channel() -> Iterator[int]:
    """GNU Radio's flowgraph, running; the first of its ports."""
    there = [PYTHON, "-c", "import gnuradio.zeromq, gnuradio.channels"]
    try:
        seen = subprocess.run(there, capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        seen = False
    if not seen:
        pytest.skip("GNU Radio is missing: apt-get install gnuradio")
    first = free_ports()
    at = [f"tcp://127.0.0.1:{first + n}" for n in range(PORTS)]
    script = ROOT / "tests" / "hil" / "gnuradio_channel.py"
    process = subprocess.Popen(
        [PYTHON, script, "--tx", *at[:16], "--rx", *at[16:], "--cfo", "0.002", "--ppm", "8"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 60)[0], "GNU Radio does not start"
        assert process.stdout.readline() == b"ready\n"
        yield first
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def test_a_file_arrives_through_gnu_radio(channel: int, tmp_path: Path) -> None:
    sent, received = tmp_path / "sent", tmp_path / "received"
    sent.write_bytes(np.random.default_rng(3).bytes(3000))
    command = [sys.executable, "flowgraphs/isac_hil.py", "--radio", "zmq", "--json", "--snr-comm", "10"]
    more = ["--device", f"tcp://127.0.0.1:{channel}", "--without", "calibration"]
    done = subprocess.run(
        [*command, *more, "--file", sent, "--out", received],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert received.read_bytes() == sent.read_bytes()
    report = json.loads(done.stdout)
    # What GNU Radio's blocks were told to do is what the link has measured of them.
    assert abs(report["burst_receiver"]["cfo"] - 0.002) < 2e-5
    assert abs(report["radar_receiver"]["echo_delay_samples"] - 3.0) < 0.1
    assert report["detection_counter"]["detected_share"] > 0.9
