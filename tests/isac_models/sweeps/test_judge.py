"""Claims judged again on files, a later folder's curves in the place of an earlier one's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isac_models.scenario import Scenario
from isac_models.sweeps.judge import main
from isac_models.sweeps.points import Point
from isac_models.sweeps.studies import RHOS, study
from isac_models.sweeps.tables import as_json, rows
from tests.isac_models.sweeps.measured import Cards, Rates, alike, learned_card, neural_card, results_of

SMALL = (learned_card(500), learned_card(156))
CLAIM = "This indicates that in cases where complexity is limited"


def write(folder: Path, *cards: Any, worse: float = 1.0) -> None:
    """Fig. 4 on one hardware, where networks are so many times worse than all others, which are alike."""

    def truth(name: str, point: Point) -> Rates:
        factor = worse if name.startswith("neural") else 1.0
        return {key: value * factor for key, value in alike(name, point).items()}

    folder.mkdir()
    made = study("fig4", Scenario.preset("impaired"), Cards(*SMALL, *cards), 1_200_000)
    (folder / "fig4.json").write_bytes(
        as_json({"figure": "fig4", "order": 1}, rows(made, results_of(made, truth)))
    )


def verdict(folder: Path) -> str:
    """What is said of networks against the learned A at limited complexity."""
    judged = json.loads((folder / "claims.json").read_text())["rows"]
    return str(next(row["verdict"] for row in judged if row["sentence"].startswith(CLAIM)))


def test_a_later_folder_adds_its_curves_and_takes_the_place_of_the_same_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, three, out = (tmp_path / name for name in ("one", "two", "three", "out"))
    out.mkdir()
    write(one)
    write(two, neural_card(21, RHOS), worse=1.5)
    write(three, neural_card(21, RHOS))
    for folders, expected in (
        ((one,), "not tested"),
        ((one, two), "holds"),
        ((one, two, three), "does not hold"),
    ):
        assert main([*map(str, folders), "--out", str(out)]) == 0
        assert verdict(out).replace("undecided", "does not hold") == expected
    assert "networks, N=21" in (out / "claims.md").read_text()
    assert capsys.readouterr().out.split() == [str(out / name) for name in ("claims.md", "claims.json")] * 3


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"rows": [{}]}', '{"rows": 3}'])
def test_what_is_no_figure_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    if content is not None:
        (tmp_path / "fig4.json").write_text(content)
    assert main([str(tmp_path), "--out", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "claims.md").exists()
