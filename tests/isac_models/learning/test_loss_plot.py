"""The picture of a training shows the losses that the description keeps, and nothing else."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from isac_models.artifact import Artifact, main, save
from isac_models.errors import UserError
from isac_models.learning import loss_plot
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import TRAINING, model_driven, neural

SCENARIO = Scenario.preset("limited")
LOSSES = [[0, 1.0], [500, 0.5], [1000, 0.25], [1500, 0.75], [2000, 0.125]]


def curves(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What is drawn in each panel: (points, 2)."""
    kept: list[Any] = []

    def keep(figure: Any) -> bytes:
        kept.append(figure)
        return b""

    monkeypatch.setattr(loss_plot, "compact", keep)
    loss_plot.loss_curve(artifact)
    return [np.stack(panel.lines[0].get_data(), axis=1) for panel in kept[0].axes]


def test_a_learned_matrix_has_one_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = model_driven(SCENARIO, training={**TRAINING, "held_out_losses": LOSSES})
    (drawn,) = curves(artifact, monkeypatch)
    np.testing.assert_array_equal(drawn, LOSSES)


def test_networks_have_one_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    training = {**TRAINING, "iterations": 1000, "held_out_losses": LOSSES}
    first, second = curves(replace(neural(SCENARIO), training=training), monkeypatch)
    np.testing.assert_array_equal(first, LOSSES[:3])
    np.testing.assert_array_equal(second, LOSSES[3:])


@pytest.mark.parametrize("losses", [None, [], 3, [[0]], [[0, "x"]], [[0, -1.0]], [[0, float("nan")]]])
def test_a_description_without_losses_is_refused(losses: Any) -> None:
    artifact = model_driven(SCENARIO, training={**TRAINING, "held_out_losses": losses})
    with pytest.raises(UserError, match="keeps no held-out losses"):
        loss_plot.loss_curve(artifact)


def test_without_matplotlib_show_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, picture = tmp_path / "a.safetensors", tmp_path / "loss.png"
    save(path, model_driven(SCENARIO, training={**TRAINING, "held_out_losses": LOSSES}))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["show", str(path), "--plot", str(picture)]) == 2
    assert capsys.readouterr() == ("", "error: --plot needs matplotlib: pip install 'isac-blocks[plot]'\n")
    assert main(["show", str(path)]) == 0
    assert not picture.exists()


def test_show_writes_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, picture = tmp_path / "a.safetensors", tmp_path / "loss.png"
    save(path, model_driven(SCENARIO, training={**TRAINING, "held_out_losses": LOSSES}))
    assert main(["show", str(path), "--plot", str(picture)]) == 0
    with Image.open(picture) as image:
        assert image.format == "PNG"
    capsys.readouterr()
    for target, words in (("loss.pdf", "name it FILE.png"), ("none/loss.png", "cannot write")):
        assert main(["show", str(path), "--plot", str(tmp_path / target)]) == 2
        printed = capsys.readouterr()
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1
        assert words in printed.err
