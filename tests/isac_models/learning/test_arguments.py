"""The options say what they do: their help states the defaults that the tasks really have."""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from isac_models.learning import session
from isac_models.learning.arguments import Unset, given, parse, weight

ROOT = Path(__file__).resolve().parents[3]


def help_of(kind: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The help, each option on one line."""
    with pytest.raises(SystemExit):
        parse([kind, "--help"])
    return " ".join(capsys.readouterr().out.split())


def test_nothing_is_given_unless_it_is_asked_for() -> None:
    options = parse(["model-driven", "--out", "a"])
    assert given(options) == {}
    assert isinstance(options.scenario, Unset)
    assert options.scenario == "impaired"
    assert not isinstance(parse(["neural", "--out", "a", "--scenario", "impaired"]).scenario, Unset)


def test_settings_of_the_learned_dictionary() -> None:
    text = (
        "model-driven --out a --iterations 1e3 --batch 5 --seed 0 --device cpu --threads 3 --recipe joint "
        "--lr 5e-3 --initial-variance 0 --from-recording x y"
    )
    assert given(parse(text.split())) == {
        "iterations": 1000,
        "batch": 5,
        "seed": 0,
        "device": "cpu",
        "threads": 3,
        "recipe": "joint",
        "learning_rate": 5e-3,
        "initial_variance": 0.0,
        "from_recording": ["x", "y"],
    }


def test_settings_of_the_networks() -> None:
    text = (
        "neural --out a --hidden 1024 --omega 0 1e-6 1 --literal-loss --mask present --no-scale-inputs "
        "--flat 0.01 --sector-mean -60 -4e1 --sector-span 1 2 --patience 5000 --check-every 50 --engine torch"
        " --angle-unit rad --precision bfloat16"
    )
    assert given(parse(text.split())) == {
        "hidden": 1024,
        "omega": [0.0, 1e-6, 1.0],
        "literal_loss": True,
        "mask": "present",
        "scale_inputs": False,
        "sector_mean_deg": [-60.0, -40.0],
        "sector_span_deg": [1.0, 2.0],
        "patience": 5000,
        "flat": 0.01,
        "check_every": 50,
        "engine": "torch",
        "angle_unit": "rad",
        "precision": "bfloat16",
    }
    assert parse(["neural", "--out", "a", "--omega", "all"]).omega == "all"


def test_patience_of_the_dictionary_is_the_loop_s() -> None:
    options = parse(["model-driven", "--out", "a", "--patience", "5"])
    assert (given(options), options.patience) == ({}, 5)


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "some", ""])
def test_what_is_no_weight_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        weight(text)


@pytest.mark.parametrize("kind", ["model-driven", "neural"])
def test_every_setting_has_an_option_and_its_help_the_true_default(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    defaults: dict[str, Any] = session.task_class(kind).complete({})
    named = parse([kind, "--out", "a"]).named
    assert named.keys() == defaults.keys() - {"recording_sha256"}  # which follows from the files
    text = help_of(kind, capsys)
    said = {"device": "auto", "threads": "one for each processor"}  # what the program asks the task for
    for key, option in named.items():
        value = defaults[key]
        if key in ("from_recording", "patience", "omega"):
            assert value is None or key == "omega"
            continue
        words = re.search(rf" {option}[ ,](?:(?! --(?!no-)).)*?\(default: ([^)]*)\)", text)
        assert words, option
        stated = re.split("[,;]", words[1])[0]
        if key in said:
            assert stated == said[key]
        elif isinstance(value, bool):
            assert stated == ("yes" if value else "no")
        elif isinstance(value, list):
            assert [float(each) for each in stated.split()] == value
        elif isinstance(value, float) and stated != "the recipe's":
            assert float(stated) == value
        elif not isinstance(value, float):
            assert stated == str(value)


def test_all_weights_are_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module("isac_models.learning.neural_settings")
    assert session.task_class("neural").complete({})["omega"] == list(module.OMEGAS)
    assert len(module.OMEGAS) == 13
    assert "all: the paper's 13 (default: all)" in help_of("neural", capsys)


def test_every_recipe_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    recipes = importlib.import_module("isac_models.learning.model_driven").RECIPES
    words = re.search(r"--recipe NAME (paper: .*?\(default)", help_of("model-driven", capsys))
    assert words
    assert re.findall(r"(\w+):", words[1]) == list(recipes)


def test_the_page_on_training_names_every_option_and_no_other() -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    named = {
        option for kind in ("model-driven", "neural") for option in parse([kind, "--out", "a"]).named.values()
    }
    run = {"--out", "--resume", "--held-out-every", "--patience", "--checkpoint-every", "--quiet"}
    others = {"--help", "--logdir", "--nproc-per-node", "--nnodes", "--rdzv-endpoint"}  # of other programs
    others |= {"--scenario", "--grid-size", "--impairment-seed", "--snapshots", "--record"}
    others |= {"--precoder", "--artifact", "--no-scale-inputs", "--rho", "--detector"}
    found = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page))
    assert named | run <= found
    assert found <= named | run | others
