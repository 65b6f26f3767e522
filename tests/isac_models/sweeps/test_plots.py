"""What the pictures show: every curve with its intervals, the references, and what is missing."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from isac_models.scenario import Scenario
from isac_models.sweeps import plots
from isac_models.sweeps.studies import FIGURES, RHOS, Study, study
from isac_models.sweeps.tables import Row, rows
from tests.isac_models.sweeps.measured import Cards, alike, learned_card, neural_card, results_of

IMPAIRED = Scenario.preset("impaired")
CARDS = Cards(learned_card(500), learned_card(156), neural_card(1024, RHOS), neural_card(21, RHOS))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures as they were before they became bytes."""
    kept: list[Figure] = []
    compact = plots.compact

    def keep(figure: Figure) -> bytes:
        kept.append(figure)
        return compact(figure)

    monkeypatch.setattr(plots, "compact", keep)
    return kept


def made(name: str, cards: Cards = CARDS) -> tuple[Study, list[Row]]:
    one = study(name, IMPAIRED, cards, 1_200_000)
    return one, rows(one, results_of(one, alike))


def labels(panel: Axes) -> list[str]:
    return panel.get_legend_handles_labels()[1]


def texts(figure: Figure) -> str:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    suptitle = figure.get_suptitle()
    return "\n".join([suptitle, *found, *(text.get_text() for text in figure.texts)])


@pytest.mark.parametrize("name", [name for names in FIGURES.values() for name in names])
def test_a_picture_is_a_small_png(name: str) -> None:
    data = plots.picture(*made(name), stamp="quick: not the real thing")
    assert len(data) < 200_000
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_the_panels_are_ser_over_p_md_and_over_the_rmse(drawn: list[Figure]) -> None:
    plots.picture(*made("fig4"))
    left, right = drawn[0].axes[:2]
    for panel in (left, right):
        shown = [label for label in labels(panel) if "P_fa" in label]
        assert [label.partition(" (P_fa")[0] for label in shown] == [
            *("baseline, N=500", "known array, N=500", "best beam, known array", "learned A, N=500"),
            *("learned A, N=156", "networks, N=1024", "networks, N=21"),
        ]
        assert all("P_fa 1.00 %" in label for label in shown)
        assert (panel.get_xscale(), panel.get_yscale()) == ("log", "log")
    assert "P_md" in left.get_xlabel()
    assert "RMSE" in right.get_xlabel()
    assert "SER" in left.get_ylabel()
    assert any("genie" in label for label in labels(left))
    assert any("bound" in label for label in labels(right))
    assert any("closed form" in label for label in labels(left))


def test_the_curves_are_the_measured_values_with_their_intervals(drawn: list[Figure]) -> None:
    one, of = made("fig4")
    plots.picture(one, of)
    panel = drawn[0].axes[0]
    container: Any = next(c for c in panel.containers if "learned A, N=500" in str(c.get_label()))
    own = [row for row in of if row["name"] == "learned-500"]
    line, _, bars = container
    assert line.get_xdata() == pytest.approx([row["p_md"] for row in own])
    assert line.get_ydata() == pytest.approx([row["ser"] for row in own])
    horizontal = np.array([segment[:, 0] for segment in bars[0].get_segments()])
    assert horizontal == pytest.approx(np.array([(row["p_md_low"], row["p_md_high"]) for row in own]))


def test_what_is_missing_stands_on_the_picture_and_so_does_the_stamp(drawn: list[Figure]) -> None:
    plots.picture(*made("fig4", Cards(learned_card(500))), stamp="quick: not the real thing")
    said = texts(drawn[0]).replace("\n", " ")
    assert "not shown: learned A, N=156: python -m isac_models.train model-driven" in said
    assert "not shown: networks, N=21" in said
    assert "quick: not the real thing" in said
    assert "1,200,000 snapshots a point" in said
    assert "spacing impairment of both directions, hardware seed 1" in said


def test_without_impairment_the_known_array_is_the_baseline(
    drawn: list[Figure],
) -> None:
    plots.picture(*made("fig3"))
    assert "known array: the same as the baseline" in texts(drawn[0])


def test_values_that_are_not_there_are_left_out(drawn: list[Figure]) -> None:
    one, of = made("fig4")
    for row in of:
        if row["rho"] == 0:
            row |= {"rmse_rad": None, "rmse_rad_low": 0.0, "rmse_rad_high": None, "ser": 0.0}
    plots.picture(one, of)
    line = drawn[0].axes[1].containers[0][0]
    assert len(line.get_xdata()) == 12
