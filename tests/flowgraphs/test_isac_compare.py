"""Three links in one graph: each counts what its own link counts, and has a file of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import compare_results
import isac_link
import isac_link_options
from compare_options import METHODS
from isac_models.array import hardware, nominal_array, steering_matrix
from isac_models.artifact import save
from isac_models.grid import angle_grid
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven, neural

ROOT = Path(__file__).parents[2]
LINK = ROOT / "flowgraphs" / "isac_link.py"
ASSET = ROOT / "flowgraphs" / "assets" / "hopper.png"
SCENARIO = Scenario.preset("limited")
COMMON = ("--scenario", "limited", "--rho", "0.4", "--seed", "7")
RATES = ("ser", "ber", "p_md", "p_fa", "rmse_rad", "common_rmse_rad")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A trained model half-way between the nominal and the true array."""
    grid, true = angle_grid(SCENARIO.grid_size), hardware(SCENARIO).transmit
    matrix = (steering_matrix(true, grid) + steering_matrix(nominal_array(SCENARIO), grid)) / 2
    path = tmp_path_factory.mktemp("artifact") / "half.safetensors"
    save(path, model_driven(SCENARIO, matrix))
    return str(path)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the link in this process and an empty folder: status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def program(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["isac_link.py", *arguments])
        try:
            status = isac_link_options.run_program(isac_link.main)
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return program


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds of theory are left out, which take longer than the runs."""
    monkeypatch.setattr(compare_results, "link_theory", lambda *_: {"ser": None, "p_md_genie": 0.1})


def measured(run: Run, *arguments: str) -> dict[str, Any]:
    """The JSON object of a run that goes well."""
    status, out, err = run(*COMMON, *arguments, "--json")
    assert (status, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def test_each_method_counts_exactly_what_its_own_link_counts(run: Run, artifact: str) -> None:
    snapshots = ("--snapshots", "3e4", "--frame", "4096")
    compared = measured(run, *snapshots, "--compare", "--artifact", artifact)
    assert list(compared["methods"]) == list(METHODS)
    alone = {
        "baseline": measured(run, *snapshots),
        "learned": measured(run, *snapshots, "--artifact", artifact),
        "known_array": measured(run, *snapshots, "--known-array", "--estimator", "softmax"),
    }
    for name, single in alone.items():
        method = compared["methods"][name]
        for key in ("counters", "estimator", "threshold", "theory", "artifacts", *RATES[:-1]):
            assert method[key] == single[key], (name, key)
    assert len({json.dumps(method["counters"]) for method in compared["methods"].values()}) == 3
    assert {name: method["estimator"] for name, method in compared["methods"].items()} == {
        "baseline": "argmax",
        "learned": "softmax",
        "known_array": "softmax",
    }


@pytest.mark.usefixtures("hasty")
def test_a_seed_gives_the_same_counts_however_the_graph_runs(run: Run, artifact: str) -> None:
    arguments = ("--snapshots", "2e4", "--frame", "2000", "--compare", "--artifact", artifact)
    expected = measured(run, *arguments)
    replicas = ("detector_learned=2", "miso_channel_baseline=3", "precoder_known_array=2")
    for how in (
        ("--transport", "ipc"),
        ("--transport", "tcp"),
        [part for each in replicas for part in ("--replicas", each)],
    ):
        found = measured(run, *arguments, *how)
        assert found["methods"] == expected["methods"]
        assert (found["pairs"], found["common"]) == (expected["pairs"], expected["common"])
        assert found["lost_frames"] == 0


@pytest.mark.usefixtures("hasty")
def test_the_comparison_is_paired(run: Run, artifact: str) -> None:
    found = measured(run, "--snapshots", "6e4", "--compare", "--artifact", artifact)
    methods, pairs = found["methods"], found["pairs"]
    missed = {name: method["counters"]["p_md"] for name, method in methods.items()}
    targets = missed["learned"]["trials"]
    assert {each["trials"] for each in missed.values()} == {targets}
    for first in METHODS:
        assert found["common"] < targets - missed[first]["events"]
        assert methods[first]["common_rmse_rad_low"] < methods[first]["common_rmse_rad"]
        for second in METHODS:
            if first != second:
                pair = pairs[first][second]
                difference = (missed[first]["events"] - missed[second]["events"]) / targets
                assert pair["p_md_difference"] == pytest.approx(difference)
                assert pair["p_md_ratio"] * pairs[second][first]["p_md_ratio"] == pytest.approx(1)
                assert found["common"] <= pair["common"]
    # Half-way to the truth is better than the nominal array: certain with the same noise, by 5 deviations.
    better = pairs["known_array"]["baseline"]
    assert better["p_md_difference"] < -5 * better["p_md_difference_error"] < 0
    apart = methods["baseline"]["p_md_high"] - methods["baseline"]["p_md_low"]
    assert better["p_md_difference_high"] - better["p_md_difference_low"] < 0.6 * apart


@pytest.mark.usefixtures("hasty")
def test_a_picture_arrives_once_for_each_method(run: Run, artifact: str, tmp_path: Path) -> None:
    arguments = ("--file", str(ASSET), "--out", "got.png", "--plot", "all.png")
    status, out, err = run(*COMMON, *arguments, "--compare", "--artifact", artifact)
    assert (status, err) == (0, "")
    names = ["got-baseline.png", "got-known-array.png", "got-learned.png"]
    assert sorted(os.listdir(tmp_path)) == ["all.png", *names]
    with Image.open(ASSET) as sent:
        pixels = sent.tobytes()
    for name in names:
        with Image.open(tmp_path / name) as received:
            wrong = sum(a != b for a, b in zip(pixels, received.tobytes(), strict=True))
        assert f"49,152 bytes received in {name}, {wrong:,} of them wrong." in out
        assert wrong > 0
    for word in ("SER", "BER", "P_md", "P_fa", "RMSE", "95 % interval", "0 lost", "softmax", "Plot: all.png"):
        assert word in out
    assert max(len(line) for line in out.splitlines()[1:] if ":" not in line) <= 80
    status, out, err = run(*COMMON, "--file", str(ASSET), "--out", "plain.png", "--quiet")
    assert (status, out, err) == (0, "", "")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "got-baseline.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--precoder", "learned"], "--compare runs baseline, learned, known array: leave out --precoder"),
        (["--known-array"], "leave out --known-array"),
        (["--record", "a.rec"], "leave out --record"),
        (["--file", str(ASSET), "--out", "-"], "--compare writes a file for each method: --out needs a name"),
        (["--file", str(ASSET), "--out", "none/got.png"], "cannot write none/got-baseline.png"),
        (["--artifact", "missing.safetensors"], "missing.safetensors"),
        (["--artifact", "networks.safetensors"], "is neural: a model-driven one is needed here"),
        (["--artifact", "half.safetensors", "--grid-size", "200"], "does not fit grid_size 200"),
        (["--artifact", "half.safetensors", "--replicas", "detector=2"], "the graph has no block 'detector'"),
        (
            ["--artifact", "half.safetensors", "--replicas", "paired_sensing_metrics=2"],
            "cannot be replicated",
        ),
        (["--rho", "2"], "rho"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    run: Run, artifact: str, tmp_path: Path, arguments: list[str], line: str
) -> None:
    (tmp_path / "half.safetensors").write_bytes(Path(artifact).read_bytes())
    save("networks.safetensors", neural(SCENARIO))
    before = sorted(os.listdir(tmp_path))
    status, out, err = run("--scenario", "limited", "--compare", *arguments)
    assert (status, out) == (2, "")
    assert line in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.usefixtures("hasty")
def test_other_hardware_than_the_trained_one_is_a_warning(run: Run, artifact: str) -> None:
    arguments = ("--snapshots", "2000", "--compare", "--artifact", artifact, "--impairment-seed", "2")
    status, out, err = run(*COMMON, *arguments)
    assert status == 0
    assert "Three ISAC links" in out
    assert err.startswith("warning: ")
    assert "impairment_seed 1, not 2" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_ctrl_c_stops_all_links_at_the_same_frame(artifact: str, tmp_path: Path, transport: str) -> None:
    (tmp_path / "out-learned.bin").write_bytes(b"before")
    arguments = ("--compare", "--artifact", artifact, "--file", "-", "--out", "out.bin", "--json")
    reader, writer = os.pipe()  # stays open: the run cannot end by itself
    command = [sys.executable, str(LINK), *COMMON, *arguments, "--frame", "4096", "--transport", transport]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.write(writer, os.urandom(4096 // 4 * 5))
        parts = [f"out-{name}.bin" for name in ("baseline", "learned", "known-array")]
        for _ in range(600):
            sizes = [p.stat().st_size for p in tmp_path.glob(".*.part")]
            if len(sizes) == len(parts) and min(sizes) > 0:
                break
            try:
                process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError("the run ended early")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    os.close(reader)
    os.close(writer)
    assert (process.returncode, stderr) == (130, b"")
    result = json.loads(stdout)
    assert result["interrupted"] is True
    trials = {method["counters"]["ser"]["trials"] for method in result["methods"].values()}
    assert trials == {result["snapshots"]}
    assert os.listdir(tmp_path) == ["out-learned.bin"]
    assert (tmp_path / "out-learned.bin").read_bytes() == b"before"


def test_two_nodes_share_the_comparison(artifact: str, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        control = f"127.0.0.1:{free.getsockname()[1]}"
    radar = [f"{kind}_{m}" for m in METHODS for kind in ("target_reflector", "detector", "sensing_metrics")]
    kinds = ("precoder", "miso_channel", "demodulator", "communication_metrics", "message_sink")
    rest = ["message_source", "qam_encoder", *(f"{kind}_{method}" for method in METHODS for kind in kinds)]
    (tmp_path / "nodes.toml").write_text(
        f'control = "{control}"\n[nodes.link]\nblocks = {rest}\n'
        f"[nodes.radar]\nblocks = {[*radar, 'paired_sensing_metrics']}\n"
    )
    data = os.urandom(5000)
    for node in ("link", "radar"):
        (tmp_path / node).mkdir()
    (tmp_path / "link" / "in.bin").write_bytes(data)
    arguments = ["--scenario", "limited", "--snr-comm", "80", "--compare", "--quiet"]
    arguments += ["--file", "in.bin", "--out", "out.bin", "--transport", "tcp", "--nodes", "../nodes.toml"]
    nodes = [
        subprocess.Popen(
            [sys.executable, str(LINK), *arguments, "--artifact", artifact, "--node", node],
            cwd=tmp_path / node,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for node in ("link", "radar")
    ]
    for process in nodes:
        stdout, stderr = process.communicate(timeout=120)
        assert (process.returncode, stdout, stderr) == (0, b"", b"")
    for name in ("baseline", "learned", "known-array"):
        assert (tmp_path / "link" / f"out-{name}.bin").read_bytes() == data
    assert os.listdir(tmp_path / "radar") == []
