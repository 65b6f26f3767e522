"""The sensing response as a block: one matrix a burst that was sent, in order, as the model gives it."""

from __future__ import annotations

from typing import Any

import numpy as np

from blocks import SensingResponse
from isac_models.waveform import radar
from isac_models.waveform.calibration_vectors import Calibration
from isac_models.waveform.sent import END, SentBurst
from tests.blocks.test_radar_receiver import FORM, SCENARIO, scene, setting
from tests.isac_models.waveform.array_scene import HEAD, HEADER


def started(bursts: list[SentBurst]) -> SensingResponse:
    """The block, told what was sent."""
    calibration = Calibration(np.ones(16), scene().receive, 0.0, 0.0)  # type: ignore[arg-type]
    block = SensingResponse(SCENARIO, FORM, scene().length, calibration)
    block.start()
    for burst in bursts:
        block.deliver("sent", burst.to_dict())
    block.deliver("sent", END)
    return block


def test_every_burst_gives_the_response_of_the_model_with_the_time_at_which_it_was_sent() -> None:
    given, bursts = setting(4)
    block = started(bursts)
    parts = [
        block.work(**{key: values[cut] for key, values in given.items()}) for cut in (np.s_[:1], np.s_[1:])
    ]
    out: dict[str, Any] = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    assert out["response"].shape == (4, 16, 16)
    assert out["response"].dtype == np.complex64
    assert out["transmit_time"].tolist() == [burst.time for burst in bursts]
    calibration = Calibration(np.ones(16), scene().receive, 0.0, 0.0)  # type: ignore[arg-type]
    plain = radar.RadarReceiver(FORM, calibration, noise_power=0.5, response=True)
    for b, burst in enumerate(bursts):
        one = plain.receive(given["window"][b], HEAD + 0.3, 2e-4, burst.symbol, HEADER)
        assert one.response is not None
        assert np.array_equal(out["response"][b], one.response.astype(np.complex64))
    assert block.result()["bursts"] == 4


def test_windows_without_a_burst_and_bursts_with_losses_are_left_out() -> None:
    given, bursts = setting(4)
    given["lost"][2] = 10
    out = started([bursts[0], bursts[2], bursts[3]]).work(**given)
    assert out["transmit_time"].tolist() == [bursts[0].time, bursts[3].time]
    assert out["response"].shape == (2, 16, 16)
