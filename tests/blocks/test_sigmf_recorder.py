"""The SigMF recorder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sigmf

from blocks import SigmfRecorder
from blocks.runtime import Flags, Real, Signal
from isac_models.errors import UserError
from isac_models.scenario import Scenario

TRUTH = {"present": Flags(), "angle": Real()}
DECISIONS = {"detected": Flags(), "estimated_angle": Real()}
SCENARIO = Scenario.preset("ideal").replace(antennas=4, coherence=5)


def frame(start: int, n: int) -> dict[str, np.ndarray]:
    rows = np.arange(start, start + n)
    return {
        "echo": (rows[:, None] + 1j * np.arange(4)).astype(np.complex64),
        "present": rows // 5 % 2 == 0,
        "angle": (rows // 5 / 10).astype(np.float32),
        "detected": rows % 2 == 0,
        "estimated_angle": np.full(n, 0.25, np.float32),
    }


def record(path: Path, frames: tuple[int, ...] = (7, 13), **options: Any) -> SigmfRecorder:
    recorder = SigmfRecorder(str(path), SCENARIO, truth=TRUTH, decisions=DECISIONS, **options)
    recorder.start()
    for n in frames:
        recorder.work(**frame(recorder.position, n))
        recorder.position += n
    return recorder


def test_a_recording_is_valid_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.sigmf-meta"
    recorder = record(path, about={"seed": 5}, sample_rate=2e6, frequency=2.4e9, hardware="none")
    assert recorder.result()["complete"] is False
    recorder.finish()
    result = recorder.result()
    assert (result["snapshots"], result["annotations"], result["annotations_left_out"]) == (20, 4, 0)
    assert result["complete"] is True
    assert sorted(os.listdir(tmp_path)) == [
        "a-truth.sigmf-data",
        "a-truth.sigmf-meta",
        "a.sigmf-data",
        "a.sigmf-meta",
    ]
    signal = sigmf.fromfile(str(path))
    signal.validate()
    assert np.array_equal(signal.read_samples(), frame(0, 20)["echo"])
    about = signal.get_global_info()
    assert Scenario.from_dict(about["isac:scenario"]) == SCENARIO
    assert about["isac:run"] == {"seed": 5}
    assert (about["core:num_channels"], about["core:sample_rate"], about["core:hw"]) == (4, 2e6, "none")
    capture = signal.get_captures()[0]
    assert (capture["core:sample_start"], capture["core:frequency"]) == (0, 2.4e9)
    assert capture["core:datetime"].endswith("Z")
    block = signal.get_annotations()[2]
    assert (block["core:sample_start"], block["core:sample_count"], block["core:label"]) == (10, 5, "target")
    assert block["isac:angle"] == pytest.approx(0.2)
    assert (block["isac:detections"], block["isac:estimated_angle"]) == (3, 0.25)

    truth = sigmf.fromfile(str(tmp_path / "a-truth.sigmf-meta"))
    truth.validate()
    expected = frame(0, 20)
    for column, described in enumerate(about["isac:truth"]["fields"]):
        assert np.array_equal(truth.read_samples()[:, column], expected[described["name"]].astype(np.float32))


def test_annotations_stay_bounded_and_the_rest_is_counted(tmp_path: Path) -> None:
    recorder = record(tmp_path / "a.sigmf-meta", annotate=3)
    recorder.finish()
    assert (recorder.result()["annotations"], recorder.result()["annotations_left_out"]) == (3, 1)
    meta = json.loads((tmp_path / "a.sigmf-meta").read_text())
    assert len(meta["annotations"]) == 3
    assert meta["global"]["isac:annotations_left_out"] == 1


def test_radio_samples_carry_the_annotations_and_gaps_of_their_tags(tmp_path: Path) -> None:
    path = tmp_path / "radio.sigmf-meta"
    recorder = SigmfRecorder(
        str(path), field="samples", signal=Signal(17), sample_rate=1e6, frequency=9e8, hardware="radio"
    )
    assert recorder.consumes == {"samples": Signal(17)}
    recorder.start()
    recorder.position = 100  # positions in tags count from the first sample of the stream
    recorder.tags = {
        "annotations": [{"sample_start": 130, "sample_count": 20, "label": "burst", "number": 1}]
    }
    recorder.work(samples=np.ones((50, 17), np.complex64))
    recorder.position = 150
    recorder.tags = {
        "annotations": [{"sample_start": 110, "sample_count": 20, "label": "burst", "number": 0}],
        "captures": [{"sample_start": 150, "global_index": 1000}],
    }
    recorder.work(samples=np.ones((50, 17), np.complex64))
    recorder.tags = {}  # of the end of the stream
    recorder.finish()
    signal = sigmf.fromfile(str(path))
    signal.validate()
    assert (signal.num_channels, len(signal)) == (17, 100)
    found = [(each["core:sample_start"], each["isac:number"]) for each in signal.get_annotations()]
    assert found == [(10, 0), (30, 1)]
    starts = [(each["core:sample_start"], each["core:frequency"]) for each in signal.get_captures()]
    assert starts == [(0, 9e8), (50, 9e8)]
    assert signal.get_captures()[1]["core:global_index"] == 1000
    assert sorted(os.listdir(tmp_path)) == ["radio.sigmf-data", "radio.sigmf-meta"]


def test_echoes_of_bursts_are_annotated_as_such_and_not_by_the_tags_that_count_samples(
    tmp_path: Path,
) -> None:
    path = tmp_path / "echoes.sigmf-meta"
    recorder = SigmfRecorder(str(path), SCENARIO, decisions=DECISIONS, ticks="transmit_time")
    recorder.start()
    recorder.tags = {
        "annotations": [{"sample_start": 6400, "sample_count": 1191, "label": "burst"}],
        "captures": [{"sample_start": 6400, "global_index": 57_600}],
    }
    fields = {key: value for key, value in frame(0, 10).items() if key not in TRUTH}
    recorder.work(**fields, transmit_time=np.repeat([1280, 2560], 5))
    recorder.finish()
    signal = sigmf.fromfile(str(path))
    found = [(one["core:sample_start"], one["core:label"]) for one in signal.get_annotations()]
    assert found == [(0, "burst"), (5, "burst")]
    assert [one["isac:tick"] for one in signal.get_annotations()] == [1280, 2560]
    assert len(signal.get_captures()) == 1
    assert "core:global_index" not in signal.get_captures()[0]
    assert "isac:truth" in signal.get_global_info()


def test_what_receiving_the_samples_again_takes_is_kept_with_them(tmp_path: Path) -> None:
    path = tmp_path / "air.sigmf-meta"
    recorder = SigmfRecorder(str(path), field="samples", signal=Signal(17), radio={"demodulator": "ml"})
    recorder.start()
    recorder.work(samples=np.ones((3, 17), np.complex64))
    recorder.finish()
    assert sigmf.fromfile(str(path)).get_global_field("isac:radio") == {"demodulator": "ml"}


def test_a_single_channel_is_recorded(tmp_path: Path) -> None:
    recorder = SigmfRecorder(str(tmp_path / "a.sigmf-meta"), field="received", signal=Signal())
    recorder.start()
    recorder.work(received=np.ones(5, np.complex64))
    recorder.finish()
    assert sigmf.fromfile(str(tmp_path / "a.sigmf-meta")).read_samples().tolist() == [1] * 5


def test_a_stream_of_nothing_makes_a_valid_recording(tmp_path: Path) -> None:
    record(tmp_path / "a.sigmf-meta", frames=()).finish()
    assert json.loads((tmp_path / "a.sigmf-meta").read_text())["global"]["core:num_channels"] == 4


def test_an_early_end_leaves_what_was_there_before(tmp_path: Path) -> None:
    record(tmp_path / "a.sigmf-meta").finish()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    recorder = record(tmp_path / "a.sigmf-meta", frames=(3,))
    recorder.abort()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert recorder.result()["complete"] is False
    recorder.abort()  # twice is no harm


def test_what_a_radio_has_received_is_kept_although_the_run_ends_early(tmp_path: Path) -> None:
    path = tmp_path / "air.sigmf-meta"
    recorder = SigmfRecorder(str(path), field="samples", signal=Signal(17), keep=True)
    recorder.start()
    samples = np.arange(34, dtype=np.float32).reshape(2, 17).astype(np.complex64)
    recorder.tags = {"annotations": [{"sample_start": 0, "sample_count": 2, "label": "burst"}]}
    recorder.work(samples=samples)
    recorder.abort()
    assert recorder.result()["complete"] is False
    signal = sigmf.fromfile(str(path))
    signal.validate()
    assert np.array_equal(signal.read_samples(), samples)
    assert signal.get_global_field("isac:interrupted") is True
    assert len(signal.get_annotations()) == 1
    empty = SigmfRecorder(str(tmp_path / "b.sigmf-meta"), field="samples", signal=Signal(17), keep=True)
    empty.start()
    empty.abort()
    assert not (tmp_path / "b.sigmf-meta").exists()


@pytest.mark.parametrize("end", ["finish", "abort"])
def test_the_end_s_tags_are_taken_once_however_it_comes(tmp_path: Path, end: str) -> None:
    path = tmp_path / "air.sigmf-meta"
    recorder = SigmfRecorder(str(path), field="samples", signal=Signal(17), keep=True)
    recorder.start()
    mark = {"sample_start": 0, "sample_count": 2, "label": "burst"}
    recorder.tags = {"annotations": [mark], "annotations_missing": 6}
    recorder.work(samples=np.ones((2, 17), np.complex64))
    recorder.tags = {"annotations": [mark, mark], "annotations_missing": 4}
    getattr(recorder, end)()
    values = json.loads(path.read_text())
    assert len(values["annotations"]) == 3
    assert values["global"]["isac:annotations_left_out"] == 4
    assert ("isac:interrupted" in values["global"]) == (end == "abort")


def test_metadata_that_cannot_be_valid_leave_nothing(tmp_path: Path) -> None:
    recorder = record(tmp_path / "a.sigmf-meta", about={"bad": float("nan")})
    with pytest.raises(ValueError, match="JSON compliant"):
        recorder.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_recording_without_truth_takes_the_place_of_one_with_it(tmp_path: Path) -> None:
    record(tmp_path / "a.sigmf-meta").finish()
    recorder = SigmfRecorder(str(tmp_path / "a.sigmf-meta"), SCENARIO)
    recorder.start()
    recorder.work(echo=frame(0, 3)["echo"])
    recorder.finish()
    assert not (tmp_path / "a-truth.sigmf-meta").exists()


def test_what_cannot_be_recorded_is_refused_at_once(tmp_path: Path) -> None:
    good = str(tmp_path / "a.sigmf-meta")
    for path in (str(tmp_path / "a.rec"), str(tmp_path / "missing" / "a.sigmf-meta"), "-"):
        with pytest.raises(UserError):
            SigmfRecorder(path)
    with pytest.raises(UserError, match="csi: a recording of the truth"):
        SigmfRecorder(good, truth={"csi": Signal()})
    with pytest.raises(UserError, match="annotate"):
        SigmfRecorder(good, annotate=10**9)
    with pytest.raises(UserError, match=r"shape \(n,\) or \(n, channels\)"):
        SigmfRecorder(good, signal=Signal(2, 3)).start()
