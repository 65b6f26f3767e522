"""A checkpoint gives back exactly what was saved, survives a full disk, and is never trusted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load as decode
from safetensors.numpy import save as encode

from isac_models.errors import UserError
from isac_models.learning import checkpoint
from isac_models.learning.checkpoint import FORMAT, KEY, Checkpoint, load, save
from isac_models.learning.loop import Progress
from isac_models.scenario import Scenario

ROOT = Path(__file__).resolve().parents[3]

STATE = {
    "planes": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4),
    "moments": np.array([0.1, 1 / 3, 5e-324, -0.0]),
    "step": np.array(41.0, np.float32),
    "count": np.array(2**62 + 1),
    "mask": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
}
PROGRESS = Progress(
    command="python -m isac_models.train model-driven --out 'my dir'",
    patience=5000,
    iteration=1234,
    steps=1200,
    seconds=0.1 + 0.2,
    held_out_losses=[(0, 0.1), (500, 1 / 3)],
    accumulated=1e-300,
    weight=0.7,
    best=1 / 7,
    above=3,
    flat_since=500,
)
SAVED = Checkpoint(
    kind="model-driven",
    scenario=Scenario.preset("limited").replace(target_sector_deg=(-33.3, 12.1)),
    settings={"learning_rate": 0.1, "omega": [0.1, 1e-6], "recipe": "paper", "from_recording": None},
    progress=PROGRESS,
    state=STATE,
    versions={"numpy": "2.0"},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / checkpoint.NAME
    save(made, SAVED)
    return made


def refusal(path: Path) -> str:
    """The line with which a file is refused."""
    with pytest.raises(UserError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


def test_what_was_saved_comes_back_bit_for_bit(path: Path) -> None:
    loaded = load(path)
    assert (loaded.kind, loaded.scenario, loaded.progress) == ("model-driven", SAVED.scenario, PROGRESS)
    assert loaded.settings == SAVED.settings
    assert loaded.versions == SAVED.versions
    assert loaded.state.keys() == STATE.keys()
    for name, array in STATE.items():
        assert loaded.state[name].dtype == array.dtype
        assert loaded.state[name].shape == array.shape
        assert loaded.state[name].tobytes() == array.tobytes()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_every_finite_number_of_the_progress_comes_back(losses: list[float]) -> None:
    text = json.dumps([[at, loss] for at, loss in enumerate(losses)])
    progress = checkpoint._progress({**vars(Progress()), "held_out_losses": json.loads(text)})
    assert progress.held_out_losses == list(enumerate(losses))


def test_saving_replaces_and_leaves_nothing_else(path: Path) -> None:
    save(path, replace(SAVED, progress=Progress(iteration=7)))
    assert load(path).progress.iteration == 7
    assert [each.name for each in path.parent.iterdir()] == [checkpoint.NAME]


def test_an_array_that_is_not_contiguous_is_saved_as_it_looks(path: Path) -> None:
    turned = np.arange(6.0).reshape(2, 3).T
    save(path, replace(SAVED, state={"turned": turned}))
    np.testing.assert_array_equal(load(path).state["turned"], turned)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    # A limit on the size of files fails in the middle of the writing, as a full disk does.
    code = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from dataclasses import replace\n"
        "from tests.isac_models.learning.test_checkpoint import SAVED\n"
        "from isac_models.learning.checkpoint import load, save\n"
        "path = sys.argv[1]\n"
        "save(path, SAVED)\n"
        "before = open(path, 'rb').read()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 1000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    save(path, replace(SAVED, state={'big': np.ones(10**5)}))\n"
        "except ValueError as error:\n"
        "    print(type(error).__name__, error)\n"
        "assert open(path, 'rb').read() == before\n"
    )
    path = tmp_path / checkpoint.NAME
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"UserError cannot write {path}: File too large\n"
    assert load(path).progress == PROGRESS
    assert [each.name for each in tmp_path.iterdir()] == [checkpoint.NAME]


def test_a_folder_that_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*No such file or directory$"):
        save(tmp_path / "missing" / "checkpoint.safetensors", SAVED)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none").endswith("No such file or directory")
    assert refusal(tmp_path).endswith("not a file")


def test_every_truncation_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for length in [*range(0, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:length])
        refusal(path)
    path.write_bytes(content + b"\0")
    refusal(path)


@given(st.integers(0), st.integers(1, 255))
def test_every_changed_byte_is_refused_or_changes_nothing(position: int, change: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changed"
        save(path, SAVED)
        content = bytearray(path.read_bytes())
        content[position % len(content)] ^= change
        path.write_bytes(content)
        try:
            loaded = load(path)
        except UserError:
            return
        # JSON has spare room: 1.0 for 1.00, or another escape for the same letter.
        assert (loaded.progress, loaded.settings) == (PROGRESS, SAVED.settings)
        assert all(loaded.state[name].tobytes() == array.tobytes() for name, array in STATE.items())


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(content: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        refusal(Path(file.name))


def forged(path: Path, change: Callable[[dict[str, Any]], Any], checksum: bool = True) -> None:
    """Change the description, and make the checksum fit."""
    arrays = decode(path.read_bytes())
    length = int.from_bytes(path.read_bytes()[:8], "little")
    description = json.loads(json.loads(path.read_bytes()[8 : 8 + length])["__metadata__"][KEY])
    change(description)
    description.pop("sha256", None)
    if checksum:
        description["sha256"] = checkpoint._checksum(description, arrays)
    path.write_bytes(encode(arrays, {KEY: json.dumps(description)}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(format=FORMAT + 1), f"format version {FORMAT + 1}"),
        (lambda d: d.update(format=None), "format version None"),
        (lambda d: d.pop("settings"), "not complete"),
        (lambda d: d.update(more=1), "not complete"),
        (lambda d: d.update(kind=3), "not complete"),
        (lambda d: d.update(versions={"numpy": 2}), "versions"),
        (lambda d: d["scenario"].update(antennas=-1), "antennas"),
        (lambda d: d["scenario"].update(aerials=1), "aerials"),
        (lambda d: d["progress"].update(iteration="1"), "impossible iteration"),
        (lambda d: d["progress"].update(iteration=-1), "below zero"),
        (lambda d: d["progress"].update(held_out_every=0), "below zero"),
        (lambda d: d["progress"].update(patience=0), "patience"),
        (lambda d: d["progress"].update(more=1), "impossible more"),
        (lambda d: d["progress"].update(held_out_losses=[[1]]), "impossible held_out_losses.0.1"),
    ],
)
def test_an_impossible_description_is_refused(
    path: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    forged(path, change)
    assert words in refusal(path)


def test_a_changed_description_needs_its_checksum(path: Path) -> None:
    forged(path, lambda d: d["settings"].update(learning_rate=0.2), checksum=False)
    assert "not complete" in refusal(path)
    forged(path, lambda d: d.update(sha256="0" * 64))
    content = path.read_bytes()
    assert b"0.2" in content
    path.write_bytes(content.replace(b"0.2", b"0.3"))
    assert "checksum" in refusal(path)


def test_other_safetensors_files_are_refused(path: Path) -> None:
    path.write_bytes(encode({"weight": np.ones(3)}))
    assert "not a checkpoint of this program" in refusal(path)
    path.write_bytes(encode({"weight": np.ones(3)}, {KEY: "[" * 100_000}))
    assert "not JSON" in refusal(path)
    path.write_bytes(encode({"weight": np.ones(3, np.float16)}, {KEY: json.dumps({"format": 2})}))
    assert "format version 2" in refusal(path)


def test_an_array_of_another_type_is_refused(path: Path) -> None:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["moments"]["dtype"] = "C64"
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    assert "moments" in refusal(path)


def test_a_header_of_gigabytes_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.write((1 << 33).to_bytes(8, "little"))
        file.truncate(1 << 34)  # takes no room
    assert "larger than" in refusal(path)
    with path.open("wb") as file:
        file.write((1 << 30).to_bytes(8, "little"))
        file.truncate(1 << 31)
    assert "does not begin as one" in refusal(path)
