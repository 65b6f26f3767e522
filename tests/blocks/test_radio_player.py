"""A radio's recording, played as the radio gave it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks import RadioPlayer, SigmfRecorder, radio_player
from blocks.runtime import Signal
from isac_models.constellation import Constellation
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.recorded_bursts import pack_messages
from isac_models.waveform.recorded_run import RecordedRun
from isac_models.waveform.sent import SentBurst
from tests.blocks.recordings import edited

K = 2
LAYOUT = BurstFormat(K)
SLOT = LAYOUT.slot
POINTS = Constellation(4).points
RUN = RecordedRun(LAYOUT, np.ones(K) / np.sqrt(K), POINTS)
BURSTS = 40
GAP = 3000
"""Samples that never came, behind the first `BEFORE`."""
BEFORE = 5 * SLOT + 17
SAMPLES = BURSTS * SLOT - GAP
FIRST = 51_200
"""Tick of the first sample."""


def message(number: int) -> np.ndarray:
    """What a burst carries."""
    return np.random.default_rng(number).integers(4, size=LAYOUT.payload).astype(np.uint8)


def notes(number: int, present: bool | None) -> dict[str, Any]:
    """A burst's annotation."""
    said = {"message": pack_messages(message(number), 2)}
    truth = {} if present is None else {"present": present, "angle": -0.01 * number}
    tick = FIRST + number * SLOT
    at = {"sample_start": 0, "sample_count": 5, "label": "burst", "number": number, "tick": tick}
    return {**at, **said, **truth}


def samples() -> np.ndarray:
    """(SAMPLES, K + 1) complex64 that differ."""
    rows = np.arange(SAMPLES, dtype=np.float32)[:, None]
    return (rows + 1j * np.arange(K + 1)).astype(np.complex64)


def record(path: Path, truth: bool = True, end: str = "finish", **options: Any) -> Path:
    """A recording with a gap."""
    recorder = SigmfRecorder(
        str(path), Scenario(antennas=K), field="samples", signal=Signal(K + 1), radio=RUN.to_dict(), **options
    )
    recorder.start()
    recorder.tags = {
        "annotations": [notes(number, number % 3 == 0 if truth else None) for number in range(BURSTS)],
        "captures": [
            {"sample_start": 0, "global_index": FIRST},
            {"sample_start": BEFORE, "global_index": FIRST + BEFORE + GAP},
        ],
    }
    recorder.work(samples=samples())
    if end == "finish":
        recorder.tags = {}  # of the end of the stream
    getattr(recorder, end)()
    return path


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return record(tmp_path / "air.sigmf-meta")


def played(player: RadioPlayer, count: int) -> list[tuple[int, int, np.ndarray, list[Any]]]:
    """(time, lost, samples, told) of every frame."""
    frames = []
    player.start()
    player.position, told = 0, len(player.published)
    while (out := player.work(count)) is not None:
        tags = player.take_emitted()
        frames.append((tags["time"], tags["lost"], out["samples"], [v for _, v in player.published[told:]]))
        told = len(player.published)
        player.position += len(out["samples"])
    player.finish()
    return frames


@pytest.mark.parametrize("count", [777, 4 * SLOT, 1 << 20])
def test_frames_come_with_their_times_and_never_span_a_gap(recorded: Path, count: int) -> None:
    player = RadioPlayer(str(recorded))
    frames = played(player, count)
    assert np.array_equal(np.concatenate([frame for _, _, frame, _ in frames]), samples())
    position = 0
    for time, lost, frame, _ in frames:
        assert time == FIRST + position + (GAP if position >= BEFORE else 0)
        assert lost == (GAP if position == BEFORE else 0)
        position += len(frame)
    result = player.result()
    assert (result["samples"], result["gaps"], result["lost_samples"]) == (SAMPLES, 1, GAP)
    assert (result["bursts"], result["bursts_not_annotated"], result["complete"]) == (BURSTS, 0, True)


@pytest.mark.parametrize("count", [777, 4 * SLOT, 1 << 20])
def test_every_burst_is_told_of_before_its_samples_and_the_end_with_the_last(
    recorded: Path, count: int
) -> None:
    player = RadioPlayer(str(recorded))
    told: list[Any] = []
    for time, _, frame, new in played(player, count):
        told += new
        if told[-1] != {"end": True}:  # nobody has to wait: one is known behind all that has come
            assert told[-1]["time"] >= time + len(frame) + radio_player.AHEAD * SLOT
    assert told[-1] == {"end": True}
    assert told.count({"end": True}) == 1
    bursts = [SentBurst.from_dict(values) for values in told[:-1]]
    assert [one.number for one in bursts] == list(range(BURSTS))
    for one in bursts:
        assert one.time == FIRST + one.number * SLOT
        assert np.array_equal(one.message, message(one.number))
        assert np.array_equal(one.symbol, POINTS[message(one.number)])


def test_it_plays_again_from_the_beginning(recorded: Path) -> None:
    player = RadioPlayer(str(recorded))
    first, second = ([told for *_, told in played(player, 10_000)] for _ in range(2))
    assert second == first


