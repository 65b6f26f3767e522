"""The errors of a user are one family."""

from __future__ import annotations

from isac_models.errors import ScenarioError, UserError


def test_programs_need_to_catch_one_class_only() -> None:
    assert issubclass(ScenarioError, UserError)
    assert issubclass(UserError, ValueError)
