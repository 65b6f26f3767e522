"""A graph over several nodes: the same script, started on each, as on several hosts."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from blocks.runtime import Flowgraph
from blocks.runtime.transport import create_certificate
from tests.blocks.runtime.graphs import Double, Numbers, Sink
from tests.blocks.runtime.scripts import STOP_SECONDS, Script

GRAPH = """
import blocks.runtime.node, blocks.runtime.supervisor

lab, node, total, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
blocks.runtime.node.SILENCE_SECONDS = blocks.runtime.supervisor.SILENCE_SECONDS = 1.0
trouble = OSError("no antenna") if "trouble" in sys.argv else None
graph = Flowgraph("hosts", seed, frame=64)
graph.connect(Numbers(total or None), Double(), Sink("index", "double"))
graph.connect(graph.blocks["double"], TroubledSink("work", trouble, 3))
print("ready", flush=True)
finish(graph, "tcp", status, lab, node)
"""
PLACES = {"first": ["numbers"], "second": ["double", "troubled_sink"], "third": ["sink"]}
Launch = Callable[..., Script]


def free_port() -> int:
    """A tcp port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def write_lab(
    path: Path, places: dict[str, list[str]], control: str = "", hosts: tuple[str, ...] = (), **settings: Any
) -> None:
    """A deployment file."""
    lines = [f"control = {control or f'127.0.0.1:{free_port()}'!r}"]
    lines += [f"{key} = {value!r}" for key, value in settings.items()]
    for number, (node, blocks) in enumerate(places.items()):
        lines += [f"[nodes.{node}]", f"blocks = {blocks}"]
        if hosts:
            lines.append(f"host = {hosts[number]!r}")
    path.write_text("\n".join(lines))


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start a node of the deployment file lab.toml; it is ended with the test."""
    scripts: list[Script] = []

    def start(
        node: str,
        *more: str,
        total: int = 1000,
        seed: int = 0,
        via: tuple[str, ...] = (),
        lab: str = "lab.toml",
    ) -> Script:
        arguments = (str(tmp_path / lab), node, str(total), str(seed), *more)
        scripts.append(Script(tmp_path / f"{node}-{len(scripts)}", GRAPH, *arguments, via=via))
        return scripts[-1]

    yield start
    for script in scripts:
        script.close()


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What the sink has to find."""
    graph = Flowgraph("hosts")
    graph.connect(Numbers(1000), Double(), Sink("index", "double"))
    return graph.run().results["sink"]


def two() -> dict[str, list[str]]:
    """The graph on two nodes."""
    return {"first": ["numbers", "sink"], "second": ["double", "troubled_sink"]}


def ends(script: Script, word: str, status: int) -> Any:
    """What the program says last, when it leaves with this status and no complaint."""
    said = script.expect(word)
    assert script.leave() == status
    assert script.stderr == ""
    return said


@pytest.mark.parametrize(
    ("places", "order"),
    [(two(), "first second"), (two(), "second first"), (PLACES, "third second first")],
    ids=["two", "backwards", "three"],
)
def test_nodes_start_in_any_order_and_agree(
    launch: Launch, tmp_path: Path, places: dict[str, list[str]], order: str, expected: dict[str, Any]
) -> None:
    write_lab(tmp_path / "lab.toml", places)
    scripts = []
    for node in order.split():
        scripts.append(launch(node))
        scripts[-1].expect("ready")
    for report in [ends(script, "done", 0) for script in scripts]:
        assert report["snapshots"] == 1000
        assert report["results"]["sink"] == expected
        assert (report["lost_frames"], report["malformed"]) == (0, 0)


def test_a_node_with_other_options_is_refused_in_one_line(launch: Launch, tmp_path: Path) -> None:
    write_lab(tmp_path / "lab.toml", two())
    first, other = launch("first"), launch("second", seed=1)
    assert ends(other, "refused", 2) == (
        "node second built another graph: start every node with the same options, seed and scenario"
    )
    second = launch("second")
    for script in (first, second):
        assert ends(script, "done", 0)["snapshots"] == 1000


def test_a_node_that_does_not_come_is_named(launch: Launch, tmp_path: Path) -> None:
    write_lab(tmp_path / "lab.toml", two(), patience=0.5)
    line = ends(launch("first"), "refused", 2)
    assert line == "node second did not come up within 0.5 s: start it"


def test_a_node_without_a_supervisor_says_so(launch: Launch, tmp_path: Path) -> None:
    write_lab(tmp_path / "lab.toml", two(), control="127.0.0.1:9", patience=0.5)
    line = ends(launch("second"), "refused", 2)
    assert line.startswith("node second: no supervisor answered at tcp://127.0.0.1:9 in 0.5 s: start")


def test_a_node_runs_once(launch: Launch, tmp_path: Path) -> None:
    write_lab(tmp_path / "lab.toml", PLACES)
    first, second = launch("first", total=0), launch("second", total=0)
    second.expect("ready")
    other = launch("second", total=0)
    lines: list[str] = []
    while not lines:
        for script in (second, other):
            if script.process.poll() is not None:
                lines.append(script.expect("refused"))
                assert script.leave() == 2
    assert lines == ["node second is running already"]
    first.signal(signal.SIGINT)
    ends(first, "done", 130)


