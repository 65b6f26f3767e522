"""Runs that do not end by themselves: Ctrl-C, killed processes, programs that leave; nothing stays behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.blocks.runtime.graphs import TRANSPORTS, alive, chain, open_files
from tests.blocks.runtime.scripts import STOP_SECONDS, Script, wait_for

FAR = ("ipc", "tcp")
Start = Callable[..., Script]

ENDLESS = """
graph = Flowgraph("endless", frame=16)
graph.connect(Numbers(None), Double(), Sink("double"))
finish(graph, sys.argv[1], on_status=status)
"""
STUCK = """
def enter():
    print("stuck", flush=True)
    stuck()

graph = Flowgraph("stuck", frame=16)
source = Numbers(None)
graph.connect(source, TroubledSink("work", enter, 3))
graph.connect(source, Sink("index"))
finish(graph, sys.argv[1])
"""
OUTLIVE = """
def more(graph, than):
    while graph.report().snapshots <= than:
        threading.Event().wait(0.01)
    return graph.report().snapshots

shell = os.getppid()
graph = Flowgraph("outlive", frame=16)
graph.connect(Numbers(None), Sink("index"))
with graph.start(sys.argv[1]):
    more(graph, 0)
    print("running", flush=True)
    while os.getppid() == shell:
        threading.Event().wait(0.01)
    print("done", more(graph, more(graph, graph.report().snapshots)), flush=True)
"""
LEAVES = """
reached = multiprocessing.Event()

def enter():
    reached.set()
    stuck()

