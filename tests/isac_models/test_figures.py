"""The program from its command line to its files."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isac_models import artifact, figures
from isac_models.artifact import save
from isac_models.scenario import Scenario
from isac_models.sweeps import cluster, measuring, short_training, studies
from tests.isac_models.artifacts import model_driven

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the program on two values of ρ and few snapshots, with the true A as if it had been learned."""
    models = tmp_path / "models"
    for folder in ("models", "shipped"):
        (tmp_path / folder).mkdir()
    for name in ("ideal", "impaired", "limited"):
        save(models / f"{name}.safetensors", model_driven(Scenario.preset(name)))
    monkeypatch.setattr(artifact, "FOLDER", tmp_path / "shipped")
    monkeypatch.setattr(studies, "RHOS", (0.4, 1.0))

    def call(*arguments: str, workers: str = "0") -> int:
        common = ["--out", str(tmp_path / "out"), "--artifacts", str(models), "--snapshots", "4000"]
        return figures.main([*arguments, *common, "--workers", workers])

    return call


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the program says of bad options, one line."""
    try:
        status: Any = figures.main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_a_figure_is_measured_drawn_and_judged(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fig4") == 0
    out = tmp_path / "out"
    names = {path.name for path in out.iterdir()}
    assert names == {
        *(
            "fig4-spacing-1.png",
            "fig4.csv",
            "fig4-pairs.csv",
            "fig4.json",
            "claims.md",
            "claims.json",
            "points",
        ),
    }
    with (out / "fig4.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["name"] for row in rows} == {
        *("baseline", "known", "best", "learned-500", "learned-156"),
    }
    assert {row["rho"] for row in rows} == {"0.4", "1.0"}
    for row in rows:
        assert float(row["p_fa_low"]) < 0.015
        assert row["impaired_side"] == "both"
        assert (row["artifact_sha256"] != "") == (row["method"] == "learned")
    said = capsys.readouterr().out
    assert "quick: 4,000 snapshots a point" in said
    assert "not shown: networks, N=21" in said
    assert str(out / "claims.md") in said
    assert "quick: 4,000 snapshots" in json.loads((out / "fig4.json").read_text())["stamp"]


def test_a_second_run_computes_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("fig3") == 0
    table = (tmp_path / "out" / "fig3.csv").read_bytes()
    (tmp_path / "out" / "fig3.csv").unlink()

    def never(*arguments: Any) -> Any:
        raise AssertionError("this was measured already")

    monkeypatch.setattr(measuring, "measure", never)
    assert run("fig3") == 0
    assert (tmp_path / "out" / "fig3.csv").read_bytes() == table


def test_processes_of_dask_measure_the_same(run: Run, tmp_path: Path) -> None:
    assert run("fig3", "--quiet") == 0
    here = rows_of(tmp_path / "out" / "fig3.csv")
    for path in (tmp_path / "out" / "points").glob("*.json"):
        path.unlink()
    assert run("fig3", "--quiet", workers="2") == 0
    alike(rows_of(tmp_path / "out" / "fig3.csv"), here)


def alike(one: list[dict[str, str]], other: list[dict[str, str]]) -> None:
    """The same rows; of best beams that are equally good the last bit chooses one."""
    assert len(one) == len(other) > 0
    for row, same in zip(one, other, strict=True):
        if row["name"] == "best":
            for key in ("p_md", "ser_theory", "p_md_genie"):
                assert float(row[key]) == pytest.approx(float(same[key]), rel=0.02), key
        else:
            assert row == same


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_damaged_point_is_measured_again(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fig3") == 0
    table = rows_of(tmp_path / "out" / "fig3.csv")
    damaged = min((tmp_path / "out" / "points").glob("*.json"))
    damaged.write_text("{}")
    capsys.readouterr()
    assert run("fig3") == 0
    assert capsys.readouterr().err == f"warning: {damaged} is damaged; computing the point again\n"
    alike(rows_of(tmp_path / "out" / "fig3.csv"), table)


def test_quick_trains_a_missing_model_and_full_does_not(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models" / "ideal.safetensors").unlink()
    asked: list[Scenario] = []

    def train(scenarios: list[Scenario], folder: Path, say: Any, warn: Any) -> bool:
        asked.extend(scenarios)
        folder.mkdir()
        trained = {"recipe": "cosine", "iterations": 5000}
        save(folder / "short.safetensors", model_driven(Scenario.preset("ideal"), training=trained))
        return True

    monkeypatch.setattr(short_training, "train_short", train)
    assert run("fig3", "--scale", "full") == 0
    assert "not shown: learned A, N=500: python -m isac_models.train" in capsys.readouterr().out
    assert not asked
    assert run("fig3", "--scale", "quick") == 0
    assert [scenario.grid_size for scenario in asked] == [500]
    rows = json.loads((tmp_path / "out" / "fig3.json").read_text())["rows"]
    assert "learned A, N=500, cosine (5,000 iterations)" in {row["label"] for row in rows}


def test_ctrl_c_says_how_to_go_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 0
    measure = measuring.measure

    def stopped(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(measuring, "measure", stopped)
    assert run("fig3") == 130
    said = capsys.readouterr().err
    assert said.startswith(
        f"stopped: 2 points are kept in {tmp_path / 'out' / 'points'}; go on with: python -m"
    )
    assert "isac_models.figures fig3 --out" in said
    assert run("fig3") == 0
    assert count == 3 + 6 - 2


def test_what_fails_on_the_way_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*arguments: Any, **options: Any) -> Any:
        raise cluster.SweepError("point 12: the worker\ndied")

    monkeypatch.setattr(cluster, "sweep", fails)
    assert run("fig3") == 1
    assert capsys.readouterr().err == "error: point 12: the worker died\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["fig6"], "invalid choice: 'fig6'"),
        (["fig3", "--seeds", "1,x"], "'x' is not a whole number"),
        (["fig3", "--seeds", "-1"], "seeds are at least 0"),
        (["fig3", "--impairment", "spacing,rust"], "choose of spacing, element, gain_phase"),
        (["fig3", "--impairment", "none"], "choose of spacing, element, gain_phase"),
        (["fig3", "--scale", "huge"], "invalid choice: 'huge'"),
        (["fig3", "--snapshots", "0"], "positive whole number"),
        (["fig3", "--workers", "-1"], "--workers must be at least 0"),
        (["fig3", "--artifacts", "/nowhere/at/all"], "there is no such folder"),
    ],
)
def test_bad_options_are_one_line(
    options: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in refused([*options, "--out", str(tmp_path / "out")], capsys)


@pytest.mark.parametrize("option", ["--out", "--artifacts"])
def test_a_folder_without_a_name_is_refused(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("", " "):
        assert f"{option}: {folder!r} is no name" in refused(["fig3", "--out", "out", option, folder], capsys)
    assert list(tmp_path.iterdir()) == []


def test_an_out_that_is_a_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("")
    assert "cannot keep points in" in refused(["fig3", "--out", str(tmp_path / "out")], capsys)


def test_without_matplotlib_nothing_is_measured(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run("roc") == 2
    expected = "error: a figure needs matplotlib: pip install 'isac-blocks[plot]'\n"
    assert capsys.readouterr() == ("", expected)
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_is_not_there_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "CONNECTING", 0.5)
    assert run("fig3", "--cluster", "tcp://127.0.0.1:1") == 2
    assert "no Dask cluster with workers at tcp://127.0.0.1:1" in capsys.readouterr().err


def test_scales_have_their_own_seeds_and_impairments() -> None:
    full = figures._order(figures.parse(["all", "--scale", "full", "--out", "x"]))
    assert (full.seeds, full.impairments) == ((1, 2, 3, 4, 5), ("spacing", "element"))
    assert full.figures == ("fig3", "fig4", "fig5", "roc", "snr")
    assert full.snapshots == 1_200_000
    quick = figures._order(figures.parse(["fig5", "fig5", "--out", "x", "--seeds", "4,2"]))
    assert (quick.figures, quick.scale, quick.seeds) == (("fig5",), "quick", (4, 2))


def test_help_answers_without_loading_what_it_does_not_need() -> None:
    code = """
import sys
from isac_models import figures
try:
    figures.parse(["--help"])
except SystemExit:
    heavy = {"dask", "distributed", "llvmlite", "matplotlib", "numba", "scipy", "torch"} & set(sys.modules)
    sys.exit(f"loaded: {heavy}" if heavy else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "fig3" in done.stdout