def test_behind_a_long_gap_only_the_last_bursts_are_told(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(radio_player, "MOST_AT_ONCE", 10)
    (_, _, _, told), (_, _, _, rest) = played(RadioPlayer(str(recorded)), 1 << 20)
    assert [one["number"] for one in told] == list(range(23 - 10, 23))
    assert [one["number"] for one in rest[:-1]] == list(range(BURSTS - 10, BURSTS))


def test_the_truth_is_that_of_a_burst_s_tick_or_unknown(recorded: Path, tmp_path: Path) -> None:
    player = RadioPlayer(str(recorded))
    assert player.knows_truth
    assert player.truth(FIRST + 3 * SLOT) == (True, -0.03)
    assert player.truth(FIRST + 4 * SLOT) == (False, -0.04)
    assert not RadioPlayer(str(record(tmp_path / "blind.sigmf-meta", truth=False))).knows_truth


def test_time_goes_on_behind_a_gap_of_no_samples(recorded: Path) -> None:
    def close(values: dict[str, Any]) -> None:
        values["captures"][1]["core:global_index"] = FIRST + BEFORE

    player = RadioPlayer(str(edited(recorded, close)))
    assert [lost for _, lost, *_ in played(player, 1 << 20)] == [0, 0]
    assert player.result()["gaps"] == 1


def test_bursts_without_a_truth_are_counted(recorded: Path) -> None:
    player = RadioPlayer(str(edited(recorded, lambda v: v["annotations"][2].pop("isac:present"))))
    assert not player.knows_truth
    assert (player.result()["truth"], player.result()["bursts_without_truth"]) == (False, 1)


def test_a_run_that_was_stopped_plays_as_far_as_it_goes(tmp_path: Path) -> None:
    path = record(tmp_path / "half.sigmf-meta", keep=True, end="abort")
    player = RadioPlayer(str(path))
    assert sum(len(frame) for _, _, frame, _ in played(player, 10_000)) == SAMPLES
    assert player.result()["complete"] is False


def test_bursts_that_are_not_annotated_are_counted(tmp_path: Path) -> None:
    player = RadioPlayer(str(record(tmp_path / "many.sigmf-meta", annotate=30)))
    assert (player.result()["bursts"], player.result()["bursts_not_annotated"]) == (30, 10)
    told = [one for *_, new in played(player, 10_000) for one in new]
    assert len(told) == 31


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another origin": (lambda v: v["global"].pop("isac:radio"), "isac_hil.py --record-samples"),
    "no run": (lambda v: v["global"].update({"isac:radio": 1}), "of its radio is malformed"),
    "other channels": (
        lambda v: v["global"]["isac:radio"]["format"].update(antennas=3),
        "has 3 channels, its burst format 3 antennas",
    ),
    "no captures": (lambda v: v["captures"].clear(), "a capture needs core:global_index"),
    "no time": (lambda v: v["captures"][1].pop("core:global_index"), "a capture needs core:global_index"),
    "too late a time": (
        lambda v: v["captures"][1].update({"core:global_index": (1 << 63) - 1}),
        "a capture needs core:global_index",
    ),
    "a late beginning": (
        lambda v: v["captures"][0].update({"core:sample_start": 5}),
        "captures must begin at sample 0",
    ),
    "two at once": (lambda v: v["captures"].append(v["captures"][1]), "and follow on each other"),
    "a capture of nothing": (
        lambda v: v["captures"][1].update({"core:sample_start": SAMPLES}),
        "and follow on each other",
    ),
    "no number": (lambda v: v["annotations"][2].pop("isac:number"), "the burst in annotation 2: isac:number"),
    "no message": (lambda v: v["annotations"][2].pop("isac:message"), "isac:message must be base64"),
    "two bursts at once": (
        lambda v: v["annotations"][2].update({"isac:tick": FIRST}),
        f"bursts at ticks {FIRST} and {FIRST} overlap",
    ),
    "a time that receivers cannot reckon with": (
        lambda v: v["captures"][1].update({"core:global_index": (1 << 50) + 1}),
        "a capture needs core:global_index",
    ),
    "time that goes back": (
        lambda v: v["captures"][1].update({"core:global_index": FIRST + BEFORE - 1}),
        f"time goes back at sample {BEFORE}, to tick {FIRST + BEFORE - 1}",
    ),
    "a burst sent or not": (
        lambda v: v["annotations"][2].update({"isac:unsent": "yes"}),
        "isac:unsent must be true or false",
    ),
    "more left out than there are": (
        lambda v: v["global"].update({"isac:annotations_left_out": 10**300}),
        "isac:annotations_left_out must be a whole number",
    ),
    "half a burst left out": (
        lambda v: v["global"].update({"isac:annotations_left_out": 0.5}),
        "isac:annotations_left_out must be a whole number",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_malformed_is_one_line(recorded: Path, name: str) -> None:
    edit, message = BAD[name]
    with pytest.raises(UserError) as refused:
        RadioPlayer(str(edited(recorded, edit)))
    line = str(refused.value)
    assert line.startswith(f"recording {recorded}")
    assert message in line
    assert "\n" not in line


def test_damaged_samples_end_the_run(recorded: Path) -> None:
    data = recorded.with_name("air.sigmf-data")
    whole = data.read_bytes()
    data.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    player = RadioPlayer(str(recorded))
    with pytest.raises(ValueError, match="checksum"):
        played(player, 1 << 20)
    player.abort()
