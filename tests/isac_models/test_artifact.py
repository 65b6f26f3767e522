"""Trained models on disk: saved whole or not at all, found by name, shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from isac_models import artifact as artifacts
from isac_models.array import hardware, steering_matrix
from isac_models.artifact import ArtifactWarning, default_for, fitting, load, main, save, shipped
from isac_models.errors import UserError
from isac_models.grid import angle_grid
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven, neural, tampered

ROOT = Path(__file__).parents[2]
SCENARIO = Scenario.preset("limited")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the shipped artifacts."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setattr(artifacts, "FOLDER", folder)
    return folder


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save(path, model_driven(SCENARIO))
    found = load(path)
    assert found.name == str(path)
    assert found.scenario == SCENARIO
    np.testing.assert_array_equal(
        found.dictionary, steering_matrix(hardware(SCENARIO).transmit, angle_grid(SCENARIO.grid_size))
    )
    save(path, neural(SCENARIO))
    assert load(str(path)).kind == "neural"
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_the_five_lines_of_the_documentation_read_a_dictionary(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "artifact.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line]) <= 5
    save(tmp_path / "model.safetensors", model_driven(SCENARIO))
    code += "\nnp.save('a.npy', A)\n"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), model_driven(SCENARIO).dictionary)


def test_shipped_ones_are_found_by_name(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(shelf / "model-driven-n156.safetensors", model_driven(SCENARIO))
    assert shipped() == ["model-driven-n156"]
    assert load("model-driven-n156").name == "model-driven-n156"
    with pytest.raises(
        UserError, match=r"no artifact 'model-driven-n165' \(did you mean model-driven-n156\?\)"
    ):
        load("model-driven-n165")
    monkeypatch.chdir(tmp_path)
    Path("plain").write_bytes((shelf / "model-driven-n156.safetensors").read_bytes())
    assert load("plain").name == "plain"


def test_what_is_not_there_is_named(shelf: Path) -> None:
    with pytest.raises(UserError, match="none is shipped"):
        load("model")
    with pytest.raises(UserError, match=r"artifact missing\.safetensors: No such file"):
        load("missing.safetensors")


def test_everything_shipped_is_whole_and_fits_what_it_was_trained_on() -> None:
    for name in shipped():
        artifact = load(name)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert fitting(artifact, artifact.kind, artifact.scenario) is artifact
        assert artifact.training["command"].startswith("python -m isac_models.train ")
        assert {"sector_mean_deg", "sector_span_deg"} <= set(artifact.training)


def test_the_default_fits_best(shelf: Path) -> None:
    other = SCENARIO.replace(impairment_seed=2)
    save(shelf / "a.safetensors", model_driven(other))
    save(shelf / "b.safetensors", model_driven(SCENARIO))
    save(shelf / "c.safetensors", model_driven(SCENARIO.replace(snr_radar_db=10)))
    save(shelf / "d.safetensors", model_driven(Scenario.preset("impaired")))
    save(shelf / "e.safetensors", neural(SCENARIO))
    for scenario, kind, name in (
        (SCENARIO, "model-driven", "b"),
        (other, "model-driven", "a"),
        (SCENARIO.replace(snr_radar_db=10), "model-driven", "c"),
        (SCENARIO.replace(impairment_seed=3), "model-driven", "a"),
        (Scenario.preset("impaired"), "model-driven", "d"),
        (SCENARIO.replace(grid_size=77), "neural", "e"),
    ):
        assert default_for(kind, scenario).name == name  # type: ignore[arg-type]
    with pytest.raises(
        UserError,
        match=r"fits 8 antennas and grid_size 156 \(there is a, b, c, d, e\): train",
    ):
        default_for("model-driven", SCENARIO.replace(antennas=8))
    with pytest.raises(UserError, match=r"no shipped neural artifact fits 16 antennas and order 64"):
        default_for("neural", SCENARIO.replace(order=64))


def test_using_one_outside_its_training_warns(shelf: Path) -> None:
    save(shelf / "a.safetensors", model_driven(SCENARIO))
    for given in (None, "a", shelf / "a.safetensors", model_driven(SCENARIO)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert fitting(given, "model-driven", SCENARIO).kind == "model-driven"
        with pytest.warns(ArtifactWarning, match="radar SNR"):
            fitting(given, "model-driven", SCENARIO.replace(snr_radar_db=1))
        with pytest.raises(UserError):
            fitting(given, "model-driven", SCENARIO.replace(antennas=8))


def test_saving_to_an_impossible_place_is_one_line(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "missing" / "a", "No such file"), (tmp_path, "directory")):
        with pytest.raises(UserError, match=f"cannot write {path}.*{reason}"):
            save(path, model_driven(SCENARIO))
    with pytest.raises(UserError, match="NaN"):
        save(tmp_path / "a", model_driven(SCENARIO, model_driven(SCENARIO).dictionary * np.nan))
    assert os.listdir(tmp_path) == []


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save(path, model_driven(SCENARIO))
    before = path.read_bytes()
    # A limit on the size of files stops the writing where a full disk would.
    code = (
        "import resource, sys\n"
        "from isac_models.artifact import save\n"
        "from isac_models.errors import UserError\n"
        "from isac_models.scenario import Scenario\n"
        "from tests.isac_models.artifacts import model_driven\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "try:\n"
        "    save(sys.argv[1], model_driven(Scenario.preset('impaired')))\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == f"cannot write {path}: File too large\n"
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_show_prints_everything_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.safetensors"
    save(path, model_driven(SCENARIO))
    assert main(["show", str(path), "--json"]) == 0
    printed = capsys.readouterr()
    values = json.loads(printed.out)
    assert printed.err == ""
    assert (values["name"], values["format"], values["kind"]) == (str(path), 1, "model-driven")
    assert (values["seed"], values["held_out_loss"]) == (3, 1.25e-4)
    assert Scenario.from_dict(values["scenario"]) == SCENARIO
    assert values["training"]["sector_span_deg"] == [10, 20]
    assert values["versions"]["numpy"] == "2.0.0"
    assert values["tensors"]["dictionary_real"] == {"dtype": "float64", "shape": [16, 156]}
    assert values["sha256"] == load(path).sha256


@pytest.mark.parametrize("terminal", [False, True])
def test_show_prints_a_table_without_control_characters(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    path = tmp_path / "model.safetensors"
    save(
        path, model_driven(SCENARIO, training={"a": "\x1b[2J[red]bad", "b": "x" * 5000, "c": [[0, 2.5]] * 90})
    )
    assert main(["show", str(path)]) == 0
    printed = capsys.readouterr().out
    for text in (
        "model-driven",
        "impairment_seed",
        "0.000125",
        "16 × 156",
        "[red]bad",
        "2.0.0",
        "[-40.0, -20.0]",
        "90 values",
    ):
        assert text in printed
    assert "\x1b" not in printed
    assert len(printed) < 8000


def test_bad_input_is_one_line_and_status_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.safetensors"
    tampered(path, model_driven(SCENARIO), lambda d, t: d.update(format=9))
    (tmp_path / "text.safetensors").write_text("something else, long enough to be looked at")
    for arguments, words in (
        (["show", str(path)], "format version is 9"),
        (["show", str(tmp_path / "text.safetensors")], "not a safetensors file"),
        (["show", "no-such-model"], "no artifact 'no-such-model'"),
        (["show"], "FILE|NAME"),
        (["hide"], "show"),
        ([], "show"),
    ):
        try:
            status: object = main(arguments)
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        assert (status, printed.out) == (2, "")
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1
        assert words in printed.err


def test_help_and_loading_need_no_heavy_library(tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", model_driven(SCENARIO))
    code = (
        "import sys\n"
        "from isac_models.artifact import main\n"
        "main(['show', sys.argv[1], '--json'])\n"
        "print(sorted({'numba', 'scipy', 'torch', 'rich', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.safetensors")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "[]"
