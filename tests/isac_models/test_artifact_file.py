"""The file of a trained model: exact in both directions, and nothing else is taken for one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from safetensors.numpy import save as safetensors_bytes

from isac_models import artifact_file
from isac_models.artifact import Artifact
from isac_models.artifact_file import KEY, LARGEST_HEADER, encode, read
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven, neural, tampered

SCENARIO = Scenario(antennas=4, grid_size=12, impairment="spacing", impairment_seed=7, comm_gain=10**0.3)
WHOLE = encode(model_driven(SCENARIO))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def refusal(path: Path) -> str:
    """The line that a file is refused with."""
    with pytest.raises(UserError) as caught:
        read(path)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def attempt(path: Path) -> Artifact | str:
    """The artifact in a file, or the line that it is refused with."""
    try:
        return read(path)
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("artifact", [model_driven(SCENARIO), neural(SCENARIO)], ids=lambda a: a.kind)
def test_what_is_written_is_read(path: Path, artifact: Artifact) -> None:
    path.write_bytes(encode(artifact))
    found = read(path)
    assert (found.kind, found.scenario, found.seed) == (artifact.kind, SCENARIO, artifact.seed)
    assert (found.training, found.versions) == (artifact.training, artifact.versions)
    assert found.held_out_loss == artifact.held_out_loss
    assert found.tensors.keys() == artifact.tensors.keys()
    for name, array in artifact.tensors.items():
        assert found.tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(found.tensors[name], array)
        assert not found.tensors[name].flags.writeable
    assert found.sha256 == artifact.sha256
    assert encode(found) == encode(artifact), "the same model is the same file"


def test_single_precision_is_kept_and_the_dictionary_is_complex(path: Path) -> None:
    single = model_driven(SCENARIO, model_driven(SCENARIO).dictionary.astype(np.complex64))
    path.write_bytes(encode(single))
    found = read(path)
    assert found.tensors["dictionary_real"].dtype == np.float32
    np.testing.assert_array_equal(
        found.dictionary, single.tensors["dictionary_real"] + 1j * single.tensors["dictionary_imag"]
    )


def test_other_software_reads_it_and_finds_the_documented_checksums(path: Path) -> None:
    path.write_bytes(WHOLE)
    tensors = load_file(path)
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    description = json.loads(header["__metadata__"]["isac-artifact"])
    digest = hashlib.sha256()
    for name in sorted(tensors):
        shape = ",".join(str(length) for length in header[name]["shape"])
        start, end = (
            8 + int.from_bytes(data[:8], "little") + offset for offset in header[name]["data_offsets"]
        )
        digest.update(f"{name} {header[name]['dtype']} {shape}\n".encode() + data[start:end])
    assert description["sha256"] == digest.hexdigest()
    own = description.pop("header_sha256")
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    assert own == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, len(WHOLE) - 2000, len(WHOLE) - 1])
def test_a_truncated_file_is_refused(path: Path, length: int) -> None:
    path.write_bytes(WHOLE[:length])
    assert refusal(path).startswith("not a safetensors file" if length <= 8 else "cut off")


def test_a_lengthened_file_is_refused(path: Path) -> None:
    path.write_bytes(WHOLE + b"\0")
    assert refusal(path).startswith("damaged")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a safetensors file"),
        (b"PK\x03\x04" + bytes(200), "not a safetensors file"),
        (b"\x80\x04\x95" + bytes(50), "not a safetensors file"),
        (os.urandom(8) + b"x" * 100, "not a safetensors file"),
        ((LARGEST_HEADER + 1).to_bytes(8, "little") + b"{" * 2_000_000, "not a safetensors file"),
        ((200_000).to_bytes(8, "little") + b'{"a":' * 40_000, "no JSON"),
        ((13).to_bytes(8, "little") + b'{"a":1,"a":2}', "no JSON"),
        ((9).to_bytes(8, "little") + b'{"a":NaN}', "no JSON"),
        ((4).to_bytes(8, "little") + b'{"\xff}', "no JSON"),
        (safetensors_bytes({"weight": np.zeros(3, np.float32)}), "another program"),
        (safetensors_bytes({"weight": np.zeros(3, np.float32)}, {"format": "pt"}), "another program"),
        (safetensors_bytes({"weight": np.zeros(3, np.float32)}, {KEY: "[]"}), "no JSON object"),
        (safetensors_bytes({"weight": np.zeros(3, np.float32)}, {KEY: "{}"}), "format version"),
        (safetensors_bytes({"weight": np.zeros(3, np.int64)}, {KEY: "{}"}), "F32 or F64"),
    ],
)
def test_a_foreign_file_is_refused(path: Path, content: bytes, reason: str) -> None:
    path.write_bytes(content)
    assert reason in refusal(path)


Change = Callable[[dict[str, Any], dict[str, Any]], None]
CHANGES: dict[str, tuple[Change, str]] = {
    "another value": (lambda d, t: t["dictionary_real"].__setitem__((0, 0), 0.123), "checksum of its arrays"),
    "another checksum": (lambda d, t: d.update(sha256="0" * 64), "checksum of its arrays"),
    "exchanged arrays": (
        lambda d, t: t.update(
            dictionary_real=t["dictionary_imag"], dictionary_imag=t["dictionary_real"].copy()
        ),
        "checksum of its arrays",
    ),
    "next version": (lambda d, t: d.update(format=2), "format version is 2"),
    "next version with more in it": (
        lambda d, t: (d.update(format=2, more=1), t.update(more=np.zeros(3)))[0],
        "format version is 2",
    ),
    "no version": (lambda d, t: d.pop("format"), "format version"),
    "a version that is no number": (lambda d, t: d.update(format=True), "format version"),
    "no seed": (lambda d, t: d.pop("seed"), "lacks 'seed'"),
    "something unknown": (lambda d, t: d.update(zz=1), "unknown 'zz'"),
    "another kind": (lambda d, t: d.update(kind="oracle"), "unknown kind 'oracle'"),
    "kind of the other": (lambda d, t: d.update(kind="neural"), "array"),
    "a kind that is a list": (lambda d, t: d.update(kind=[]), "unknown kind"),
    "negative seed": (lambda d, t: d.update(seed=-1), "seed"),
    "a seed that is no number": (lambda d, t: d.update(seed=True), "seed"),
    "a loss that is no number": (lambda d, t: d.update(held_out_loss="0.1"), "held_out_loss"),
    "a huge loss": (lambda d, t: d.update(held_out_loss=10**400), "held_out_loss"),
    "versions that are none": (lambda d, t: d.update(versions={"numpy": 2}), "versions"),
    "training that is none": (lambda d, t: d.update(training=[]), "training"),
    "scenario that is none": (lambda d, t: d.update(scenario="impaired"), "scenario"),
    "impossible scenario": (lambda d, t: d["scenario"].update(order=8), "order"),
    "unknown parameter": (lambda d, t: d["scenario"].update(self=8), "scenario"),
    "more antennas": (lambda d, t: d["scenario"].update(antennas=5), "needs 5×12"),
    "another grid": (lambda d, t: d["scenario"].update(grid_size=13), "needs 4×13"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_file_is_refused(path: Path, name: str) -> None:
    change, reason = CHANGES[name]
    tampered(path, model_driven(SCENARIO), change)
    assert reason in refusal(path)


def test_a_changed_description_is_noticed(path: Path) -> None:
    tampered(path, model_driven(SCENARIO), lambda d, t: d.update(seed=4), sign=False)
    assert "checksum of its description" in refusal(path)
    tampered(path, model_driven(SCENARIO), lambda d, t: d.update(seed=float("nan")), sign=False)
    assert "no JSON" in refusal(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_with_a_checksum_that_fits(path: Path, value: float) -> None:
    def change(description: dict[str, Any], tensors: dict[str, Any]) -> None:
        tensors["dictionary_imag"][2, 3] = value
        description["sha256"] = artifact_file.checksum(tensors)

    tampered(path, model_driven(SCENARIO), change)
    assert "dictionary_imag holds NaN or infinity" in refusal(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "no regular file"),
        (tmp_path / "pipe", "no regular file"),
        (Path("/dev/zero"), "no regular file"),
        (Path("a\0b"), "null"),
    ):
        assert reason in refusal(path)


def test_nothing_is_read_of_a_file_that_is_too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(artifact_file.LARGEST_FILE + 1)
    assert "larger than" in refusal(path)


def test_a_header_that_promises_much_sets_no_memory_aside(path: Path) -> None:
    import tracemalloc

    huge = {"dtype": "F64", "shape": [10**6, 10**6, 10**6], "data_offsets": [0, 8 * 10**18]}
    header = json.dumps({"__metadata__": {KEY: "{}"}, "a": huge}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    tracemalloc.start()
    refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 10 * LARGEST_HEADER
    tracemalloc.stop()


def test_what_could_not_be_read_is_not_written() -> None:
    whole = model_driven(SCENARIO)
    broken = {**whole.tensors, "element_positions": np.full(4, np.nan)}
    wrong_type = {**whole.tensors, "element_positions": np.zeros(4, np.int64)}
    for changes, reason in (
        ({"tensors": broken}, "element_positions holds NaN"),
        ({"tensors": wrong_type}, "float32 or float64"),
        ({"held_out_loss": float("nan")}, "JSON"),
        ({"training": {"seed": object()}}, "JSON"),
        ({"training": {"text": "x" * (LARGEST_HEADER + 1)}}, "header"),
        ({"kind": "neural"}, "array"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(UserError, match=reason):
            encode(model_driven(SCENARIO, **changes))


@given(st.data())
def test_damaged_bytes_are_refused_or_are_the_same_model(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    damaged = bytearray(WHOLE)
    header = int.from_bytes(WHOLE[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        # As many changes in the header as in the much longer arrays.
        end = data.draw(st.sampled_from([8, 8 + header, len(damaged)]))
        place = data.draw(st.integers(0, end - 1))
        match data.draw(st.sampled_from(["change", "insert", "cut"])):
            case "change":
                damaged[place] = data.draw(st.integers(0, 255))
            case "insert":
                damaged[place:place] = data.draw(st.binary(min_size=1, max_size=20))
            case _:
                del damaged[place : place + data.draw(st.integers(1, 50))]
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(bytes(damaged))
    found = attempt(path)
    assert found.isprintable() if isinstance(found, str) else encode(found) == WHOLE


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes(content)
    refusal(path)
    path.write_bytes(len(content).to_bytes(8, "little") + content)
    refusal(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(artifact_file.FIELDS)), JSON)
def test_any_value_in_the_description_is_refused_or_understood(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    tampered(path, model_driven(SCENARIO), lambda d, t: d.update({key: value}), sign=key != "header_sha256")
    found = attempt(path)
    assert found.isprintable() if isinstance(found, str) else found.scenario.antennas == 4
