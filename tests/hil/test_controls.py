"""Negative controls: each correction left out makes its figure at least threefold worse."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.hil.loop import run

pytestmark = pytest.mark.hil

CONTROLS = {
    # what is left out: the rate that it is for, and what the front end does then
    "calibration": ("p_md", ()),
    "cfo": ("ser", ("--front-end=--cfo=0.003",)),
    # The drift begins at tick 0, calibration comes first: the offset is near 0 when the link begins.
    "pilots": ("ser", ("--front-end=--cfo=-0.02", "--front-end=--cfo-drift=3e-7")),
    "leakage": ("p_fa", ()),
}


@pytest.mark.parametrize("without", CONTROLS)
def test_without_a_correction_the_link_is_three_times_worse(
    without: str, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    rate, options = CONTROLS[without]
    common = ("--radio", "zmq", "--bursts", "120", "--front-end-seed", "6", *options)
    good = run(*common).rates[rate]
    bad = run(*common, "--without", without).rates[rate]
    with capsys.disabled():
        print(f"\n{rate} with {without} {good:.4f}, without {bad:.4f}", end=" ")
    record_property(f"{rate} with", good)
    record_property(f"{rate} without", bad)
    assert bad > max(3 * good, 0.02)
