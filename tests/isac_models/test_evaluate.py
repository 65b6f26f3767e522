"""The command line of the evaluation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from isac_models.artifact import save
from isac_models.evaluate import main
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven, neural

ROOT = Path(__file__).resolve().parents[2]


def test_json_is_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", "ideal", "--rho", "1", "--snapshots", "2e4", "--json"]) == 0
    printed = capsys.readouterr()
    values = json.loads(printed.out)
    assert printed.out.count("\n") == 1
    assert printed.err == ""
    assert (values["snapshots"], values["rho"], values["scenario"]["impairment"]) == (20_000, 1, "none")


def test_a_table_shows_every_rate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--snapshots", "2e4", "--rel-ci", "0.001", "--known-array"]) == 0
    printed = capsys.readouterr().out
    for text in ("SER", "BER", "P_md", "P_fa", "RMSE", "20,000 snapshots", "not reached", "true array known"):
        assert text in printed


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--snapshots", "100", "--quiet", "--no-theory"]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_artifact_decides_the_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, scenario = tmp_path / "a.safetensors", Scenario.preset("limited")
    save(path, model_driven(scenario))
    arguments = ["--scenario", "limited", "--snapshots", "2e4", "--no-theory", "--json"]
    assert main([*arguments, "--artifact", str(path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main([*arguments, "--known-array", "--estimator", "softmax"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert (found["method"], found["estimator"]) == ("learned", "softmax")
    assert found["artifact"]["name"] == str(path)
    assert (known["method"], known["artifact"]) == ("baseline", None)
    assert found["counters"] == known["counters"]


def test_use_outside_the_training_is_one_line_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "a.safetensors")
    save(path, model_driven(Scenario.preset("limited")))
    arguments = ["--scenario", "unseen", "--artifact", path, "--snapshots", "2e4", "--no-theory"]
    assert main([*arguments, "--impairment-seed", "2"]) == 0
    printed = capsys.readouterr()
    assert f"artifact {path}" in printed.out
    first, second = printed.err.splitlines()
    assert first.startswith(
        f"warning: artifact {path} was trained on other hardware: impairment_seed 1, not 2"
    )
    assert second.startswith(f"warning: artifact {path} was trained on sectors with a span")


def test_an_artifact_that_does_not_fit_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save("a", model_driven(Scenario.preset("limited")))
    save("n", neural(Scenario.preset("limited")))
    Path("cut").write_bytes(Path("a").read_bytes()[:-3])
    for arguments, words in (
        ("--artifact a", "give --grid-size 156"),
        ("--artifact a --scenario limited --antennas 8", "give --antennas 16"),
        ("--artifact a --method neural", "is model-driven: a neural one is needed"),
        ("--artifact n --method learned", "is neural: a model-driven one is needed"),
        ("--artifact n --order 16", "give --order 4"),
        ("--artifact a --method baseline", "not to baseline"),
        ("--artifact cut", "cut off"),
        ("--artifact missing.safetensors", "No such file"),
    ):
        assert main(arguments.split()) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1
        assert words in printed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--snapshots 0", "--snapshots"),
        ("--snapshots 1.5", "--snapshots"),
        ("--snapshots nan", "--snapshots"),
        ("--rho 2", "rho"),
        ("--rho inf", "--rho"),
        ("--method oracle", "baseline"),
        ("--estimator mean", "argmax, interpolated, softmax"),
        ("--rel-ci -1", "rel_ci"),
        ("--seed -3", "seed"),
        ("--workers 0", "--workers"),
        ("--scenario idael", "ideal"),
        ("--false-alarm 1", "--false-alarm"),
        ("--phi 3.141592653589793 --comm-sector -40 -20", "cancel"),
        ("--unknown", "--unknown"),
    ],
)
def test_bad_input_is_one_line_and_status_two(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: object = main(arguments.split())
    except SystemExit as stop:
        status = stop.code
    printed = capsys.readouterr()
    assert status == 2
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_prints_what_was_measured(workers: str) -> None:
    # The group as a terminal would address it; the program announces that it measures by its first result.
    code = (
        "import os, sys, isac_models.monte_carlo as e, isac_models.evaluate as p\n"
        "measured = e.evaluate\n"
        "def announce(*given, progress=None, **more):\n"
        "    def tell(tally, seconds):\n"
        "        print('measuring', file=sys.stderr, flush=True)\n"
        "    return measured(*given, progress=tell, **more)\n"
        "e.evaluate = announce\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(p.main(['--json', '--snapshots', '1e12', '--workers', sys.argv[1]]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, workers],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "measuring\n"
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    values = json.loads(out)
    assert process.returncode == 130
    assert values["interrupted"]
    assert values["snapshots"] > 0
    assert values["theory"] is None
    assert "Traceback" not in err


def test_help_answers_without_the_heavy_libraries() -> None:
    code = (
        "import sys\n"
        "from isac_models.evaluate import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit:\n"
        "    print(sorted({'numba', 'scipy', 'torch', 'rich'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert "--known-array" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