graph = Flowgraph("stuck", frame=16)
graph.connect(Numbers(None), TroubledSink("work", enter, 3))
graph.start(sys.argv[1])
reached.wait()
"""
PRINTS = """
graph = Flowgraph("printer", frame=500)
graph.connect(Numbers(1000), TroubledSink("finish", lambda: print("hello")))
print("before", end=" ")
finish(graph, sys.argv[1])
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a program; it is ended with the test."""
    scripts: list[Script] = []

    def begin(text: str, *arguments: str, via: tuple[str, ...] = ()) -> Script:
        scripts.append(Script(tmp_path / str(len(scripts)), text, *arguments, via=via))
        return scripts[-1]

    yield begin
    for script in scripts:
        script.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ctrl_c_ends_the_run_with_its_statistics(start: Start, transport: str) -> None:
    script = start(ENDLESS, transport)
    script.expect("running")
    script.signal(signal.SIGINT)
    report = script.expect("done", STOP_SECONDS)
    assert script.leave() == 130
    assert report["interrupted"]
    assert report["snapshots"] > 0
    # One Ctrl-C, though every process hears it: what was under way has been worked off.
    assert {block["snapshots"] for block in report["blocks"].values()} == {report["snapshots"]}
    assert (report["lost_frames"], report["malformed"]) == (0, 0)
    assert script.stderr == ""


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ctrl_c_does_not_wait_for_a_block_that_is_stuck(start: Start, transport: str) -> None:
    script = start(STUCK, transport)
    script.expect("stuck")
    script.signal(signal.SIGINT)
    report = script.expect("done", STOP_SECONDS)
    assert script.leave() == 130
    assert report["interrupted"]
    assert report["blocks"]["troubled_sink"]["frames"] == 3
    assert script.stderr == ""


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_a_second_ctrl_c_does_not_wait_for_what_is_under_way(start: Start, transport: str) -> None:
    script = start(STUCK, transport)
    script.expect("stuck")
    script.signal(signal.SIGINT)
    script.signal(signal.SIGINT)
    script.expect("done", STOP_SECONDS)
    assert script.leave() == 130


@pytest.mark.parametrize(("transport", "number"), [("ipc", signal.SIGINT), ("tcp", signal.SIGTERM)])
def test_a_signal_to_one_process_stops_all(start: Start, transport: str, number: int) -> None:
    script = start(ENDLESS, transport)
    script.expect("running")
    os.kill(script.children(3)[1], number)
    assert script.expect("done", STOP_SECONDS)["interrupted"]
    assert script.leave() == 130


@pytest.mark.parametrize("transport", FAR)
def test_ctrl_c_while_the_processes_start(start: Start, transport: str) -> None:
    """Neither lost in a fork nor deadly to a child that is not ready."""
    script = start(
        "graph, _ = chain(None)\n"
        "os.register_at_fork(after_in_parent=lambda: os.killpg(0, 2))\n"
        f"finish(graph, {transport!r})",
    )
    assert script.leave() in (1, 130, -signal.SIGINT)
    assert script.stderr.count("Traceback") == script.stderr.count("KeyboardInterrupt") <= 1


@pytest.mark.parametrize("transport", FAR)
def test_a_killed_process_is_named(start: Start, transport: str) -> None:
    script = start(ENDLESS, transport)
    script.expect("running")
    os.kill(script.children(3)[1], signal.SIGKILL)
    line, report = script.expect("failed", STOP_SECONDS)
    assert line in [
        f"the process of block {name} died: killed by signal 9" for name in ("numbers", "double", "sink")
    ]
    assert report["blocks"]["numbers"]["frames"] > 0
    assert script.leave() == 1
    assert script.stderr == ""


def test_a_process_that_leaves_is_named(start: Start) -> None:
    script = start(
        "graph = Flowgraph('leaver', frame=8)\n"
        "graph.connect(Numbers(None), TroubledSink('work', lambda: os._exit(0), 2))\n"
        "finish(graph, 'ipc')"
    )
    line, _ = script.expect("failed")
    assert line == "the process of block troubled_sink died: exited with status 0"
    assert script.leave() == 1


@pytest.mark.parametrize(
    ("transport", "text"), [("ipc", ENDLESS), ("ipc", STUCK), ("tcp", STUCK)], ids=["a", "b", "c"]
)
def test_children_of_a_killed_parent_leave(start: Start, transport: str, text: str) -> None:
    script = start(text, transport)
    script.expect("running" if text == ENDLESS else "stuck")
    children = script.children(3)
    script.process.kill()
    wait_for(lambda: not any(alive(child) for child in children))
    assert script.leave() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("transport", "ending", "status"),
    [
        ("inproc", "", 0),
        ("ipc", "", 0),
        ("tcp", "raise SystemExit(7)", 7),
        ("ipc", "graph.report()\nraise KeyError('mine')", 1),
    ],
)
def test_a_program_that_does_not_wait_leaves_nothing_behind(
    start: Start, transport: str, ending: str, status: int
) -> None:
    script = start(
        f"graph, _ = chain(None)\ngraph.start({transport!r})\nprint('started', flush=True)\n{ending}"
    )
    script.expect("started")
    assert script.leave() == status
    assert ("KeyError" in script.stderr) == ("KeyError" in ending)


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_a_stuck_block_does_not_keep_the_program(start: Start, transport: str) -> None:
    script = start(LEAVES, transport)
    assert script.leave() == 0
    assert script.stderr == ""


@pytest.mark.parametrize("transport", ["ipc"])
def test_what_a_block_prints_is_not_lost(start: Start, transport: str) -> None:
    script = start(PRINTS, transport)
    lines = []
    while (line := script.read()) is not None:
        lines.append(line.split("{")[0])
    assert lines == ["before hello", "done "]
    assert script.leave() == 0


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_a_program_outlives_the_shell_that_started_it(start: Start, transport: str) -> None:
    """As after nohup: the parent of the program is gone, and that means nothing."""
    script = start(OUTLIVE, transport, via=("sh", "-c", '"$@" & wait', "sh"))
    script.expect("running")
    os.kill(script.process.pid, signal.SIGKILL)
    assert script.expect("done") > 0
    script.leave()


def test_many_runs_leave_no_thread_and_no_file() -> None:
    def once() -> None:
        assert chain(100)[0].run().snapshots == 100

    once()
    threads, files = threading.active_count(), open_files()
    for _ in range(30):
        once()
    assert threading.active_count() <= threads
    assert open_files() <= files


@pytest.mark.parametrize("transport", FAR)
def test_runs_in_processes_leave_no_thread_and_no_file(transport: str) -> None:
    chain(100)[0].run("ipc")
    threads, files = threading.active_count(), open_files()
    for _ in range(5):
        assert chain(100)[0].run(transport).snapshots == 100  # type: ignore[arg-type]
    assert threading.active_count() <= threads
    assert open_files() <= files


def test_a_port_that_is_taken_ends_the_run_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from blocks.runtime import run as run_module
    from isac_models.errors import UserError

    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(run_module, "_free_tcp_endpoint", lambda: endpoint)
        threads, files = threading.active_count(), open_files()
        with pytest.raises(UserError, match="is in use by another program"):
            chain()[0].run("tcp")
        assert threading.active_count() <= threads
        assert open_files() <= files
