"""Reading SigMF recordings, our own, others' and bad ones."""

from __future__ import annotations

import hashlib
import json
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sigmf

from blocks.runtime import Signal
from blocks.runtime.sigmf_recording import MAX_CHANNELS, SigmfDataset, SigmfRecording
from isac_models.errors import UserError

SYSTEM_PYTHON = "/usr/bin/python3"


def write(folder: Path, data: bytes, datatype: str = "cf32_le", channels: int = 2, **more: Any) -> str:
    fields = {key.replace("__", ":"): value for key, value in more.items()}
    about = {"core:datatype": datatype, "core:version": "1.2.0", "core:num_channels": channels, **fields}
    (folder / "a.sigmf-data").write_bytes(data)
    meta = {"global": about, "captures": [{"core:sample_start": 0}], "annotations": []}
    (folder / "a.sigmf-meta").write_text(json.dumps(meta))
    return str(folder / "a.sigmf-meta")


def iq(n: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.standard_normal((n, channels)) + 1j * rng.standard_normal((n, channels))).astype(np.complex64)


@pytest.mark.parametrize("block", [1, 3, 10])
def test_channels_come_back_in_their_order(tmp_path: Path, block: int) -> None:
    data = iq(10, 5)
    checksum = hashlib.sha512(data.tobytes()).hexdigest()
    path = write(tmp_path, data.tobytes(), channels=5, core__sha512=checksum.upper())
    with closing(SigmfRecording(path, "samples")) as recording:
        assert (recording.snapshots, recording.channels) == (10, 5)
        assert recording.fields == {"samples": Signal(5)}
        assert (recording.about, recording.truth) == ({}, None)
        for _ in range(2):  # a second pass compares the checksum anew
            parts = [recording.read(n, min(block, 10 - n))["samples"] for n in range(0, 10, block)]
            assert np.array_equal(np.concatenate(parts), data)
            recording.close()