@pytest.mark.parametrize("where", ["first", "second", "third"])
def test_ctrl_c_at_any_node_stops_all(launch: Launch, tmp_path: Path, where: str) -> None:
    write_lab(tmp_path / "lab.toml", PLACES)
    scripts = {node: launch(node, total=0) for node in PLACES}
    scripts["first"].expect("running")
    scripts[where].signal(signal.SIGINT)
    for script in scripts.values():
        report = script.expect("done", STOP_SECONDS)
        assert script.leave() == 130
        assert report["interrupted"]
        assert report["snapshots"] > 0
        assert script.stderr == ""


def test_ctrl_c_at_a_node_that_waits_for_its_supervisor(launch: Launch, tmp_path: Path) -> None:
    write_lab(tmp_path / "lab.toml", two())
    script = launch("second")
    script.expect("ready")
    script.signal(signal.SIGINT)
    assert script.process.wait(STOP_SECONDS) != 0
    # Before the handler stands, Python's own exception ends the program; after, the empty report.
    assert "KeyboardInterrupt" in script.stderr or script.expect("done")["interrupted"]


def test_a_block_that_fails_is_named_at_every_node(launch: Launch, tmp_path: Path) -> None:
    write_lab(tmp_path / "lab.toml", PLACES)
    for script in [launch(node, "trouble", total=0) for node in PLACES]:
        line, report = ends(script, "failed", 1)
        assert line == "block troubled_sink failed at frame 3: OSError: no antenna"
        assert report["blocks"]["troubled_sink"]["frames"] == 3


def test_a_killed_node_is_named(launch: Launch, tmp_path: Path) -> None:
    write_lab(tmp_path / "lab.toml", PLACES)
    scripts = {node: launch(node, total=0) for node in PLACES}
    scripts["first"].expect("running")
    scripts["second"].process.kill()
    for node in ("first", "third"):
        line, _ = ends(scripts[node], "failed", 1)
        assert line == "node second (blocks double, troubled_sink) has not been heard of for 1 s"


def test_nodes_leave_when_the_supervisor_is_killed(launch: Launch, tmp_path: Path) -> None:
    write_lab(tmp_path / "lab.toml", PLACES)
    scripts = {node: launch(node, total=0) for node in PLACES}
    scripts["first"].expect("running")
    scripts["first"].process.kill()
    for node in ("second", "third"):
        line, _ = ends(scripts[node], "failed", 1)
        assert line.startswith(f"node {node}: the supervisor at tcp://127.0.0.1:")
        assert line.endswith("is gone")


def test_a_busy_control_port_is_one_line(launch: Launch, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        write_lab(tmp_path / "lab.toml", two(), control=place)
        line = ends(launch("first"), "refused", 2)
        assert line == f"tcp://{place} is in use by another program: choose another port"


def test_a_busy_port_of_a_node_is_one_line_everywhere(launch: Launch, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        write_lab(tmp_path / "lab.toml", two())
        with (tmp_path / "lab.toml").open("a") as file:
            file.write(f"\nports = '{port}'")
        for script in (launch("first"), launch("second")):
            line = ends(script, "refused", 2)
            assert line == f"tcp://127.0.0.1:{port} is in use by another program: choose another port"


def test_a_key_keeps_others_out(launch: Launch, tmp_path: Path, expected: dict[str, Any]) -> None:
    for name in ("ours", "theirs"):
        create_certificate(tmp_path, name)
    control = f"127.0.0.1:{free_port()}"
    for lab, key in (("lab", "ours"), ("other", "theirs")):
        certificate = f"{key}.key_secret"
        write_lab(tmp_path / f"{lab}.toml", two(), control, certificate=certificate, patience=60.0)
    write_lab(tmp_path / "none.toml", two(), control, patience=0.5)
    first = launch("first")
    first.expect("ready")
    assert "no supervisor answered" in ends(launch("second", lab="none.toml"), "refused", 2)
    intruder = launch("second", lab="other.toml")
    intruder.expect("ready")
    second = launch("second")
    for script in (first, second):
        assert ends(script, "done", 0)["results"]["sink"] == expected
    assert intruder.process.poll() is None, "still waits to be let in"


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    """Two network namespaces joined by a cable, 10.77.0.1 and 10.77.0.2; or a visible skip."""
    if shutil.which("ip") is None:
        pytest.skip("needs the command ip (iproute2)")
    names = [f"isac-{os.getpid()}-{letter}" for letter in "ab"]

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)

    try:
        for name in names:
            ip("netns", "add", name)
        peer = ("type", "veth", "peer", "name", "isac-vb", "netns", names[1])
        ip("link", "add", "isac-va", "netns", names[0], *peer)
        for number, (name, link) in enumerate(zip(names, ("isac-va", "isac-vb"), strict=True), 1):
            ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", link)
            for up in (link, "lo"):
                ip("-n", name, "link", "set", up, "up")
        yield names
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.mark.namespaces
def test_hosts_that_share_nothing_but_a_cable(
    launch: Launch, tmp_path: Path, namespaces: list[str], expected: dict[str, Any]
) -> None:
    hosts = ("10.77.0.1", "10.77.0.2")
    write_lab(tmp_path / "lab.toml", two(), "10.77.0.1:5600", hosts)
    scripts = [
        launch(node, via=("ip", "netns", "exec", name))
        for node, name in zip(("first", "second"), namespaces, strict=True)
    ]
    for script in scripts:
        assert ends(script, "done", 0)["results"]["sink"] == expected
