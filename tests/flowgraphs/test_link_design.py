"""Transmitter and receivers of the link as options choose them."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import isac_link
import isac_link_options
import isac_replay
import link_design
from isac_models import artifact as artifacts
from isac_models.artifact import save
from isac_models.monte_carlo import evaluate
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven, neural

SCENARIO = Scenario.preset("limited")
TRUTH = model_driven(SCENARIO)
RATES = ("ser", "ber", "p_md", "p_fa", "rmse_rad")
SHORT = ("--scenario", "limited", "--snapshots", "2e4")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a program beside a.safetensors, which has learned the truth: status, output, errors."""
    monkeypatch.chdir(tmp_path)
    save("a.safetensors", TRUTH)
    save("n.safetensors", neural(SCENARIO))
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path / "shipped")

    def attempt(*arguments: str, main: Callable[[], int] = isac_link.main) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["program", *arguments])
        try:
            status = isac_link_options.run_program(main)
        except SystemExit as stop:
            status = int(str(stop.code))
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return attempt


def measured(run: Run, *arguments: str, main: Callable[[], int] = isac_link.main) -> dict[str, Any]:
    """The JSON object of a run without warnings."""
    status, out, err = run(*arguments, "--json", main=main)
    assert (status, err) == (0, "")
    values: dict[str, Any] = json.loads(out)
    return values


BASELINE = {"encoder": "qam", "precoder": "baseline", "detector": "matched-filter", "demodulator": "ml"}
LEARNED = {**BASELINE, "precoder": "learned", "detector": "learned"}
NEURAL = dict.fromkeys(BASELINE, "neural")


@pytest.mark.parametrize(
    ("given", "kind", "chosen"),
    [
        ({}, None, BASELINE),
        ({"precoder": "learned"}, None, LEARNED),
        ({"precoder": "neural"}, None, NEURAL),
        ({"precoder": "learned", "detector": "matched-filter"}, None, {**BASELINE, "precoder": "learned"}),
        ({"detector": "learned"}, None, {**BASELINE, "detector": "learned"}),
        ({"encoder": "neural"}, None, {**BASELINE, "encoder": "neural", "demodulator": "neural"}),
        ({"precoder": "neural", "encoder": "qam"}, None, {**NEURAL, "encoder": "qam", "demodulator": "ml"}),
        ({"precoder": "my:Own"}, None, {**BASELINE, "precoder": "my:Own"}),
        ({}, "model-driven", LEARNED),
        ({}, "neural", NEURAL),
        ({"detector": "learned"}, "model-driven", {**BASELINE, "detector": "learned"}),
        ({"precoder": "baseline"}, "model-driven", BASELINE),
    ],
)
def test_one_choice_leads_to_the_others(
    given: dict[str, str], kind: str | None, chosen: dict[str, str]
) -> None:
    options = Namespace(**{**dict.fromkeys(BASELINE), **given})
    link_design.choose(options, kind)
    assert vars(options) == chosen


def test_a_link_that_learned_the_truth_counts_as_one_that_knows_it(run: Run) -> None:
    learned = measured(run, *SHORT, "--precoder", "learned", "--artifact", "a.safetensors", "--rho", "0.3")
    known = measured(run, *SHORT, "--known-array", "--estimator", "softmax", "--rho", "0.3")
    baseline = measured(run, *SHORT, "--estimator", "softmax", "--rho", "0.3")
    for key in (*RATES, "counters", "threshold", "theory"):
        assert learned[key] == known[key]
    assert learned["counters"] != baseline["counters"]
    assert (known["known_array"], baseline["known_array"], known["artifacts"]) == (True, False, [])
    assert {role: learned[role] for role in LEARNED} == LEARNED
    assert learned["estimator"] == "softmax"
    assert learned["artifacts"] == [
        {"name": "a.safetensors", "kind": "model-driven", "sha256": TRUTH.sha256},
    ]
    assert learned["p_md"] > learned["theory"]["p_md_genie"]
    assert learned["theory"]["rmse_bound_rad"] > 0


def test_the_evaluation_counts_what_the_link_counts(run: Run) -> None:
    found = measured(run, *SHORT, "--artifact", "a.safetensors")
    offline = evaluate(SCENARIO, method="learned", artifact=TRUTH, snapshots=20_000, theory=False).to_dict()
    for key in ("ser", "ber", "p_md", "p_fa", "threshold"):
        assert found[key] == offline[key]
    assert found["rmse_rad"] == pytest.approx(offline["rmse_rad"], rel=1e-9)


def test_the_shipped_artifact_is_the_default(run: Run) -> None:
    status, _, err = run(*SHORT, "--precoder", "learned")
    assert (status, err.count("\n")) == (2, 1)
    assert "no shipped model-driven artifact fits 16 antennas and grid_size 156" in err
    save("shipped/model-driven-small.safetensors", TRUTH)
    for more in ([], ["--artifact", "model-driven-small"]):
        found = measured(run, *SHORT, "--precoder", "learned", *more)
        assert [each["name"] for each in found["artifacts"]] == ["model-driven-small"]


def test_the_table_names_the_trained_model_and_warnings_are_lines(run: Run) -> None:
    status, out, err = run(*SHORT, "--artifact", "a.safetensors", "--impairment-seed", "2")
    assert status == 0
    assert f"Trained model: a.safetensors, sha256 {TRUTH.sha256[:12]}" in out
    assert err == (
        "warning: artifact a.safetensors was trained on other hardware: impairment_seed 1, not 2\n"
    ), "once, though precoder and detector use it"
    _, out, err = run(*SHORT, "--artifact", "a.safetensors", "--target-sector", "-20", "20", "--quiet")
    assert out == ""
    assert err.startswith("warning: ")
    assert err.count("\n") == 1


