"""Writing SigMF recordings."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import sigmf

from blocks.runtime.sigmf_writer import SigmfWriter, commit


def samples(n: int = 6, channels: int = 3) -> np.ndarray:
    return (np.arange(n * channels) + 0.5j).astype(np.complex64).reshape(n, channels)


def test_the_library_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.sigmf-meta"
    writer = SigmfWriter(str(path), 3)
    writer.write(samples()[:2])
    writer.write(samples()[2:])
    writer.prepare({"core:sample_rate": 1e6}, annotations=[{"core:sample_start": 1, "core:sample_count": 2}])
    assert all(name.endswith(".part") for name in os.listdir(tmp_path))
    commit([writer])
    assert sorted(os.listdir(tmp_path)) == ["a.sigmf-data", "a.sigmf-meta"]
    signal = sigmf.fromfile(str(path))  # compares the checksum
    signal.validate()
    assert np.array_equal(signal.read_samples(), samples())
    assert (signal.num_channels, signal.sample_rate) == (3, 1e6)
    raw = (tmp_path / "a.sigmf-data").read_bytes()
    assert raw == samples().astype("<c8").tobytes()  # interleaved, channel by channel
    assert json.loads(path.read_text())["global"]["core:sha512"] == hashlib.sha512(raw).hexdigest()


def test_real_values_of_one_channel(tmp_path: Path) -> None:
    writer = SigmfWriter(str(tmp_path / "a.sigmf-meta"), 1, "rf32_le")
    writer.write(np.array([1, 2], np.float32))
    writer.prepare({})
    commit([writer])
    assert sigmf.fromfile(str(tmp_path / "a.sigmf-meta")).read_samples().tolist() == [1, 2]


def test_what_is_discarded_leaves_the_old_recording(tmp_path: Path) -> None:
    for name in ("a.sigmf-data", "a.sigmf-meta"):
        (tmp_path / name).write_text("old")
    for prepared in (False, True):
        writer = SigmfWriter(str(tmp_path / "a.sigmf-meta"), 3)
        writer.write(samples())
        if prepared:
            writer.prepare({})
        writer.discard()
        assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
            "a.sigmf-data": "old",
            "a.sigmf-meta": "old",
        }


def test_a_commit_that_fails_shows_no_metadata_beside_wrong_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.sigmf-meta").write_text("old")
    (tmp_path / "a-truth.sigmf-meta").write_text("old")
    writer = SigmfWriter(str(tmp_path / "a.sigmf-meta"), 3)
    writer.prepare({})

    def fail(*_: object) -> None:
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no"):
            commit([writer], [str(tmp_path / "a-truth.sigmf-meta")])
    writer.discard()
    assert list(tmp_path.iterdir()) == []
