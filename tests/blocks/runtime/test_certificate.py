"""Keys of encrypted pipes: who has the key is heard, nobody else."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import zmq.auth

from blocks.runtime.certificate import main
from blocks.runtime.transport import Inlet, Pipes, create_certificate, read_certificate
from isac_models.errors import UserError
from tests.blocks.runtime.edges import TOKEN, Edge, take


def test_a_graph_with_a_key_talks_to_holders_of_that_key_alone(tmp_path: Path) -> None:
    ours = create_certificate(tmp_path, "ours")
    theirs = create_certificate(tmp_path, "theirs")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["ours.key_secret", "theirs.key_secret"]
    assert ours.stat().st_mode & 0o777 == 0o600
    with closing(Edge("tcp", tmp_path, pipes=Pipes(ours))) as edge:
        others = [Pipes(), Pipes(theirs)]
        intruders = [Inlet(pipes, "a>b", TOKEN, edge.outlet.endpoint, 4) for pipes in others]
        inlet = edge.reader()
        edge.send(0, 1)
        assert take(inlet, 0).sequence == 0
        for intruder in intruders:
            intruder.ask(0)
        inlet.acknowledge(1)
        edge.until(lambda: len(edge.outlet._kept) == 1)
        assert take(inlet, 1).sequence == 1
        assert edge.outlet.malformed == 0, "nothing that they say comes through"
        for intruder, pipes in zip(intruders, others, strict=True):
            assert intruder.receive(0) is None
            intruder.socket.close(0)
            pipes.close()


@pytest.mark.parametrize("text", [None, "", "metadata\ncurve\n    public-key = 'no'\n"])
def test_a_file_that_is_no_certificate_is_one_line(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "x.key_secret"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=r"x\.key_secret: ") as refusal:
        read_certificate(path)
    assert "\n" not in str(refusal.value)


def test_a_public_key_alone_is_not_enough(tmp_path: Path) -> None:
    public, _ = zmq.auth.create_certificates(tmp_path, "half")
    with pytest.raises(UserError, match="no secret key"):
        Pipes(Path(public))


def test_the_command_makes_a_key_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "keys"
    assert main([str(folder), "lab"]) == 0
    made = Path(capsys.readouterr().out.strip())
    assert made == folder / "lab.key_secret"
    key = read_certificate(made)
    assert main([str(folder), "lab"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert read_certificate(made) == key


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file" / "keys"), "lab"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: cannot write")
    assert error.count("\n") == 1