@pytest.mark.parametrize(
    ("datatype", "code", "zero", "scale"),
    [
        ("ci16_le", "<i2", 0, 2**15),
        ("ci16_be", ">i2", 0, 2**15),
        ("ci8", "i1", 0, 2**7),
        ("cu8", "u1", 2**7, 2**7),
        ("cf32_be", ">f4", 0, 1),
        ("cf64_le", "<f8", 0, 1),
        ("ri16_le", "<i2", 0, 2**15),
        ("rf32_le", "<f4", 0, 1),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_other_datatypes_are_converted(
    tmp_path: Path, datatype: str, code: str, zero: int, scale: int, channels: int
) -> None:
    rng = np.random.default_rng(2)
    parts = 2 if datatype[0] == "c" else 1
    raw = rng.integers(0, 100, (6, channels, parts)).astype(code)
    value = (raw.astype(float) - zero) / scale
    expected = value[..., 0] + 1j * value[..., 1] if parts == 2 else value[..., 0]
    path = write(
        tmp_path, raw.tobytes(), datatype, channels, core__sha512=hashlib.sha512(raw.tobytes()).hexdigest()
    )
    with closing(SigmfRecording(path)) as recording:
        assert recording.read(1, 4)["echo"].dtype == np.complex64
        assert np.allclose(recording.read(1, 4)["echo"], expected[1:5], rtol=1e-6)


def test_a_recording_by_the_library_opens(tmp_path: Path) -> None:
    made = sigmf.SigMFGenerator(seed=1).tone().sample_rate(48_000).duration(0.01).generate()
    made.tofile(str(tmp_path / "tone"))
    with closing(SigmfRecording(str(tmp_path / "tone.sigmf-meta"))) as recording:
        assert (recording.channels, recording.sample_rate) == (1, 48_000)
        found = recording.read(0, recording.snapshots)["echo"][:, 0]
        assert np.array_equal(found, made.read_samples())
        assert recording.signal.annotations


def test_a_recording_by_the_example_of_the_library_opens(tmp_path: Path) -> None:
    # The example "Save a Numpy array as a SigMF Recording" of the documentation of sigmf.
    data = np.zeros(1024, dtype=np.complex64)
    data[0] = 1j
    data.tofile(tmp_path / "example_cf32.sigmf-data")
    meta = sigmf.SigMFFile(
        data_file=str(tmp_path / "example_cf32.sigmf-data"),
        global_info={
            sigmf.DATATYPE_KEY: sigmf.utils.get_data_type_str(data),
            sigmf.SAMPLE_RATE_KEY: 48000,
            sigmf.AUTHOR_KEY: "jane.doe@domain.org",
            sigmf.DESCRIPTION_KEY: "All zero complex float32 example file.",
        },
    )
    meta.add_capture(0, metadata={sigmf.FREQUENCY_KEY: 915000000})
    meta.add_annotation(100, 200, metadata={sigmf.FREQ_LOWER_EDGE_KEY: 914995000.0, sigmf.COMMENT_KEY: "x"})
    meta.tofile(str(tmp_path / "example_cf32.sigmf-meta"))
    with closing(SigmfRecording(str(tmp_path / "example_cf32.sigmf-meta"))) as recording:
        assert np.array_equal(recording.read(0, 1024)["echo"][:, 0], data)


GNURADIO = """
import sys
from gnuradio import blocks, gr
top = gr.top_block()
source = blocks.vector_source_c([complex(n, -n) for n in range(100)], False)
sink = blocks.sigmf_sink_minimal(
    gr.sizeof_gr_complex, sys.argv[1], 32000.0, 2.4e9, "author", "description", "hardware", True)
top.connect(source, sink)
top.run()
"""


def test_a_recording_by_gnu_radio_opens(tmp_path: Path) -> None:
    there = subprocess.run(
        [SYSTEM_PYTHON, "-c", "from gnuradio.blocks import sigmf_sink_minimal"],
        capture_output=True,
        check=False,
        timeout=120,
        env={},
    )
    if there.returncode:
        pytest.skip("GNU Radio with sigmf_sink_minimal is not installed for the system's Python")
    command = [SYSTEM_PYTHON, "-c", GNURADIO, str(tmp_path / "gr")]
    subprocess.run(
        command, check=True, capture_output=True, timeout=120, env={"HOME": str(tmp_path)}, cwd=tmp_path
    )
    with closing(SigmfRecording(str(tmp_path / "gr.sigmf-meta"))) as recording:
        assert (recording.snapshots, recording.channels, recording.sample_rate) == (100, 1, 32000)
        ramp = np.arange(100) - 1j * np.arange(100)
        assert np.array_equal(recording.read(0, 100)["echo"][:, 0], ramp)


@pytest.mark.parametrize(
    ("data", "more", "reason"),
    [
        (b"x" * 15, {}, "15 bytes, no multiple of the 16 bytes"),
        (b"", {}, "holds no samples"),
        (b"x" * 16, {"channels": MAX_CHANNELS + 1}, "channels, the limit is"),
        (b"x" * 16, {"datatype": "cf32_lex"}, "datatype cf32_lex"),
        (b"x" * 16, {"core__dataset": "a.wav"}, "non-conforming"),
        (b"x" * 16, {"core__trailing_bytes": 4}, "non-conforming"),
        (b"x" * 16, {"isac__samples": 3}, "holds 1 samples, not the 3"),
        (b"x" * 16, {"isac__truth": []}, "its truth is malformed"),
        (b"x" * 16, {"isac__truth": {"fields": [1]}}, "its truth is malformed"),
        (
            b"x" * 16,
            {"isac__truth": {"fields": [{"name": "../x", "dtype": "bool", "role": "truth"}]}},
            "its truth is malformed",
        ),
        (
            b"x" * 16,
            {"isac__truth": {"fields": [{"name": "present", "dtype": "bool", "role": "truth"}]}},
            "a-truth.sigmf-meta: No such file",
        ),
        (b"x" * 16, {"datatype": "ci16_le", "core__sha512": "0" * 128}, "checksum"),
    ],
    ids=range(12),
)
def test_recordings_that_cannot_be_played_are_refused(
    tmp_path: Path, data: bytes, more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        SigmfRecording(write(tmp_path, data, **more))


def test_missing_samples_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, b"x" * 16)
    (tmp_path / "a.sigmf-data").unlink()
    with pytest.raises(UserError, match=r"its samples .*a\.sigmf-data: No such file"):
        SigmfRecording(path)
    (tmp_path / "a.sigmf-data").mkdir()
    with pytest.raises(UserError, match="not a regular file"):
        SigmfRecording(path)


@pytest.mark.parametrize("datatype", ["cf32_le", "cf32_be", "cf64_le"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers_end_the_run(tmp_path: Path, datatype: str, bad: float) -> None:
    data = iq(10, 2)
    data[7, 1] = bad
    code = {"cf32_le": "<c8", "cf32_be": ">c8", "cf64_le": "<c16"}[datatype]
    dataset = SigmfDataset(write(tmp_path, data.astype(code).tobytes(), datatype))
    dataset.read(0, 7)
    with pytest.raises(ValueError, match="sample 7 is not a finite number"):
        dataset.read(5, 5)
    dataset.close()


def test_large_finite_samples_are_played(tmp_path: Path) -> None:
    data = np.full((4, 2), 3e38, np.complex64)  # their sum is infinite
    with closing(SigmfDataset(write(tmp_path, data.tobytes()))) as dataset:
        assert np.array_equal(dataset.read(0, 4), data)


def test_damage_is_found_at_the_end(tmp_path: Path) -> None:
    data = iq(10, 2)
    path = write(tmp_path, data.tobytes(), core__sha512=hashlib.sha512(b"other").hexdigest())
    with closing(SigmfDataset(path)) as dataset:
        dataset.read(0, 9)
        with pytest.raises(ValueError, match="is damaged: the checksum"):
            dataset.read(9, 1)


def test_samples_that_change_after_the_check_are_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, iq(10, 2).tobytes())
    dataset = SigmfDataset(path)
    (tmp_path / "a.sigmf-data").write_bytes(b"x" * 16)
    with pytest.raises(ValueError, match="was changed"):
        dataset.read(0, 5)
    dataset.close()