def test_networks_make_the_whole_link(run: Run) -> None:
    arguments = (*SHORT, "--artifact", "n.safetensors", "--rho", "1")
    found = measured(run, *arguments, "--record", "r.isac")
    assert {role: found[role] for role in NEURAL} == NEURAL
    assert [each["kind"] for each in found["artifacts"]] == ["neural"]
    assert found["theory"]["p_md_genie"] > 0
    assert (found["theory"]["ser"], found["theory"]["rmse_bound_rad"]) == (None, None)
    offline = evaluate(
        SCENARIO, method="neural", artifact=neural(SCENARIO), rho=1.0, snapshots=20_000, theory=False
    ).to_dict()
    for key in ("ser", "ber", "p_md", "p_fa", "threshold", "estimator"):
        assert found[key] == offline[key]
    # The recording says for which ρ the networks of the detector are.
    again = measured(run, "r.isac", "--artifact", "n.safetensors", main=isac_replay.main)
    assert (again["p_md"], again["p_fa"]) == (found["p_md"], found["p_fa"])
    status, _, err = run(*SHORT, "--artifact", "n.safetensors", "--rho", "0.5")
    assert (status, err.count("\n")) == (2, 1)
    assert "ω_r 0, 1" in err
    assert measured(run, *SHORT, "--artifact", "n.safetensors")["rho"] == 0.0  # as near to 0.5 as 1 is
    text = run(*arguments)[1]
    assert "genie" in text
    assert "bound:" not in text


def test_a_recording_of_any_rho_is_replayed_with_the_nearest_networks(run: Run) -> None:
    save("all.safetensors", neural(SCENARIO, omega=(0.0, 0.4, 1.0)))
    measured(run, *SHORT, "--record", "half.isac")
    measured(run, *SHORT, "--record", "exact.isac", "--rho", "0.4")
    save("shipped/neural.safetensors", neural(SCENARIO, omega=(0.0, 0.4, 1.0)))
    for arguments in (["--artifact", "all.safetensors"], ["--detector", "neural"]):
        found = {}
        for name, warning in (("half", "warning: recorded with rho 0.5: "), ("exact", "")):
            status, out, err = run(f"{name}.isac", *arguments, "--json", main=isac_replay.main)
            assert (status, err.count("\n")) == (0, 1 if warning else 0), err
            assert err.startswith(warning)
            assert ("those for ω_r 0.4" in err) == bool(warning)
            found[name] = json.loads(out)
        assert found["half"]["threshold"] == found["exact"]["threshold"], "the same presence network"
    status, out, err = run(
        "half.isac", "--artifact", "all.safetensors", "--estimator", "softmax", main=isac_replay.main
    )
    assert (status, out, err.count("\n")) == (2, "", 1), "what is refused is not warned of"


def test_processes_use_the_trained_model(run: Run) -> None:
    arguments = (*SHORT, "--artifact", "a.safetensors")
    threads, processes = (measured(run, *arguments, "--transport", way) for way in ("inproc", "ipc"))
    assert threads["counters"] == processes["counters"]


REFUSED: dict[str, tuple[str, str]] = {
    "another array size": ("--artifact a.safetensors --antennas 8", "give --antennas 16"),
    "another grid": ("--artifact a.safetensors --grid-size 157", "give --grid-size 156"),
    "another order": ("--artifact n.safetensors --order 16", "give --order 4"),
    "another kind": ("--precoder learned --artifact n.safetensors", "is neural: a model-driven one"),
    "no such name": ("--artifact model-driven-n1", "no artifact 'model-driven-n1'"),
    "no such file": ("--artifact missing.safetensors", "No such file"),
    "a damaged file": ("--artifact cut.safetensors", "cut off"),
    "no use for a model": ("--precoder baseline --artifact a.safetensors", "--artifact has no effect on"),
    "no use for the truth": ("--artifact a.safetensors --known-array", "--known-array has no effect on"),
    "phase of networks": ("--artifact n.safetensors --rho 1 --phi 1", "--phi has no effect on"),
    "estimator of networks": ("--artifact n.safetensors --rho 1 --estimator softmax", "estimator"),
    "estimator": ("--artifact a.safetensors --estimator mean", "argmax"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_one_line(run: Run, name: str) -> None:
    Path("cut.safetensors").write_bytes(Path("a.safetensors").read_bytes()[:-1])
    arguments, reason = REFUSED[name]
    status, out, err = run(*SHORT, *arguments.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
    assert reason in err


def test_a_recording_is_detected_again_with_a_trained_model(run: Run) -> None:
    recorded = measured(run, *SHORT, "--artifact", "a.safetensors", "--record", "r.isac")
    more: list[str]
    for more in ([], ["--detector", "learned"]):
        found = measured(run, "r.isac", "--artifact", "a.safetensors", *more, main=isac_replay.main)
        for key in ("p_md", "p_fa", "rmse_rad", "threshold", "estimator", "artifacts"):
            assert found[key] == recorded[key]
        assert found["detector"] == "learned"
    known = measured(run, "r.isac", "--known-array", "--estimator", "softmax", main=isac_replay.main)
    assert all(known["counters"][key] == recorded["counters"][key] for key in ("p_md", "p_fa", "rmse_rad"))
    assert (known["detector"], known["known_array"]) == ("matched-filter", True)
    for arguments, reason in (
        (["--detector", "matched-filter", "--artifact", "a.safetensors"], "--artifact has no effect"),
        (["--artifact", "a.safetensors", "--grid-size", "200"], "give --grid-size 156"),
        (["--artifact", "a.safetensors", "--known-array"], "--known-array has no effect"),
    ):
        status, out, err = run("r.isac", *arguments, main=isac_replay.main)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert reason in err
