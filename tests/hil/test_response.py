"""The sensing response through the front end, against the target that it says was there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blocks import SensingResponse
from blocks.runtime import Count, Signal
from hil_radio import Bench
from isac_models.array import hardware
from tests.hil.loop import Collect, run

pytestmark = pytest.mark.hil


def test_the_response_is_that_of_the_target_although_the_pilots_leak_forty_decibels_louder() -> None:
    sensed = Collect("responses", response=Signal(16, 16), transmit_time=Count())

    def extend(bench: Bench, graph: Any, scenario: Any) -> None:
        echoes, radar = graph.blocks["radar_receiver"], graph.blocks["radar_synchroniser"]
        response = SensingResponse(scenario, bench.layout, radar.width, echoes.calibration)
        graph.connect(radar, response, sensed)
        graph.message(graph.blocks["radio_transmit"], "sent", response)
        graph.message(graph.blocks["radio_receive"], "unsent", response)

    options = ("--front-end=--leakage-db=40", "--front-end-seed", "5")
    outcome = run("--radio", "zmq", "--bursts", "300", *options, extend=extend)
    truth, found = outcome.truth, sensed["response"]
    assert np.array_equal(sensed["transmit_time"], outcome.sent_at)
    assert len(found) == outcome.result("sensing_response")["bursts"] > 280
    array = hardware(outcome.scenario)
    arrive, leave = (one.steering(truth.angle.astype(np.float64)) for one in (array.receive, array.transmit))
    expected = truth.gain[:, None, None] * arrive[:, :, None] * leave[:, None, :]
    learnt = np.arange(len(found)) > 100
    strong = learnt & truth.present & (np.abs(truth.gain) > np.sqrt(outcome.scenario.noise_power))
    fits = np.einsum("brk,brk->b", expected.conj(), found) / np.sum(np.abs(expected) ** 2, axis=(1, 2))
    # One common factor: the chains' calibration leaves one number, and the power of the equaliser.
    common = np.median(np.abs(fits[strong]))
    assert 0.6 < common < 1.4
    assert np.abs(np.abs(fits[strong]) / common - 1).max() < 5 / 16 / np.sqrt(2)
    left = found - fits[:, None, None] * expected
    noise = np.mean(np.abs(left[learnt & truth.present]) ** 2) / outcome.scenario.noise_power
    assert noise == pytest.approx(1, abs=0.2)
    # Without a target there is nothing but noise.
    silent = np.mean(np.abs(found[learnt & ~truth.present]) ** 2) / outcome.scenario.noise_power
    assert silent == pytest.approx(1, abs=0.2)
