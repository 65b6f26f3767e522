"""The radar receiver as a block: echoes of the bursts that were sent, in order, and no others."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from blocks import RadarReceiver
from isac_models.scenario import Scenario
from isac_models.waveform import radar
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.calibration_vectors import Calibration
from isac_models.waveform.sent import END, SentBurst
from tests.isac_models.waveform.array_scene import (
    HEAD,
    HEADER,
    ArrayScene,
    chain_errors,
    qpsk,
    random_leakage,
)
from tests.isac_models.waveform.scene import steering

FORM = BurstFormat()
SCENARIO = Scenario(noise_power=0.5)
SLOT, ANGLE, ECHO = 1280, np.radians(-30), 2.6
BEAM = steering(16, ANGLE).conj() / 4
Arrays = dict[str, np.ndarray]


def scene() -> ArrayScene:
    """Leakage 30 dB over the echo, receive chains with errors."""
    rng = np.random.default_rng(1)
    leakage = random_leakage(rng, BEAM, 16e3)
    return ArrayScene(FORM, BEAM, leakage, 0.3, 0.3 + ECHO, ANGLE, receive=chain_errors(rng, 16), cfo=2e-4)


def setting(count: int) -> tuple[Arrays, list[SentBurst]]:
    """Windows of bursts that were sent in slots 2, 3, …, and what is told of them; all carry number 5."""
    rng = np.random.default_rng(2)
    one = scene()
    bursts, windows = [], []
    for b in range(count):
        symbols = qpsk(rng, 256).astype(np.complex64)
        windows.append(one.window(rng, one.vectors(symbols), 1.0))
        bursts.append(SentBurst(5, (2 + b) * SLOT, np.zeros(256, np.uint8), symbols))
    given = {
        "window": np.stack(windows),
        "time": np.array([burst.time - HEAD + FORM.pulse.delay for burst in bursts]),
        "start": np.full(count, HEAD + 0.3),
        "cfo": np.full(count, 2e-4),
        "lost": np.zeros(count, np.int64),
        "slip": np.zeros(count, np.int64),
    }
    return given, bursts


def started(bursts: list[SentBurst], **options: Any) -> RadarReceiver:
    """The block, told what was sent."""
    calibration = Calibration(np.ones(16), scene().receive, 0.0, 0.0)  # type: ignore[arg-type]
    block = RadarReceiver(SCENARIO, FORM, scene().length, calibration, **options)
    block.start()
    for burst in bursts:
        block.deliver("sent", burst.to_dict())
    block.deliver("sent", END)
    return block


def test_every_snapshot_is_the_scenario_s_echo_with_the_time_at_which_it_was_sent() -> None:
    given, bursts = setting(8)
    block = started(bursts)
    out = block.work(**given)
    assert out["echo"].shape == (8 * 256, 16)
    assert out["echo"].dtype == np.complex64
    assert out["transmit_time"].tolist() == [burst.time for burst in bursts for _ in range(256)]
    a = steering(16, ANGLE)
    symbols = np.concatenate([burst.symbol for burst in bursts])
    # α = 1 over noise of power 1, in units of N0 = 0.5; every burst at a phase of its own chains: none here.
    expected = np.sqrt(0.5) * np.outer(symbols * (a @ BEAM), a)
    gain = np.vdot(expected, out["echo"]) / np.vdot(expected, expected)
    # Calibration gives the chains up to a common amplitude: the noise sets the scale.
    assert abs(gain) == pytest.approx(1, abs=0.03)
    assert np.mean(np.abs(out["echo"] - gain * expected) ** 2) == pytest.approx(0.5, rel=0.06)
    found = block.result()
    assert found["bursts"] == 8
    assert found["echo_delay_samples"] == pytest.approx(ECHO, abs=0.1)
    assert found["leakage_db"] == pytest.approx(10 * np.log10(16e3), abs=0.3)


def test_the_block_is_the_receiver_of_the_model_burst_after_burst() -> None:
    given, bursts = setting(3)
    out = started(bursts).work(**given)
    calibration = Calibration(np.ones(16), scene().receive, 0.0, 0.0)  # type: ignore[arg-type]
    plain = radar.RadarReceiver(FORM, calibration, noise_power=0.5)
    for b, burst in enumerate(bursts):
        one = plain.receive(given["window"][b], HEAD + 0.3, 2e-4, burst.symbol, HEADER)
        assert np.array_equal(out["echo"][256 * b : 256 * (b + 1)], one.echo)


@pytest.mark.parametrize("cuts", [[1], [2, 2, 3]])
def test_how_the_stream_is_cut_changes_nothing(cuts: list[int]) -> None:
    given, bursts = setting(4)
    whole, block = started(bursts).work(**given), started(bursts)
    parts = [block.work(**{k: v[a:b] for k, v in given.items()}) for a, b in pairwise([0, *cuts, 4])]
    for key, values in whole.items():
        assert np.array_equal(np.concatenate([part[key] for part in parts]), values), key


def test_windows_without_a_burst_and_bursts_with_losses_are_left_out_counted_and_not_learnt_from() -> None:
    given, bursts = setting(5)
    given["lost"][3] = 10
    given["window"][3] = 1e3
    told = [bursts[0], bursts[2], bursts[3], bursts[4]]  # nothing was sent in the second slot
    block = started(told)
    out = block.work(**given)
    assert out["transmit_time"][::256].tolist() == [bursts[b].time for b in (0, 2, 4)]
    found = block.result()
    assert (found["bursts"], found["empty_windows"], found["bursts_left_out"]) == (3, 1, 1)
    assert found["snapshots_lost"] == 256
    keep = [0, 2, 4]
    alone = started(told).work(**{key: values[keep] for key, values in given.items()})
    assert np.array_equal(out["echo"], alone["echo"])


def test_a_burst_that_was_not_sent_after_all_is_left_out() -> None:
    given, bursts = setting(3)
    block = started(bursts)
    block.deliver("unsent", {"time": bursts[1].time})
    out = block.work(**given)
    assert out["transmit_time"][::256].tolist() == [bursts[0].time, bursts[2].time]
    assert block.result()["empty_windows"] == 1


def test_behind_a_slip_the_leakage_says_which_burst_it_is() -> None:
    given, bursts = setting(4)
    # All windows carry number 5 in their header: only one burst of that number is told of.
    told = [replace(burst, number=number) for number, burst in enumerate(bursts, start=3)]
    given["time"][2:] -= 1920
    given["slip"][2] = 640
    block = started(told)
    out = block.work(**given)
    assert out["transmit_time"][::256].tolist() == [burst.time for burst in bursts]


def test_without_removal_the_leakage_drowns_the_echo() -> None:
    given, bursts = setting(3)
    block = started(bursts, leakage_removal=False)
    out = block.work(**given)
    assert np.mean(np.abs(out["echo"]) ** 2) > 100 * 0.5
    assert block.result()["leakage_db"] == -np.inf


def test_a_second_run_knows_nothing_of_the_first() -> None:
    given, bursts = setting(2)
    block = started(bursts)
    first = block.work(**given)
    block.start()
    assert len(block.work(**given)["echo"]) == 0
    again = started(bursts).work(**given)
    assert np.array_equal(first["echo"], again["echo"])


def test_no_bursts_give_nothing() -> None:
    given, _ = setting(1)
    out = started([]).work(**{key: values[:0] for key, values in given.items()})
    assert out["echo"].shape == (0, 16)
    assert out["transmit_time"].shape == (0,)


def test_what_was_sent_while_no_burst_was_found_is_taken() -> None:
    block = started(setting(2)[1])
    block.listen()
    assert block.messages("sent") == []


def test_before_a_run_there_is_nothing_to_report() -> None:
    assert RadarReceiver(SCENARIO, FORM, 1319).result() == {}
