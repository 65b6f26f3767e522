"""What goes wrong is named, nothing hangs, the link finds its bursts again and says what it lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sigmf

from blocks import RadioPlayer
from blocks.runtime import FlowgraphError
from hil_radio import Bench
from tests.hil.loop import Outcome, run
from tests.hil.test_link import need

pytestmark = pytest.mark.hil


def sent(graph: Any) -> int:
    """Bursts that have left so far."""
    return int(graph.report().results.get("radio_transmit", {}).get("bursts", 0))


def when_running(do: Callable[[Bench], None], after: int = 60) -> Callable[[Bench, Any], None]:
    """`do` once so many bursts have been sent."""

    def during(bench: Bench, graph: Any) -> None:
        import threading

        tick = threading.Event()
        while sent(graph) < after and graph.report().seconds < 60:
            tick.wait(0.02)
        do(bench)

    return during


def with_fault(radio: str, kind: str, bursts: int = 400, **details: Any) -> Outcome:
    """A run in which the front end is told to misbehave once."""
    return run(
        *("--radio", radio, "--bursts", str(bursts), "--front-end-seed", "4"),
        during=when_running(lambda bench: bench.lab.ask("inject", kind=kind, **details)),
    )


def still_good(outcome: Outcome, least: int) -> None:
    """Most bursts were received, and those are as good as ever."""
    assert outcome.detected.shape[0] >= least
    assert outcome.rates["p_fa"] < 0.02
    assert outcome.rates["ser"] < 0.1


def test_an_overflow_is_reported_and_its_samples_counted() -> None:
    need("soapy")
    outcome = with_fault("soapy", "overflow", samples=3000)
    received = outcome.result("radio_receive")
    assert received["events"]["overflow"] >= 1
    assert received["lost_samples"] == 3000
    assert received["gaps"] == 1
    assert outcome.result("radar_synchroniser")["lost_samples"] == 3000
    windows = outcome.result("radar_synchroniser")["bursts_hit_by_losses"]
    assert 3 <= windows <= 4
    # Time has jumped: bursts that were to leave meanwhile may be late, and were then never in those windows.
    late = received["events"].get("late", 0)
    hit = outcome.result("radar_receiver")["bursts_left_out"]
    assert windows - late <= hit <= windows
    assert outcome.result("radar_receiver")["snapshots_lost"] == 256 * hit
    still_good(outcome, 390)


def test_dropped_packets_are_a_gap_by_their_timestamps() -> None:
    need("soapy")
    outcome = with_fault("soapy", "drop", samples=1500)
    received = outcome.result("radio_receive")
    assert received["lost_samples"] == 1500
    assert sum(received["events"].get(kind, 0) for kind in ("sequence_gap", "overflow")) >= 1
    still_good(outcome, 390)


@pytest.mark.parametrize("radio", ["zmq", "soapy", "iio"])
def test_a_front_end_that_is_started_again_is_found_again_and_its_calibration_does_not_hold(
    radio: str,
) -> None:
    need(radio)
    order = when_running(lambda bench: bench.lab.ask("inject", kind="restart"))
    told: list[bool] = []

    def during(bench: Bench, graph: Any) -> None:
        told.append(bench.stale())
        order(bench, graph)
        graph.wait()
        told.append(bench.stale())

    outcome = run("--radio", radio, "--bursts", "400", "--front-end-seed", "4", during=during)
    assert told == [False, True]
    assert outcome.result("radio_receive")["events"]["sequence_gap"] >= 1
    assert outcome.detected.shape[0] >= 290  # what was queued is lost: up to 1 << 17 samples, 102 bursts
    assert outcome.rates["ser"] < 0.1


def test_late_bursts_are_reported_and_not_counted_as_errors() -> None:
    need("soapy")
    outcome = with_fault("soapy", "late", count=3)
    assert outcome.result("radio_receive")["events"]["late"] >= 1
    still_good(outcome, 390)
    assert outcome.rates["ser"] < 0.03


def test_samples_lost_without_a_word_are_found_by_the_burst_clock() -> None:
    # The protocol has no timestamps: the front end shifts everything by 700 samples, and says nothing.
    outcome = with_fault("zmq", "drop", samples=700)
    received = outcome.result("radio_receive")
    assert received["lost_samples"] == 0
    for name in ("radar_synchroniser", "user_synchroniser"):
        found = outcome.result(name)
        assert found["slips"] == 1, name
        assert found["slipped_samples"] == 1280 - 700
    still_good(outcome, 380)


@pytest.mark.parametrize("radio", ["zmq", "soapy", "iio"])
def test_a_stall_of_200_milliseconds_loses_nothing_in_virtual_time(radio: str) -> None:
    need(radio)
    outcome = with_fault(radio, "stall", bursts=200, seconds=0.2)
    assert outcome.result("radio_receive")["lost_samples"] == 0
    assert outcome.detected.shape[0] >= 199
    still_good(outcome, 199)


@pytest.mark.parametrize("radio", ["zmq", "soapy", "iio"])
def test_a_killed_front_end_is_named_and_nothing_hangs(radio: str, tmp_path: Path) -> None:
    need(radio)
    out = tmp_path / "out"
    payload = tmp_path / "payload"
    payload.write_bytes(np.random.default_rng(1).bytes(60_000))
    with pytest.raises(FlowgraphError, match="radio_") as caught:
        run(
            *("--radio", radio, "--file", str(payload), "--out", str(out)),
            *("--record-samples", str(tmp_path / "air.sigmf-meta")),
            during=when_running(lambda bench: os.kill(bench.lab.pid, signal.SIGKILL)),
        )
    assert not out.exists()
    assert caught.value.report is not None
    counted = caught.value.report.results["radio_receive"]
    assert counted["samples"] > 20 * 1280
    recording = sigmf.fromfile(str(tmp_path / "air.sigmf-meta"))  # what was received before is kept
    recording.validate()
    assert recording.read_samples().shape[0] > 20 * 1280
    again = RadioPlayer(str(tmp_path / "air.sigmf-meta")).result()  # and can be received again
    assert again["bursts"] > 20
    assert again["complete"] is False


@pytest.mark.parametrize("kind", ["nan", "garbage", "half"])
def test_a_front_end_that_sends_rubbish_is_refused_in_one_line(kind: str) -> None:
    with pytest.raises(FlowgraphError) as caught:
        with_fault("zmq", kind)
    message = str(caught.value)
    assert "\n" not in message
    assert "receive channel" in message
    assert caught.value.report is not None
    assert caught.value.report.results["communication_metrics"]["counters"]["ser"]["trials"] > 0
