"""The radar's windows in a stream: which burst each is, what is left out, and what is counted of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from isac_models.waveform.radar import RadarReceiver
from isac_models.waveform.radar_stream import RadarStream
from tests.blocks.test_radar_receiver import ECHO, FORM, SLOT, setting
from tests.isac_models.waveform.array_scene import HEAD, HEADER


def told(bursts: list[Any]) -> Any:
    """A port `sent` over which all of them come at once, then nothing."""
    waiting = [burst.to_dict() for burst in bursts]

    def messages(port: str, seconds: float) -> list[Any]:
        given, waiting[:] = (waiting[:], []) if port == "sent" else ([], waiting[:])
        return given

    return messages


def test_bursts_come_with_their_ticks_and_everything_else_is_counted() -> None:
    given, bursts = setting(5)
    given["lost"][3] = 1
    stream = RadarStream(FORM, RadarReceiver(FORM))
    heard = told([bursts[0], bursts[1], bursts[3], bursts[4]])  # slot 4 stayed silent
    found = list(stream.bursts(**given, messages=heard))
    assert [tick for tick, _ in found] == [(2 + b) * SLOT for b in (0, 1, 4)]
    plain = RadarReceiver(FORM)
    for (_, one), b in zip(found, (0, 1, 4), strict=True):
        same = plain.receive(given["window"][b], HEAD + 0.3, 2e-4, bursts[b].symbol, HEADER)
        assert np.array_equal(one.echo, same.echo)
    result = stream.result()
    counts = {key: result[key] for key in ("bursts", "empty_windows", "bursts_left_out", "snapshots_lost")}
    assert counts == {"bursts": 3, "empty_windows": 1, "bursts_left_out": 1, "snapshots_lost": 256}
    assert abs(result["echo_delay_samples"] - ECHO) < 0.2


def test_behind_a_slip_the_number_in_the_leakage_says_which_burst_it_is() -> None:
    given, bursts = setting(3)  # all of them carry number 5
    given["time"] += 700  # nobody has told of 700 samples more
    given["slip"][0] = 1
    stream = RadarStream(FORM, RadarReceiver(FORM))
    found = list(stream.bursts(**given, messages=told(bursts[:1])))
    assert [tick for tick, _ in found] == [bursts[0].time]


def test_what_was_told_while_no_burst_was_found_is_known() -> None:
    given, bursts = setting(2)
    stream = RadarStream(FORM, RadarReceiver(FORM))
    stream.listen(told(bursts))
    found = list(stream.bursts(**given, messages=told([])))
    assert [tick for tick, _ in found] == [burst.time for burst in bursts]


def test_before_the_first_burst_nothing_is_known() -> None:
    assert RadarStream(FORM, RadarReceiver(FORM)).result() == {
        "bursts": 0,
        "empty_windows": 0,
        "bursts_left_out": 0,
        "snapshots_lost": 0,
        "leakage_db": None,
        "echo_delay_samples": None,
    }
