"""The SigMF player."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from blocks import SigmfPlayer, SigmfRecorder, sigmf_player
from blocks.runtime import Flags, Real, Signal
from isac_models.errors import UserError
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("ideal").replace(antennas=3)
N = 20


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "a.sigmf-meta"
    truth = {"present": Flags(), "angle": Real()}
    recorder = SigmfRecorder(
        str(path), SCENARIO, truth=truth, decisions={"detected": Flags()}, about={"seed": 5}
    )
    recorder.start()
    recorder.work(**fields())
    recorder.finish()
    return path


def fields() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "echo": (rng.standard_normal((N, 3)) + 1j * rng.standard_normal((N, 3))).astype(np.complex64),
        "present": rng.random(N) < 0.5,
        "angle": rng.standard_normal(N).astype(np.float32),
        "detected": rng.random(N) < 0.5,
    }


def played(player: SigmfPlayer, count: int) -> dict[str, np.ndarray]:
    parts = []
    player.start()
    player.position = 0
    while (out := player.work(count)) is not None:
        parts.append(out)
        player.position += len(out["echo"])
    player.finish()
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


@pytest.mark.parametrize("count", [1, 7, 20, 100])
def test_a_recording_is_played_bit_by_bit_and_again(recorded: Path, count: int) -> None:
    player = SigmfPlayer(str(recorded))
    assert player.produces == {"echo": Signal(3), "present": Flags(), "angle": Real()}
    assert player.about == {"seed": 5, "scenario": SCENARIO.to_dict()}
    for _ in range(2):
        for key, array in played(player, count).items():
            assert array.dtype == fields()[key].dtype
            assert np.array_equal(array, fields()[key])
    result = player.result()
    assert (result["snapshots"], result["channels"], result["truth"]) == (N, 3, True)


def test_frames_of_many_channels_stay_small(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigmf_player, "MAX_FRAME", 2 * 8 * 3)
    player = SigmfPlayer(str(recorded))
    out = player.work(100)
    assert out is not None
    assert len(out["echo"]) == 2
    player.abort()


def test_damage_in_samples_or_truth_ends_the_run(recorded: Path) -> None:
    for part in ("a", "a-truth"):
        data = recorded.with_name(f"{part}.sigmf-data")
        whole = data.read_bytes()
        data.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        player = SigmfPlayer(str(recorded))
        with pytest.raises(ValueError, match="checksum"):
            player.work(N)
        player.abort()
        data.write_bytes(whole)
    played(SigmfPlayer(str(recorded)), N)


def test_a_truth_of_another_run_is_refused(recorded: Path) -> None:
    meta = recorded.with_name("a-truth.sigmf-meta")
    values = json.loads(meta.read_text())
    values["global"]["core:sha512"] = "0" * 128
    meta.write_text(json.dumps(values))
    with pytest.raises(UserError, match="of another run"):
        SigmfPlayer(str(recorded))
    values["global"]["core:num_channels"] = 1
    del values["global"]["isac:samples"]
    meta.write_text(json.dumps(values))
    with pytest.raises(UserError, match="does not belong to it"):
        SigmfPlayer(str(recorded))
