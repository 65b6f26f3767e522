"""The small parts of the front end: queues, converters, faults, delays, draws."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hil.frontend.chain import convert
from tests.hil.frontend.delays import BAND, FixedDelay, fractional_taps
from tests.hil.frontend.faults import FaultError, FaultQueue, check, spoil
from tests.hil.frontend.fifo import SampleQueue
from tests.hil.frontend.scene import Scene
from tests.hil.frontend.settings import ScenarioValues, Settings, SettingsError
from tests.hil.frontend.unknowns import draw


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=30))
def test_a_queue_gives_samples_in_the_order_they_came(steps: list[tuple[bool, int]]) -> None:
    queue, sent, got = SampleQueue(), 0, 0
    for push, n in steps:
        if push:
            queue.push(np.arange(sent, sent + n).astype(np.complex64))
            sent += n
        else:
            piece = queue.pull(n)
            queue.push_back(piece)
            np.testing.assert_array_equal(queue.pull(n).real, np.arange(got, got + piece.size))
            got += piece.size
    assert queue.size == sent - got
    queue.clear()
    assert queue.pull(5).size == 0


def test_three_bits_have_eight_codes() -> None:
    values = np.array([-2, -1, -0.9, -0.13, -0.12, 0.12, 0.13, 0.75, 0.87, 2], np.float32)
    assert convert(values, 3) == 2
    np.testing.assert_array_equal(values, [-1, -1, -1, -0.25, 0, 0, 0.25, 0.75, 0.75, 0.75])


def test_without_bits_nothing_is_rounded_or_clipped() -> None:
    values = np.array([-2, 0.123], np.float32)
    assert convert(values, 0) == 0
    np.testing.assert_array_equal(values, np.array([-2, 0.123], np.float32))


def test_faults_are_checked_and_handed_over_once() -> None:
    queue = FaultQueue()
    queue.put(check("stall", {"seconds": 0.5}))
    assert [(fault.kind, fault.seconds) for fault in queue.take()] == [("stall", 0.5)]
    assert queue.take() == []
    for details in ({"seconds": float("nan")}, {"seconds": "1"}, {"samples": True}, {"unknown": 1}):
        with pytest.raises(FaultError):
            check("drop", details)


def test_spoiled_replies_are_what_they_say() -> None:
    samples = np.ones(4, np.complex64)
    assert len(spoil(check("half", {}), samples)) == 35
    assert np.isnan(np.frombuffer(spoil(check("nan", {}), samples), np.complex64)).sum() == 1
    assert len(spoil(check("garbage", {"size": 10}), samples)) == 10


@pytest.mark.parametrize(("ahead", "worst_db"), [(4, -80), (5, -90), (8, -105), (16, -115)])
def test_fractional_taps_serve_the_whole_band(ahead: int, worst_db: float) -> None:
    f = np.linspace(-BAND, BAND, 1001)[:, None]
    for fraction in (0.0, 0.02, 0.3, 0.5, 0.77, 0.99):
        taps = fractional_taps(fraction, ahead)
        response = np.exp(2j * np.pi * f * (ahead - np.arange(taps.size))) @ taps
        error = np.abs(response - np.exp(2j * np.pi * f[:, 0] * fraction)).max()
        assert 20 * np.log10(error + 1e-12) < worst_db


@pytest.mark.parametrize("delay", [4.0, 7.0, 17.0, 100.0])
def test_whole_delays_are_exact(delay: float) -> None:
    x = np.random.default_rng(0).normal(size=(3, 500)).astype(np.float32)
    late = FixedDelay(3, delay)
    parts = [late(x[:, a:b]) for a, b in pairwise([0, 1, 33, 400, 500])]
    shift = int(delay)
    expected = np.pad(x, ((0, 0), (shift, 0)))[:, :500]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected)


def test_a_delay_into_the_future_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        FixedDelay(1, 3.5)


def test_what_is_given_is_not_drawn() -> None:
    given_values: dict[str, Any] = {
        "cfo": 0.001, "cfo_drift": 1e-10, "radar_cfo": 0.0, "clock_ppm": 3.0, "leakage_delay": 8.5,
        "ue_delay": 12.5, "leakage_db": 33.0,
    }  # fmt: skip
    drawn = draw(Settings(seed=9, echo_after=1.5, **given_values))
    for name, value in given_values.items():
        assert getattr(drawn, name) == value
    assert drawn.echo_delay == 10.0


def test_giving_one_unknown_leaves_the_others_as_they_were() -> None:
    one, other = draw(Settings(seed=9)), draw(Settings(seed=9, cfo=0.0))
    assert other.ue_delay == one.ue_delay
    np.testing.assert_array_equal(other.tx_errors, one.tx_errors)
    assert draw(Settings(seed=10)).ue_delay != one.ue_delay


def test_every_seed_is_within_the_promised_ranges() -> None:
    for seed in range(200):
        drawn = draw(Settings(seed=seed))
        assert abs(drawn.cfo) <= 0.004
        assert abs(drawn.clock_ppm) <= 10
        assert 4 <= drawn.leakage_delay <= 20
        assert 1 <= drawn.echo_delay - drawn.leakage_delay <= 6
        assert 5 <= drawn.ue_delay <= 30
        assert np.abs(20 * np.log10(np.abs(drawn.tx_errors))).max() <= 1.5 + 1e-9
        assert np.linalg.matrix_rank(drawn.leakage) == 16
        ratio = np.mean(np.abs(drawn.leakage) ** 2)
        assert 10 * np.log10(ratio) == pytest.approx(drawn.leakage_db)


def test_the_scene_has_the_distributions_of_the_scenario() -> None:
    scenario = ScenarioValues(radar_gain=2.0, comm_gain=50.0)
    blocks = Scene(Settings(scenario)).blocks(0, 20_000)
    n = blocks.size
    assert abs(blocks["present"].mean() - 0.5) < 5 * 0.5 / np.sqrt(n)
    for angle, (low, high) in (("theta", scenario.target_sector), ("vartheta", scenario.comm_sector)):
        assert low <= blocks[angle].min() <= blocks[angle].max() <= high
        spread = (high - low) / np.sqrt(12)
        assert abs(blocks[angle].mean() - (low + high) / 2) < 5 * spread / np.sqrt(n)
    for gain, power in (("alpha", 2.0), ("beta", 50.0)):
        values = blocks[gain]
        assert abs(np.mean(np.abs(values) ** 2) / power - 1) < 5 / np.sqrt(n)  # exponential: std = mean
        assert abs(np.mean(np.abs(values) ** 4) / power**2 - 2) < 5 * np.sqrt(20 / n)  # E x⁴ - (E x²)² = 20
        assert abs(values.mean()) < 5 * np.sqrt(power / n)


def test_a_block_is_the_same_however_it_is_asked_for() -> None:
    scene = Scene(Settings(seed=2))
    many = scene.blocks(200, 200)
    assert scene.blocks(300, 1)[0] == many[100]
    assert Scene(Settings(seed=2)).blocks(300, 1)[0] == many[100]
    assert Scene(Settings(seed=2), session=1).blocks(300, 1)[0] != many[100]
    assert scene.truth(0, 0) == []


def test_a_scene_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SettingsError, match="scenario or calibration"):
        Scene(Settings()).switch("moon", 0)
