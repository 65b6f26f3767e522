"""The reader of recordings against what FrameRecorder wrote, and against damage."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import blocks
from blocks.runtime import Flowgraph
from blocks.runtime.recording import Recording
from isac_models.errors import UserError
from isac_models.learning.recorded_echoes import load_echoes
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("impaired").replace(antennas=4, grid_size=61)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames of a small link."""
    path = tmp_path_factory.mktemp("recorded") / "echoes.isacrec"
    graph = Flowgraph("link", seed=3, frame=100)
    precoder, reflector = blocks.Precoder(SCENARIO), blocks.TargetReflector(SCENARIO)
    recorder = blocks.FrameRecorder(str(path), SCENARIO, reflector.produces, {"seed": 3})
    source = blocks.MessageSource(SCENARIO, 250)
    graph.connect(source, blocks.QamEncoder(SCENARIO), precoder, reflector, recorder)
    graph.run()
    return path


def test_the_echoes_of_present_targets_come_with_their_angles(recording: Path) -> None:
    echoes = load_echoes([str(recording)], SCENARIO)
    reader = Recording(str(recording))
    frames = [reader.read(number) for number in range(reader.frames)]
    reader.close()
    present = np.concatenate([frame.arrays["present"] for frame in frames])
    assert 80 < present.sum() < 170
    for name, values in (("echo", echoes.echo), ("angle", echoes.angle)):
        assert np.array_equal(values, np.concatenate([f.arrays[name] for f in frames])[present])
    assert np.array_equal(echoes.sector, np.tile(SCENARIO.target_sector, (len(echoes.echo), 1)))


def test_several_recordings_are_one_after_the_other(recording: Path) -> None:
    once, twice = (load_echoes([str(recording)] * times, SCENARIO) for times in (1, 2))
    assert np.array_equal(twice.echo, np.concatenate([once.echo, once.echo]))


def test_another_number_of_antennas_is_refused(recording: Path) -> None:
    with pytest.raises(UserError, match="recorded with antennas 4, the scenario has 16"):
        load_echoes([str(recording)], Scenario.preset("impaired"))


def test_other_hardware_is_refused(recording: Path) -> None:
    with pytest.raises(UserError, match="recorded with impairment_seed 1, the scenario has 3"):
        load_echoes([str(recording)], SCENARIO.replace(impairment_seed=3))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"PK" + data[2:], "not a recording"),
        (lambda data: data[:8] + b"\x02" + data[9:], "format version 2"),
        (lambda data: data[:10], "not a recording"),
        (lambda data: data[:16], "description is missing"),
        (lambda data: data[:-10], "cut off"),
        (lambda data: data[:2000] + bytes([data[2000] ^ 1]) + data[2001:], "checksum"),
        (lambda data: data[:16] + struct.pack("<4sIQQ", b"HEAD", 0, 0, 1 << 40), "does not fit"),
    ],
)
def test_damage_is_one_line_with_the_name_of_the_file(
    recording: Path, tmp_path: Path, damage: object, message: str
) -> None:
    assert callable(damage)
    path = tmp_path / "damaged.isacrec"
    path.write_bytes(damage(recording.read_bytes()))
    with pytest.raises(UserError, match=message) as caught:
        load_echoes([str(path)], SCENARIO)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read recording .*No such file"):
        load_echoes([str(tmp_path / "none")], SCENARIO)


def test_values_that_are_not_finite_are_refused(recording: Path, tmp_path: Path) -> None:
    data = bytearray(recording.read_bytes())
    size = struct.unpack_from("<4sIQQ", data, 16)[3]
    frame = 16 + 24 + size
    kind, _, count, length = struct.unpack_from("<4sIQQ", data, frame)
    body = data[frame + 24 : frame + 24 + length]
    parts = struct.unpack_from("<I", body)[0]
    lengths = struct.unpack_from(f"<{parts}Q", body, 4)
    fields = msgpack.unpackb(bytes(body[4 + 8 * parts : 4 + 8 * parts + lengths[0]]))[9]
    echo = [name for name, _, _ in fields].index("echo")
    place = 4 + 8 * parts + sum(lengths[: echo + 1])
    body[place : place + 4] = struct.pack("<f", float("nan"))
    data[frame + 24 : frame + 24 + length] = body
    struct.pack_into("<4sIQQ", data, frame, kind, zlib.crc32(body), count, length)
    path = tmp_path / "nan.isacrec"
    path.write_bytes(data)
    with pytest.raises(UserError, match="not finite"):
        load_echoes([str(path)], SCENARIO)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), seal=st.booleans())
def test_any_changed_byte_reads_or_is_refused(
    recording: Path, tmp_path: Path, place: float, value: int, seal: bool
) -> None:
    """With `seal` the checksum of the description is made to match, so that its content is what is read."""
    data = bytearray(recording.read_bytes())
    size = struct.unpack_from("<4sIQQ", data, 16)[3]
    data[int(place * (16 + 24 + size if seal else len(data)))] = value
    if seal:
        body = bytes(data[40 : 40 + size])
        struct.pack_into("<I", data, 20, zlib.crc32(body))
    path = tmp_path / "changed.isacrec"
    path.write_bytes(data)
    try:
        echoes = load_echoes([str(path)], SCENARIO)
    except UserError:
        return
    assert len(echoes.echo) == len(echoes.angle)
