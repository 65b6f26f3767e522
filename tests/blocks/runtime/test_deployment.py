"""The deployment file: what is wrong with it is one line that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocks.runtime import DeploymentError
from blocks.runtime.deployment import Deployment
from tests.blocks.runtime.graphs import chain

GOOD = """
control = "127.0.0.1:5555"

[nodes.first]
blocks = ["numbers", "noise"]

[nodes.second]
host = "127.0.0.2"
ports = "6000-6010"
blocks = ["sink"]
"""
BLOCKS = ("numbers", "noise", "sink")


def load(folder: Path, text: str) -> Deployment:
    """The deployment that a file of this text describes."""
    path = folder / "lab.toml"
    path.write_text(text, encoding="utf-8")
    return Deployment.load(path)


def test_a_good_file(tmp_path: Path) -> None:
    lab = load(tmp_path, 'certificate = "keys/lab.key_secret"\npatience = 5\n' + GOOD)
    assert lab.supervisor == "first"
    assert lab.node("second") == "second"
    assert lab.patience == 5
    assert lab.certificate_path == tmp_path / "keys/lab.key_secret"
    assert (lab.nodes["first"].host, lab.nodes["first"].ports) == ("127.0.0.1", "*")
    assert (lab.nodes["second"].host, lab.nodes["second"].ports) == ("127.0.0.2", "6000-6010")
    assert lab.placement(BLOCKS) == {"numbers": "first", "noise": "first", "sink": "second"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (GOOD, "", "control: is missing"),
        (GOOD, 'control = "a:5"', "nodes: is missing"),
        (GOOD, "control = ", "not valid TOML"),
        ('"127.0.0.1:5555"', "5555", "control: Input should be a valid string"),
        ('"127.0.0.1:5555"', '"localhost"', "control: write host:port"),
        ('"127.0.0.1:5555"', '"host:port"', "control: write host:port"),
        ('"127.0.0.1:5555"', '"tcp://1.2.3.4:5"', "control: write host:port"),
        ('"127.0.0.1:5555"', '"127.0.0.1:0"', "control: ports are 1 to 65535"),
        ('"127.0.0.1:5555"', '"127.0.0.1:65536"', "control: ports are 1 to 65535"),
        ('"127.0.0.1:5555"', '"0.0.0.0:5555"', "control: give the address of this node"),
        ('"127.0.0.2"', '"*"', "nodes.second.host: give the address of this node"),
        ('"127.0.0.2"', '""', "nodes.second.host: "),
        ('"127.0.0.2"', "7", "nodes.second.host: Input should be a valid string"),
        ('"6000-6010"', '"6010-6000"', "nodes.second.ports: ports are 1 to 65535, the lower one first"),
        ('"6000-6010"', '"6000-70000"', "nodes.second.ports: ports are 1 to 65535"),
        ('"6000-6010"', '"some"', "nodes.second.ports: ports are '*', a number or 'low-high'"),
        ('"6000-6010"', '"-5"', "nodes.second.ports: ports are"),
        ('"6000-6010"', "6000", "nodes.second.ports: Input should be a valid string"),
        ('["sink"]', "[]", "nodes.second.blocks: "),
        ('["sink"]', "[5]", "nodes.second.blocks.0: Input should be a valid string"),
        ("host =", "address =", "nodes.second.address: unknown key"),
        ("control =", "patience = 0\ncontrol =", "patience: Input should be greater than 0"),
        ("control =", "patience = inf\ncontrol =", "patience: Input should be a finite number"),
        ("control =", "folder = '/tmp'\ncontrol =", "folder: unknown key"),
        ("control =", "certificate = 1\ncontrol =", "certificate: Input should be a valid string"),
    ],
    ids=range(25),
)
def test_a_mistake_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(DeploymentError) as refusal:
        load(tmp_path, GOOD.replace(old, new))
    assert message in str(refusal.value)
    assert "lab.toml" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="cannot be read: No such file"):
        Deployment.load(tmp_path / "missing.toml")
    with pytest.raises(DeploymentError, match="cannot be read: Is a directory"):
        Deployment.load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'control = "\xff"')
    with pytest.raises(DeploymentError, match="cannot be read: not UTF-8 text"):
        Deployment.load(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["sink"]', '["sink", "snik"]', "node second: the graph has no block 'snik'; it has numbers, noise"),
        ('["sink"]', '["sink", "noise"]', "block noise stands at node first and again at second"),
        ('"noise"', "", "no node runs noise: add it to the blocks of one"),
    ],
)
def test_every_block_has_one_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    lab = load(tmp_path, GOOD.replace(old, new))
    with pytest.raises(DeploymentError) as refusal:
        lab.placement(BLOCKS)
    assert message in str(refusal.value)


def test_the_graph_refuses_before_anything_runs(tmp_path: Path) -> None:
    graph, _ = chain()
    path = tmp_path / "lab.toml"
    path.write_text(GOOD)
    with pytest.raises(DeploymentError, match="no node 'third' in the deployment file: choose one of first"):
        graph.start("tcp", nodes=path, node="third")
    path.write_text('certificate = "none.key_secret"\n' + GOOD)
    with pytest.raises(ValueError, match=r"none\.key_secret: no CURVE certificate can be read"):
        graph.start("tcp", nodes=str(path), node="first")
    path.write_text(GOOD.replace("127.0.0.1:5555", "192.0.2.1:5555"))
    with pytest.raises(ValueError, match=r"cannot listen on tcp://192\.0\.2\.1:5555"):
        graph.start("tcp", nodes=Deployment.load(path), node="first")
    assert graph.run().snapshots == 1000
