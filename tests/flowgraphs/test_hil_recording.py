"""What isac_hil.py writes into its recordings."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.radio.interface import RadioError
from hil_radio import open_bench
from hil_recording import BurstNotes, echo_recorder, sample_recorder
from isac_hil_options import parse_arguments
from isac_models.constellation import Constellation
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.recorded_run import RecordedRun
from isac_models.waveform.sent import SentBurst
from link_design import build_design

LAYOUT = BurstFormat(2)


def options(tmp_path: Path, *more: str) -> Any:
    """Of a simulated radio of two antennas, that records both."""
    names = ("--record", str(tmp_path / "e.sigmf-meta"), "--record-samples", str(tmp_path / "s.sigmf-meta"))
    given = parse_arguments(["--radio", "sim", "--antennas", "2", *names, *more])
    given.scenario = given.scenario.replace(coherence=LAYOUT.payload)
    return given


def test_a_burst_s_notes_are_its_messages_and_where_somebody_knows_it_the_truth(tmp_path: Path) -> None:
    message = np.arange(LAYOUT.payload, dtype=np.uint8) % 4
    told = SentBurst(3, 1280, message, Constellation(4).points[message]).to_dict()
    with open_bench(options(tmp_path), LAYOUT) as bench:
        notes = BurstNotes(bench)(told)
        assert base64.b64decode(notes["message"]) == b"\x1b" * (LAYOUT.payload // 4)
        assert (notes["present"], notes["angle"]) == bench.truth(1280)
        bench.lab = None
        assert BurstNotes(bench)(told).keys() == {"message"}


def test_a_truth_that_the_front_end_does_not_tell_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def silent(tick: int) -> None:
        asked.append(tick)
        raise RadioError("the virtual front end does not answer 'truth'")

    message = np.zeros(LAYOUT.payload, np.uint8)
    told = SentBurst(3, 1280, message, Constellation(4).points[message]).to_dict()
    with open_bench(options(tmp_path), LAYOUT) as bench:
        monkeypatch.setattr(bench.lab, "truth", silent)
        notes = BurstNotes(bench)
        assert [notes(told).keys() for _ in range(3)] == [{"message"}] * 3
    assert asked == [1280]  # it may have taken a while to fail


def test_the_recorders_take_what_the_run_has(tmp_path: Path) -> None:
    given = options(tmp_path, "--without", "cfo", "--without", "calibration")
    design = build_design(given)
    with open_bench(given, LAYOUT) as bench:
        echoes, samples = echo_recorder(bench), sample_recorder(bench, design, None)
        assert set(echoes.consumes) == {
            *("echo", "present", "angle", "detected", "estimated_angle", "transmit_time")
        }
        bench.lab = None
        assert "present" not in echo_recorder(bench).consumes
    kept = samples._global["isac:radio"]
    run = RecordedRun.from_dict(kept, 3, "recording x")
    assert run.layout == LAYOUT
    assert np.array_equal(run.beam, design.precoder.beam)
    assert np.array_equal(run.points, Constellation(4).points)
    assert (run.without, run.calibration, run.demodulator) == (("cfo", "calibration"), None, "ml")
    assert samples._global["core:sample_rate"] == 1e6
